//! `values.yaml` as rows: each value with what its comment says.

use serde_json::Value;
use thiserror::Error;

/// A value of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The keys that lead to it.
    pub path: Vec<String>,
    /// The heading that it is under; empty for none.
    pub section: String,
    /// What it means; empty where it is ignored.
    pub text: String,
    /// What holds if nobody sets it; `None` if that differs from every value.
    pub default: Option<Value>,
    /// What else the comment says.
    pub tags: Vec<Tag>,
}

/// A line of a comment that begins with `@`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tag {
    /// `@type a|b`: types of JSON schema, where the default's is not all.
    Type(Vec<String>),
    /// `@enum a | b`: all texts that may stand there.
    Enum(Vec<String>),
    /// `@pattern regex`.
    Pattern(String),
    /// `@minimum n`.
    Minimum(i64),
    /// `@port`: 1 to 65535.
    Port,
    /// `@map`: an object with any keys.
    Map,
    /// `@resources`: `{cpu, memory, ephemeral-storage}.{request, limit}`.
    Resources,
    /// `@items type`: a list of these.
    Items(String),
    /// `@config who`: nothing is rendered of it but ConfigMap `linkerd-config`, where
    /// somebody reads it.
    Config(String),
    /// `@ignored why`: Linkerd's; it does nothing.
    Ignored(String),
    /// `@deprecated what`: it will go; what to say in its place.
    Deprecated(String),
}

/// What is wrong with a `values.yaml`.
#[derive(Debug, Error)]
pub enum ValuesError {
    /// It is no YAML.
    #[error("values.yaml: {0}")]
    Yaml(String),
    /// A line is not as it should be.
    #[error("values.yaml:{line}: {problem}")]
    Line {
        /// From 1 on.
        line: usize,
        /// What is expected there.
        problem: String,
    },
}

impl Row {
    /// The keys with dots between them.
    pub fn name(&self) -> String {
        self.path.join(".")
    }

    /// Why it does nothing, if it does nothing.
    pub fn ignored(&self) -> Option<&str> {
        self.tags.iter().find_map(|tag| match tag {
            Tag::Ignored(why) => Some(&**why),
            _ => None,
        })
    }

    /// What to say in its place, if it will go.
    pub fn deprecated(&self) -> Option<&str> {
        self.tags.iter().find_map(|tag| match tag {
            Tag::Deprecated(instead) => Some(&**instead),
            _ => None,
        })
    }

    /// Who reads it in ConfigMap `linkerd-config`, if it is there for nothing else.
    pub fn config(&self) -> Option<&str> {
        self.tags.iter().find_map(|tag| match tag {
            Tag::Config(who) => Some(&**who),
            _ => None,
        })
    }
}

/// Reads a `values.yaml`.
///
/// # Errors
/// If it is not YAML, if a value has no comment, or if a comment says something that
/// is not understood.
pub fn rows(text: &str) -> Result<Vec<Row>, ValuesError> {
    let values: Value =
        serde_yaml::from_str(text).map_err(|error| ValuesError::Yaml(error.to_string()))?;
    let mut reader = Reader {
        values,
        ..Reader::default()
    };
    for (number, line) in text.lines().enumerate() {
        let read = reader.line(line);
        read.map_err(|problem| ValuesError::Line {
            line: number + 1,
            problem,
        })?;
    }
    Ok(reader.rows)
}

