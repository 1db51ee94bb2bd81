//! Messages of the API for programs.

use ferrule_proto::{FILE_DESCRIPTOR_SET, net};
use prost::{Message, Name};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage, Value as Wire,
};
use serde_json::{Map, Value, json};
use std::{
    net::{IpAddr, SocketAddr},
    sync::LazyLock,
};

static DESCRIPTORS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("generated with the messages")
});

/// All that a message says, under the names that JSON has for its fields
/// (`httpRoutes`). What is unset is left out, empty lists are not: without
/// authorizations nobody is let in. Addresses, networks and durations are text
/// ("10.0.0.1", "10.0.0.0/8", "10s").
pub(crate) fn json<M: Message + Name>(message: &M) -> Value {
    let descriptor = DESCRIPTORS
        .get_message_by_name(&M::full_name())
        .expect("every generated message is described");
    let mut described = DynamicMessage::new(descriptor);
    described
        .transcode_from(message)
        .expect("both are the same message");
    object(&described)
}

fn object(message: &DynamicMessage) -> Value {
    let fields = message.descriptor();
    let fields = fields.fields().filter(|field| {
        // Fields that know no absence are told with the value that stands for it.
        message.has_field(field) || !field.supports_presence()
    });
    let told = fields.map(|field| {
        let value = value(&field, &message.get_field(&field));
        (field.json_name().to_owned(), value)
    });
    Value::Object(told.collect())
}

fn value(field: &FieldDescriptor, wire: &Wire) -> Value {
    match wire {
        Wire::Bool(value) => json!(value),
        Wire::I32(value) => json!(value),
        Wire::I64(value) => json!(value),
        Wire::U32(value) => json!(value),
        Wire::U64(value) => json!(value),
        // As it was meant: 0.2, not the nearest f32 to it.
        Wire::F32(value) => json!(value.to_string().parse::<f64>().unwrap_or_default()),
        Wire::F64(value) => json!(value),
        Wire::String(value) => json!(value),
        Wire::Bytes(value) => match std::str::from_utf8(value) {
            Ok(text) => json!(text),
            Err(_) => json!(value.to_vec()),
        },
        Wire::EnumNumber(number) => match field.kind() {
            Kind::Enum(kind) => kind
                .get_value(*number)
                .map_or(json!(number), |value| json!(value.name())),
            _ => json!(number),
        },
        Wire::Message(message) => text(message).map_or_else(|| object(message), Value::String),
        Wire::List(list) => list.iter().map(|item| value(field, item)).collect(),
        Wire::Map(map) => {
            let entries = map
                .iter()
                .map(|(key, item)| (key_text(key), value(field, item)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
    }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

/// Messages that people write as text. None for those that hold nothing which
/// can be written so.
fn text(message: &DynamicMessage) -> Option<String> {
    match message.descriptor().full_name() {
        "google.protobuf.Duration" => {
            let duration: prost_types::Duration = message.transcode_to().ok()?;
            Some(duration.to_string())
        }
        "io.linkerd.proxy.net.IPAddress" => {
            let ip: net::IpAddress = message.transcode_to().ok()?;
            Some(IpAddr::try_from(ip).ok()?.to_string())
        }
        "io.linkerd.proxy.net.TcpAddress" => {
            let addr: net::TcpAddress = message.transcode_to().ok()?;
            Some(SocketAddr::try_from(addr).ok()?.to_string())
        }
        "io.linkerd.proxy.net.IPNetwork" => network(&message.transcode_to().ok()?),
        _ => None,
    }
}

/// `10.0.0.0/8`; none without an address.
pub(crate) fn network(network: &net::IpNetwork) -> Option<String> {
    let ip = IpAddr::try_from(network.ip?).ok()?;
    Some(format!("{ip}/{}", network.prefix_len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrule_proto::{
        destination::WeightedAddr,
        http_types::{Headers, HttpMethod, headers::Header, http_method},
        inbound::{Authz, Network, ProxyProtocol, Server, proxy_protocol},
        outbound::ExponentialBackoff,
    };
    use std::collections::BTreeMap;

    #[test]
    fn lists_are_told_when_empty_and_what_is_unset_is_not() {
        let json = json(&Server::default());
        assert_eq!(
            json,
            json!({"serverIps": [], "authorizations": [], "labels": {}})
        );
    }

    #[test]
    fn addresses_networks_and_durations_are_text() {
        let server = Server {
            protocol: Some(ProxyProtocol {
                kind: Some(proxy_protocol::Kind::Detect(proxy_protocol::Detect {
                    timeout: Some(prost_types::Duration {
                        seconds: 10,
                        nanos: 0,
                    }),
                    ..proxy_protocol::Detect::default()
                })),
            }),
            server_ips: vec![
                IpAddr::from([10, 0, 0, 1]).into(),
                net::IpAddress { ip: None },
            ],
            authorizations: vec![Authz {
                networks: vec![Network {
                    net: Some(net::IpNetwork {
                        ip: Some(IpAddr::from([0, 0, 0, 0]).into()),
                        prefix_len: 0,
                    }),
                    except: vec![net::IpNetwork {
                        ip: Some("fd00::".parse::<IpAddr>().unwrap().into()),
                        prefix_len: 8,
                    }],
                }],
                ..Authz::default()
            }],
            labels: BTreeMap::from([("name".into(), "deny".into())]),
        };
        let json = json(&server);
        assert_eq!(json["protocol"]["detect"]["timeout"], "10s");
        assert_eq!(json["serverIps"], json!(["10.0.0.1", {}]));
        assert_eq!(
            json["authorizations"][0]["networks"],
            json!([{"net": "0.0.0.0/0", "except": ["fd00::/8"]}])
        );
        assert_eq!(json["labels"], json!({"name": "deny"}));
        let endpoint = WeightedAddr {
            addr: Some(SocketAddr::from(([10, 0, 0, 1], 80)).into()),
            ..WeightedAddr::default()
        };
        assert_eq!(super::json(&endpoint)["addr"], "10.0.0.1:80");
    }

    #[test]
    fn numbers_names_and_bytes_are_what_they_were_meant_to_be() {
        let backoff = ExponentialBackoff {
            jitter_ratio: 0.2,
            ..ExponentialBackoff::default()
        };
        assert_eq!(
            json(&backoff),
            json!({"jitterRatio": 0.2, "respectRetryAfterHint": false})
        );
        let method = HttpMethod {
            r#type: Some(http_method::Type::Registered(3)),
        };
        assert_eq!(json(&method), json!({"registered": "DELETE"}));
        let header = |value: &[u8]| Header {
            name: "x".into(),
            value: value.to_vec(),
        };
        let headers = Headers {
            headers: vec![header(b"a"), header(&[0xff])],
        };
        assert_eq!(
            json(&headers)["headers"],
            json!([{"name": "x", "value": "a"}, {"name": "x", "value": [255]}])
        );
    }
}
