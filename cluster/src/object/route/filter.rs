use crate::object::Name;
use http::{HeaderName, HeaderValue, uri::Authority};
use thiserror::Error;

/// What is done to requests or responses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Headers of requests are changed.
    RequestHeaders(HeaderChanges),
    /// Headers of responses are changed.
    ResponseHeaders(HeaderChanges),
    /// Requests are answered with a redirect.
    Redirect(Redirect),
}

/// A header and its value.
pub type Header = (Name, Box<str>);

/// Changes of headers. Names are valid and in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderChanges {
    /// Added beside what is there.
    pub add: Box<[Header]>,
    /// Put in place of what is there.
    pub set: Box<[Header]>,
    /// Taken away.
    pub remove: Box<[Name]>,
}

/// A header that is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HeaderChangesError {
    /// Its name.
    #[error("{0:?} is no header name")]
    Name(String),
    /// Its value.
    #[error("{value:?} is no value of the header {name:?}")]
    Value {
        /// The header.
        name: String,
        /// What is to be its value.
        value: String,
    },
}

/// A change of a path that is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PathChangeError {
    /// A path that is not absolute.
    #[error("the path {0:?} does not begin with /")]
    Relative(String),
    /// Nothing is said.
    #[error("expected replaceFullPath or replacePrefixMatch")]
    Missing,
}

/// A redirect. What is not said stays as the request has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The scheme.
    pub scheme: Option<Scheme>,
    /// The host; empty for the request's own.
    pub host: Name,
    /// The path.
    pub path: Option<PathChange>,
    /// The port; 0 for that of the scheme.
    pub port: u16,
    /// The status of the answer.
    pub status: u16,
}

/// The scheme of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `http`.
    Http,
    /// `https`.
    Https,
}

/// Another path; both are absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathChange {
    /// All of it.
    Full(Name),
    /// In place of the prefix that was matched.
    Prefix(Name),
}

impl HeaderChanges {
    /// A header's name as it is compared: valid and in lower case.
    ///
    /// # Errors
    /// It is no name of a header.
    pub fn name(name: &str) -> Result<Name, HeaderChangesError> {
        let valid = HeaderName::from_bytes(name.as_bytes());
        let valid = valid.map_err(|_| HeaderChangesError::Name(name.into()))?;
        Ok(valid.as_str().into())
    }

    /// A header with its value.
    ///
    /// # Errors
    /// Either is none.
    pub fn header(name: &str, value: &str) -> Result<Header, HeaderChangesError> {
        let valid = Self::name(name)?;
        match HeaderValue::from_str(value) {
            Ok(_) => Ok((valid, value.into())),
            Err(_) => Err(HeaderChangesError::Value {
                name: name.into(),
                value: value.into(),
            }),
        }
    }
}

impl PathChange {
    /// Another path.
    ///
    /// # Errors
    /// It is not absolute.
    pub fn full(path: &str) -> Result<Self, PathChangeError> {
        absolute(path).map(Self::Full)
    }

    /// Another prefix.
    ///
    /// # Errors
    /// It is not absolute.
    pub fn prefix(path: &str) -> Result<Self, PathChangeError> {
        absolute(path).map(Self::Prefix)
    }
}

fn absolute(path: &str) -> Result<Name, PathChangeError> {
    if path.starts_with('/') {
        Ok(path.into())
    } else {
        Err(PathChangeError::Relative(path.into()))
    }
}

impl Redirect {
    /// A host that a URL can have; proxies refuse a whole policy with one that it
    /// cannot.
    pub fn host(text: &str) -> Option<Name> {
        let authority = text.parse::<Authority>().ok();
        let is_host = authority.is_some_and(|authority| authority.host() == text);
        is_host.then(|| text.into())
    }

    /// The status of a redirect that names none. The CRDs put 302 there.
    pub const DEFAULT_STATUS: u16 = 200;

    /// A status that an answer can have.
    pub fn status(code: i64) -> Option<u16> {
        u16::try_from(code)
            .ok()
            .filter(|code| (100..=999).contains(code))
    }
}

impl Scheme {
    /// The scheme of this name.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_goes_to_a_host_that_there_can_be() {
        for (text, expected) in [
            ("example.org", true),
            ("10.0.0.1", true),
            ("[fd00::1]", true),
            ("", false),
            ("a b", false),
            ("a:80", false),
            ("me@a", false),
            ("a/b", false),
        ] {
            assert_eq!(Redirect::host(text).is_some(), expected, "{text:?}");
        }
    }
}