#[derive(Default)]
struct Reader {
    values: Value,
    rows: Vec<Row>,
    section: String,
    /// The lines of the comment that is being read.
    comment: Vec<String>,
    /// The objects that the line is in: their indents and keys.
    parents: Vec<(usize, String)>,
    /// The indent of the value that the line may be part of.
    leaf: Option<usize>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if text.is_empty() {
            self.comment.clear();
            return Ok(());
        }
        if self.leaf.is_some_and(|leaf| indent > leaf) {
            return Ok(());
        }
        self.leaf = None;
        while self.parents.last().is_some_and(|(of, _)| *of >= indent) {
            self.parents.pop();
        }
        if let Some(section) = text.strip_prefix("# @section ") {
            section.clone_into(&mut self.section);
            self.comment.clear();
            return Ok(());
        }
        if text == "#" {
            return Ok(());
        }
        if let Some(comment) = text.strip_prefix("# ") {
            self.comment.push(comment.trim().to_owned());
            return Ok(());
        }
        let (is_set, text) = match text.strip_prefix('#') {
            Some(text) => (false, text),
            None => (true, text),
        };
        let (key, _) = text
            .split_once(':')
            .ok_or("expected a key, a comment (`# text`) or an unset key (`#key:`)")?;
        let mut path: Vec<_> = self.parents.iter().map(|(_, key)| key.clone()).collect();
        path.push(key.to_owned());
        let (text, tags) = comment(&std::mem::take(&mut self.comment))?;
        let default = is_set.then(|| at(&self.values, &path));
        let is_whole = tags.contains(&Tag::Map) || tags.contains(&Tag::Resources);
        let object = default.as_ref().and_then(Value::as_object);
        if object.is_some_and(|object| !object.is_empty()) && !is_whole {
            if !text.is_empty() || !tags.is_empty() {
                return Err(format!("{key}: only the values in it have comments"));
            }
            self.parents.push((indent, key.to_owned()));
            return Ok(());
        }
        let row = Row {
            path,
            section: self.section.clone(),
            text,
            default,
            tags,
        };
        if row.text.is_empty() && row.ignored().is_none() {
            return Err(format!("{}: no comment says what it means", row.name()));
        }
        self.leaf = Some(indent);
        self.rows.push(row);
        Ok(())
    }
}

fn at(values: &Value, path: &[String]) -> Value {
    let found = path
        .iter()
        .try_fold(values, |value, key| value.get(key.as_str()));
    found.cloned().unwrap_or_default()
}

/// The text of a comment, and its tags.
fn comment(lines: &[String]) -> Result<(String, Vec<Tag>), String> {
    let mut text = Vec::new();
    let mut tags = Vec::new();
    for line in lines {
        match line.strip_prefix('@') {
            Some(tag_text) => tags.push(tag(tag_text)?),
            None => text.push(line.as_str()),
        }
    }
    Ok((text.join(" "), tags))
}

fn tag(text: &str) -> Result<Tag, String> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let list = |rest: &str| rest.split('|').map(|item| item.trim().to_owned()).collect();
    Ok(match word {
        "type" => Tag::Type(list(rest)),
        "enum" => Tag::Enum(list(rest)),
        "pattern" => Tag::Pattern(rest.to_owned()),
        "minimum" => Tag::Minimum(rest.parse().map_err(|_| "@minimum wants a number")?),
        "port" => Tag::Port,
        "map" => Tag::Map,
        "resources" => Tag::Resources,
        "items" => Tag::Items(rest.to_owned()),
        "config" => Tag::Config(rest.to_owned()),
        "ignored" => Tag::Ignored(rest.to_owned()),
        "deprecated" => Tag::Deprecated(rest.to_owned()),
        _ => return Err(format!("@{word} is not known")),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_read_with_their_comments() {
        let text = "\
# About the file.

# @section One

# What a is,
# in two lines.
a: 1
b:
  # What c is.
  # @enum x | y |
  c: x
  # @ignored for a reason
  d: false
# @section Two
# Anything.
# @map
e:
  f: 1
# Not there.
# @type boolean
#g:
";
        let rows = rows(text).unwrap();
        let told: Vec<_> = rows
            .iter()
            .map(|row| (row.name(), &*row.section, &*row.text, row.default.clone()))
            .collect();
        assert_eq!(
            told,
            [
                (
                    "a".into(),
                    "One",
                    "What a is, in two lines.",
                    Some(json!(1))
                ),
                ("b.c".into(), "One", "What c is.", Some(json!("x"))),
                ("b.d".into(), "One", "", Some(json!(false))),
                ("e".into(), "Two", "Anything.", Some(json!({"f": 1}))),
                ("g".into(), "Two", "Not there.", None),
            ]
        );
        let texts = ["x", "y", ""].map(ToOwned::to_owned).to_vec();
        assert_eq!(rows[1].tags, [Tag::Enum(texts)]);
        assert_eq!(rows[2].ignored(), Some("for a reason"));
    }

    #[test]
    fn what_is_not_said_is_an_error_with_its_line() {
        for (text, told) in [
            ("a: 1\n", "values.yaml:1: a: no comment"),
            ("# A.\n# @typ string\na: 1\n", ":3: @typ is not known"),
            (
                "# A.\na:\n  # B.\n  b: 1\n",
                ":2: a: only the values in it have",
            ),
            ("# A.\n\na: 1\n", ":3: a: no comment"),
        ] {
            let error = rows(text).unwrap_err().to_string();
            assert!(error.contains(told), "{text:?}: {error}");
        }
    }
}
