use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};
use std::ops::Range;

/// Where everything is in the text of a document.
#[derive(Debug)]
pub(super) struct Node {
    /// From its first byte to its last that says something: no comments or blank
    /// lines behind it.
    pub(super) range: Range<usize>,
    pub(super) kind: NodeKind,
}

#[derive(Debug)]
pub(super) enum NodeKind {
    Scalar,
    /// A scalar over several lines, after `|` or `>`.
    BlockScalar,
    /// Nothing is written.
    Nothing,
    /// Something that is elsewhere.
    Alias,
    Mapping {
        flow: bool,
        entries: Vec<Entry>,
    },
    Sequence {
        flow: bool,
        items: Vec<Node>,
    },
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) key: Range<usize>,
    pub(super) value: Node,
}

impl Entry {
    /// From the key to the end of the value.
    pub(super) fn range(&self) -> Range<usize> {
        self.key.start..self.value.range.end.max(self.key.end)
    }
}

/// Reads the one document of a text; `None` where it cannot be told what is where.
pub(super) fn outline(text: &str) -> Option<Node> {
    let mut reader = Reader {
        text,
        events: Parser::new_from_str(text),
    };
    let (event, span) = reader.next()?;
    let node = reader.node(&event, &span, None)?;
    reader.next().is_none().then_some(node)
}

/// The line, from 0, of what the steps from the root lead to: names of fields and
/// numbers of items. Where they lead to nothing it is that of what they come nearest
/// to; `None` where it cannot be told what is where.
pub(crate) fn line_of(text: &str, path: &[String]) -> Option<usize> {
    let root = outline(text)?;
    let (mut node, mut start) = (&root, root.range.start);
    for step in path {
        let below = match &node.kind {
            NodeKind::Mapping { entries, .. } => {
                let entry = entries.iter().find(|entry| entry.name == *step);
                entry.map(|entry| (&entry.value, entry.key.start))
            }
            NodeKind::Sequence { items, .. } => {
                let item = step.parse().ok().and_then(|at: usize| items.get(at));
                item.map(|item| (item, item.range.start))
            }
            _ => None,
        };
        let Some(below) = below else { break };
        (node, start) = below;
    }
    Some(text[..start].matches('\n').count())
}

struct Reader<'a, P> {
    text: &'a str,
    events: P,
}

impl<'a, P, E> Reader<'a, P>
where
    P: Iterator<Item = Result<(Event<'a>, Span), E>>,
{
    /// The next event that is part of the data.
    fn next(&mut self) -> Option<(Event<'a>, Span)> {
        loop {
            let (event, span) = self.events.next()?.ok()?;
            match event {
                Event::Nothing
                | Event::StreamStart
                | Event::StreamEnd
                | Event::DocumentStart(..)
                | Event::DocumentEnd
                | Event::Comment(..) => {}
                _ => return Some((event, span)),
            }
        }
    }

    /// The node that begins with an event; `key` is where its key ends, if it has one.
    fn node(&mut self, event: &Event<'_>, span: &Span, key: Option<usize>) -> Option<Node> {
        let range = span.byte_range()?;
        let node = |range, kind| Some(Node { range, kind });
        match event {
            Event::Alias(_) => node(range, NodeKind::Alias),
            Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..) => {
                // The header is before it, and the next token's indentation behind it.
                let end = range.start + self.text[range.clone()].trim_end().len();
                node(range.start..end, NodeKind::BlockScalar)
            }
            Event::Scalar(..) if range.is_empty() => {
                let end = key.map_or(range.end, |key| self.after_colon(key));
                node(end..end, NodeKind::Nothing)
            }
            Event::Scalar(..) => node(range, NodeKind::Scalar),
            Event::MappingStart(style, ..) => self.mapping(range, *style == StructureStyle::Flow),
            Event::SequenceStart(style, ..) => self.sequence(range, *style == StructureStyle::Flow),
            _ => None,
        }
    }

    fn mapping(&mut self, start: Range<usize>, flow: bool) -> Option<Node> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                let last = entries.last().map(|entry| entry.range().end);
                let range = whole(&start, span.byte_range()?.end, last, flow);
                let kind = NodeKind::Mapping { flow, entries };
                return Some(Node { range, kind });
            }
            // Keys that are no texts are none of Kubernetes.
            let (name, _) = event.scalar()?;
            let name = name.to_owned();
            let key = span.byte_range()?;
            let (event, span) = self.next()?;
            let value = self.node(&event, &span, Some(key.end))?;
            entries.push(Entry { name, key, value });
        }
    }

    fn sequence(&mut self, start: Range<usize>, flow: bool) -> Option<Node> {
        let mut items: Vec<Node> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                let last = items.last().map(|item| item.range.end);
                let range = whole(&start, span.byte_range()?.end, last, flow);
                let kind = NodeKind::Sequence { flow, items };
                return Some(Node { range, kind });
            }
            items.push(self.node(&event, &span, None)?);
        }
    }

    fn after_colon(&self, key: usize) -> usize {
        let rest = &self.text[key..];
        let spaces = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        match rest[spaces..].starts_with(':') {
            true => key + spaces + 1,
            false => key,
        }
    }
}

/// A block ends where the last of what is in it does, a flow with its bracket.
fn whole(start: &Range<usize>, end: usize, last: Option<usize>, flow: bool) -> Range<usize> {
    match (flow, last) {
        (false, Some(last)) => start.start..last,
        _ => start.start..end,
    }
}
