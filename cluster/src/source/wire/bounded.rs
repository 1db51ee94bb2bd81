//! A part of an object that may be nested as deep as its author likes.

use super::field::Shape;
use crate::object::MAX_MATCH_DEPTH;
use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use std::{cell::Cell, fmt};

/// How deep: twice as deep as matches may be nested, since each has a list in it.
const MAX_DEPTH: usize = 64;
const _: () = assert!(MAX_DEPTH == 2 * MAX_MATCH_DEPTH);

/// An object of which nothing is known before it is looked at, read without
/// nesting deeper than parsers allow: they would end the watch of its kind.
#[derive(Clone, Debug)]
pub(super) struct Tree(pub(super) Value);

impl Shape for Tree {
    const EXPECTED: &'static str = "an object nested at most 64 levels deep";

    fn from_object<'de, A: MapAccess<'de>>(object: A) -> Result<Option<Self>, A::Error> {
        let too_deep = Cell::new(false);
        let seed = Bounded {
            depth: MAX_DEPTH,
            too_deep: &too_deep,
        };
        let value = seed.visit_map(object)?;
        Ok((!too_deep.get()).then_some(Self(value)))
    }
}

#[derive(Clone, Copy)]
struct Bounded<'f> {
    depth: usize,
    too_deep: &'f Cell<bool>,
}

impl Bounded<'_> {
    /// What is inside; `None` where that is too deep.
    fn deeper(self) -> Option<Self> {
        let Some(depth) = self.depth.checked_sub(1) else {
            self.too_deep.set(true);
            return None;
        };
        Some(Self { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(flag.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let Some(seed) = self.deeper() else {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Value::Null);
        };
        let mut elements = Vec::new();
        while let Some(element) = list.next_element_seed(seed)? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let Some(seed) = self.deeper() else {
            while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Value::Null);
        };
        let mut fields = Map::new();
        while let Some(name) = object.next_key()? {
            fields.insert(name, object.next_value_seed(seed)?);
        }
        Ok(Value::Object(fields))
    }
}
