//! Changes of a YAML text that leave the rest of it as it is. What is not plain is
//! left undone (`None`): aliases, keys in odd places. The caller checks that the
//! result says what it should.

use super::outline::{Entry, Node, NodeKind, outline};
use json_patch::{PatchOperation, jsonptr::Pointer};
use serde_json::{Value, json};
use std::ops::Range;

/// The text after an operation.
pub(super) fn apply(text: &str, operation: &PatchOperation) -> Option<String> {
    let root = outline(text)?;
    let path = operation.path();
    let (parent, last) = path.split_back()?;
    let parent = find(&root, parent)?;
    let last = last.decoded();
    let editor = Editor { text };
    match (operation, &parent.kind) {
        (
            PatchOperation::Add(add),
            NodeKind::Mapping {
                flow: true,
                entries,
            },
        ) => editor.set_in_flow(parent, entries, &last, &add.value),
        (PatchOperation::Add(add), NodeKind::Mapping { entries, .. }) => {
            editor.set_in_block(entries, &last, &add.value)
        }
        (PatchOperation::Add(add), NodeKind::Sequence { flow, items }) => {
            editor.insert(parent, *flow, items, last.parse().ok()?, &add.value)
        }
        (PatchOperation::Remove(_), NodeKind::Mapping { flow, entries }) => {
            let index = position(entries, &last)?;
            let ranges: Vec<_> = entries.iter().map(Entry::range).collect();
            editor.remove(*flow, &ranges, index)
        }
        (PatchOperation::Remove(_), NodeKind::Sequence { flow, items }) => {
            let of = |item: &Node| match flow {
                true => Some(item.range.clone()),
                false => Some(editor.dash(item)?..item.range.end),
            };
            let ranges: Option<Vec<_>> = items.iter().map(of).collect();
            editor.remove(*flow, &ranges?, last.parse().ok()?)
        }
        _ => None,
    }
}

fn find<'a>(root: &'a Node, path: &Pointer) -> Option<&'a Node> {
    path.tokens()
        .try_fold(root, |node, token| match &node.kind {
            NodeKind::Mapping { entries, .. } => {
                let index = position(entries, &token.decoded())?;
                Some(&entries[index].value)
            }
            NodeKind::Sequence { items, .. } => items.get(token.decoded().parse::<usize>().ok()?),
            _ => None,
        })
}

fn position(entries: &[Entry], name: &str) -> Option<usize> {
    entries.iter().position(|entry| entry.name == name)
}

struct Editor<'a> {
    text: &'a str,
}

