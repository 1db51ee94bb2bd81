//! The conditions in ServiceProfiles: trees of tests. What is stored in a cluster
//! and what is about to be are read here alike, so that nothing gets past the
//! webhook that could not be told to proxies.

use serde_json::{Map, Value};
use thiserror::Error;

/// How deep matches may be nested. Nobody nests them by hand; without a bound, one
/// object could exhaust what parsers allow and end the watch of its kind.
pub const MAX_MATCH_DEPTH: usize = 32;

/// A condition: a test, or a combination of conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match<T> {
    /// All of these hold.
    All(Box<[Match<T>]>),
    /// One of these holds.
    Any(Box<[Match<T>]>),
    /// This does not hold.
    Not(Box<Match<T>>),
    /// The test holds.
    Is(T),
}

/// What is tested of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestTest {
    /// `method`, as written.
    Method(Box<str>),
    /// `pathRegex`, as written.
    Path(Box<str>),
}

/// What is tested of a response: `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    min: u32,
    max: u32,
}

/// Why a value is no condition.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MatchError {
    /// A condition without any field that means something.
    #[error("A {0} match must have a field set")]
    Empty(&'static str),
    /// A child that is null.
    #[error("null condition {0:?}")]
    NullChild(&'static str),
    /// The range of statuses is none.
    #[error(transparent)]
    Status(#[from] StatusRangeError),
    /// A field holds something else than it should.
    #[error("field {field:?} is not {expected}")]
    Type {
        /// The field.
        field: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// Matches in matches in matches.
    #[error("conditions may be nested {MAX_MATCH_DEPTH} deep")]
    TooDeep,
}

/// Why two numbers are no range of statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StatusRangeError {
    /// There is a first status, and it is none.
    #[error("Range minimum must be between 100 and 599, inclusive")]
    Minimum,
    /// There is a last status, and it is none.
    #[error("Range maximum must be between 100 and 599, inclusive")]
    Maximum,
    /// The last one is before the first.
    #[error("Range maximum cannot be smaller than minimum")]
    Order,
}

impl StatusRange {
    /// The statuses from `min` to `max`; zero is unset, and means what the proxy
    /// takes it for.
    ///
    /// # Errors
    /// These are no statuses (destination.md section 17).
    pub fn new(min: u32, max: u32) -> Result<Self, StatusRangeError> {
        let is_status = |status| status == 0 || (100..=599).contains(&status);
        if !is_status(min) {
            return Err(StatusRangeError::Minimum);
        }
        if !is_status(max) {
            return Err(StatusRangeError::Maximum);
        }
        if min != 0 && max != 0 && max < min {
            return Err(StatusRangeError::Order);
        }
        Ok(Self { min, max })
    }

    /// The first status, 0 where none is given.
    pub const fn min(self) -> u32 {
        self.min
    }

    /// The last status, 0 where none is given.
    pub const fn max(self) -> u32 {
        self.max
    }
}

/// What a [`Match`] is made of at its leaves.
pub trait Test: Sized {
    /// What is tested.
    #[doc(hidden)]
    const SUBJECT: &'static str;

    /// The tests among the fields of a match, before and after `not` in the order
    /// in which they are told.
    #[doc(hidden)]
    fn read(fields: &Map<String, Value>) -> Result<[Option<Self>; 2], MatchError>;
}

impl<T: Test> Match<T> {
    /// Reads a condition. Several fields in one object must all hold; fields that
    /// are not known are ignored.
    ///
    /// # Errors
    /// The first that is wrong with it.
    pub fn read(value: &Value) -> Result<Self, MatchError> {
        Self::read_within(value, MAX_MATCH_DEPTH)
    }

    fn read_within(value: &Value, depth: usize) -> Result<Self, MatchError> {
        let fields = value.as_object().ok_or(MatchError::Type {
            field: "condition",
            expected: "an object",
        })?;
        let depth = depth.checked_sub(1).ok_or(MatchError::TooDeep)?;
        let children = |field: &'static str| match present(fields, field) {
            None => Ok(None),
            Some(Value::Array(children)) => {
                let children = children.iter().map(|child| match child {
                    Value::Null => Err(MatchError::NullChild(field)),
                    child => Self::read_within(child, depth),
                });
                children.collect::<Result<Box<[_]>, _>>().map(Some)
            }
            Some(_) => Err(MatchError::Type {
                field,
                expected: "a list",
            }),
        };
        let all = children("all")?.map(Match::All);
        let any = children("any")?.map(Match::Any);
        let [before, after] = T::read(fields)?.map(|test| test.map(Match::Is));
        let not = match present(fields, "not") {
            Some(child @ Value::Object(_)) => {
                let child = Self::read_within(child, depth)?;
                Some(Match::Not(Box::new(child)))
            }
            Some(_) => {
                return Err(MatchError::Type {
                    field: "not",
                    expected: "an object",
                });
            }
            None => None,
        };
        let mut set: Vec<_> = [all, any, before, not, after]
            .into_iter()
            .flatten()
            .collect();
        match set.len() {
            0 => Err(MatchError::Empty(T::SUBJECT)),
            1 => Ok(set.remove(0)),
            _ => Ok(Match::All(set.into())),
        }
    }
}

impl Test for RequestTest {
    const SUBJECT: &'static str = "request";

    fn read(fields: &Map<String, Value>) -> Result<[Option<Self>; 2], MatchError> {
        Ok([
            text(fields, "method")?.map(RequestTest::Method),
            text(fields, "pathRegex")?.map(RequestTest::Path),
        ])
    }
}

impl Test for StatusRange {
    const SUBJECT: &'static str = "response";

    fn read(fields: &Map<String, Value>) -> Result<[Option<Self>; 2], MatchError> {
        let status = match present(fields, "status") {
            None => None,
            Some(Value::Object(range)) => {
                let range = StatusRange::new(number(range, "min")?, number(range, "max")?)?;
                Some(range)
            }
            Some(_) => {
                return Err(MatchError::Type {
                    field: "status",
                    expected: "an object",
                });
            }
        };
        Ok([status, None])
    }
}

/// Null is as good as nothing.
fn present<'v>(fields: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    fields.get(name).filter(|value| !value.is_null())
}

