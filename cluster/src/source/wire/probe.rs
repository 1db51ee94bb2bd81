//! A container's probes, as far as they are HTTP requests.

use super::{
    Reader,
    field::{Field, Shape, object_shapes},
};
use crate::object::{HttpProbe, Name};
use serde::Deserialize;
use std::borrow::Cow;

/// `livenessProbe`, `readinessProbe` or `startupProbe`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Probe {
    http_get: Field<HttpGet>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct HttpGet {
    path: Field<Box<str>>,
    port: Field<PortRef>,
}

object_shapes!(Probe, HttpGet);

/// A port by its number or its name.
#[derive(Clone, Debug)]
enum PortRef {
    Number(u16),
    Name(Box<str>),
}

impl Shape for PortRef {
    const EXPECTED: &'static str = "a port (1-65535) or the name of one";

    fn from_integer(number: i64) -> Option<Self> {
        let number = u16::try_from(number).ok()?;
        (number != 0).then_some(Self::Number(number))
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(Self::Name(text.into()))
    }
}

impl Probe {
    /// The request, if the probe at `path` is one that can be made. A name is one
    /// of the container's `ports`, which are TCP.
    pub(super) fn http(
        self,
        ports: &[(Name, u16)],
        path: &str,
        reader: &mut Reader<'_>,
    ) -> Option<HttpProbe> {
        let get = self
            .http_get
            .read(format_args!("{path}.httpGet"), &mut reader.problems)?;
        let port = get
            .port
            .read(format_args!("{path}.httpGet.port"), &mut reader.problems)?;
        let port = match port {
            PortRef::Number(port) => port,
            PortRef::Name(name) => {
                match ports.iter().find(|(of, _)| of.eq_ignore_ascii_case(&name)) {
                    Some((_, port)) => *port,
                    None => {
                        reader.problems.push(format!(
                            "{path}.httpGet.port: the container has no TCP port named {name:?}"
                        ));
                        return None;
                    }
                }
            }
        };
        let text = reader.text(get.path, format_args!("{path}.httpGet.path"));
        let Some(uri_path) = uri_path(&text) else {
            reader.problems.push(format!(
                "{path}.httpGet.path: {text:?} is not the path of a URI"
            ));
            return None;
        };
        Some(HttpProbe {
            port,
            path: reader.interner.name(&uri_path),
        })
    }
}

/// The path that a kubelet asks for: it adds a slash where there is none, and
/// takes host and port of a whole URI from elsewhere.
fn uri_path(text: &str) -> Option<String> {
    let has_scheme = text.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    let uri: Cow<'_, str> = if has_scheme || text.starts_with('/') {
        text.into()
    } else {
        format!("/{text}").into()
    };
    let uri: http::Uri = uri.parse().ok()?;
    Some(uri.path().to_owned())
}

#[cfg(test)]
mod tests {
    use super::uri_path;

    #[test]
    fn a_path_is_what_a_kubelet_asks_for() {
        for (text, expected) in [
            ("", Some("/")),
            ("/", Some("/")),
            ("/ready", Some("/ready")),
            ("ready", Some("/ready")),
            ("/ready?x=1", Some("/ready")),
            ("?x=1", Some("/")),
            ("ready?to=http://x", Some("/ready")),
            ("/a//b/", Some("/a//b/")),
            ("http://example.com/ready#top", Some("/ready")),
            ("http://example.com", Some("/")),
            ("/a b", None),
        ] {
            assert_eq!(uri_path(text).as_deref(), expected, "{text}");
        }
    }
}
