//! The annotations of retries, timeouts and circuit breaking.

use super::{Reader, metadata::Metadata};
use crate::object::traffic::{Annotations, Traffic};

/// Those that an object has.
pub(super) struct TrafficAnnotations(pub(super) Vec<(&'static str, Box<str>)>);

impl Annotations for TrafficAnnotations {
    fn value(&self, key: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| *known == key)?;
        Some(value)
    }
}

/// What they say for all that goes to a Service or EgressNetwork; `None` for
/// nothing, as of most.
pub(super) fn traffic(metadata: &mut Metadata, reader: &mut Reader<'_>) -> Option<Box<Traffic>> {
    let annotations = metadata.traffic(reader);
    if annotations.0.is_empty() {
        return None;
    }
    let traffic = Traffic::read(&annotations, &mut reader.problems);
    (traffic != Traffic::default()).then(|| Box::new(traffic))
}
