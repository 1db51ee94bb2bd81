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
    credential_names::CredentialNames,
    mesh_pod::MeshPods,
    output::{self, Format},
};
use clap::Args;
use ferrule_identity::{
    MANAGED_BY, RESTART_STANDINGS, RESTARTS_LEASE, RestartStanding, TRUST_ROOTS_KEY, TrustAnchors,
    date,
};
use jiff::Timestamp;
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{ConfigMap, Pod, Secret},
};
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
    /// How it stands with those that are to be restarted, if that may be read.
    standings: Vec<RestartStanding>,
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
        let names = self.names(&client).await;
        let bundles: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let trust_roots = &names.trust_roots;
        let name = format!("ConfigMap {namespace}/{trust_roots}");
        let bundle = bundles.get_opt(trust_roots).await;
        let bundle = bundle.map_err(failed(format!("read {name}")))?;
        let pem = bundle.and_then(|bundle| bundle.data?.remove(TRUST_ROOTS_KEY));
        let (anchors, problem) = match pem {
            None => (None, Some(format!("{name} has no {TRUST_ROOTS_KEY}"))),
            Some(pem) => match TrustAnchors::from_pem(pem.as_bytes()) {
                Ok(anchors) => (Some(anchors), None),
                Err(error) => (None, Some(format!("{name}: {error}"))),
            },
        };
        let keeper = self.keeper(&client, &names.issuer).await;
        let rotation = anchor::rotation(&client, namespace).await;
        // Who may not read it sees none.
        let rotation = rotation.unwrap_or_default();
        let mut found = Cluster {
            rotation,
            anchors,
            problem,
            keeper,
            pods: 0,
            behind: Vec::new(),
            standings: standings(&client, namespace).await,
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

    /// What the objects are called; as usual, if that may not be read.
    async fn names(&self, client: &Client) -> CredentialNames {
        let read = CredentialNames::read(client, &self.control_plane.namespace).await;
        read.unwrap_or_else(|unread| {
            let CredentialNames {
                issuer,
                trust_roots,
            } = CredentialNames::default();
            output::note(&format!(
                "note: {}; the trust anchors are looked for in ConfigMap {trust_roots}, the issuer \
                 in Secret {issuer}",
                Error::from(unread)
            ));
            CredentialNames::default()
        })
    }

    /// Who keeps the issuer's Secret; only its labels are read.
    async fn keeper(&self, client: &Client, issuer: &str) -> String {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &self.control_plane.namespace);
        match secrets.get_metadata_opt(issuer).await {
            Ok(None) => format!("unknown: there is no Secret {issuer}"),
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
            "restarts": self.standings,
            "trustAnchorRotation": self.rotation.as_ref().map(Told::json),
        })
    }

    fn text(&self, report: Option<&Report>, now: Timestamp) -> String {
        let anchors = self.anchors.iter().flat_map(TrustAnchors::certificates);
        let anchors: Vec<_> = anchors.map(|anchor| short(anchor.fingerprint())).collect();
        let behind: usize = self.behind.iter().map(|workload| workload.pods.len()).sum();
        let rotation = self.rotation.as_ref().and_then(Told::line);
        let held = report.and_then(Report::held);
        let stuck = report.and_then(Report::stuck);
        let facts = [
            ("issuer kept by", self.keeper.clone()),
            ("not kept because", stuck.unwrap_or("-").to_owned()),
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
        if behind > 0 || !self.standings.is_empty() {
            let rows = self.behind.iter();
            let rows = rows.map(|workload| workload.row(self.standing(workload)));
            // Who restarts sees more than what stands in pods: when they were started.
            let others = self.standings.iter().filter(|standing| {
                let is_it = |workload: &Workload| is_of(standing, workload);
                !self.behind.iter().any(is_it)
            });
            let rows = rows.chain(others.map(unknown));
            let header = [
                "NAMESPACE",
                "WORKLOAD",
                "PODS",
                "LACKS",
                "STILL TRUSTS",
                "RESTART",
            ];
            parts.push(output::table(Some(&header), rows));
            parts.push("Restart these to have them trust what is published.".to_owned());
        }
        parts.join("\n\n")
    }

    fn standing(&self, workload: &Workload) -> Option<&RestartStanding> {
        self.standings.iter().find(|one| is_of(one, workload))
    }
}

fn is_of(standing: &RestartStanding, workload: &Workload) -> bool {
    standing.namespace == workload.namespace && standing.owner == workload.owner
}

/// A workload of which nothing more is known.
fn unknown(standing: &RestartStanding) -> [String; 6] {
    let RestartStanding {
        namespace, owner, ..
    } = standing;
    let [pods, lacks, keeps] = ["?"; 3].map(ToOwned::to_owned);
    let standing = standing.to_string();
    [
        namespace.clone(),
        owner.clone(),
        pods,
        lacks,
        keeps,
        standing,
    ]
}

/// How it stands with workloads that want to be restarted, as who restarts them has written
/// it down last. Who may not read that sees none.
async fn standings(client: &Client, namespace: &str) -> Vec<RestartStanding> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    match leases.get_opt(RESTARTS_LEASE).await {
        Ok(Some(lease)) => standings_on(&lease),
        Ok(None) | Err(_) => Vec::new(),
    }
}

/// The same of the Lease that it is written on.
pub(crate) fn standings_on(lease: &Lease) -> Vec<RestartStanding> {
    let holder = lease
        .spec
        .as_ref()
        .and_then(|spec| spec.holder_identity.as_ref());
    if holder.is_none_or(String::is_empty) {
        // Nobody restarts any more.
        return Vec::new();
    }
    let text = lease.annotations().get(RESTART_STANDINGS);
    let standings = text.and_then(|text| serde_json::from_str(text).ok());
    standings.unwrap_or_default()
}

impl Workload {
    fn row(&self, standing: Option<&RestartStanding>) -> [String; 6] {
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
            standing.map_or_else(|| "-".to_owned(), ToString::to_string),
        ]
    }
}

fn short(fingerprint: &str) -> String {
    fingerprint.chars().take(super::FINGERPRINT).collect()
}
