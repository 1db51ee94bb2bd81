//! `ferrule diagnostics proxy-metrics` and `controller-metrics`: what proxies and the control
//! plane count, as they serve it.

mod obfuscate;

pub(crate) use self::obfuscate::obfuscated;

use crate::{
    Error, admin,
    api_addr::ApiAddr,
    check,
    cluster::{ClusterFlags, ControlPlane},
    duration, output,
    pod_page::{Unreached, page},
    progress::awaited,
    read::{all, get, of},
    subject::{Subject, SubjectName},
};
use clap::Args;
use futures::{StreamExt as _, stream};
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::LabelSelector};
use kube::{Client, ResourceExt as _, api::ListParams, core::Selector};
use std::{fmt::Write as _, time::Duration};

pub(crate) const PROXY_EXAMPLES: &str = "\
Examples:
  ferrule diagnostics proxy-metrics deploy/web -n shop
  ferrule diagnostics proxy-metrics web-5d4c-x2v8q -n shop --obfuscate";
pub(crate) const CONTROLLER_EXAMPLES: &str = "\
Examples:
  ferrule diagnostics controller-metrics
  ferrule diagnostics controller-metrics --api-addr 127.0.0.1:9990";

const PROXY: &str = "linkerd-proxy";
const ADMIN: &str = "linkerd-admin";
/// Where proxies serve metrics if their pod says nothing else.
const ADMIN_PORT: u16 = 4191;
/// How many pods are asked at once.
const AT_ONCE: usize = 8;

/// The proxies of a workload.
#[derive(Debug, Args)]
pub(crate) struct ProxyMetrics {
    /// A pod, or KIND/NAME of a workload
    #[arg(value_name = "[KIND/]NAME", required_unless_present = "api_addr")]
    subject: Option<SubjectName>,

    /// Its namespace
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    namespace: String,

    /// Write hashes for the names of workloads, to show metrics to others
    #[arg(long)]
    obfuscate: bool,

    /// Ask this proxy's admin port instead of those in the cluster
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "subject")]
    api_addr: Option<ApiAddr>,

    #[command(flatten)]
    patience: Patience,

    #[command(flatten)]
    cluster: ClusterFlags,
}

/// The processes of the control plane.
#[derive(Debug, Args)]
pub(crate) struct ControllerMetrics {
    #[command(flatten)]
    control_plane: ControlPlane,

    /// Ask this admin listener instead of those in the cluster
    #[arg(long, value_name = "HOST:PORT")]
    api_addr: Option<ApiAddr>,

    #[command(flatten)]
    patience: Patience,

    #[command(flatten)]
    cluster: ClusterFlags,
}

#[derive(Debug, Args)]
struct Patience {
    /// How long one of them may take to answer
    #[arg(short, long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    wait: Duration,
}

/// Somebody who serves metrics.
pub(crate) struct Target {
    namespace: String,
    pod: String,
    container: String,
    port: u16,
}

impl Target {
    /// The proxy of a pod.
    pub(crate) fn proxy(pod: &Pod) -> Option<Self> {
        let spec = pod.spec.as_ref()?;
        let mut containers = spec
            .containers
            .iter()
            .chain(spec.init_containers.iter().flatten());
        let proxy = containers.find(|container| container.name == PROXY)?;
        let mut ports = proxy.ports.iter().flatten();
        let named = ports.find(|port| port.name.as_deref() == Some(ADMIN));
        let port = named.and_then(|port| u16::try_from(port.container_port).ok());
        Some(Self::of(pod, PROXY, port.unwrap_or(ADMIN_PORT)))
    }

    /// What of a pod of the control plane serves metrics: ports that are called so.
    pub(crate) fn admin(pod: &Pod) -> Vec<Self> {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let ports = containers.flat_map(|container| {
            let ports = container.ports.iter().flatten();
            let admin = ports.filter(|port| {
                port.name
                    .as_deref()
                    .is_some_and(|name| name.ends_with("admin"))
            });
            admin.filter_map(|port| {
                let number = u16::try_from(port.container_port).ok()?;
                Some(Self::of(pod, &container.name, number))
            })
        });
        ports.collect()
    }

    fn of(pod: &Pod, container: &str, port: u16) -> Self {
        Self {
            namespace: pod.namespace().unwrap_or_default(),
            pod: pod.name_any(),
            container: container.to_owned(),
            port,
        }
    }

    /// `shop/web-1, container linkerd-proxy`.
    pub(crate) fn title(&self) -> String {
        format!(
            "{}/{}, container {}",
            self.namespace, self.pod, self.container
        )
    }

    /// A file for what it tells.
    pub(crate) fn file(&self, folder: &str, ending: &str) -> String {
        format!("{folder}/{}.{}.{ending}", self.pod, self.container)
    }

