//! Statuses as they are written: beside what others wrote, which stays as it is.

use super::statuses::Status;
use ferrule_cluster::object::{
    StatusCondition,
    route::{CONTROLLER_NAME, ParentStatus},
};
use serde_json::{Value, json};

const TIME: &str = "lastTransitionTime";

impl Status {
    /// The fields of `status` that are to be replaced in an object whose `status` is
    /// `current`; `None` if it says so already. `now` is a time as in conditions.
    ///
    /// What other controllers wrote comes first and is not touched. A condition that
    /// does not change keeps its time.
    pub fn document(&self, current: &Value, now: &str) -> Option<Value> {
        match self {
            Self::Route(parents) => {
                let stored = list(current, "parents");
                let new = route(parents, stored, now);
                let is_new = compared(stored) != compared(&new);
                is_new.then(|| json!({"parents": new}))
            }
            Self::EgressNetwork(condition) => {
                let conditions = conditions(condition, current, now)?;
                Some(json!({"conditions": conditions}))
            }
            Self::RateLimit { server, condition } => {
                let conditions = conditions(condition, current, now)?;
                let target = json!({
                    "group": "policy.linkerd.io", "kind": "Server", "name": server,
                });
                Some(json!({"conditions": conditions, "targetRef": target}))
            }
        }
    }
}

/// A route's `status.parents`.
fn route(parents: &[ParentStatus], stored: &[Value], now: &str) -> Vec<Value> {
    let is_own = |entry: &&Value| entry["controllerName"] == CONTROLLER_NAME;
    let foreign = stored.iter().filter(|entry| !is_own(entry));
    let own = parents.iter().map(|status| {
        let reference = reference(status);
        let mut before = stored.iter().filter(is_own);
        let before = before.find(|entry| entry["parentRef"] == reference);
        let before = before.map_or(&[][..], |entry| list(entry, "conditions"));
        let conditions = status.conditions.iter();
        json!({
            "parentRef": reference,
            "controllerName": CONTROLLER_NAME,
            "conditions": conditions
                .map(|condition| written(condition, before, now))
                .collect::<Vec<_>>(),
        })
    });
    foreign.cloned().chain(own).collect()
}

fn reference(status: &ParentStatus) -> Value {
    let ParentStatus { parent, port, .. } = status;
    let mut reference = json!({
        "group": parent.kind.group(),
        "kind": parent.kind.name(),
        "namespace": parent.key.namespace,
        "name": parent.key.name,
    });
    if let Some(port) = port {
        reference["port"] = (*port).into();
    }
    reference
}

/// `status.conditions` with this one, unless it is there: others in front.
fn conditions(condition: &StatusCondition, current: &Value, now: &str) -> Option<Vec<Value>> {
    let stored = list(current, "conditions");
    let (same, others): (Vec<_>, Vec<_>) = stored
        .iter()
        .partition(|stored| stored["type"] == *condition.kind);
    let new = written(condition, stored, now);
    if let [same] = same[..]
        && essence(same) == essence(&new)
    {
        return None;
    }
    Some(others.into_iter().cloned().chain([new]).collect())
}

/// A condition with its time: that of before, if it held before.
fn written(condition: &StatusCondition, before: &[Value], now: &str) -> Value {
    let StatusCondition {
        kind,
        status,
        reason,
        message,
    } = condition;
    let mut before = before
        .iter()
        .filter(|before| before["type"] == **kind && before["status"] == **status);
    let since = before.find_map(|before| before[TIME].as_str());
    json!({
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        TIME: since.unwrap_or(now),
    })
}

/// A route's `status.parents` as two of them are compared: in an order of their own,
/// without times (policy.md section 7.7).
fn compared(parents: &[Value]) -> Vec<(&Value, &Value, Vec<[&Value; 5]>)> {
    let mut parents: Vec<_> = parents.iter().collect();
    parents.sort_by_key(|entry| {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let parent = &entry["parentRef"];
        [
            &entry["controllerName"],
            &parent["name"],
            &parent["namespace"],
        ]
        .map(text)
    });
    let parents = parents.into_iter().map(|entry| {
        let conditions = list(entry, "conditions").iter().map(essence).collect();
        (&entry["controllerName"], &entry["parentRef"], conditions)
    });
    parents.collect()
}

/// What two conditions are compared by.
fn essence(condition: &Value) -> [&Value; 5] {
    ["type", "status", "reason", "message", "observedGeneration"].map(|field| &condition[field])
}

fn list<'v>(object: &'v Value, field: &str) -> &'v [Value] {
    let list = object.as_object().and_then(|object| object.get(field));
    list.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
