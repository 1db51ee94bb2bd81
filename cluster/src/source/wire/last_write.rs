//! `metadata.managedFields`, of which only the times are read: the newest says
//! when the object was last written. Nothing is allocated for that; what is owned
//! by whom, which is most of it, is skipped as it always was.

use super::field::{Field, Shape};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// The newest of the times at which an object's managers wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LastWrite(Option<u64>);

impl LastWrite {
    pub(crate) fn time(self) -> Option<SystemTime> {
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(self.0?))
    }
}

impl Shape for LastWrite {
    const EXPECTED: &'static str = "a list";

    fn from_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        let mut newest = None;
        while let Some(entry) = list.next_element::<Field<Entry>>()? {
            if let Field::Is(entry) = entry {
                newest = newest.max(entry.0);
            }
        }
        Ok(Some(Self(newest)))
    }
}

/// What one manager wrote: when, in seconds since 1970.
struct Entry(Option<u64>);

impl Shape for Entry {
    const EXPECTED: &'static str = "an object";

    fn from_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Option<Self>, A::Error> {
        let mut time = None;
        while let Some(IsTime(is_time)) = object.next_key()? {
            if !is_time {
                object.next_value::<IgnoredAny>()?;
            } else if let Field::Is(Time(seconds)) = object.next_value()? {
                time = Some(seconds);
            }
        }
        Ok(Some(Self(time)))
    }
}

/// Whether a key is `time`.
struct IsTime(bool);

impl<'de> Deserialize<'de> for IsTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = IsTime;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<IsTime, E> {
                Ok(IsTime(text == "time"))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// RFC 3339 as seconds since 1970.
struct Time(u64);

impl Shape for Time {
    const EXPECTED: &'static str = "a time";

    fn from_text(text: &str) -> Option<Self> {
        let time: jiff::Timestamp = text.parse().ok()?;
        time.as_second().try_into().ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Field<LastWrite> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_newest_write_counts_whoever_made_it() {
        let fields = r#"[
            {"manager": "kubectl", "operation": "Apply", "time": "2026-08-21T10:00:00Z",
             "fieldsV1": {"f:metadata": {"f:labels": {"f:time": {}}}}},
            {"manager": "kubelet", "operation": "Update", "time": "2026-08-21T10:00:07Z",
             "subresource": "status"},
            {"manager": "old"}
        ]"#;
        assert_eq!(read(fields), Field::Is(LastWrite(Some(1_787_306_407))));
        assert_eq!(read("[]"), Field::Is(LastWrite(None)));
    }

    #[test]
    fn what_is_not_as_it_should_be_says_nothing_and_breaks_nothing() {
        for json in [
            r#"[{"time": "yesterday"}, 7, null, {"time": {"a": []}}]"#,
            r#"[{"time": "1969-01-01T00:00:00Z"}]"#,
        ] {
            assert_eq!(read(json), Field::Is(LastWrite(None)), "{json}");
        }
        assert!(matches!(read("7"), Field::Wrong(_)));
    }
}