    pub(crate) async fn metrics(
        &self,
        client: &Client,
        patience: Duration,
    ) -> Result<String, Unreached> {
        page(
            client,
            &self.namespace,
            &self.pod,
            self.port,
            "/metrics",
            patience,
        )
        .await
    }
}

impl ProxyMetrics {
    pub(crate) async fn run(self) -> Result<(), Error> {
        let shown = |text: String| match self.obfuscate {
            true => obfuscated(&text),
            false => text,
        };
        if let Some(addr) = &self.api_addr {
            let text = admin::get(addr, "/metrics").await?;
            let text = shown(String::from_utf8_lossy(&text).into_owned());
            return Ok(output::print_as_it_is(&text)?);
        }
        let Some(subject) = &self.subject else {
            return Ok(());
        };
        let client = self.cluster.api_server().await?;
        let subject = Subject::read(&client, subject, &self.namespace).await?;
        let pods = pods_of(&client, &subject).await?;
        let targets: Vec<_> = pods.iter().filter_map(Target::proxy).collect();
        if targets.is_empty() {
            return Err(Error::NoSubject(format!(
                "no pod of {} has a proxy; ferrule why-not-injected says why",
                subject.title
            )));
        }
        print(&client, &targets, self.patience.wait, shown).await
    }
}

impl ControllerMetrics {
    pub(crate) async fn run(self) -> Result<(), Error> {
        if let Some(addr) = &self.api_addr {
            let text = admin::get(addr, "/metrics").await?;
            return Ok(output::print_as_it_is(&String::from_utf8_lossy(&text))?);
        }
        let client = self.cluster.api_server().await?;
        let namespace = &self.control_plane.namespace;
        let params = ListParams::default().labels(check::COMPONENT);
        let pods: Vec<Pod> = all(of(&client, namespace), params, |pod| pod).await?;
        let targets: Vec<_> = pods.iter().flat_map(Target::admin).collect();
        if targets.is_empty() {
            return Err(Error::NoSubject(format!(
                "no pod in namespace {namespace} is of a control plane: name its namespace \
                 (-L NAME), or ask ferrule check"
            )));
        }
        print(&client, &targets, self.patience.wait, |text| text).await
    }
}

/// The pods of a workload, or the pod itself.
async fn pods_of(client: &Client, subject: &Subject) -> Result<Vec<Pod>, Error> {
    let namespace = &subject.namespace;
    if subject.is_pod {
        let found: Option<Pod> = get(of(client, namespace), &subject.name).await?;
        return Ok(found.into_iter().collect());
    }
    let selector = &subject.object["spec"]["selector"];
    let labels = match serde_json::from_value::<LabelSelector>(selector.clone()) {
        Ok(of) if of != LabelSelector::default() => Selector::try_from(of).ok(),
        // A ReplicationController has labels alone.
        _ => selector.as_object().map(|labels| {
            let texts = labels.iter();
            let texts =
                texts.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
            texts.collect()
        }),
    };
    let labels = labels.ok_or_else(|| {
        let title = &subject.title;
        Error::NoSubject(format!(
            "{title} does not say which pods are its own: name one of them"
        ))
    })?;
    let params = ListParams::default().labels_from(&labels);
    Ok(all(of(client, namespace), params, |pod| pod).await?)
}

/// Prints all metrics, each below who serves them; those who do not answer are told, and an
/// error if nobody does.
async fn print(
    client: &Client,
    targets: &[Target],
    patience: Duration,
    shown: impl Fn(String) -> String,
) -> Result<(), Error> {
    let mut answers = stream::iter(targets)
        .map(|target| target.metrics(client, patience))
        .buffered(AT_ONCE);
    let (mut answered, mut reason) = (false, String::new());
    let count = targets.len();
    for (number, target) in targets.iter().enumerate() {
        let (title, number) = (target.title(), number + 1);
        // They come in the order in which they are asked for.
        let waiting = format!("waiting for metrics of {title}");
        let Some(answer) = awaited(&waiting, answers.next()).await else {
            break;
        };
        match answer {
            Ok(text) => {
                answered = true;
                let mut part = format!("#\n# POD {title} ({number} of {count})\n#\n");
                let _ = writeln!(part, "{}", shown(text).trim_end());
                output::seen_enough(output::print_as_it_is(&part).map_err(Error::from))?;
            }
            Err(why) => {
                reason = format!("{title}: {why}");
                output::note(&format!("warning: no metrics of {reason}"));
            }
        }
    }
    match answered {
        true => Ok(()),
        false => Err(Error::ApiServer {
            what: "get metrics".to_owned(),
            reason,
        }),
    }
}
