//! What routes do to requests on the way, in words.

use ferrule_proto::{
    grpc_route::GrpcFailureInjector,
    http_route::{
        HttpFailureInjector, Ratio, RequestHeaderModifier, RequestRedirect, ResponseHeaderModifier,
        path_modifier::Replace,
    },
    http_types::{Headers, scheme},
    inbound, opaque_route, outbound,
};

/// A filter of any kind of route.
pub(super) trait Filter {
    /// None for one that does nothing.
    fn text(&self) -> Option<String>;
}

/// Filters in the order in which they are applied.
pub(super) fn text(filters: &[impl Filter]) -> String {
    let filters = filters
        .iter()
        .map(|filter| filter.text().unwrap_or_else(|| "does nothing".to_owned()));
    filters.collect::<Vec<_>>().join(", then ")
}

/// Each kind of route has a type of its own for its filters, all made of the same
/// few things.
macro_rules! filters {
    ($($module:path { $($kind:ident),* })*) => {$(
        const _: () = {
            use $module::{Filter as Wire, filter::Kind};

            impl Filter for Wire {
                fn text(&self) -> Option<String> {
                    Some(match self.kind.as_ref()? {
                        $(Kind::$kind(filter) => filter.words(),)*
                    })
                }
            }
        };
    )*};
}

filters! {
    inbound::http_route { FailureInjector, RequestHeaderModifier, Redirect }
    inbound::grpc_route { FailureInjector, RequestHeaderModifier }
    outbound::http_route { FailureInjector, RequestHeaderModifier, Redirect, ResponseHeaderModifier }
    outbound::grpc_route { FailureInjector, RequestHeaderModifier }
    outbound::opaque_route { Invalid, Forbidden }
    outbound::tls_route { Invalid, Forbidden }
}

/// What filters are made of.
trait Words {
    fn words(&self) -> String;
}

impl Words for HttpFailureInjector {
    fn words(&self) -> String {
        failure(
            "fails with",
            self.status,
            &self.message,
            self.ratio.as_ref(),
        )
    }
}

impl Words for GrpcFailureInjector {
    fn words(&self) -> String {
        failure(
            "fails with gRPC status",
            self.code,
            &self.message,
            self.ratio.as_ref(),
        )
    }
}

fn failure(fails: &str, status: u32, message: &str, ratio: Option<&Ratio>) -> String {
    let mut text = format!("{fails} {status}");
    if !message.is_empty() {
        text.push_str(&format!(" \"{message}\""));
    }
    if let Some(Ratio {
        numerator,
        denominator,
    }) = ratio
    {
        text.push_str(&format!(", {numerator} of {denominator}"));
    }
    text
}

impl Words for RequestHeaderModifier {
    fn words(&self) -> String {
        headers(
            "request",
            self.add.as_ref(),
            self.set.as_ref(),
            &self.remove,
        )
    }
}

impl Words for ResponseHeaderModifier {
    fn words(&self) -> String {
        headers(
            "response",
            self.add.as_ref(),
            self.set.as_ref(),
            &self.remove,
        )
    }
}

/// `request headers +a: 1 =b: 2 -c`: added, set, removed.
fn headers(of: &str, add: Option<&Headers>, set: Option<&Headers>, remove: &[String]) -> String {
    let mut text = format!("{of} headers");
    for (sign, headers) in [('+', add), ('=', set)] {
        for header in headers.iter().flat_map(|headers| &headers.headers) {
            let value = String::from_utf8_lossy(&header.value);
            text.push_str(&format!(" {sign}{}: {value}", header.name));
        }
    }
    for name in remove {
        text.push_str(&format!(" -{name}"));
    }
    text
}

impl Words for RequestRedirect {
    fn words(&self) -> String {
        let mut text = "redirects".to_owned();
        if self.status != 0 {
            text.push_str(&format!(" with {}", self.status));
        }
        let scheme = self
            .scheme
            .as_ref()
            .and_then(|scheme| scheme.r#type.as_ref());
        if let Some(scheme) = scheme {
            let name = match scheme {
                scheme::Type::Registered(number) => match scheme::Registered::try_from(*number) {
                    Ok(registered) => registered.as_str_name().to_ascii_lowercase(),
                    Err(_) => number.to_string(),
                },
                scheme::Type::Unregistered(name) => name.clone(),
            };
            text.push_str(&format!(" to scheme {name}"));
        }
        if !self.host.is_empty() {
            text.push_str(&format!(" to host {}", self.host));
        }
        if self.port != 0 {
            text.push_str(&format!(" to port {}", self.port));
        }
        match self.path.as_ref().and_then(|path| path.replace.as_ref()) {
            Some(Replace::Full(path)) => text.push_str(&format!(" to path {path}")),
            Some(Replace::Prefix(prefix)) => text.push_str(&format!(" to prefix {prefix}")),
            None => {}
        }
        text
    }
}

impl Words for opaque_route::Invalid {
    fn words(&self) -> String {
        format!("fails: {}", self.message)
    }
}

impl Words for opaque_route::Forbidden {
    fn words(&self) -> String {
        "forbidden".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrule_proto::{
        http_route::PathModifier,
        http_types::{Scheme, headers::Header},
        outbound::{
            grpc_route,
            http_route::{self, filter::Kind},
        },
    };

    #[test]
    fn filters_are_told_in_order() {
        let headers = |name: &str, value: &str| {
            Some(Headers {
                headers: vec![Header {
                    name: name.into(),
                    value: value.into(),
                }],
            })
        };
        let filters = [
            Kind::RequestHeaderModifier(RequestHeaderModifier {
                add: headers("a", "1"),
                set: headers("b", "2"),
                remove: vec!["c".into()],
            }),
            Kind::Redirect(RequestRedirect {
                scheme: Some(Scheme {
                    r#type: Some(scheme::Type::Registered(1)),
                }),
                host: "example.com".into(),
                path: Some(PathModifier {
                    replace: Some(Replace::Prefix("/new".into())),
                }),
                port: 8443,
                status: 302,
            }),
            Kind::FailureInjector(HttpFailureInjector {
                status: 500,
                message: "Service not found web".into(),
                ratio: Some(Ratio {
                    numerator: 1,
                    denominator: 10,
                }),
            }),
        ]
        .map(|kind| http_route::Filter { kind: Some(kind) });
        assert_eq!(
            text(&filters),
            "request headers +a: 1 =b: 2 -c, then redirects with 302 to scheme https to host \
             example.com to port 8443 to prefix /new, then fails with 500 \"Service not found web\", \
             1 of 10"
        );
        assert_eq!(text(&[grpc_route::Filter { kind: None }]), "does nothing");
    }
}
