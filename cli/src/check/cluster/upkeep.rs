//! What Ferrule is to keep up by itself: the issuer, the trust anchor, workloads that do not
//! trust it.

use super::{
    existence::{is_ready, pods_of},
    identity::{issuer_chain, ours},
    look::Look,
    row::{Answer, Category, Need, Problem, ROW, Row, Severity, none_of},
};
use crate::{
    admin,
    identity::{rotation, standings_on},
    pod_page::{Unreached, page},
};
use ferrule_identity::{Certificate, RESTARTS_LEASE, RestartState, date};
use kube::ResourceExt as _;
use std::time::{Duration, SystemTime};

/// An issuer is renewed with a third of its life left, as soon as a replica leads: so much
/// later at the most, or a twentieth of a short life.
const LATE: Duration = Duration::from_secs(5 * 60);
/// The API server may wait long for who cannot be reached.
const REACH: Duration = Duration::from_secs(5);
const ADMIN: u16 = 9990;

const UPKEEP: Row = Row {
    category: Category::Identity,
    severity: Severity::Warning,
    after: &["l5d-existence-ns"],
    ..ROW
};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "ferrule-issuer-upkeep",
        title: "the issuer that Ferrule keeps is renewed in time",
        after: &["l5d-identity-cert-config-valid"],
        needs: &[Need("get", "configmaps"), Need("get", "secrets")],
        remedy: "see that a pod of identity runs and holds the Lease ferrule-ca, and what it says: \
                 /ready of its port 9990, and kubectl -n <ns> logs deploy/linkerd-identity. It is \
                 renewed as soon as it can be: docs/certificates.md, \"When it has gone wrong\"",
        run: |look| Box::pin(renewed(look)),
        ..UPKEEP
    },
    Row {
        id: "ferrule-identity-notes",
        title: "identity has nothing to complain of",
        after: &["l5d-api-control-ready"],
        needs: &[Need("list", "pods"), Need("get", "pods/proxy")],
        remedy: "do what it says; what each means is in docs/certificates.md, \"When it has gone \
                 wrong\"",
        run: |look| Box::pin(notes(look)),
        ..UPKEEP
    },
    Row {
        id: "ferrule-trust-anchor-rotation",
        title: "the trust anchor is not about to be replaced, or that goes on by itself",
        needs: &[Need("get", "secrets")],
        remedy: "restart the workloads that `ferrule identity status` lists, or do what else it \
                 waits for; `ferrule identity rotate trust-anchor --resume` ends a pause, --abort \
                 takes the way back: docs/certificates.md, \"Another trust anchor\"",
        run: |look| Box::pin(rotates(look)),
        ..UPKEEP
    },
    Row {
        id: "ferrule-restarts",
        title: "workloads that are to be restarted for a trust anchor are",
        needs: &[Need("list", "leases.coordination.k8s.io")],
        remedy: "look at its rollout (kubectl rollout status), and mend or undo it: all others \
                 wait. What is not restarted, or was in vain, a person has to restart: \
                 docs/certificates.md, \"Restarts\"",
        run: |look| Box::pin(restarts(look)),
        ..UPKEEP
    },
];

async fn renewed(look: &Look) -> Answer {
    if !ours(look).await? {
        return Err(Problem::not_applicable("somebody else keeps the issuer"));
    }
    let chain = issuer_chain(look).await?;
    // Where they cannot be read, others say so.
    let anchors = look.anchors().await.ok();
    let anchors = anchors.as_ref().map_or(&[][..], |all| all.certificates());
    none_of(overdue(&chain[0], anchors, SystemTime::from(look.now)))
}

/// That an issuer should have had a successor.
fn overdue(issuer: &Certificate, anchors: &[Certificate], now: SystemTime) -> Option<String> {
    let (begin, end) = (issuer.not_before(), issuer.not_after());
    let life = end.duration_since(begin).unwrap_or_default();
    let due = end - life / 3;
    // None lasts longer than its anchor: that is to be replaced first.
    let parent = anchors
        .iter()
        .find(|anchor| anchor.subject() == issuer.issuer());
    let is_the_last =
        parent.is_some_and(|anchor| anchor.not_after() <= end + Duration::from_secs(1));
    let is_late = now > due + LATE.min(life / 20);
    (is_late && !is_the_last).then(|| {
        let (due, end) = (date(due), date(end));
        format!(
            "issuer {} was to be renewed at {due}, with a third of its life left, and was not; it \
             is good until {end}",
            issuer.subject()
        )
    })
}

/// What identity processes say at `/ready` although they are.
async fn notes(look: &Look) -> Answer {
    const PATH: &str = "/ready";
    if let Some(addr) = &look.scope.api_addr {
        let page = admin::get(addr, PATH).await;
        let page = page.map_err(|error| Problem::found(error.to_string()))?;
        return none_of(noted(&addr.to_string(), &String::from_utf8_lossy(&page)));
    }
    let (mut found, mut asked) = (Vec::new(), 0);
    for pod in pods_of(look.control_pods().await?, "identity").filter(|pod| is_ready(pod)) {
        let (namespace, name) = (look.namespace(), pod.name_any());
        match page(&look.client, namespace, &name, ADMIN, PATH, REACH).await {
            Ok(text) => {
                asked += 1;
                found.extend(noted(&format!("pod {name}"), &text));
            }
            Err(Unreached::Forbidden) => {
                return Err(Problem::Forbidden("get pods/proxy".to_owned()));
            }
            Err(Unreached::Late(_) | Unreached::Failed(_)) => {}
        }
    }
    if asked == 0 {
        return Err(Problem::not_applicable(
            "no identity pod could be asked; --api-addr says where one listens",
        ));
    }
    none_of(found)
}

fn noted(who: &str, page: &str) -> Vec<String> {
    let notes = page.lines().filter_map(|line| line.strip_prefix("note: "));
    notes.map(|note| format!("{who}: {note}")).collect()
}

async fn rotates(look: &Look) -> Answer {
    let told = rotation(&look.client, look.namespace()).await?;
    let Some(told) = told else {
        return Err(Problem::not_applicable(
            "Ferrule does not keep the trust anchor",
        ));
    };
    none_of(told.held_up(look.now))
}

async fn restarts(look: &Look) -> Answer {
    let mut leases = look.leases().await?.iter();
    let lease = leases.find(|lease| lease.name_any() == RESTARTS_LEASE);
    let standings = lease.map(standings_on).unwrap_or_default().into_iter();
    let wrong = standings.filter(|one| match one.state {
        RestartState::Stuck | RestartState::Refused | RestartState::InVain => true,
        RestartState::Waits | RestartState::Restarting => false,
    });
    none_of(wrong.map(|one| format!("{}/{} {one}", one.namespace, one.owner)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_the_lines_that_say_so() {
        let page = "ok\nnote: the identity issuer cannot be kept: it has no key\n";
        assert_eq!(
            noted("pod a", page),
            ["pod a: the identity issuer cannot be kept: it has no key"]
        );
        assert!(noted("pod a", "ok\n").is_empty());
    }
}
