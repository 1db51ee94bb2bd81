//! A file's text, cut into documents and parsed one by one: one that is broken
//! leaves the others readable.

use serde_json::Value;
use std::ops::Range;

/// A document may not be larger than the largest request that an API server
/// takes.
pub(super) const LARGEST_DOCUMENT: usize = 3 << 20;

/// A part of a file that was read.
#[derive(Debug, PartialEq)]
pub struct Document {
    /// The first line that says something, from 1.
    pub line: usize,
    /// What it says.
    pub content: Result<Value, Broken>,
}

/// Why a document cannot be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Broken {
    /// Where, from 1.
    pub line: usize,
    /// What is wrong there.
    pub text: String,
}

/// The documents of a YAML file that say something.
pub(super) fn yaml(text: &str) -> Vec<Document> {
    let text = text.trim_start_matches('\u{feff}');
    split(text)
        .into_iter()
        .filter_map(|(first_line, range)| parse_yaml(first_line, &text[range]))
        .collect()
}

/// The documents of a JSON file: one, or several in a row.
pub fn json(text: &str) -> Vec<Document> {
    let line_at = |offset: usize| 1 + text[..offset].matches('\n').count();
    let mut documents = Vec::new();
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    loop {
        let start = values.byte_offset();
        let spaces = text[start..].len() - text[start..].trim_start().len();
        let line = line_at(start + spaces);
        let content = match values.next() {
            None => return documents,
            Some(Ok(_)) if values.byte_offset() - start > LARGEST_DOCUMENT => Err(too_large(line)),
            Some(Ok(value)) => Ok(value),
            // The rest of the file cannot be told apart.
            Some(Err(error)) => {
                let content = Err(Broken {
                    line: error.line().max(1),
                    text: format!("this is not JSON: {error}"),
                });
                documents.push(Document { line, content });
                return documents;
            }
        };
        documents.push(Document { line, content });
    }
}

/// The line numbers (from 1) and texts of the parts between separators: lines
/// that start with `---` or `...`, also inside block scalars, where YAML does
/// not allow them either. What follows a `---` on its line is of the document.
pub fn split(text: &str) -> Vec<(usize, Range<usize>)> {
    let mut parts = Vec::new();
    let (mut first_line, mut start, mut offset) = (1, 0, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if is_separator(line) {
            parts.push((first_line, start..offset));
            (first_line, start) = (index + 1, offset + 3);
        }
        offset += line.len();
    }
    parts.push((first_line, start..text.len()));
    parts
}

fn is_separator(line: &str) -> bool {
    ["---", "..."]
        .into_iter()
        .filter_map(|marker| line.strip_prefix(marker))
        .any(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Reads one of the parts that [`split`] makes; `None` where it says nothing.
pub fn parse_yaml(first_line: usize, text: &str) -> Option<Document> {
    let skipped = text.lines().position(says_something)?;
    let line = first_line + skipped;
    if text.len() > LARGEST_DOCUMENT {
        let content = Err(too_large(line));
        return Some(Document { line, content });
    }
    let content = serde_yaml::from_str_with_options(text, options()).map_err(|error| {
        let found = error
            .location()
            .and_then(|location| usize::try_from(location.line()).ok())
            .unwrap_or_default();
        Broken {
            line: if found == 0 {
                line
            } else {
                first_line + found - 1
            },
            text: format!("this is not YAML: {}", without_place(&error)),
        }
    });
    match content {
        // A tag, an anchor or `~` alone.
        Ok(Value::Null) => None,
        content => Some(Document { line, content }),
    }
}

/// Not blank, a comment or a directive.
fn says_something(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with(['#', '%'])
}

/// The message alone: its place is one in the document, not in the file.
fn without_place(error: &serde_yaml::Error) -> String {
    let text = error.without_snippet().to_string();
    let text = text.lines().next().unwrap_or_default();
    match text.find(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text.to_owned(),
    }
}

/// Bounds against documents that are small in the file and huge when read.
fn options() -> serde_yaml::Options {
    serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_documents: 1,
            max_total_scalar_bytes: LARGEST_DOCUMENT * 2,
        },
        alias_limits: serde_yaml::alias_limits! {
            max_total_replayed_events: 100_000,
        },
        // `yes` and `on` are texts, as for YAML 1.2 and kubectl's strict mode.
        strict_booleans: true,
        with_snippet: false,
    }
}