impl Editor<'_> {
    /// Sets a key of a mapping that has a line for each.
    fn set_in_block(&self, entries: &[Entry], key: &str, value: &Value) -> Option<String> {
        let column = self.column(entries.first()?.key.start);
        let lines = block(&json!({key: value}), column)?;
        let Some(index) = position(entries, key) else {
            // People write it before the spec.
            let first = entries.first().filter(|_| key == "metadata");
            return match first {
                Some(first) => Some(self.before(first.key.start, column, &lines)),
                None => Some(self.after(entries.last()?.range().end, &lines)),
            };
        };
        let entry = &entries[index];
        let scalar = !value.is_object() && !value.is_array();
        match entry.value.kind {
            NodeKind::Scalar if scalar => {
                let text = block(value, 0)?;
                let text = text.trim_end();
                let one_line = !text.contains('\n');
                one_line.then(|| self.replaced(entry.value.range.clone(), text))
            }
            NodeKind::Alias => None,
            _ => {
                // Whole lines, from the key on.
                let end = self.line_end(entry.range().end);
                let lines = lines.trim_start_matches(' ');
                Some(self.replaced(entry.key.start..end, lines))
            }
        }
    }

    /// Sets a key of a mapping in braces.
    fn set_in_flow(
        &self,
        mapping: &Node,
        entries: &[Entry],
        key: &str,
        value: &Value,
    ) -> Option<String> {
        let value = self.flow(value);
        if let Some(index) = position(entries, key) {
            let old = &entries[index].value;
            let plain = !matches!(old.kind, NodeKind::Alias);
            let space = if matches!(old.kind, NodeKind::Nothing) {
                " "
            } else {
                ""
            };
            return plain.then(|| self.replaced(old.range.clone(), &format!("{space}{value}")));
        }
        let entry = format!("{}: {value}", self.flow(&key.into()));
        self.insert_in_flow(mapping, entries.last().map(Entry::range), &entry)
    }

    /// Inserts an element into a list.
    fn insert(
        &self,
        list: &Node,
        flow: bool,
        items: &[Node],
        index: usize,
        value: &Value,
    ) -> Option<String> {
        if flow {
            let value = self.flow(value);
            return match items.get(index) {
                Some(next) => {
                    Some(self.replaced(next.range.start..next.range.start, &format!("{value}, ")))
                }
                None => {
                    self.insert_in_flow(list, items.last().map(|item| item.range.clone()), &value)
                }
            };
        }
        let first = self.dash(items.first()?)?;
        let column = self.column(first);
        let lines = block(&json!([value]), column)?;
        match items.get(index) {
            Some(next) => Some(self.before(self.dash(next)?, column, &lines)),
            None => Some(self.after(items.last()?.range.end, &lines)),
        }
    }

    /// Inserts before the closing bracket; on a line of its own where the last is.
    fn insert_in_flow(
        &self,
        parent: &Node,
        last: Option<Range<usize>>,
        text: &str,
    ) -> Option<String> {
        let Some(last) = last else {
            let inside = parent.range.start + 1..parent.range.end.checked_sub(1)?;
            let blank = self.text[inside.clone()].trim().is_empty();
            return blank.then(|| self.replaced(inside, text));
        };
        let before = &self.text[self.line_start(last.start)..last.start];
        let text = match before.trim().is_empty() && before.len() < last.start {
            true => format!(",{}{before}{text}", self.line_break()),
            false => format!(", {text}"),
        };
        Some(self.replaced(last.end..last.end, &text))
    }

    /// Removes one of the parts of a mapping or list.
    fn remove(&self, flow: bool, parts: &[Range<usize>], index: usize) -> Option<String> {
        let part = parts.get(index)?.clone();
        if flow {
            let range = match (parts.get(index + 1), index.checked_sub(1)) {
                (Some(next), _) => part.start..next.start,
                (None, Some(previous)) => parts[previous].end..part.end,
                (None, None) => part,
            };
            return Some(self.replaced(range, ""));
        }
        let start = self.line_start(part.start);
        if self.text[start..part.start].trim().is_empty() {
            return Some(self.replaced(start..self.line_end(part.end), ""));
        }
        // The first of a list's element: what follows takes its place.
        let next = parts.get(index + 1)?;
        Some(self.replaced(part.start..next.start, ""))
    }

    /// Inserts lines before what is at a place.
    fn before(&self, place: usize, column: usize, lines: &str) -> String {
        let start = self.line_start(place);
        if self.text[start..place].trim().is_empty() {
            return self.replaced(start..start, lines);
        }
        let lines = format!("{}{}", lines.trim_start_matches(' '), " ".repeat(column));
        self.replaced(place..place, &lines)
    }

    /// Inserts lines after the line of a place.
    fn after(&self, place: usize, lines: &str) -> String {
        let end = self.line_end(place);
        if end == 0 || self.text[..end].ends_with('\n') {
            return self.replaced(end..end, lines);
        }
        let line_break = self.line_break();
        let lines = lines.trim_end();
        self.replaced(end..end, &format!("{line_break}{lines}"))
    }

    /// Where the dash of a list's element is.
    fn dash(&self, item: &Node) -> Option<usize> {
        let before = self.text[..item.range.start].trim_end();
        before.ends_with('-').then(|| before.len() - 1)
    }

    /// A value in one line: as JSON, which YAML understands, but for texts that
    /// need no quotes where their neighbours have none.
    fn flow(&self, value: &Value) -> String {
        match value {
            Value::String(text) if !self.text.trim_start().starts_with('{') && is_plain(text) => {
                text.clone()
            }
            other => other.to_string(),
        }
    }

    fn line_start(&self, place: usize) -> usize {
        self.text[..place].rfind('\n').map_or(0, |end| end + 1)
    }

    fn line_end(&self, place: usize) -> usize {
        let rest = &self.text[place..];
        place + rest.find('\n').map_or(rest.len(), |end| end + 1)
    }

    fn column(&self, place: usize) -> usize {
        self.text[self.line_start(place)..place].chars().count()
    }

    fn line_break(&self) -> &'static str {
        if self.text.contains("\r\n") {
            "\r\n"
        } else {
            "\n"
        }
    }

    fn replaced(&self, range: Range<usize>, with: &str) -> String {
        let with = match self.line_break() {
            "\r\n" => &with.replace("\r\n", "\n").replace('\n', "\r\n"),
            _ => with,
        };
        format!(
            "{}{with}{}",
            &self.text[..range.start],
            &self.text[range.end..]
        )
    }
}

/// A value as lines at a column.
fn block(value: &Value, column: usize) -> Option<String> {
    let text = serde_yaml::to_string(value).ok()?;
    let indentation = " ".repeat(column);
    let lines = text.lines().map(|line| match line {
        "" => "\n".to_owned(),
        line => format!("{indentation}{line}\n"),
    });
    Some(lines.collect())
}

/// Whether a text means itself without quotes, in braces, too.
fn is_plain(text: &str) -> bool {
    let ordinary = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '-' | '_');
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(ordinary)
        && !matches!(
            &*text.to_ascii_lowercase(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        )
}
