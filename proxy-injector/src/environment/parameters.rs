//! Parameters of the proxy's servers and clients, which the values name by path:
//! `proxy.inbound.server.http2.keepAliveInterval` is
//! `LINKERD2_PROXY_INBOUND_SERVER_HTTP2_KEEP_ALIVE_INTERVAL`.

use super::Variables;
use crate::values::Proxy;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

pub(super) fn variables(to: &mut Variables, proxy: &Proxy) {
    for (direction, scopes) in [("INBOUND", &proxy.inbound), ("OUTBOUND", &proxy.outbound)] {
        for (scope, protocols) in sections(scopes) {
            for (protocol, parameters) in sections(protocols) {
                for (parameter, value) in sorted(parameters) {
                    let name = [scope, protocol, parameter].map(upper_snake).join("_");
                    if let Some(text) = text(value) {
                        to.set(&format!("LINKERD2_PROXY_{direction}_{name}"), text);
                    }
                }
            }
        }
    }
}

fn sections(map: &Map<String, Value>) -> impl Iterator<Item = (&str, &Map<String, Value>)> {
    sorted(map).filter_map(|(key, value)| Some((key, value.as_object()?)))
}

/// By key, whether or not serde_json keeps the order of the document.
fn sorted(map: &Map<String, Value>) -> impl Iterator<Item = (&str, &Value)> {
    let sorted: BTreeMap<_, _> = map.iter().map(|(key, value)| (&**key, value)).collect();
    sorted.into_iter()
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// `keepAliveInterval` to `KEEP_ALIVE_INTERVAL`.
fn upper_snake(key: &str) -> String {
    let mut name = String::with_capacity(key.len() + 4);
    for c in key.chars() {
        if c.is_ascii_uppercase() && !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
        name.push(match c {
            '-' => '_',
            c => c.to_ascii_uppercase(),
        });
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_names_of_variables() {
        for (key, expected) in [
            ("server", "SERVER"),
            ("http2", "HTTP2"),
            ("maxConcurrentStreams", "MAX_CONCURRENT_STREAMS"),
            ("max-frame_size", "MAX_FRAME_SIZE"),
        ] {
            assert_eq!(upper_snake(key), expected);
        }
    }
}