fn too_large(line: usize) -> Broken {
    Broken {
        line,
        text: format!(
            "the document is larger than {} MiB: split it at lines of ---",
            LARGEST_DOCUMENT >> 20
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Vec<(usize, Option<Value>)> {
        yaml(text)
            .into_iter()
            .map(|document| (document.line, document.content.ok()))
            .collect()
    }

    #[test]
    fn documents_are_split_at_separators_and_keep_their_lines() {
        let text = "# head\n---\na: 1\n--- # comment\n\nb: 2\n---\n# nothing\n---\r\nc: 3\r\n...\n---   \nd: 4";
        assert_eq!(
            read(text),
            [
                (3, Some(json!({"a": 1}))),
                (6, Some(json!({"b": 2}))),
                (10, Some(json!({"c": 3}))),
                (13, Some(json!({"d": 4}))),
            ]
        );
    }

    #[test]
    fn dashes_that_are_no_separator_are_not_one() {
        assert_eq!(
            read("a: |\n  --- in a block\n  x\nb: '---'\nc:\n- ---x\n"),
            [(
                1,
                Some(json!({"a": "--- in a block\nx\n", "b": "---", "c": ["---x"]}))
            )]
        );
        assert_eq!(read("---\n--- |\n text\n"), [(2, Some(json!("text\n")))]);
        assert_eq!(read("--- {a: 1}\n"), [(1, Some(json!({"a": 1})))]);
    }

    #[test]
    fn a_separator_ends_a_block_scalar() {
        assert_eq!(
            read("a: |\n  x\n---\nb: 1\n"),
            [(1, Some(json!({"a": "x\n"}))), (4, Some(json!({"b": 1})))]
        );
    }

    #[test]
    fn a_broken_document_is_one_of_its_file_and_has_a_line_in_it() {
        let documents = yaml("a: 1\n---\nb: 1\nc: [1\nd: 2\n---\ne: 3\n");
        assert_eq!(documents.len(), 3);
        assert_eq!(documents[0].content, Ok(json!({"a": 1})));
        let broken = documents[1].content.as_ref().unwrap_err();
        assert!((4..=6).contains(&broken.line), "{broken:?}");
        assert!(broken.text.starts_with("this is not YAML: "), "{broken:?}");
        assert!(!broken.text.contains("line"), "{broken:?}");
        assert_eq!(documents[2].content, Ok(json!({"e": 3})));
    }

    #[test]
    fn an_empty_file_has_no_documents() {
        for text in [
            "",
            "\n\n",
            "---\n---\n",
            "# only a comment\n",
            "%YAML 1.2\n---\n",
            "~\n",
        ] {
            assert_eq!(read(text), [], "{text:?}");
        }
    }

    #[test]
    fn scalars_are_what_yaml_says() {
        assert_eq!(
            read(
                "a: yes\nb: true\nc: \"80\"\nd: 80\ne: 10.0.0.1\nf: 2024-01-01T00:00:00Z\ng:\nh: 1.5\n80: x\n"
            ),
            [(
                1,
                Some(json!({
                    "a": "yes", "b": true, "c": "80", "d": 80, "e": "10.0.0.1",
                    "f": "2024-01-01T00:00:00Z", "g": null, "h": 1.5, "80": "x"
                }))
            )]
        );
    }

    #[test]
    fn anchors_are_expanded_within_bounds() {
        assert_eq!(
            read("a: &x {k: 1}\nb: *x\n"),
            [(1, Some(json!({"a": {"k": 1}, "b": {"k": 1}})))]
        );
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let alias = format!("*a{}", level - 1);
            bomb += &format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 9].join(", "));
        }
        let started = std::time::Instant::now();
        assert!(yaml(&bomb)[0].content.is_err());
        assert!(started.elapsed() < std::time::Duration::from_secs(5));
    }

    #[test]
    fn deep_nesting_and_size_are_bounded() {
        assert!(
            yaml(&format!("a: {}", "[".repeat(10_000)))[0]
                .content
                .is_err()
        );
        let large = format!("a: {}\n---\nb: 1\n", "x".repeat(LARGEST_DOCUMENT));
        let documents = yaml(&large);
        assert!(
            documents[0]
                .content
                .as_ref()
                .unwrap_err()
                .text
                .contains("3 MiB")
        );
        assert_eq!(documents[1].content, Ok(json!({"b": 1})));
        assert!(json(&"[".repeat(10_000))[0].content.is_err());
    }

    #[test]
    fn duplicate_keys_are_an_error() {
        assert!(yaml("a: 1\na: 2\n")[0].content.is_err());
    }

    #[test]
    fn json_may_hold_several_values() {
        let documents = json("{\"a\": 1}\n\n{\"b\": 2}\n{\"c\": \n");
        assert_eq!(documents.len(), 3);
        assert_eq!(
            documents[1],
            Document {
                line: 3,
                content: Ok(json!({"b": 2}))
            }
        );
        assert!(documents[2].content.is_err());
        assert_eq!(documents[2].line, 4);
    }
}
