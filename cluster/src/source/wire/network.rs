//! Networks that clients come from.

use super::{
    Reader,
    field::{Field, object_shapes},
};
use crate::object::{self, Network, parse_net};
use ipnet::IpNet;
use serde::Deserialize;

/// A network with exceptions.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Cidr {
    cidr: Field<Box<str>>,
    except: Field<Vec<Field<Box<str>>>>,
}

object_shapes!(Cidr);

impl Cidr {
    /// The network, unless any part of it cannot be read: without an exception it
    /// would let in more than its author wanted.
    fn read(self, path: &str, reader: &mut Reader<'_>) -> Option<Network> {
        let known = reader.problems.len();
        let cidr = reader.text(self.cidr, format_args!("{path}[].cidr"));
        let cidr = net(&cidr, format_args!("{path}[].cidr"), reader);
        let path = format!("{path}[].except");
        let except = self
            .except
            .read(&path, &mut reader.problems)
            .unwrap_or_default();
        let except: Box<[_]> = except
            .into_iter()
            .filter_map(|text| {
                let text = reader.text(text, &path);
                net(&text, &path, reader)
            })
            .collect();
        (reader.problems.len() == known).then_some(Network {
            cidr: cidr?,
            except,
        })
    }
}

/// The readable networks; `None` where nothing is said. Not the same as a list
/// of which nothing can be read.
pub(super) fn networks(
    field: Field<Vec<Field<Cidr>>>,
    path: &str,
    reader: &mut Reader<'_>,
) -> Option<Box<[object::Network]>> {
    match &field {
        Field::Absent => return None,
        Field::Is(list) if list.is_empty() => return None,
        _ => {}
    }
    let readable = reader.elements(field, path).into_iter();
    let networks = readable.filter_map(|cidr| cidr.read(path, reader));
    Some(networks.collect())
}

/// A network, or an address, which is a network of one.
fn net(text: &str, path: impl std::fmt::Display, reader: &mut Reader<'_>) -> Option<IpNet> {
    let net = parse_net(text);
    if let Err(error) = &net {
        reader.problems.push(format!("{path}: {error}"));
    }
    net.ok()
}
