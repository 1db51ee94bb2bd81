use super::{
    super::field::{Field, Shape, object_shapes},
    SpecReader,
};
use crate::object::{
    Name,
    route::{
        Filter, Header, HeaderChanges, PathChange, PathChangeError, Redirect, RouteKind, Scheme,
    },
};
use serde::{
    Deserialize,
    de::{IgnoredAny, MapAccess},
};

/// `filters[]`. The bodies say what it is; `type` is not asked (policy.md section
/// 2.9).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct WireFilter {
    r#type: Field<Box<str>>,
    request_header_modifier: Field<WireHeaders>,
    response_header_modifier: Field<WireHeaders>,
    request_redirect: Field<WireRedirect>,
    request_mirror: Field<Body>,
    url_rewrite: Field<Body>,
    extension_ref: Field<Body>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct WireHeaders {
    add: Field<Vec<Field<WireHeader>>>,
    set: Field<Vec<Field<WireHeader>>>,
    remove: Field<Vec<Field<Box<str>>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct WireHeader {
    name: Field<Box<str>>,
    value: Field<Box<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireRedirect {
    scheme: Field<Box<str>>,
    hostname: Field<Box<str>>,
    path: Field<WirePath>,
    port: Field<Number>,
    status_code: Field<Number>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WirePath {
    replace_full_path: Field<Box<str>>,
    replace_prefix_match: Field<Box<str>>,
}

object_shapes!(WireFilter, WireHeaders, WireHeader, WireRedirect, WirePath);

/// What a filter does that no proxy can do.
#[derive(Clone, Debug)]
struct Body;

impl Shape for Body {
    const EXPECTED: &'static str = "an object";

    fn from_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Option<Self>, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Some(Self))
    }
}

#[derive(Clone, Copy, Debug)]
struct Number(i64);

impl Shape for Number {
    const EXPECTED: &'static str = "a number";

    fn from_integer(number: i64) -> Option<Self> {
        Some(Self(number))
    }
}

/// What of a filter no proxy can do, by name.
struct Unsupported(Name);

impl SpecReader<'_, '_> {
    /// The filters of a rule: with one that proxies cannot do none of the route
    /// can be told.
    pub(super) fn rule_filters(
        &mut self,
        list: Field<Vec<Field<WireFilter>>>,
        path: &str,
    ) -> Box<[Filter]> {
        match self.filters(list, path) {
            Ok(filters) => filters,
            Err(Unsupported(filter)) => {
                self.wrong(format!(
                    "{path}: {filter} is not supported; expected RequestHeaderModifier, \
                     ResponseHeaderModifier or RequestRedirect; the route is ignored"
                ));
                Box::default()
            }
        }
    }

    /// The filters of a backend: with one that proxies cannot do nothing goes
    /// there.
    pub(super) fn backend_filters(
        &mut self,
        list: Field<Vec<Field<WireFilter>>>,
        path: &str,
    ) -> Result<Box<[Filter]>, Name> {
        self.filters(list, path).map_err(|Unsupported(filter)| {
            self.flaws.push(format!(
                "{path}: {filter} is not supported; requests that would go to this backend fail"
            ));
            filter
        })
    }

    fn filters(
        &mut self,
        list: Field<Vec<Field<WireFilter>>>,
        path: &str,
    ) -> Result<Box<[Filter]>, Unsupported> {
        let list = self.reader.elements(list, path).into_iter().enumerate();
        let filters = list.filter_map(|(index, wire)| {
            let path = format!("{path}[{index}]");
            self.filter(wire, &path).transpose()
        });
        filters.collect()
    }

    fn filter(&mut self, wire: WireFilter, path: &str) -> Result<Option<Filter>, Unsupported> {
        let WireFilter {
            r#type,
            request_header_modifier: request,
            response_header_modifier: response,
            request_redirect: redirect,
            ..
        } = wire;
        if request.is_present() {
            let path = format!("{path}.requestHeaderModifier");
            return Ok(self.headers(request, &path).map(Filter::RequestHeaders));
        }
        if response.is_present() {
            let path = format!("{path}.responseHeaderModifier");
            return Ok(self.headers(response, &path).map(Filter::ResponseHeaders));
        }
        if redirect.is_present() && self.kind != RouteKind::Grpc {
            let path = format!("{path}.requestRedirect");
            return Ok(self.redirect(redirect, &path).map(Filter::Redirect));
        }
        let bodies = [
            ("RequestMirror", wire.request_mirror.is_present()),
            ("URLRewrite", wire.url_rewrite.is_present()),
            ("ExtensionRef", wire.extension_ref.is_present()),
        ];
        let body = bodies.into_iter().find(|(_, is_present)| *is_present);
        Err(Unsupported(match body {
            Some((name, _)) => name.into(),
            None => {
                let name = self.some_text(r#type, path, "type").unwrap_or_default();
                if name.is_empty() {
                    "a filter without a body".into()
                } else {
                    (*name).into()
                }
            }
        }))
    }

    fn headers(&mut self, field: Field<WireHeaders>, path: &str) -> Option<HeaderChanges> {
        let wire = field.read(path, &mut self.reader.problems)?;
        let remove = format!("{path}.remove");
        let removed = self.reader.elements(wire.remove, &remove).into_iter();
        let removed = removed.filter_map(|name| self.valid(&remove, HeaderChanges::name(&name)));
        let remove = removed.collect();
        Some(HeaderChanges {
            add: self.values(wire.add, &format!("{path}.add")),
            set: self.values(wire.set, &format!("{path}.set")),
            remove,
        })
    }

    fn values(&mut self, list: Field<Vec<Field<WireHeader>>>, path: &str) -> Box<[Header]> {
        let list = self.reader.elements(list, path).into_iter().enumerate();
        let headers = list.filter_map(|(index, wire)| {
            let path = format!("{path}[{index}]");
            let name = self.required_text(wire.name, &path, "name")?;
            let value = self.required_text(wire.value, &path, "value")?;
            self.valid(&path, HeaderChanges::header(&name, &value))
        });
        headers.collect()
    }

    fn redirect(&mut self, field: Field<WireRedirect>, path: &str) -> Option<Redirect> {
        let wire = field.read(path, &mut self.reader.problems)?;
        let scheme = self.some_text(wire.scheme, path, "scheme");
        let scheme = scheme.and_then(|text| {
            let scheme = Scheme::parse(&text);
            let scheme = scheme.ok_or_else(|| format!("{text:?} is neither http nor https"));
            self.valid(&format!("{path}.scheme"), scheme)
        });
        let host = self.some_text(wire.hostname, path, "hostname");
        let host = host.filter(|text| !text.is_empty()).and_then(|text| {
            let host = Redirect::host(&text).ok_or_else(|| format!("{text:?} is no host"));
            self.valid(&format!("{path}.hostname"), host)
        });
        let port = wire
            .port
            .read(format_args!("{path}.port"), &mut self.reader.problems);
        let status_path = format!("{path}.statusCode");
        let status = wire
            .status_code
            .read(&status_path, &mut self.reader.problems);
        let status = match status {
            None => Redirect::DEFAULT_STATUS,
            Some(Number(code)) => {
                let status = Redirect::status(code);
                let status = status.ok_or_else(|| format!("{code} is no status (100-999)"));
                self.valid(&status_path, status)?
            }
        };
        let change = wire
            .path
            .read(format_args!("{path}.path"), &mut self.reader.problems);
        Some(Redirect {
            scheme,
            host: host.unwrap_or_default(),
            path: match change {
                None => None,
                Some(change) => Some(self.path_change(change, &format!("{path}.path"))?),
            },
            port: port
                .and_then(|Number(port)| port.try_into().ok())
                .unwrap_or_default(),
            status,
        })
    }

    fn path_change(&mut self, wire: WirePath, path: &str) -> Option<PathChange> {
        let full = self.some_text(wire.replace_full_path, path, "replaceFullPath");
        let prefix = self.some_text(wire.replace_prefix_match, path, "replacePrefixMatch");
        let change = match (full, prefix) {
            (Some(full), _) => PathChange::full(&full),
            (None, Some(prefix)) => PathChange::prefix(&prefix),
            (None, None) => Err(PathChangeError::Missing),
        };
        self.valid(path, change)
    }
}