/// An empty text is as good as none.
fn text(fields: &Map<String, Value>, field: &'static str) -> Result<Option<Box<str>>, MatchError> {
    match present(fields, field) {
        None => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str().into())),
        Some(_) => Err(MatchError::Type {
            field,
            expected: "a string",
        }),
    }
}

fn number(fields: &Map<String, Value>, field: &'static str) -> Result<u32, MatchError> {
    let Some(value) = present(fields, field) else {
        return Ok(0);
    };
    let number = value.as_u64().and_then(|number| number.try_into().ok());
    number.ok_or(MatchError::Type {
        field,
        expected: "a number that is not negative",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn method(name: &str) -> Match<RequestTest> {
        Match::Is(RequestTest::Method(name.into()))
    }

    fn path(regex: &str) -> Match<RequestTest> {
        Match::Is(RequestTest::Path(regex.into()))
    }

    fn all<T, const N: usize>(matches: [Match<T>; N]) -> Match<T> {
        Match::All(Box::new(matches))
    }

    #[test]
    fn fields_of_one_match_must_all_hold_in_a_fixed_order() {
        for (value, expected) in [
            (json!({"method": "GET"}), method("GET")),
            (json!({"pathRegex": "/p", "unknown": 1}), path("/p")),
            (
                json!({"pathRegex": "/p", "method": "GET"}),
                all([method("GET"), path("/p")]),
            ),
            (
                json!({"pathRegex": "/p", "not": {"method": "PUT"}, "method": "GET", "any": [], "all": [{"method": "X"}]}),
                all([
                    all([method("X")]),
                    Match::Any(Box::default()),
                    method("GET"),
                    Match::Not(Box::new(method("PUT"))),
                    path("/p"),
                ]),
            ),
            // Empty counts as set, null does not.
            (json!({"all": []}), Match::All(Box::default())),
            (
                json!({"all": null, "any": null, "not": null, "method": "", "pathRegex": "/"}),
                path("/"),
            ),
        ] {
            assert_eq!(Match::read(&value).as_ref(), Ok(&expected), "{value}");
        }
    }

    #[test]
    fn a_status_range_may_lack_either_end() {
        let range = |min, max| Match::Is(StatusRange { min, max });
        for (value, expected) in [
            (json!({"status": {"min": 400, "max": 499}}), range(400, 499)),
            (json!({"status": {"min": 404}}), range(404, 0)),
            (json!({"status": {"max": 599}}), range(0, 599)),
            (json!({"status": {}}), range(0, 0)),
            (
                json!({"not": {"status": {"min": 404}}, "status": {"min": 400, "max": 499}}),
                all([range(400, 499), Match::Not(Box::new(range(404, 0)))]),
            ),
        ] {
            assert_eq!(Match::read(&value).as_ref(), Ok(&expected), "{value}");
        }
    }

    #[test]
    fn what_is_no_condition_is_told_by_what_is_wrong_with_it() {
        for (value, told) in [
            (json!({}), "A request match must have a field set"),
            (
                json!({"method": ""}),
                "A request match must have a field set",
            ),
            (json!({"not": {}}), "A request match must have a field set"),
            (
                json!({"any": [{"method": "GET"}, {}]}),
                "A request match must have a field set",
            ),
            (json!({"all": [null]}), "null condition \"all\""),
            (json!({"any": [null]}), "null condition \"any\""),
            (json!({"not": []}), "field \"not\" is not an object"),
            (json!({"all": {}}), "field \"all\" is not a list"),
            (json!({"method": 1}), "field \"method\" is not a string"),
            (json!("GET"), "field \"condition\" is not an object"),
        ] {
            let error = Match::<RequestTest>::read(&value).expect_err("no condition");
            assert_eq!(error.to_string(), told, "{value}");
        }
        let minimum = "Range minimum must be between 100 and 599, inclusive";
        let maximum = "Range maximum must be between 100 and 599, inclusive";
        for (value, told) in [
            (json!({}), "A response match must have a field set"),
            (json!({"status": {"min": 1}}), minimum),
            (json!({"status": {"min": 600}}), minimum),
            (json!({"status": {"max": 99}}), maximum),
            (json!({"not": {"status": {"max": 600}}}), maximum),
            (
                json!({"status": {"min": 201, "max": 200}}),
                "Range maximum cannot be smaller than minimum",
            ),
            (
                json!({"status": {"min": -1}}),
                "field \"min\" is not a number that is not negative",
            ),
            (json!({"status": 200}), "field \"status\" is not an object"),
        ] {
            let error = Match::<StatusRange>::read(&value).expect_err("no condition");
            assert_eq!(error.to_string(), told, "{value}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| {
            (1..depth).fold(json!({"method": "GET"}), |inner, _| json!({"not": inner}))
        };
        assert!(Match::<RequestTest>::read(&nested(MAX_MATCH_DEPTH)).is_ok());
        let error = Match::<RequestTest>::read(&nested(MAX_MATCH_DEPTH + 1));
        assert_eq!(error, Err(MatchError::TooDeep));
    }
}
