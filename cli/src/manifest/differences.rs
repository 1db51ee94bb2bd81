use json_patch::{AddOperation, PatchOperation, RemoveOperation, jsonptr::PointerBuf};
use serde_json::{Map, Value};

/// What must be added (or put in the place of what is there) and removed to make one
/// value another, in this order. An element of a list stays what it is or goes: that
/// is how a person would edit it.
pub(super) fn differences(from: &Value, to: &Value) -> Vec<PatchOperation> {
    let mut operations = Vec::new();
    compare(&mut operations, &PointerBuf::root(), from, to);
    operations
}

fn compare(operations: &mut Vec<PatchOperation>, at: &PointerBuf, from: &Value, to: &Value) {
    match (from, to) {
        (from, to) if from == to => {}
        (Value::Object(from), Value::Object(to)) if !to.is_empty() => {
            objects(operations, at, from, to);
        }
        (Value::Array(from), Value::Array(to)) if !to.is_empty() => {
            arrays(operations, at, from, to);
        }
        _ => operations.push(add(at.clone(), to)),
    }
}

fn objects(
    operations: &mut Vec<PatchOperation>,
    at: &PointerBuf,
    from: &Map<String, Value>,
    to: &Map<String, Value>,
) {
    for (key, value) in to {
        let path = at.with_trailing_token(key.as_str());
        match from.get(key) {
            Some(known) => compare(operations, &path, known, value),
            None => operations.push(add(path, value)),
        }
    }
    let gone = from.keys().filter(|key| !to.contains_key(*key));
    operations.extend(gone.map(|key| remove(at.with_trailing_token(key.as_str()))));
}

fn arrays(operations: &mut Vec<PatchOperation>, at: &PointerBuf, from: &[Value], to: &[Value]) {
    // The place in the list as it is by then.
    let mut place = 0;
    let mut from = from;
    let path = |place: usize| at.with_trailing_token(place);
    for (index, wanted) in to.iter().enumerate() {
        while let [first, rest @ ..] = from
            && !to[index..].iter().any(|later| is_same(first, later))
        {
            operations.push(remove(path(place)));
            from = rest;
        }
        match from {
            [first, rest @ ..] if is_same(first, wanted) => {
                compare(operations, &path(place), first, wanted);
                from = rest;
            }
            _ => operations.push(add(path(place), wanted)),
        }
        place += 1;
    }
    operations.extend(from.iter().map(|_| remove(path(place))));
}

/// Whether one element of a list is the other, perhaps changed inside: a container
/// or volume of the same name, an object of the same kind and name.
fn is_same(one: &Value, other: &Value) -> bool {
    let named = |of: fn(&Value) -> &Value| of(one).is_string() && of(one) == of(other);
    one == other
        || named(|element| &element["name"])
        || named(|element| &element["kind"]) && named(|element| &element["metadata"]["name"])
}

fn add(path: PointerBuf, value: &Value) -> PatchOperation {
    PatchOperation::Add(AddOperation {
        path,
        value: value.clone(),
    })
}

fn remove(path: PointerBuf) -> PatchOperation {
    PatchOperation::Remove(RemoveOperation { path })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            (0..3).prop_map(Value::from),
            "[ab]".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::hash_map("name|[ab]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn differences_make_one_value_the_other(from in value(), to in value()) {
            let mut made = from.clone();
            json_patch::patch(&mut made, &differences(&from, &to)).unwrap();
            prop_assert_eq!(made, to);
        }
    }

    #[test]
    fn elements_that_stay_are_not_touched() {
        let from = json!({"l": [{"name": "a", "x": 1}, {"name": "b"}, {"name": "c"}]});
        let to = json!({"l": [{"name": "new"}, {"name": "a", "x": 2}, {"name": "c"}]});
        let operations = serde_json::to_value(differences(&from, &to)).unwrap();
        assert_eq!(
            operations,
            json!([
                {"op": "add", "path": "/l/0", "value": {"name": "new"}},
                {"op": "add", "path": "/l/1/x", "value": 2},
                {"op": "remove", "path": "/l/2"},
            ])
        );
        assert_eq!(differences(&from, &from), []);
    }
}
