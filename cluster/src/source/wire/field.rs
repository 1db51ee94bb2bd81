//! Fields of an object that may hold something else than they should.
//!
//! One object with a string where a number belongs must not end the watch of
//! its kind, nor hide the rest of the object: a [`Field`] takes any value and
//! remembers what it could not read, for the conversion to report.

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::{fmt, marker::PhantomData};

/// A field as received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Field<T> {
    /// Not there, or null.
    #[default]
    Absent,
    /// Readable.
    Is(T),
    /// Something else: what it is, in words.
    Wrong(Box<str>),
}

/// What a [`Field`] can hold: each way of writing it that is understood.
/// Everything that is not overridden is a wrong value.
pub(crate) trait Shape: Sized {
    /// What is expected, as the problem says it.
    const EXPECTED: &'static str;

    fn from_text(_text: &str) -> Option<Self> {
        None
    }

    fn from_integer(_number: i64) -> Option<Self> {
        None
    }

    fn from_float(_number: f64) -> Option<Self> {
        None
    }

    fn from_flag(_flag: bool) -> Option<Self> {
        None
    }

    fn from_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn from_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Option<Self>, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

impl<T: Shape> Field<T> {
    /// The value; a wrong one is a problem of the field at `path`.
    pub(crate) fn read(self, path: impl fmt::Display, problems: &mut Vec<String>) -> Option<T> {
        match self {
            Field::Absent => None,
            Field::Is(value) => Some(value),
            Field::Wrong(found) => {
                problems.push(format!("{path}: expected {}, found {found}", T::EXPECTED));
                None
            }
        }
    }
}

impl<T> Field<T> {
    /// Whether something is written there, readable or not.
    pub(crate) fn is_present(&self) -> bool {
        !matches!(self, Field::Absent)
    }
}

impl<T: Shape> Field<Vec<Field<T>>> {
    /// The readable elements of a list; the others are problems.
    pub(crate) fn elements(self, path: &str, problems: &mut Vec<String>) -> Vec<T> {
        self.read(path, problems)
            .unwrap_or_default()
            .into_iter()
            .enumerate()
            .filter_map(|(index, element)| element.read(format_args!("{path}[{index}]"), problems))
            .collect()
    }
}

impl<'de, T: Shape> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor(PhantomData))
    }
}

struct FieldVisitor<T>(PhantomData<T>);

impl<'de, T: Shape> Visitor<'de> for FieldVisitor<T> {
    type Value = Field<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Field::Absent)
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Field::Absent)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(or_wrong(T::from_text(text), || shortened(text)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(or_wrong(T::from_integer(number), || number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        let read = i64::try_from(number).ok().and_then(T::from_integer);
        Ok(or_wrong(read, || number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(or_wrong(T::from_float(number), || {
            format!("the number {number}")
        }))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(or_wrong(T::from_flag(flag), || flag.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Ok(or_wrong(T::from_list(list)?, || "a list".to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Self::Value, A::Error> {
        Ok(or_wrong(T::from_object(object)?, || "an object".to_owned()))
    }
}

fn or_wrong<T>(value: Option<T>, found: impl FnOnce() -> String) -> Field<T> {
    match value {
        Some(value) => Field::Is(value),
        None => Field::Wrong(found().into()),
    }
}

/// A text as a problem quotes it: long ones (a certificate, a whole file) cut.
fn shortened(text: &str) -> String {
    const LIMIT: usize = 80;
    match text.char_indices().nth(LIMIT) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", &text[..end]),
    }
}

impl Shape for Box<str> {
    const EXPECTED: &'static str = "a string";

    fn from_text(text: &str) -> Option<Self> {
        Some(text.into())
    }
}

/// A port number.
impl Shape for u16 {
    const EXPECTED: &'static str = "a port (0-65535)";

    fn from_integer(number: i64) -> Option<Self> {
        number.try_into().ok()
    }
}

impl Shape for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_flag(flag: bool) -> Option<Self> {
        Some(flag)
    }
}

impl<T: Shape> Shape for Vec<Field<T>> {
    const EXPECTED: &'static str = "a list";

    fn from_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        // Not the size hint: it is whatever the sender says.
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            elements.push(element);
        }
        Ok(Some(elements))
    }
}

/// An object of any keys, such as labels; in order, and a key may come twice.
#[derive(Clone, Debug)]
pub(crate) struct Pairs<T>(pub(crate) Vec<(Box<str>, Field<T>)>);

impl<T> Default for Pairs<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Shape> Shape for Pairs<T> {
    const EXPECTED: &'static str = "an object";

    fn from_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Option<Self>, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = object.next_entry()? {
            pairs.push(pair);
        }
        Ok(Some(Self(pairs)))
    }
}

/// Makes structs that derive `Deserialize` (with every field defaulted) the
/// shape of an object.
macro_rules! object_shapes {
    ($($name:ident),+ $(,)?) => {$(
        impl $crate::source::wire::field::Shape for $name {
            const EXPECTED: &'static str = "an object";

            fn from_object<'de, A: serde::de::MapAccess<'de>>(
                object: A,
            ) -> Result<Option<Self>, A::Error> {
                use serde::de::value::MapAccessDeserializer;
                <$name as serde::Deserialize>::deserialize(MapAccessDeserializer::new(object))
                    .map(Some)
            }
        }
    )+};
}
pub(crate) use object_shapes;

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Door {
        number: Field<u16>,
        sign: Field<Box<str>>,
        open: Field<bool>,
        rooms: Field<Vec<Field<u16>>>,
        inner: Field<Inner>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Inner {
        number: Field<u16>,
    }

    object_shapes!(Inner);

    #[test]
    fn a_wrong_field_leaves_the_others_readable() {
        let door: Door = serde_json::from_str(
            r#"{"number": "8", "sign": [1, {"a": 2}], "open": 1, "rooms": [1, 70000, null, "x"],
                "inner": {"number": 5, "unknown": {"deep": [1]}}, "more": 1}"#,
        )
        .unwrap();
        let mut problems = Vec::new();
        assert_eq!(door.number.read("number", &mut problems), None);
        assert_eq!(door.sign.read("sign", &mut problems), None);
        assert_eq!(door.open.read("open", &mut problems), None);
        assert_eq!(door.rooms.elements("rooms", &mut problems), [1]);
        let inner = door.inner.read("inner", &mut problems).unwrap();
        assert_eq!(inner.number, Field::Is(5));
        assert_eq!(
            problems,
            [
                r#"number: expected a port (0-65535), found "8""#,
                "sign: expected a string, found a list",
                "open: expected true or false, found 1",
                "rooms[1]: expected a port (0-65535), found 70000",
                r#"rooms[3]: expected a port (0-65535), found "x""#,
            ]
        );
    }

    #[test]
    fn null_is_absent() {
        let door: Door = serde_json::from_str(r#"{"number": null, "inner": null}"#).unwrap();
        assert_eq!(door, Door::default());
    }

    #[test]
    fn a_wrong_value_is_quoted_in_part() {
        let field: Field<u16> = serde_json::from_str(&format!("\"{}\"", "é".repeat(500))).unwrap();
        let Field::Wrong(found) = field else {
            panic!("{field:?}")
        };
        assert_eq!(found.chars().count(), 85);
    }
}
