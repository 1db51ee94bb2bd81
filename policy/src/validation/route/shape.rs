//! What of a route the rules are about, and no more: other fields may hold anything.
//! Of these, one that holds something else than is known here makes the spec one that
//! cannot be read.

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny},
};

pub(super) type HttpSpec = Spec<Rule<HttpMatch>>;
pub(super) type GrpcSpec = Spec<Rule<GrpcMatch>>;
pub(super) type ConnectionSpec = Spec<ConnectionRule>;

/// `spec` of a route.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec<R> {
    parent_refs: Option<Vec<ParentRef>>,
    pub(super) rules: Option<Vec<R>>,
}

impl<R> Spec<R> {
    pub(super) fn parents(&self) -> &[ParentRef] {
        self.parent_refs.as_deref().unwrap_or_default()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct ParentRef {
    pub(super) group: Option<String>,
    pub(super) kind: Option<String>,
    #[expect(dead_code, reason = "one without it is no reference")]
    name: String,
    pub(super) port: Option<i64>,
}

/// A rule for requests, or for calls by gRPC.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rule<M> {
    pub(super) matches: Option<Vec<M>>,
    pub(super) filters: Option<Vec<Filter>>,
    pub(super) backend_refs: Option<Vec<BackendRef>>,
    pub(super) timeouts: Option<Timeouts>,
}

/// A rule for connections.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConnectionRule {
    #[expect(dead_code, reason = "without them it is no rule")]
    backend_refs: Vec<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HttpMatch {
    pub(super) path: Option<Path>,
    pub(super) headers: Option<Vec<NamedMatch>>,
    pub(super) query_params: Option<Vec<NamedMatch>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct GrpcMatch {
    pub(super) headers: Option<Vec<NamedMatch>>,
    pub(super) method: Option<Rpc>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Path {
    #[serde(default, deserialize_with = "path_type")]
    pub(super) r#type: Option<String>,
    pub(super) value: Option<String>,
}

/// Of a header or query parameter.
#[derive(Debug, Deserialize)]
pub(super) struct NamedMatch {
    #[serde(default, deserialize_with = "value_type")]
    pub(super) r#type: Option<String>,
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Rpc {
    #[serde(default, deserialize_with = "value_type")]
    pub(super) r#type: Option<String>,
    pub(super) service: Option<String>,
    pub(super) method: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Filter {
    #[serde(deserialize_with = "filter_type")]
    pub(super) r#type: String,
    pub(super) request_header_modifier: Option<Headers>,
    pub(super) response_header_modifier: Option<Headers>,
    pub(super) request_redirect: Option<Redirect>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Headers {
    pub(super) add: Option<Vec<Header>>,
    pub(super) set: Option<Vec<Header>>,
    pub(super) remove: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Redirect {
    pub(super) path: Option<PathChange>,
    pub(super) status_code: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PathChange {
    pub(super) replace_full_path: Option<String>,
    pub(super) replace_prefix_match: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct BackendRef {
    pub(super) group: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) port: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Timeouts {
    pub(super) request: Option<String>,
    pub(super) backend_request: Option<String>,
}

fn path_type<'de, D: Deserializer<'de>>(field: D) -> Result<Option<String>, D::Error> {
    word(field, &["Exact", "PathPrefix", "RegularExpression"]).map(Some)
}

fn value_type<'de, D: Deserializer<'de>>(field: D) -> Result<Option<String>, D::Error> {
    word(field, &["Exact", "RegularExpression"]).map(Some)
}

/// All that any kind of route has: those that proxies cannot do are known, too.
fn filter_type<'de, D: Deserializer<'de>>(field: D) -> Result<String, D::Error> {
    const ALL: &[&str] = &[
        "RequestHeaderModifier",
        "ResponseHeaderModifier",
        "RequestMirror",
        "RequestRedirect",
        "URLRewrite",
        "ExtensionRef",
        "CORS",
        "ExternalAuth",
    ];
    word(field, ALL)
}

/// One of these words. A further one is of a version that is not known here.
fn word<'de, D: Deserializer<'de>>(
    field: D,
    words: &'static [&'static str],
) -> Result<String, D::Error> {
    let word = String::deserialize(field)?;
    if words.contains(&&*word) {
        Ok(word)
    } else {
        Err(D::Error::unknown_variant(&word, words))
    }
}
