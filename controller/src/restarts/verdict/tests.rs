use super::*;
use crate::restarts::opt_in::Said;
use serde_json::{Value, json};

const BUNDLE: &str = "0123456789abcdef";

/// An object that is at rest with so many pods, and `more` merged into it.
fn workload(kind: Kind, pods: u32, more: &Value) -> Workload {
    let mut object = json!({
        "metadata": {"name": "web", "namespace": "shop", "generation": 2},
        "spec": {
            "replicas": pods,
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web"}]},
            },
        },
        "status": {
            "observedGeneration": 2,
            "replicas": pods, "updatedReplicas": pods, "availableReplicas": pods,
            "desiredNumberScheduled": pods, "currentNumberScheduled": pods,
            "updatedNumberScheduled": pods, "numberAvailable": pods,
        },
    });
    if kind == Kind::DaemonSet {
        object["spec"]["replicas"] = Value::Null;
    }
    merge(&mut object, more);
    serde_json::from_value(object).expect("a workload")
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

fn budget(selector: &Value, allowed: u32, observed: u32) -> Budget {
    let budget = json!({
        "metadata": {"name": "few", "generation": 1},
        "spec": {"selector": selector},
        "status": {"observedGeneration": observed, "disruptionsAllowed": allowed},
    });
    serde_json::from_value(budget).expect("a PodDisruptionBudget")
}

fn judge(kind: Kind, workload: &Workload, opt_in: OptIn, budgets: &[Budget]) -> Verdict {
    let case = Case {
        kind,
        workload,
        opt_in,
        bundle: BUNDLE,
        has_failed: false,
        budgets,
    };
    case.judge()
}

/// The verdict, in a word and what is looked for in its reason.
fn is(verdict: &Verdict, expected: &str) -> bool {
    let (word, part) = expected.split_once(": ").unwrap_or((expected, ""));
    match verdict {
        Verdict::Restart => word == "restart",
        Verdict::Restarted => word == "restarted",
        Verdict::Waits(reason) => word == "waits" && reason.contains(part),
        Verdict::Refused(reason) => word == "refused" && reason.contains(part),
    }
}

#[test]
fn the_last_ready_pod_of_anything_is_never_taken_away() {
    use Kind::{DaemonSet, Deployment, StatefulSet};
    use OptIn::{ByNamespace, ByWorkload};
    let rolling = |values: Value| json!({"type": "RollingUpdate", "rollingUpdate": values});
    let none = || json!({"type": "RollingUpdate"});
    for (kind, pods, strategy, opt_in, expected) in [
        // A quarter of one pod is none that is away, and one more.
        (Deployment, 1, none(), ByNamespace, "restart"),
        (Deployment, 1, json!({}), ByNamespace, "restart"),
        (
            Deployment,
            1,
            rolling(json!({"maxUnavailable": 0, "maxSurge": 1})),
            ByNamespace,
            "restart",
        ),
        (
            Deployment,
            1,
            rolling(json!({"maxUnavailable": 1, "maxSurge": 1})),
            ByWorkload,
            "refused: its only 1 pod away",
        ),
        // Without surge Kubernetes takes one away whatever it rounds to.
        (
            Deployment,
            1,
            rolling(json!({"maxUnavailable": "25%", "maxSurge": 0})),
            ByNamespace,
            "refused: its only 1 pod away",
        ),
        (
            Deployment,
            2,
            rolling(json!({"maxUnavailable": "25%", "maxSurge": 0})),
            ByNamespace,
            "restart",
        ),
        (
            Deployment,
            3,
            rolling(json!({"maxUnavailable": "100%"})),
            ByNamespace,
            "refused: its only 3 pods away",
        ),
        (
            Deployment,
            3,
            rolling(json!({"maxUnavailable": "99%"})),
            ByNamespace,
            "restart",
        ),
        (
            Deployment,
            3,
            rolling(json!({"maxUnavailable": "many"})),
            ByNamespace,
            "refused",
        ),
        (
            Deployment,
            9,
            json!({"type": "Recreate"}),
            ByWorkload,
            "refused: its only 9 pods away",
        ),
        (
            StatefulSet,
            1,
            none(),
            ByWorkload,
            "refused: its only 1 pod",
        ),
        (StatefulSet, 2, none(), ByNamespace, "restart"),
        // It rounds up.
        (
            StatefulSet,
            2,
            rolling(json!({"maxUnavailable": "51%"})),
            ByNamespace,
            "refused: its only 2 pods",
        ),
        (
            StatefulSet,
            3,
            rolling(json!({"partition": 1})),
            ByWorkload,
            "refused: by hand",
        ),
        (
            StatefulSet,
            3,
            rolling(json!({"partition": 0})),
            ByNamespace,
            "restart",
        ),
        (
            StatefulSet,
            3,
            json!({"type": "OnDelete"}),
            ByWorkload,
            "refused: by hand",
        ),
        (
            DaemonSet,
            3,
            none(),
            ByNamespace,
            "refused: annotate the DaemonSet",
        ),
        (DaemonSet, 3, none(), ByWorkload, "restart"),
        (DaemonSet, 1, none(), ByWorkload, "refused: its only 1 pod"),
        (
            DaemonSet,
            2,
            rolling(json!({"maxUnavailable": "51%"})),
            ByWorkload,
            "refused: its only 2 pods",
        ),
        (
            DaemonSet,
            1,
            rolling(json!({"maxUnavailable": 0, "maxSurge": "10%"})),
            ByNamespace,
            "restart",
        ),
        (
            DaemonSet,
            3,
            json!({"type": "OnDelete"}),
            ByWorkload,
            "refused: by hand",
        ),
    ] {
        let field = match kind {
            Deployment => "strategy",
            StatefulSet | DaemonSet => "updateStrategy",
        };
        let workload = workload(kind, pods, &json!({"spec": {field: strategy}}));
        let verdict = judge(kind, &workload, opt_in, &[]);
        assert!(
            is(&verdict, expected),
            "{kind:?} of {pods} with {strategy}: {verdict:?}, not {expected}"
        );
    }
}

