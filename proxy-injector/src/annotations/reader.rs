use super::text;
use crate::settings::Settings;
use ferrule_cluster::object::{DefaultPolicy, parse_boolean};
use serde_json::Value;
use std::borrow::Cow;

/// What an annotation's text is read as, and where it goes.
#[derive(Clone, Copy)]
pub(super) enum Reader {
    /// Any text.
    Text(fn(&mut Settings, &str)),
    /// A text that the proxy, its init container or the API server reads: it is
    /// passed on whatever it is, and doubted where it will not be understood.
    Doubted(Expected, fn(&str) -> bool, fn(&mut Settings, &str)),
    /// A boolean, as Go spells them.
    Boolean(fn(&mut Settings, bool)),
    /// `enabled` or `disabled`.
    Switch(fn(&mut Settings, bool)),
    /// A port, 1-65535.
    Port(fn(&mut Settings, u16)),
    /// A number of a user or group.
    Id(fn(&mut Settings, i64)),
    /// Whole seconds.
    Seconds(fn(&mut Settings, u64)),
    /// A duration, kept as `<n>ms`.
    Milliseconds(fn(&mut Settings, String)),
    /// A duration, kept as `<n>s`.
    WholeSeconds(fn(&mut Settings, u64)),
    /// A quantity of Kubernetes; also as units, rounded up.
    Quantity(fn(&mut Settings, &str, u64)),
    /// A share of CPUs.
    Ratio(fn(&mut Settings, f64)),
    /// Who may call.
    Policy(fn(&mut Settings, DefaultPolicy)),
    /// A JSON list of environment variables. Layers add up.
    Environment,
    /// A text that is checked where it is used.
    Elsewhere(Expected, fn(&mut Settings, &str)),
}

/// What a text is to be, to follow "expected".
type Expected = &'static str;

/// What became of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It counts.
    Taken,
    /// It counts, and will not be understood.
    Doubted,
    /// The default counts.
    Ignored,
}

impl Reader {
    /// What is expected.
    pub(super) fn expected(&self) -> Cow<'static, str> {
        let expected = match self {
            Reader::Text(_) => "any text",
            Reader::Doubted(expected, ..) | Reader::Elsewhere(expected, _) => expected,
            Reader::Boolean(_) => "true or false",
            Reader::Switch(_) => "enabled or disabled",
            Reader::Port(_) => "a port (1-65535)",
            Reader::Id(_) => "an integer",
            Reader::Seconds(_) => "a whole number of seconds, such as 10",
            Reader::Milliseconds(_) | Reader::WholeSeconds(_) => {
                "a duration of 0 or more, such as 90s or 1h30m"
            }
            Reader::Quantity(_) => "a quantity of 0 or more, such as 100m or 250Mi",
            Reader::Ratio(_) => "a number between 0 and 1, both excluded",
            Reader::Policy(_) => {
                let names = DefaultPolicy::ALL.map(DefaultPolicy::as_str).join(", ");
                return Cow::Owned(format!("one of {names}"));
            }
            Reader::Environment => {
                "a JSON list of environment variables, such as [{\"name\": \"A\", \"value\": \"b\"}]"
            }
        };
        Cow::Borrowed(expected)
    }

    /// Reads a text into settings.
    pub(super) fn read(&self, settings: &mut Settings, text: &str) -> Reading {
        match self {
            Reader::Text(set) | Reader::Elsewhere(_, set) => set(settings, text),
            Reader::Doubted(_, understood, set) => {
                set(settings, text);
                if !understood(text) {
                    return Reading::Doubted;
                }
            }
            Reader::Boolean(set) => return taken(settings, *set, parse_boolean(text)),
            Reader::Switch(set) => return taken(settings, *set, text::switch(text)),
            Reader::Port(set) => return taken(settings, *set, text::port(text)),
            Reader::Id(set) => return taken(settings, *set, text.parse().ok()),
            Reader::Seconds(set) => return taken(settings, *set, text.parse().ok()),
            Reader::Milliseconds(set) => {
                let millis = text::duration(text).map(|nanos| format!("{}ms", nanos / 1_000_000));
                return taken(settings, *set, millis);
            }
            Reader::WholeSeconds(set) => {
                let seconds = text::duration(text).map(|nanos| nanos / 1_000_000_000);
                return taken(settings, *set, seconds);
            }
            Reader::Quantity(set) => match text::quantity(text) {
                Some(units) => set(settings, text, units),
                None => return Reading::Ignored,
            },
            Reader::Ratio(set) => return taken(settings, *set, text::ratio(text)),
            Reader::Policy(set) => return taken(settings, *set, text.parse().ok()),
            Reader::Environment => {
                return match serde_json::from_str::<Vec<Value>>(text) {
                    Ok(variables) if variables.iter().all(is_variable) => {
                        settings.add_variables(variables);
                        Reading::Taken
                    }
                    _ => Reading::Ignored,
                };
            }
        }
        Reading::Taken
    }
}

fn taken<T>(settings: &mut Settings, set: fn(&mut Settings, T), read: Option<T>) -> Reading {
    match read {
        Some(value) => {
            set(settings, value);
            Reading::Taken
        }
        None => Reading::Ignored,
    }
}

/// One that the API server can read: a whole pod fails over another.
fn is_variable(variable: &Value) -> bool {
    let has = |key, is_right: fn(&Value) -> bool| {
        let value = variable.get(key);
        value.is_none_or(|value| value.is_null() || is_right(value))
    };
    let name = variable.get("name").and_then(Value::as_str);
    name.is_some_and(|name| !name.is_empty())
        && has("value", Value::is_string)
        && has("valueFrom", Value::is_object)
}
