use super::{
    super::field::{Field, Shape, object_shapes},
    SpecReader,
};
use crate::object::{
    Name,
    route::{GrpcMatch, HttpMatch, Method, NamedMatch, PathMatch, RouteMatchError},
};
use serde::{Deserialize, de::MapAccess};

/// `matches[]` of an HTTPRoute or GRPCRoute.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct WireMatch {
    path: Field<WirePath>,
    headers: Field<Vec<Field<WireNamed>>>,
    query_params: Field<Vec<Field<WireNamed>>>,
    method: Field<WireMethod>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct WirePath {
    r#type: Field<Box<str>>,
    value: Field<Box<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct WireNamed {
    r#type: Field<Box<str>>,
    name: Field<Box<str>>,
    value: Field<Box<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct WireRpc {
    r#type: Field<Box<str>>,
    service: Field<Box<str>>,
    method: Field<Box<str>>,
}

object_shapes!(WireMatch, WirePath, WireNamed, WireRpc);

/// `method`: the name of one, or what is called by gRPC.
#[derive(Clone, Debug)]
enum WireMethod {
    Http(Box<str>),
    Grpc(WireRpc),
}

impl Shape for WireMethod {
    const EXPECTED: &'static str = "a method";

    fn from_text(text: &str) -> Option<Self> {
        Some(Self::Http(text.into()))
    }

    fn from_object<'de, A: MapAccess<'de>>(object: A) -> Result<Option<Self>, A::Error> {
        Ok(WireRpc::from_object(object)?.map(Self::Grpc))
    }
}

/// How a header or query parameter is made of its type, name and value.
type NewMatch = fn(Option<&str>, &str, &str) -> Result<NamedMatch, RouteMatchError>;

impl WireMatch {
    pub(super) fn http(self, reader: &mut SpecReader<'_, '_>, path: &str) -> Option<HttpMatch> {
        let headers = reader.named(self.headers, &format!("{path}.headers"), NamedMatch::header);
        let query = format!("{path}.queryParams");
        let query = reader.named(self.query_params, &query, NamedMatch::query);
        let method_path = format!("{path}.method");
        let method = self.method.read(&method_path, &mut reader.reader.problems);
        let method = match method {
            None => None,
            Some(WireMethod::Grpc(_)) => {
                reader.wrong(format!("{method_path}: expected a name such as GET"));
                None
            }
            Some(WireMethod::Http(name)) => {
                let method = Method::parse(&name);
                let method = method.ok_or_else(|| format!("{name:?} is no method such as GET"));
                reader.valid(&method_path, method)
            }
        };
        let path_path = format!("{path}.path");
        let wire = self.path.read(&path_path, &mut reader.reader.problems);
        Some(HttpMatch {
            path: match wire {
                None => None,
                Some(wire) => {
                    let kind = reader.some_text(wire.r#type, &path_path, "type");
                    let value = reader.some_text(wire.value, &path_path, "value");
                    let new = PathMatch::new(kind.as_deref(), value.as_deref());
                    Some(reader.valid(&path_path, new)?)
                }
            },
            headers,
            query,
            method,
        })
    }

    pub(super) fn grpc(self, reader: &mut SpecReader<'_, '_>, path: &str) -> Option<GrpcMatch> {
        let headers = reader.named(self.headers, &format!("{path}.headers"), NamedMatch::header);
        let path = format!("{path}.method");
        let method = self.method.read(&path, &mut reader.reader.problems);
        let rpc: Option<(Name, Name)> = match method {
            None => None,
            Some(WireMethod::Http(_)) => {
                reader.wrong(format!(
                    "{path}: expected an object with service and method"
                ));
                None
            }
            Some(WireMethod::Grpc(rpc)) => {
                let kind = reader.some_text(rpc.r#type, &path, "type");
                let service = reader.some_text(rpc.service, &path, "service");
                let method = reader.some_text(rpc.method, &path, "method");
                let new = GrpcMatch::rpc(
                    kind.as_deref(),
                    &service.unwrap_or_default(),
                    &method.unwrap_or_default(),
                );
                Some(reader.valid(&path, new)?)
            }
        };
        Some(GrpcMatch { rpc, headers })
    }
}

impl SpecReader<'_, '_> {
    fn named(
        &mut self,
        list: Field<Vec<Field<WireNamed>>>,
        path: &str,
        new: NewMatch,
    ) -> Box<[NamedMatch]> {
        let list = self.reader.elements(list, path).into_iter().enumerate();
        let matches = list.filter_map(|(index, wire)| {
            let path = format!("{path}[{index}]");
            let kind = self.some_text(wire.r#type, &path, "type");
            let name = self.required_text(wire.name, &path, "name")?;
            let value = self.required_text(wire.value, &path, "value")?;
            self.valid(&path, new(kind.as_deref(), &name, &value))
        });
        matches.collect()
    }
}
