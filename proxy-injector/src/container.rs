//! The proxy's container, and the debug container
//! (identity-injector.md sections 7.6 to 7.8).

use crate::{
    environment::{self, Surroundings},
    settings::Settings,
    values::{Amount, Probe, Resources},
    volumes,
    workload::{Capabilities, PodSpec},
};
use serde_json::{Map, Value, json};

/// The proxy.
pub(crate) fn proxy(settings: &Settings, spec: &PodSpec, surroundings: &Surroundings<'_>) -> Value {
    let values = &settings.values;
    let proxy = &values.proxy;
    let ports = &proxy.ports;
    let mut mounts = volumes::proxy_mounts(values);
    mounts.extend(spec.service_account_mount().cloned());
    let mut container = json!({
        "name": crate::PROXY_CONTAINER,
        "image": settings.image(),
        "imagePullPolicy": settings.pull_policy(),
        "ports": [
            {"name": "linkerd-proxy", "containerPort": ports.inbound},
            {"name": "linkerd-admin", "containerPort": ports.admin},
        ],
        "livenessProbe": probe("/live", ports.admin, &proxy.liveness),
        "readinessProbe": probe("/ready", ports.admin, &proxy.readiness),
        "securityContext": security_context(settings, spec),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
        "env": environment::variables(settings, surroundings),
    });
    let mut set = |key: &str, value: Value| container[key] = value;
    if let Some(resources) = resources(&proxy.resources) {
        set("resources", resources);
    }
    if proxy.native_sidecar {
        // Not restarted like an init container, but kept running like a sidecar.
        set("restartPolicy", "Always".into());
        if proxy.await_ready {
            // The containers after it start when this has succeeded once.
            set("startupProbe", probe("/ready", ports.admin, &proxy.startup));
        }
    } else if let Some(hooks) = lifecycle(settings) {
        set("lifecycle", hooks);
    }
    container
}

/// A container with tools, that is always well.
pub(crate) fn debug(settings: &Settings) -> Value {
    let well = json!({"exec": {"command": ["true"]}});
    json!({
        "name": crate::DEBUG_CONTAINER,
        "image": settings.debug_image(),
        "imagePullPolicy": settings.debug_pull_policy(),
        "livenessProbe": well,
        "readinessProbe": well,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    })
}

/// `resources`; `None` where nothing is asked for or limited.
pub(crate) fn resources(resources: &Resources) -> Option<Value> {
    let named = [
        ("cpu", &resources.cpu),
        ("memory", &resources.memory),
        ("ephemeral-storage", &resources.ephemeral_storage),
    ];
    let of = |quantity: fn(&Amount) -> &String| {
        let set = named
            .iter()
            .filter(|(_, amount)| !quantity(amount).is_empty());
        let set = set.map(|(name, amount)| ((*name).to_owned(), quantity(amount).as_str().into()));
        set.collect::<Map<_, _>>()
    };
    let (limits, requests) = (of(|amount| &amount.limit), of(|amount| &amount.request));
    let mut resources = Map::new();
    for (key, quantities) in [("limits", limits), ("requests", requests)] {
        if !quantities.is_empty() {
            resources.insert(key.to_owned(), quantities.into());
        }
    }
    (!resources.is_empty()).then(|| resources.into())
}

/// `capabilities` of these additions and removals.
pub(crate) fn capabilities(capabilities: &Capabilities) -> Value {
    let mut value = json!({});
    for (key, list) in [("add", &capabilities.add), ("drop", &capabilities.drop)] {
        if !list.is_empty() {
            value[key] = json!(list);
        }
    }
    value
}

fn security_context(settings: &Settings, spec: &PodSpec) -> Value {
    let proxy = &settings.values.proxy;
    if !proxy.security_context.is_empty() {
        return proxy.security_context.clone().into();
    }
    let mut context = json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
        "runAsUser": proxy.uid,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    // Where pods must drop capabilities, the proxy must too: it does as its neighbour.
    if let Some(given) = spec.capabilities() {
        context["capabilities"] = capabilities(given);
    }
    if proxy.gid >= 0 {
        context["runAsGroup"] = proxy.gid.into();
    }
    context
}

fn probe(path: &str, port: u16, probe: &Probe) -> Value {
    let mut value = json!({"httpGet": {"path": path, "port": port}});
    for (key, number) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("periodSeconds", probe.period_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("failureThreshold", probe.failure_threshold),
    ] {
        if let Some(number) = number {
            value[key] = number.into();
        }
    }
    value
}

/// Hooks of a proxy that is a regular container. Of a native sidecar Kubernetes
/// itself sees that it is there before and after the others.
fn lifecycle(settings: &Settings) -> Option<Value> {
    let proxy = &settings.values.proxy;
    let run = |command: Vec<String>| json!({"exec": {"command": command}});
    let mut hooks = Map::new();
    if proxy.await_ready {
        let command = vec![
            "/usr/lib/linkerd/linkerd-await".to_owned(),
            "--timeout=2m".to_owned(),
            format!("--port={}", proxy.ports.admin),
        ];
        hooks.insert("postStart".to_owned(), run(command));
    }
    if proxy.wait_before_exit_seconds > 0 {
        let seconds = proxy.wait_before_exit_seconds.to_string();
        let command = vec!["/bin/sleep".to_owned(), seconds];
        hooks.insert("preStop".to_owned(), run(command));
    }
    (!hooks.is_empty()).then(|| hooks.into())
}
