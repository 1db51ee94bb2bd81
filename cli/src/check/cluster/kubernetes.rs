//! The API server and the clocks.

use super::{
    look::Look,
    row::{Answer, Category, Need, Problem, ROW, Row, Severity, none_of},
};
use crate::output::span;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt as _;

/// The oldest that is supported.
const OLDEST: (u32, u32) = (1, 31);
/// Leaves are good from so long before they are issued (ruling 11).
const SKEW: SignedDuration = SignedDuration::from_secs(20);
/// Kubelets write at least every five minutes (operations.md 12.2).
const HEARTBEAT: SignedDuration = SignedDuration::from_secs(5 * 60 + 10);
/// A heartbeat may be ahead of us by so much.
const AHEAD: SignedDuration = SignedDuration::from_secs(10);

const CLOCKS: &str = "have the clocks of all nodes, and of this machine, set by NTP: certificates \
                      are good from one moment to another";

/// Before an installation and after it.
const NODE_CLOCKS: Row = Row {
    anchor: Some("pre-k8s-clock-skew"),
    title: "the clocks of nodes agree with this machine's",
    severity: Severity::Warning,
    needs: &[Need("list", "nodes")],
    remedy: CLOCKS,
    run: |look| Box::pin(node_clocks(look)),
    ..ROW
};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "k8s-api-client",
        anchor: Some("k8s-api"),
        title: "there is a kubeconfig that says where the API server is",
        severity: Severity::Fatal,
        after: &[],
        remedy: "name the right file or context: --kubeconfig FILE, --context NAME",
        ..ROW
    },
    Row {
        id: "k8s-api-version",
        anchor: Some("k8s-api"),
        title: "the API server answers",
        severity: Severity::Fatal,
        after: &["k8s-api-client"],
        needs: &[Need("get", "/version")],
        remedy: "see that kubectl version answers: the address, the network, the credentials",
        run: |look| Box::pin(async { Ok(look.server().await.map(drop)?) }),
        ..ROW
    },
    Row {
        id: "k8s-api-clock-skew",
        anchor: Some("pre-k8s-clock-skew"),
        title: "the clocks of the API server and of this machine agree",
        severity: Severity::Warning,
        needs: &[Need("get", "/version")],
        remedy: CLOCKS,
        run: |look| Box::pin(server_clock(look)),
        ..ROW
    },
    Row {
        id: "k8s-version",
        category: Category::KubernetesVersion,
        title: "the API server is of a version that is supported",
        needs: &[Need("get", "/version")],
        remedy: "upgrade the cluster to Kubernetes 1.31 or later",
        run: |look| Box::pin(version(look)),
        ..ROW
    },
    Row {
        id: "pre-k8s-clock-skew",
        category: Category::Setup,
        ..NODE_CLOCKS
    },
    Row {
        id: "l5d-identity-clock-skew",
        category: Category::Identity,
        ..NODE_CLOCKS
    },
];

async fn server_clock(look: &Look) -> Answer {
    let ahead = look.server().await?.ahead.unwrap_or_default();
    // Its answer says full seconds.
    if ahead.abs() <= SKEW {
        return Ok(());
    }
    let off = span(ahead.abs().as_secs());
    let way = if ahead.is_negative() {
        "behind"
    } else {
        "ahead of"
    };
    Err(Problem::found(format!(
        "the API server's clock is {off} {way} this machine's"
    )))
}

async fn version(look: &Look) -> Answer {
    let info = &look.server().await?.info;
    let number = |text: &str| {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(0)
    };
    let (major, minor) = OLDEST;
    match (number(&info.major), number(&info.minor)) >= OLDEST {
        true => Ok(()),
        false => Err(Problem::found(format!(
            "it is {}, and at least v{major}.{minor} is needed",
            info.git_version
        ))),
    }
}

async fn node_clocks(look: &Look) -> Answer {
    none_of(
        look.nodes()
            .await?
            .iter()
            .filter_map(|node| skew(node, look.now)),
    )
}

/// What is wrong with a node's clock. Of those that are not ready nothing can be told.
fn skew(node: &Node, now: Timestamp) -> Option<String> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")?;
    let beat = ready
        .last_heartbeat_time
        .as_ref()
        .filter(|_| ready.status == "True")?;
    let age = now.duration_since(beat.0);
    let off = span(age.abs().as_secs());
    let name = node.name_any();
    if age > HEARTBEAT {
        return Some(format!("node {name}: its last heartbeat was {off} ago"));
    }
    (age < -AHEAD).then(|| format!("node {name}: its last heartbeat is {off} in the future"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_heartbeat_that_is_too_old_or_not_yet_is_a_wrong_clock() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        for (beat, status, said) in [
            ("2026-01-01T12:00:05Z", "True", None),
            ("2026-01-01T11:55:00Z", "True", None),
            ("2026-01-01T11:50:00Z", "True", Some("10m ago")),
            ("2026-01-01T12:03:00Z", "True", Some("3m in the future")),
            ("2026-01-01T10:00:00Z", "Unknown", None),
        ] {
            let node: Node = serde_json::from_value(json!({
                "metadata": {"name": "n1"},
                "status": {"conditions": [
                    {"type": "Ready", "status": status, "lastHeartbeatTime": beat},
                ]},
            }))
            .unwrap();
            let found = skew(&node, now);
            assert_eq!(found.is_some(), said.is_some(), "{beat}: {found:?}");
            assert!(
                found
                    .unwrap_or_default()
                    .ends_with(said.unwrap_or_default()),
                "{beat}"
            );
        }
    }
}
