use super::HeaderChanges;
use crate::object::Name;
use http::HeaderValue;
use regex::Regex;
use thiserror::Error;

/// Which requests: those to which all of it applies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpMatch {
    /// Their path; any where there is none.
    pub path: Option<PathMatch>,
    /// Their headers.
    pub headers: Box<[NamedMatch]>,
    /// Their query parameters.
    pub query: Box<[NamedMatch]>,
    /// Their method.
    pub method: Option<Method>,
}

/// Which calls: those to which all of it applies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrpcMatch {
    /// The service and the method, each empty for any; `None` where neither is
    /// asked for.
    pub rpc: Option<(Name, Name)>,
    /// Their headers.
    pub headers: Box<[NamedMatch]>,
}

/// A path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathMatch {
    /// This one, absolute.
    Exact(Name),
    /// This one and those below it, absolute.
    Prefix(Name),
    /// Those of this form.
    Regex(Name),
}

/// A header or query parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedMatch {
    /// Its name, of a header in lower case.
    pub name: Name,
    /// Its value.
    pub value: MatchValue,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MatchValue {
    /// This one.
    Exact(Name),
    /// Those of this form.
    Regex(Name),
}

/// A request's method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are called what they are")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
}

/// Why something matches nothing that there is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RouteMatchError {
    /// A path that is not absolute.
    #[error("the path {0:?} does not begin with /")]
    RelativePath(String),
    /// A regular expression that is none for the proxy.
    #[error("the regular expression {text:?} cannot be compiled: {error}")]
    Regex {
        /// The expression.
        text: String,
        /// What is wrong with it.
        error: String,
    },
    /// A type of match that there is not.
    #[error("{found:?} is none of {expected}")]
    Type {
        /// What is written.
        found: String,
        /// What could be.
        expected: &'static str,
    },
    /// A header's name.
    #[error("{0:?} is no header name")]
    HeaderName(String),
    /// A header's value.
    #[error("{0:?} is no value of a header")]
    HeaderValue(String),
    /// A query parameter that has no name.
    #[error("a query parameter has no name")]
    QueryName,
}

impl PathMatch {
    /// A path as routes write it; a type or value that is not there has its
    /// default, every path.
    ///
    /// # Errors
    /// No path is of that form.
    pub fn new(kind: Option<&str>, value: Option<&str>) -> Result<Self, RouteMatchError> {
        let value = value.unwrap_or("/");
        let absolute = || match value.starts_with('/') {
            true => Ok(Name::from(value)),
            false => Err(RouteMatchError::RelativePath(value.into())),
        };
        match kind {
            None | Some("PathPrefix") => absolute().map(Self::Prefix),
            Some("Exact") => absolute().map(Self::Exact),
            Some("RegularExpression") => regex(value).map(Self::Regex),
            Some(kind) => Err(RouteMatchError::Type {
                found: kind.into(),
                expected: "Exact, PathPrefix, RegularExpression",
            }),
        }
    }
}

impl MatchValue {
    fn new(kind: Option<&str>, value: &str) -> Result<Self, RouteMatchError> {
        match kind {
            None | Some("Exact") => Ok(Self::Exact(value.into())),
            Some("RegularExpression") => regex(value).map(Self::Regex),
            Some(kind) => Err(RouteMatchError::Type {
                found: kind.into(),
                expected: "Exact, RegularExpression",
            }),
        }
    }
}

impl NamedMatch {
    /// A header.
    ///
    /// # Errors
    /// There is no such header.
    pub fn header(kind: Option<&str>, name: &str, value: &str) -> Result<Self, RouteMatchError> {
        let name =
            HeaderChanges::name(name).map_err(|_| RouteMatchError::HeaderName(name.to_owned()))?;
        let value = MatchValue::new(kind, value)?;
        match &value {
            MatchValue::Exact(text) if HeaderValue::from_str(text).is_err() => {
                Err(RouteMatchError::HeaderValue(text.to_string()))
            }
            _ => Ok(Self { name, value }),
        }
    }

    /// A query parameter.
    ///
    /// # Errors
    /// There is no such parameter.
    pub fn query(kind: Option<&str>, name: &str, value: &str) -> Result<Self, RouteMatchError> {
        if name.is_empty() {
            return Err(RouteMatchError::QueryName);
        }
        Ok(Self {
            name: name.into(),
            value: MatchValue::new(kind, value)?,
        })
    }
}

impl GrpcMatch {
    /// A method as routes write it: its `type`, `service` and `method`.
    ///
    /// # Errors
    /// It is not to be compared as a whole, which is all that proxies can do.
    pub fn rpc(
        kind: Option<&str>,
        service: &str,
        method: &str,
    ) -> Result<(Name, Name), RouteMatchError> {
        match kind {
            None | Some("Exact") => Ok((service.into(), method.into())),
            Some(kind) => Err(RouteMatchError::Type {
                found: kind.into(),
                expected: "Exact (a regular expression is not supported here)",
            }),
        }
    }
}

impl Method {
    /// The method of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            "CONNECT" => Self::Connect,
            "OPTIONS" => Self::Options,
            "TRACE" => Self::Trace,
            "PATCH" => Self::Patch,
            _ => return None,
        })
    }
}

/// The proxy compiles it with the same crate, and refuses all of a policy with
/// one that it cannot.
fn regex(text: &str) -> Result<Name, RouteMatchError> {
    match Regex::new(text) {
        Ok(_) => Ok(text.into()),
        Err(error) => Err(RouteMatchError::Regex {
            text: text.into(),
            error: one_line(&error.to_string()),
        }),
    }
}

/// The last line of the crate's drawing says what it is about.
fn one_line(error: &str) -> String {
    let last = error.lines().next_back().unwrap_or_default();
    last.trim().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_and_expressions_compile() {
        let new = |kind, value| PathMatch::new(kind, value).map_err(|error| error.to_string());
        assert_eq!(new(None, None), Ok(PathMatch::Prefix("/".into())));
        assert_eq!(
            new(Some("Exact"), Some("/a")),
            Ok(PathMatch::Exact("/a".into()))
        );
        assert_eq!(
            new(Some("RegularExpression"), Some("a.*")),
            Ok(PathMatch::Regex("a.*".into()))
        );
        for (kind, value, told) in [
            (None, "a", "the path \"a\" does not begin with /"),
            (Some("Exact"), "", "the path \"\" does not begin with /"),
            (
                Some("RegularExpression"),
                "[",
                "the regular expression \"[\" cannot be compiled: unclosed character class",
            ),
            (
                Some("Prefix"),
                "/",
                "\"Prefix\" is none of Exact, PathPrefix, RegularExpression",
            ),
        ] {
            assert_eq!(new(kind, Some(value)), Err(told.to_owned()));
        }
    }

    #[test]
    fn headers_are_compared_in_lower_case() {
        let header = NamedMatch::header(None, "X-Who", "Me").expect("a header");
        assert_eq!(
            (&*header.name, header.value),
            ("x-who", MatchValue::Exact("Me".into()))
        );
        for (name, value) in [("a b", "c"), ("", "c"), ("a", "b\nc")] {
            NamedMatch::header(None, name, value).expect_err("no header");
        }
    }

    #[test]
    fn a_query_parameter_has_a_name() {
        NamedMatch::query(None, "", "a").expect_err("no name");
        NamedMatch::query(None, "A", "").expect("a parameter");
    }
}
