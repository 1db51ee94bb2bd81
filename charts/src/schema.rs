//! `values.schema.json`: Helm checks values by it before it renders anything.

use crate::values::{Row, Tag};
use serde_json::{Map, Value, json};

/// The schema of these values. Keys that it does not know are refused, so that a typo
/// is an error; but for `global`, which Helm adds.
pub(crate) fn schema(title: &str, rows: &[Row]) -> Value {
    let mut root = object();
    for row in rows {
        let mut parent = &mut root;
        let (last, parents) = row.path.split_last().expect("a path is not empty");
        for key in parents {
            let properties = properties(parent);
            parent = properties.entry(key).or_insert_with(object);
        }
        properties(parent).insert(last.clone(), value(row));
    }
    let global = json!({"type": "object", "description": "Helm's."});
    properties(&mut root).insert("global".to_owned(), global);
    let root = root.as_object_mut().expect("it is an object");
    // The draft that every Helm understands.
    let draft = "http://json-schema.org/draft-07/schema#";
    root.insert("$schema".to_owned(), draft.into());
    root.insert("title".to_owned(), title.into());
    root.insert(
        "definitions".to_owned(),
        json!({"resources": resources(), "amount": amount()}),
    );
    Value::Object(root.clone())
}

fn object() -> Value {
    json!({"type": "object", "additionalProperties": false, "properties": {}})
}

fn properties(of: &mut Value) -> &mut Map<String, Value> {
    of["properties"].as_object_mut().expect("objects have them")
}

fn value(row: &Row) -> Value {
    let mut schema = Map::new();
    let description = match row.ignored() {
        Some(why) => format!("Accepted and ignored: {why}."),
        None => row.text.clone(),
    };
    schema.insert("description".to_owned(), description.into());
    if let Some(default) = &row.default {
        schema.extend(typed(default));
        schema.insert("default".to_owned(), default.clone());
    }
    for tag in &row.tags {
        match tag {
            Tag::Type(types) if types.len() == 1 => {
                schema.insert("type".to_owned(), types[0].clone().into());
            }
            Tag::Type(types) => {
                schema.insert("type".to_owned(), json!(types));
            }
            Tag::Enum(texts) => {
                schema.insert("enum".to_owned(), json!(texts));
            }
            Tag::Pattern(pattern) => {
                schema.insert("pattern".to_owned(), pattern.clone().into());
            }
            Tag::Minimum(minimum) => {
                schema.insert("minimum".to_owned(), (*minimum).into());
            }
            Tag::Port => {
                schema.insert("minimum".to_owned(), 1.into());
                schema.insert("maximum".to_owned(), u16::MAX.into());
            }
            Tag::Items(kind) => {
                schema.insert("items".to_owned(), json!({"type": kind}));
            }
            // Of an object whatever stands beside a reference is passed over.
            Tag::Resources => {
                schema.remove("type");
                let reference = json!([{"$ref": "#/definitions/resources"}]);
                schema.insert("allOf".to_owned(), reference);
            }
            Tag::Map | Tag::Config(_) | Tag::Ignored(_) | Tag::Deprecated(_) => {}
        }
    }
    Value::Object(schema)
}

fn typed(default: &Value) -> Option<(String, Value)> {
    let name = match default {
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Null => return None,
    };
    Some(("type".to_owned(), name.into()))
}

fn resources() -> Value {
    let amount = json!({"$ref": "#/definitions/amount"});
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {"cpu": amount, "memory": amount, "ephemeral-storage": amount},
    })
}

fn amount() -> Value {
    let quantity = json!({"type": ["string", "number"]});
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {"request": quantity, "limit": quantity},
    })
}
