//! The containers that see that a pod's traffic goes through its proxy: one that
//! redirects it, or with the CNI plugin one that checks that it is redirected
//! (identity-injector.md sections 7.4 and 7.5).

use crate::{
    Error, container,
    settings::Settings,
    workload::{Capabilities, PodSpec},
};
use serde_json::{Value, json};

/// What it takes to write redirect rules.
const NEEDED: [&str; 2] = ["NET_ADMIN", "NET_RAW"];
/// Nobody, where values ask for root and not for root at once.
const NOBODY: i64 = 65534;

/// The container that redirects.
pub(crate) fn init(settings: &Settings, spec: &PodSpec) -> Result<Value, Error> {
    let values = &settings.values;
    let init = &values.proxy_init;
    if init.close_wait_timeout_seconds != 0 && !init.run_as_root {
        return Err(Error::CloseWaitWithoutRoot);
    }
    let privileged = init.close_wait_timeout_seconds != 0 || init.privileged;
    let mut context = json!({
        "allowPrivilegeEscalation": privileged,
        "privileged": privileged,
        "capabilities": capabilities(spec.capabilities()),
        "readOnlyRootFilesystem": true,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    let not_root = |id| if id == 0 { NOBODY } else { id };
    let (user, group) = if init.run_as_root {
        (0, 0)
    } else {
        (not_root(init.run_as_user), not_root(init.run_as_group))
    };
    context["runAsNonRoot"] = (!init.run_as_root).into();
    context["runAsUser"] = user.into();
    context["runAsGroup"] = group.into();
    let mut mounts = vec![json!({"mountPath": init.lock_path, "name": init.lock_volume})];
    mounts.extend(spec.service_account_mount().cloned());
    let mut container = json!({
        "name": crate::INIT_CONTAINER,
        "image": settings.image(),
        "imagePullPolicy": settings.pull_policy(),
        "command": ["/usr/lib/linkerd/linkerd2-proxy-init"],
        "args": arguments(settings)?,
        "securityContext": context,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    });
    if let Some(resources) = container::resources(&values.proxy.resources) {
        container["resources"] = resources;
    }
    Ok(container)
}

/// The container that checks. It listens on the outbound port of the plugin's own
/// configuration, whatever annotations say.
pub(crate) fn validator(settings: &Settings) -> Value {
    let values = &settings.values;
    let validator = &values.network_validator;
    let [connect, listen] = if values.disable_ipv6 {
        ["1.1.1.1:20001", "0.0.0.0:4140"]
    } else {
        ["[fd00::1]:20001", "[::]:4140"]
    };
    let or = |text: &str, default: &str| if text.is_empty() { default } else { text }.to_owned();
    let mut container = json!({
        "name": crate::VALIDATOR_CONTAINER,
        "image": settings.image(),
        "imagePullPolicy": settings.pull_policy(),
        "command": ["/usr/lib/linkerd/linkerd2-network-validator"],
        "args": [
            "--log-format", validator.log_format,
            "--log-level", validator.log_level,
            "--connect-addr", or(&validator.connect_addr, connect),
            "--listen-addr", or(&validator.listen_addr, listen),
            "--timeout", validator.timeout,
        ],
    });
    if let Some(context) = &validator.security_context {
        container["securityContext"] = context.clone().into();
    }
    if let Some(resources) = container::resources(&values.proxy.resources) {
        container["resources"] = resources;
    }
    container
}

fn arguments(settings: &Settings) -> Result<Vec<String>, Error> {
    let values = &settings.values;
    let (init, ports) = (&values.proxy_init, &values.proxy.ports);
    let mut arguments = Vec::new();
    let mut option = |name: &str, value: &str| {
        arguments.extend([name.to_owned(), value.to_owned()]);
    };
    match &*init.iptables_mode {
        "nft" => {
            option("--firewall-bin-path", "iptables-nft");
            option("--firewall-save-bin-path", "iptables-nft-save");
        }
        "legacy" => {}
        other => return Err(Error::IptablesMode(other.to_owned())),
    }
    if values.disable_ipv6 {
        arguments.push("--ipv6=false".to_owned());
    }
    let mut option = |name: &str, value: String| {
        if !value.is_empty() {
            arguments.extend([name.to_owned(), value]);
        }
    };
    let number_unless = |none: bool, number: String| if none { String::new() } else { number };
    option("--incoming-proxy-port", ports.inbound.to_string());
    option("--outgoing-proxy-port", ports.outbound.to_string());
    option("--proxy-uid", values.proxy.uid.to_string());
    let gid = values.proxy.gid;
    option("--proxy-gid", number_unless(gid < 0, gid.to_string()));
    let mut ignored = format!("{},{}", ports.control, ports.admin);
    if !init.ignore_inbound_ports.is_empty() {
        ignored = format!("{ignored},{}", init.ignore_inbound_ports);
    }
    option("--inbound-ports-to-ignore", ignored);
    option(
        "--outbound-ports-to-ignore",
        init.ignore_outbound_ports.clone(),
    );
    let close_wait = init.close_wait_timeout_seconds;
    option(
        "--timeout-close-wait-secs",
        number_unless(close_wait == 0, close_wait.to_string()),
    );
    option("--log-format", init.log_format.clone());
    option("--log-level", init.log_level.clone());
    option("--subnets-to-ignore", init.skip_subnets.clone());
    Ok(arguments)
}

/// Those of the pod's first container, and what redirecting needs. `ALL` may be
/// dropped: Kubernetes adds after it has dropped.
fn capabilities(given: Option<&Capabilities>) -> Value {
    let given = given.cloned().unwrap_or_default();
    let needed = NEEDED.map(str::to_owned).into_iter();
    let others = given
        .add
        .into_iter()
        .filter(|one| !NEEDED.contains(&&**one));
    let mut drop = given.drop;
    drop.retain(|one| !NEEDED.contains(&&**one));
    container::capabilities(&Capabilities {
        add: needed.chain(others).collect(),
        drop,
    })
}
