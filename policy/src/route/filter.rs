//! What is done to requests and responses.

use ferrule_cluster::object::route::{Header, HeaderChanges, PathChange, Redirect, Scheme};
use ferrule_proto::{
    http_route::{
        PathModifier, RequestHeaderModifier, RequestRedirect, ResponseHeaderModifier, path_modifier,
    },
    http_types::{self, Headers, headers, scheme},
};

/// Changes of a request's headers.
pub(crate) fn request_headers(changes: &HeaderChanges) -> RequestHeaderModifier {
    RequestHeaderModifier {
        add: Some(headers(&changes.add)),
        set: Some(headers(&changes.set)),
        remove: changes.remove.iter().map(ToString::to_string).collect(),
    }
}

/// Changes of a response's headers.
pub(crate) fn response_headers(changes: &HeaderChanges) -> ResponseHeaderModifier {
    ResponseHeaderModifier {
        add: Some(headers(&changes.add)),
        set: Some(headers(&changes.set)),
        remove: changes.remove.iter().map(ToString::to_string).collect(),
    }
}

/// A redirect.
pub(crate) fn redirect(redirect: &Redirect) -> RequestRedirect {
    let scheme = redirect.scheme.map(|scheme| match scheme {
        Scheme::Http => scheme::Registered::Http,
        Scheme::Https => scheme::Registered::Https,
    });
    let path = redirect.path.as_ref().map(|path| match path {
        PathChange::Full(path) => path_modifier::Replace::Full(path.to_string()),
        PathChange::Prefix(path) => path_modifier::Replace::Prefix(path.to_string()),
    });
    RequestRedirect {
        scheme: scheme.map(|scheme| http_types::Scheme {
            r#type: Some(scheme::Type::Registered(scheme.into())),
        }),
        host: redirect.host.to_string(),
        path: path.map(|path| PathModifier {
            replace: Some(path),
        }),
        port: redirect.port.into(),
        status: redirect.status.into(),
    }
}

fn headers(pairs: &[Header]) -> Headers {
    let headers = pairs.iter().map(|(name, value)| headers::Header {
        name: name.to_string(),
        value: value.as_bytes().into(),
    });
    Headers {
        headers: headers.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_told_in_order_and_none_as_an_empty_list() {
        let changes = HeaderChanges {
            add: [
                HeaderChanges::header("B", "1").expect("valid"),
                HeaderChanges::header("a", "2").expect("valid"),
            ]
            .into(),
            remove: ["c".into()].into(),
            ..HeaderChanges::default()
        };
        let told = request_headers(&changes);
        let added = told.add.expect("always told").headers;
        let added: Vec<_> = added.iter().map(|header| &*header.name).collect();
        assert_eq!(added, ["b", "a"]);
        assert_eq!(told.set, Some(Headers::default()));
        assert_eq!(told.remove, ["c"]);
        assert_eq!(response_headers(&changes).remove, ["c"]);
    }

    #[test]
    fn a_redirect_says_only_what_it_changes() {
        let told = redirect(&Redirect {
            scheme: Some(Scheme::Http),
            host: "h".into(),
            path: Some(PathChange::prefix("/p").expect("absolute")),
            port: 5555,
            status: 302,
        });
        assert_eq!((&*told.host, told.port, told.status), ("h", 5555, 302));
        let path = told.path.and_then(|path| path.replace);
        assert_eq!(path, Some(path_modifier::Replace::Prefix("/p".into())));
        let told = redirect(&Redirect {
            scheme: None,
            host: "".into(),
            path: None,
            port: 0,
            status: Redirect::DEFAULT_STATUS,
        });
        let expected = RequestRedirect {
            status: 200,
            ..RequestRedirect::default()
        };
        assert_eq!(told, expected);
    }
}
