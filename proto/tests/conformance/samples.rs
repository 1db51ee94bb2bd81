//! Messages with every field filled, made from descriptors alone, and what they
//! hold, line by line.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use protox::prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, OneofDescriptor,
    ReflectMessage as _, Value,
};

/// How often a message may be inside itself. Once is not enough for a oneof
/// whose members lead back to it.
const RECURSION: usize = 3;

/// Elements of a repeated field, entries of a map.
const ELEMENTS: usize = 2;

/// Fills messages. Every scalar is another one, so that no two fields can be
/// taken for each other, and each time a oneof comes up its next member is set.
#[derive(Default)]
pub(crate) struct Filler {
    scalars: u64,
    members: BTreeMap<String, usize>,
    open: Vec<String>,
    filled: BTreeSet<String>,
}

impl Filler {
    /// Full names of the fields that were set in any sample so far.
    pub(crate) fn filled(&self) -> &BTreeSet<String> {
        &self.filled
    }

    pub(crate) fn message(&mut self, descriptor: &MessageDescriptor) -> DynamicMessage {
        let name = descriptor.full_name();
        let mut message = DynamicMessage::new(descriptor.clone());
        if self.open.iter().filter(|open| *open == name).count() == RECURSION {
            return message;
        }
        self.open.push(name.to_owned());
        let singles = descriptor
            .fields()
            .filter(|field| field.containing_oneof().is_none());
        let members: Vec<_> = descriptor
            .oneofs()
            .map(|oneof| self.next_member(&oneof))
            .collect();
        for field in singles.chain(members) {
            message.set_field(&field, self.field(&field));
            self.filled.insert(field.full_name().to_owned());
        }
        self.open.pop();
        message
    }

    fn next_member(&mut self, oneof: &OneofDescriptor) -> FieldDescriptor {
        let turn = self
            .members
            .entry(oneof.full_name().to_owned())
            .or_default();
        *turn += 1;
        let index = *turn % oneof.fields().len();
        oneof
            .fields()
            .nth(index)
            .expect("the index is below the count")
    }

    fn field(&mut self, field: &FieldDescriptor) -> Value {
        if field.is_map() {
            Value::Map(self.entries(field))
        } else if field.is_list() {
            Value::List((0..ELEMENTS).map(|_| self.value(field)).collect())
        } else {
            self.value(field)
        }
    }

    fn entries(&mut self, field: &FieldDescriptor) -> HashMap<MapKey, Value> {
        let Kind::Message(entry) = field.kind() else {
            unreachable!("a map is a repeated message")
        };
        (0..ELEMENTS)
            .map(|_| {
                let key = self.value(&entry.map_entry_key_field());
                let value = self.value(&entry.map_entry_value_field());
                (key.into_map_key().expect("keys are of a key's type"), value)
            })
            .collect()
    }

    fn value(&mut self, field: &FieldDescriptor) -> Value {
        let scalar = self.next_scalar();
        match field.kind() {
            Kind::Message(message) => Value::Message(self.message(&message)),
            Kind::Enum(values) => {
                // Without presence the first value is not written at all.
                let first = usize::from(!field.supports_presence());
                let choice = first + scalar as usize % (values.values().len() - first);
                let value = values.values().nth(choice);
                Value::EnumNumber(value.expect("the choice is below the count").number())
            }
            Kind::String => Value::String(format!("{} {scalar}", field.full_name())),
            Kind::Bytes => Value::Bytes(scalar.to_le_bytes().to_vec().into()),
            Kind::Bool => Value::Bool(true),
            Kind::Double => Value::F64(scalar as f64 + 0.5),
            Kind::Float => Value::F32(scalar as u16 as f32 + 0.5),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(scalar as i32),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(scalar as i64),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(scalar as u32),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(scalar),
        }
    }

    /// Spread over all 64 bits, so that no width is too small by luck. The
    /// factor is odd: 2^64 numbers pass before one comes again.
    fn next_scalar(&mut self) -> u64 {
        self.scalars += 1;
        self.scalars.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// Each value of a message with the path of field names to it, such as
/// `add.addrs[0].port = U32(8080)`.
pub(crate) fn leaves(message: &DynamicMessage) -> BTreeSet<String> {
    let mut leaves = BTreeSet::new();
    add_leaves(&mut leaves, "", message);
    leaves
}

fn add_leaves(leaves: &mut BTreeSet<String>, path: &str, message: &DynamicMessage) {
    // An empty message still says that it is there.
    leaves.insert(format!("{path} = {}", message.descriptor().full_name()));
    for (field, value) in message.fields() {
        let path = format!("{path}.{}", field.name());
        match value {
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    add_leaf(leaves, &format!("{path}[{index}]"), item);
                }
            }
            Value::Map(entries) => {
                for (key, value) in entries {
                    add_leaf(leaves, &format!("{path}[{key:?}]"), value);
                }
            }
            value => add_leaf(leaves, &path, value),
        }
    }
}

fn add_leaf(leaves: &mut BTreeSet<String>, path: &str, value: &Value) {
    if let Value::Message(message) = value {
        add_leaves(leaves, path, message);
    } else {
        leaves.insert(format!("{path} = {value:?}"));
    }
}
