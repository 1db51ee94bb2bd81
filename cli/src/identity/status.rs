//! `ferrule identity status`: the certificates of the mesh, and who trusts what.

use super::{
    anchor::{self, Told},
    pods::{Comparison, Workload},
    report::Report,
};
use crate::{
    Error,
    api_addr::ServerFlags,
    cluster::{ClusterFlags, ControlPlane, failed},
    mesh_pod::MeshPods,
    output::{self, Format},
};
use clap::Args;
use ferrule_identity::{
    ISSUER_SECRET, MANAGED_BY, TRUST_ROOTS, TRUST_ROOTS_KEY, TrustAnchors, date,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use serde_json::json;

pub(super) const EXAMPLES: &str = "\
The certificates are those of the process at --api-addr, the rest is read from the API
server. If the process does not answer, that is noted and the rest is shown.

Examples:
  kubectl port-forward -n linkerd deploy/linkerd-identity 9990 &
  ferrule identity status
  ferrule identity status -o json --context prod";

/// How many pods are listed at once.
const PAGE: u32 = 500;
/// What meshed pods are known by.
const CONTROL_PLANE: &str = "linkerd.io/control-plane-ns";

#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    control_plane: ControlPlane,

    /// How to print the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,

    #[command(flatten)]
    server: ServerFlags,

    #[command(flatten)]
    cluster: ClusterFlags,
}

/// What the API server tells.
struct Cluster {
    anchors: Option<TrustAnchors>,
    /// What is wrong with the bundle.
    problem: Option<String>,
    /// Who keeps the issuer.
    keeper: String,
    pods: usize,
    behind: Vec<Workload>,
    /// What the trust anchor's Secret says, if it may be read.
    rotation: Option<Told>,
}

impl Status {
    pub(super) async fn run(self) -> Result<(), Error> {
        let client = self.cluster.api_server().await?;
        let (process, cluster) = tokio::join!(super::ask(&self.server), self.look(client));
        let cluster = cluster?;
        let now = Timestamp::now();
        match self.output {
            Format::Json => {
                let certificates = process.as_ref().ok().map(|(_, all)| all);
                output::print_json(&cluster.json(certificates))?;
            }
            Format::Table => {
                let report = process.as_ref().ok().map(|(report, _)| report);
                output::print(&cluster.text(report, now))?;
            }
        }
        match process {
            Ok((report, _)) => {
                for warning in report.warnings(now) {
                    output::note(&format!("warning: {warning}"));
                }
            }
            Err(error) => output::note(&format!("note: {error}")),
        }
        if let Some(problem) = &cluster.problem {
            output::note(&format!("warning: {problem}"));
        }
        Ok(())
    }

    async fn look(&self, client: Client) -> Result<Cluster, Error> {
        let namespace = &self.control_plane.namespace;
        let bundles: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let name = format!("ConfigMap {namespace}/{TRUST_ROOTS}");
        let bundle = bundles.get_opt(TRUST_ROOTS).await;
        let bundle = bundle.map_err(failed(format!("read {name}")))?;
        let pem = bundle.and_then(|bundle| bundle.data?.remove(TRUST_ROOTS_KEY));
        let (anchors, problem) = match pem {
            None => (None, Some(format!("{name} has no {TRUST_ROOTS_KEY}"))),
            Some(pem) => match TrustAnchors::from_pem(pem.as_bytes()) {
                Ok(anchors) => (Some(anchors), None),
                Err(error) => (None, Some(format!("{name}: {error}"))),
            },
        };
        let keeper = self.keeper(&client).await;
        let rotation = anchor::look(&client, namespace).await;
        let mut found = Cluster {
            rotation,
            anchors,
            problem,
            keeper,
            pods: 0,
            behind: Vec::new(),
        };
        if let Some(anchors) = &found.anchors {
            let mut comparison = Comparison::with(anchors);
            let mut pods = MeshPods::default();
            let take = |pod: &Pod| {
                if let Some(pod) = pods.read(pod) {
                    comparison.take(&pod);
                }
            };
            self.each_pod(client, take).await?;
            found.pods = comparison.pods();
            found.behind = comparison.behind();
        }
        Ok(found)
    }

