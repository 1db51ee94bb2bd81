use super::*;
use proptest::prelude::*;
use serde_json::json;

fn read(text: &str) -> Value {
    parse_yaml(1, text).unwrap().content.unwrap()
}

/// The text after a change of what it says, which must not need to be written anew.
fn edited(text: &str, change: impl FnOnce(&mut Value)) -> String {
    let from = read(text);
    let mut to = from.clone();
    change(&mut to);
    let rewritten = rewrite(text, &from, &to);
    assert!(rewritten.in_place, "{}", rewritten.text);
    rewritten.text
}

fn annotate(to: &mut Value) {
    to["spec"]["template"]["metadata"]["annotations"]["linkerd.io/inject"] = "enabled".into();
}

const COMMENTED: &str = "\
# The shop's front.
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}   # short
spec:
    replicas:   3   # odd spaces stay
    template:
        metadata:
            # of the pods
            labels:
                app: \"web\"  # quoted

            # about the spec
        spec:
            containers:
            - name: web
              args: [ -v,   --all ]
";

#[test]
fn a_map_that_is_not_there_is_made_where_it_belongs() {
    let text = edited(COMMENTED, annotate);
    assert_eq!(
        text,
        COMMENTED.replace(
            "# quoted\n",
            "# quoted\n            annotations:\n              linkerd.io/inject: enabled\n"
        )
    );
    // metadata comes before the spec that people read.
    let bare = "kind: CronJob\nspec:\n  template:\n    spec:\n      containers: []\n";
    assert_eq!(
        edited(bare, annotate),
        "kind: CronJob\nspec:\n  template:\n    metadata:\n      annotations:\n        \
         linkerd.io/inject: enabled\n    spec:\n      containers: []\n"
    );
}

#[test]
fn an_entry_is_added_after_the_others_and_removed_without_a_trace() {
    for (before, after) in [
        (
            "a:\n  b: c # d\n# e\nf: g\n",
            "a:\n  b: c # d\n  new: x\n# e\nf: g\n",
        ),
        ("a:\n  b: c", "a:\n  b: c\n  new: x"),
        ("a: {b: c}\n", "a: {b: c, new: x}\n"),
        ("a: {}\nf: g\n", "a: {new: x}\nf: g\n"),
        (
            "a:\n  b: |\n    text\n\nf: g\n",
            "a:\n  b: |\n    text\n  new: x\n\nf: g\n",
        ),
        ("a:\n  b:\nf: g\n", "a:\n  b:\n  new: x\nf: g\n"),
        ("- x\n- a: {b: [1]} # c\n", ""),
        ("{\"a\": {\"b\": 1}}", "{\"a\": {\"b\": 1, \"new\": \"x\"}}"),
        (
            "{\n  \"a\": {\n    \"b\": 1\n  }\n}\n",
            "{\n  \"a\": {\n    \"b\": 1,\n    \"new\": \"x\"\n  }\n}\n",
        ),
        (
            "a:\r\n  b: c\r\nf: g\r\n",
            "a:\r\n  b: c\r\n  new: x\r\nf: g\r\n",
        ),
        (
            "a:\n  \"b\": \u{e9} # \u{e9}\n",
            "a:\n  \"b\": \u{e9} # \u{e9}\n  new: x\n",
        ),
    ] {
        if after.is_empty() {
            continue;
        }
        let added = edited(before, |to| to["a"]["new"] = "x".into());
        assert_eq!(added, after);
        let removed = edited(&added, |to| {
            to["a"].as_object_mut().unwrap().remove("new");
        });
        assert_eq!(removed.trim_end(), before.trim_end());
    }
}

#[test]
fn a_value_is_replaced_where_it_is() {
    for (before, after) in [
        ("a:\n  b: ingress # c\n", "a:\n  b: enabled # c\n"),
        ("a:\n  b: 'ingress'\n", "a:\n  b: enabled\n"),
        ("a: {b: ingress, c: d}\n", "a: {b: enabled, c: d}\n"),
        (
            "a:\n  b: |\n    x\n    y\n  c: d\n",
            "a:\n  b: enabled\n  c: d\n",
        ),
        ("a:\n  b:\n    x: y\n  c: d\n", "a:\n  b: enabled\n  c: d\n"),
        ("a:\n  b:\n  c: d\n", "a:\n  b: enabled\n  c: d\n"),
        ("a: {b: , c: d}\n", "a: {b: enabled , c: d}\n"),
    ] {
        assert_eq!(edited(before, |to| to["a"]["b"] = "enabled".into()), after);
    }
    // Texts that would mean something else are quoted.
    let text = edited("a:\n  b: c\n", |to| to["a"]["b"] = "true".into());
    assert_eq!(text, "a:\n  b: \"true\"\n");
}

#[test]
fn elements_of_lists_come_and_go() {
    let list = "l:\n# first\n- name: a\n  x: 1 # one\n- name: b\n\nend: 1\n";
    let with_c = edited(list, |to| {
        to["l"]
            .as_array_mut()
            .unwrap()
            .insert(0, json!({"name": "c", "z": [1]}));
    });
    assert_eq!(
        with_c,
        "l:\n# first\n- name: c\n  z:\n  - 1\n- name: a\n  x: 1 # one\n- name: b\n\nend: 1\n"
    );
    let back = edited(&with_c, |to| {
        to["l"].as_array_mut().unwrap().remove(0);
    });
    assert_eq!(back, list);
    let last = edited(list, |to| {
        to["l"].as_array_mut().unwrap().remove(1);
    });
    assert_eq!(last, "l:\n# first\n- name: a\n  x: 1 # one\n\nend: 1\n");
    let first_key = edited("l:\n- x: 1\n  name: a # A\n", |to| {
        to["l"][0].as_object_mut().unwrap().remove("x");
    });
    assert_eq!(first_key, "l:\n- name: a # A\n");
}

#[test]
fn what_cannot_be_edited_is_written_anew_and_says_so() {
    for text in [
        "x: &x\n  b: c\na: *x\n",
        "a: &x # anchored\n  b: c\nx: *x\n",
    ] {
        let from = read(text);
        let mut to = from.clone();
        to["a"]["new"] = "x".into();
        let rewritten = rewrite(text, &from, &to);
        assert!(!rewritten.in_place, "{text}");
        assert_eq!(read(&rewritten.text), to);
    }
}

#[test]
fn nothing_to_change_changes_nothing() {
    assert_eq!(edited(COMMENTED, |_| {}), COMMENTED);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        (-3..3).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        "[ab:#\\-{\\[\"' \n]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map("name|[a-c]{1,2}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_text_says_what_is_wanted_however_it_was_written(
        from in value(), to in value(), style in 0..3,
    ) {
        let (from, to) = (json!({"a": from}), json!({"a": to}));
        let text = match style {
            0 => serde_yaml::to_string(&from).unwrap(),
            1 => from.to_string(),
            _ => serde_json::to_string_pretty(&from).unwrap(),
        };
        prop_assume!(says(&text, &from));
        let rewritten = rewrite(&text, &from, &to);
        prop_assert!(says(&rewritten.text, &to), "{}\n{}", text, rewritten.text);
    }
}