#[test]
fn nothing_is_restarted_that_is_not_at_rest() {
    let failed = json!([{
        "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
    }]);
    let ours = json!({"template": {"metadata": {"annotations": {
        "ferrule.io/restarted-for-trust-bundle": BUNDLE,
    }}}});
    let earlier = json!({"template": {"metadata": {"annotations": {
        "ferrule.io/restarted-for-trust-bundle": "another",
    }}}});
    let by_hand = |value: Value| {
        json!({"spec": {"template": {"spec": {"initContainers": [{
            "name": "linkerd-proxy",
            "env": [{"name": "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS", "value": value}],
        }]}}}})
    };
    for (more, expected) in [
        (json!({}), "restart"),
        (json!({"spec": {"paused": true}}), "waits: paused"),
        (json!({"spec": {"replicas": 0}}), "waits: scaled to nothing"),
        (json!({"metadata": {"generation": 3}}), "waits: not all"),
        (json!({"status": null}), "waits: not all"),
        (json!({"status": {"updatedReplicas": 2}}), "waits: not all"),
        (json!({"status": {"replicas": 4}}), "waits: not all"),
        (
            json!({"status": {"availableReplicas": 2}}),
            "waits: not all",
        ),
        (
            json!({"status": {"availableReplicas": 2, "conditions": failed}}),
            "waits: has failed",
        ),
        // It has come through after all.
        (json!({"status": {"conditions": failed}}), "restart"),
        (json!({"spec": ours}), "restarted"),
        (
            json!({"spec": ours, "status": {"updatedReplicas": 2}}),
            "waits: not all",
        ),
        (json!({"spec": earlier}), "restart"),
        (by_hand(json!("-----BEGIN")), "refused: in its pod template"),
        (by_hand(Value::Null), "restart"),
    ] {
        let workload = workload(Kind::Deployment, 3, &more);
        let verdict = judge(Kind::Deployment, &workload, OptIn::ByNamespace, &[]);
        assert!(
            is(&verdict, expected),
            "{more}: {verdict:?}, not {expected}"
        );
    }
}

#[test]
fn what_has_failed_is_not_tried_again() {
    let workload = workload(Kind::Deployment, 3, &json!({}));
    for (has_failed, expected) in [(false, "restart"), (true, "refused: was undone")] {
        let case = Case {
            kind: Kind::Deployment,
            workload: &workload,
            opt_in: OptIn::ByWorkload,
            bundle: BUNDLE,
            has_failed,
            budgets: &[],
        };
        let verdict = case.judge();
        assert!(is(&verdict, expected), "{verdict:?}, not {expected}");
    }
}

#[test]
fn a_budget_of_these_pods_must_allow_a_disruption() {
    let web = json!({"matchLabels": {"app": "web"}});
    let other = json!({"matchLabels": {"app": "other"}});
    let full = "waits: PodDisruptionBudget few allows no disruption";
    for (budgets, expected) in [
        (vec![], "restart"),
        (vec![budget(&web, 1, 1)], "restart"),
        (vec![budget(&web, 0, 1)], full),
        (vec![budget(&other, 0, 1)], "restart"),
        // Of these pods, but it does not know them as they are.
        (vec![budget(&web, 1, 0)], full),
        (vec![budget(&web, 1, 1), budget(&json!({}), 0, 1)], full),
        (vec![budget(&Value::Null, 0, 1)], "restart"),
        (
            vec![budget(
                &json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}),
                0,
                1,
            )],
            full,
        ),
        // One that cannot be understood may be about them.
        (
            vec![budget(
                &json!({"matchExpressions": [{"key": "app", "operator": "Near"}]}),
                0,
                1,
            )],
            full,
        ),
    ] {
        for kind in Kind::ALL {
            let workload = workload(kind, 3, &json!({}));
            let verdict = judge(kind, &workload, OptIn::ByWorkload, &budgets);
            assert!(is(&verdict, expected), "{budgets:?}: {verdict:?}");
        }
    }
}

#[test]
fn a_workload_counts_more_than_its_namespace_and_what_cannot_be_read_is_no() {
    let said = |value: &str| {
        let key = "ferrule.io/restart-for-trust-anchor".to_owned();
        match value {
            "" => Said::of(None),
            value => Said::of(Some(&[(key, value.to_owned())].into())),
        }
    };
    for (namespace, workload, expected) in [
        ("", "", OptIn::No),
        ("enabled", "", OptIn::ByNamespace),
        ("enabled", "disabled", OptIn::No),
        ("disabled", "enabled", OptIn::ByWorkload),
        ("", "enabled", OptIn::ByWorkload),
        ("enabled", "true", OptIn::No),
        ("true", "", OptIn::No),
        ("Enabled", "", OptIn::No),
        ("true", "enabled", OptIn::ByWorkload),
    ] {
        let (of_namespace, of_workload) = (said(namespace), said(workload));
        let found = OptIn::of(&of_namespace, &of_workload);
        assert_eq!(found, expected, "{namespace:?} {workload:?}");
        let is_told = !matches!(namespace, "" | "enabled" | "disabled");
        assert_eq!(of_namespace.problem().is_some(), is_told, "{namespace:?}");
    }
}