    /// Who keeps the issuer's Secret; only its labels are read.
    async fn keeper(&self, client: &Client) -> String {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &self.control_plane.namespace);
        match secrets.get_metadata_opt(ISSUER_SECRET).await {
            Ok(None) => format!("unknown: there is no Secret {ISSUER_SECRET}"),
            Ok(Some(secret)) => match secret.labels().get(MANAGED_BY.0) {
                Some(keeper) => keeper.clone(),
                None => "not Ferrule".to_owned(),
            },
            Err(kube::Error::Api(status)) if status.code == 403 => {
                "unknown: you may not read the Secret".to_owned()
            }
            Err(error) => format!("unknown: {error}"),
        }
    }

    async fn each_pod(&self, client: Client, mut take: impl FnMut(&Pod)) -> Result<(), Error> {
        let pods: Api<Pod> = Api::all(client);
        let selector = format!("{CONTROL_PLANE}={}", self.control_plane.namespace);
        let mut params = ListParams::default().labels(&selector).limit(PAGE);
        loop {
            let page = pods.list(&params).await.map_err(failed("list pods"))?;
            page.items.iter().for_each(&mut take);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(()),
            }
        }
    }
}

impl Cluster {
    fn json(&self, certificates: Option<&serde_json::Value>) -> serde_json::Value {
        let anchors = self.anchors.iter().flat_map(TrustAnchors::certificates);
        let anchors: Vec<_> = anchors
            .map(|anchor| {
                json!({
                    "subject": anchor.subject(),
                    "sha256": anchor.fingerprint(),
                    "notAfter": date(anchor.not_after()).to_string(),
                })
            })
            .collect();
        json!({
            "certificates": certificates,
            "issuerKeptBy": self.keeper,
            "publishedTrustAnchors": anchors,
            "publishedBundleSha256": self.anchors.as_ref().map(TrustAnchors::sha256),
            "meshedPods": self.pods,
            "workloadsWithAnotherBundle": self.behind,
            "trustAnchorRotation": self.rotation.as_ref().map(Told::json),
        })
    }

    fn text(&self, report: Option<&Report>, now: Timestamp) -> String {
        let anchors = self.anchors.iter().flat_map(TrustAnchors::certificates);
        let anchors: Vec<_> = anchors.map(|anchor| short(anchor.fingerprint())).collect();
        let behind: usize = self.behind.iter().map(|workload| workload.pods.len()).sum();
        let rotation = self.rotation.as_ref().and_then(Told::line);
        let held = report.and_then(Report::held);
        let facts = [
            ("issuer kept by", self.keeper.clone()),
            (
                "issuer that waits",
                held.map_or_else(|| "-".to_owned(), ToString::to_string),
            ),
            ("published trust anchors", anchors.join(", ")),
            ("meshed pods", self.pods.to_string()),
            ("with another bundle", behind.to_string()),
            (
                "trust anchor's rotation",
                rotation.unwrap_or_else(|| "-".to_owned()),
            ),
        ];
        let facts = facts.map(|(name, value)| [name.to_owned(), value]);
        let certificates = report.map(|report| super::text(report, now));
        let mut parts: Vec<_> = certificates.into_iter().collect();
        parts.push(output::table(None, facts));
        if behind > 0 {
            let rows = self.behind.iter().map(Workload::row);
            let header = ["NAMESPACE", "WORKLOAD", "PODS", "LACKS", "STILL TRUSTS"];
            parts.push(output::table(Some(&header), rows));
            parts.push("Restart these to have them trust what is published.".to_owned());
        }
        parts.join("\n\n")
    }
}

impl Workload {
    fn row(&self) -> [String; 5] {
        let list = |all: &super::pods::Fingerprints| match all.len() {
            0 if self.unknown => "?".to_owned(),
            0 => "-".to_owned(),
            _ => all
                .iter()
                .map(|one| short(one))
                .collect::<Vec<_>>()
                .join(", "),
        };
        [
            self.namespace.clone(),
            self.owner.clone(),
            self.pods.len().to_string(),
            list(&self.lacks),
            list(&self.keeps),
        ]
    }
}

fn short(fingerprint: &str) -> String {
    fingerprint.chars().take(super::FINGERPRINT).collect()
}
