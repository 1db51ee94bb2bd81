use super::ValuesProblem;
use serde_json::{Map, Value};
use std::cell::RefCell;

/// A place in a values document that may or may not be there. Whatever cannot be
/// read is noted, and the default counts; a key that is null has the zero value
/// of its type, as in the chart's templates.
pub(super) struct Node<'a> {
    value: Option<&'a Value>,
    path: String,
    problems: &'a RefCell<Vec<ValuesProblem>>,
}

impl<'a> Node<'a> {
    pub(super) fn root(value: &'a Value, problems: &'a RefCell<Vec<ValuesProblem>>) -> Self {
        let root = Self {
            value: Some(value),
            path: String::new(),
            problems,
        };
        if !value.is_null() && !value.is_object() {
            root.note("", "an object");
        }
        root
    }

    /// The section under a key; where it is absent, null or none, everything in it
    /// has its default.
    pub(super) fn at(&self, key: &str) -> Node<'a> {
        let value = self.get(key);
        if value.is_some_and(|value| !value.is_null() && !value.is_object()) {
            self.note(key, "an object");
        }
        Node {
            value,
            path: self.path_of(key),
            problems: self.problems,
        }
    }

    /// Whether there is a section of its own under a key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some_and(Value::is_object)
    }

    /// A text; numbers and booleans are taken as they are written.
    pub(super) fn text(&self, key: &str, default: &str) -> String {
        let default = || default.to_owned();
        self.leaf(key, "a text", default, |value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
            _ => None,
        })
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> bool {
        self.leaf(
            key,
            "true or false",
            || default,
            |value| match value {
                Value::Bool(flag) => Some(*flag),
                Value::String(text) => text.parse().ok(),
                _ => None,
            },
        )
    }

    pub(super) fn integer(&self, key: &str, default: i64) -> i64 {
        self.leaf(key, "an integer", || default, integer)
    }

    pub(super) fn count(&self, key: &str, default: u64) -> u64 {
        self.leaf(key, "a number of 0 or more", || default, count)
    }

    /// A number for which 0 means that there is none.
    pub(super) fn optional_count(&self, key: &str) -> Option<u64> {
        Some(self.count(key, 0)).filter(|count| *count != 0)
    }

    pub(super) fn port(&self, key: &str, default: u16) -> u16 {
        let port = |value: &Value| {
            let port = u16::try_from(count(value)?).ok()?;
            (port != 0).then_some(port)
        };
        match self.get(key) {
            // There is no port that a null could mean.
            Some(Value::Null) => default,
            _ => self.leaf(key, "a port (1-65535)", || default, port),
        }
    }

    /// An object as it is; empty where there is none.
    pub(super) fn object(&self, key: &str) -> Map<String, Value> {
        self.leaf(key, "an object", Map::new, |value| {
            value.as_object().cloned()
        })
    }

    /// The elements of a list that are objects with a name.
    pub(super) fn named(&self, key: &str) -> Vec<Value> {
        let list = self.leaf(key, "a list", Vec::new, |value| value.as_array().cloned());
        let (named, unnamed): (Vec<_>, Vec<_>) = list
            .into_iter()
            .partition(|element| element.get("name").is_some_and(Value::is_string));
        if !unnamed.is_empty() {
            self.note(key, "a list of objects that each have a name");
        }
        named
    }

    fn leaf<T: Default>(
        &self,
        key: &str,
        expected: &'static str,
        default: impl FnOnce() -> T,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> T {
        match self.get(key) {
            None => default(),
            Some(Value::Null) => T::default(),
            Some(value) => read(value).unwrap_or_else(|| {
                self.note(key, expected);
                default()
            }),
        }
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.value?.get(key)
    }

    fn path_of(&self, key: &str) -> String {
        match (self.path.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (false, true) => self.path.clone(),
            (false, false) => format!("{}.{key}", self.path),
        }
    }

    fn note(&self, key: &str, expected: &'static str) {
        self.problems.borrow_mut().push(ValuesProblem {
            path: self.path_of(key),
            expected,
        });
    }
}

/// An integer, also as a text, and as the float that Helm makes of a large one.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let float = number.as_f64()?;
            // Beyond 2^53 a float is no longer one integer.
            let exact = float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0;
            #[expect(clippy::cast_possible_truncation, reason = "it is exact")]
            exact.then_some(float as i64)
        }),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn count(value: &Value) -> Option<u64> {
    u64::try_from(integer(value)?).ok()
}
