//! What of a route the rules are about, of every kind alike. It is read from what
//! its kind's own type has read before, so that nothing is of a wrong type here.

use serde::Deserialize;

/// Objects of which any field may be absent.
macro_rules! shapes {
    ($($(#[$doc:meta])* struct $name:ident { $($field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        pub(super) struct $name {
            $(pub(super) $field: Option<$type>),*
        }
    )*};
}

shapes! {
    /// `spec` of a route of any kind.
    struct Spec {
        parent_refs: Vec<ParentRef>,
        rules: Vec<Rule>,
    }

    struct ParentRef {
        group: String,
        kind: String,
        port: i64,
    }

    struct Rule {
        matches: Vec<Match>,
        filters: Vec<Filter>,
        backend_refs: Vec<BackendRef>,
        timeouts: Timeouts,
    }

    /// Of requests, or of calls by gRPC.
    struct Match {
        path: Path,
        headers: Vec<Named>,
        query_params: Vec<Named>,
        method: Method,
    }

    struct Path {
        r#type: String,
        value: String,
    }

    /// A header or query parameter.
    struct Named {
        r#type: String,
        name: String,
        value: String,
    }

    struct Rpc {
        r#type: String,
        service: String,
        method: String,
    }

    struct Filter {
        r#type: String,
        request_header_modifier: Headers,
        response_header_modifier: Headers,
        request_redirect: Redirect,
    }

    struct Headers {
        add: Vec<Named>,
        set: Vec<Named>,
        remove: Vec<String>,
    }

    struct Redirect {
        path: PathChange,
        status_code: i64,
    }

    struct PathChange {
        replace_full_path: String,
        replace_prefix_match: String,
    }

    struct BackendRef {
        group: String,
        kind: String,
        port: i64,
    }

    struct Timeouts {
        request: String,
        backend_request: String,
    }
}

/// The name of an HTTP method, or what is called by gRPC.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Method {
    Http(String),
    Grpc(Rpc),
}
