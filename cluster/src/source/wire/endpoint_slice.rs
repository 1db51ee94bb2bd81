use super::{
    Reader, Watched,
    field::{Field, object_shapes},
    metadata::{Mark, Metadata},
};
use crate::object::{self, AddressType, Kind, Mirror, Name, Object, ObjectKey, SlicePort, Target};
use serde::Deserialize;
use smallvec::SmallVec;
use std::net::IpAddr;

/// `discovery.k8s.io/v1` EndpointSlice.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct EndpointSlice {
    metadata: Field<Metadata>,
    address_type: Field<Box<str>>,
    ports: Field<Vec<Field<Port>>>,
    endpoints: Field<Vec<Field<Endpoint>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Port {
    name: Field<Box<str>>,
    port: Field<u16>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Endpoint {
    addresses: Field<Vec<Field<Box<str>>>>,
    conditions: Field<Conditions>,
    target_ref: Field<TargetRef>,
    hostname: Field<Box<str>>,
    zone: Field<Box<str>>,
    hints: Field<Hints>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Conditions {
    ready: Field<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct TargetRef {
    kind: Field<Box<str>>,
    namespace: Field<Box<str>>,
    name: Field<Box<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Hints {
    for_zones: Field<Vec<Field<Zone>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Zone {
    name: Field<Box<str>>,
}

object_shapes!(
    EndpointSlice,
    Port,
    Endpoint,
    Conditions,
    TargetRef,
    Hints,
    Zone
);

impl Watched for EndpointSlice {
    const KIND: Kind = Kind::EndpointSlice;
    const METADATA_ONLY: bool = false;

    fn metadata(&mut self) -> &mut Field<Metadata> {
        &mut self.metadata
    }

    fn into_object(
        self,
        mut metadata: Metadata,
        key: &ObjectKey,
        reader: &mut Reader<'_>,
    ) -> Object {
        let label = metadata.label_name(Mark::ServiceName, reader);
        let address_type = address_type(self.address_type, reader);
        Object::EndpointSlice(object::EndpointSlice {
            service: label.or_else(|| owning_service(&mut metadata, reader)),
            address_type,
            ports: ports(self.ports, reader),
            endpoints: reader
                .elements(self.endpoints, "endpoints")
                .into_iter()
                .flat_map(|endpoint| read_endpoint(endpoint, address_type, key, reader))
                .collect(),
            resource_version: reader.resource_version,
            mirror: mirror(&mut metadata, reader),
        })
    }
}

fn owning_service(metadata: &mut Metadata, reader: &mut Reader<'_>) -> Option<Name> {
    metadata
        .owners(reader)
        .into_iter()
        .find(|owner| *owner.kind == *"Service")
        .map(|owner| owner.name)
}

fn address_type(field: Field<Box<str>>, reader: &mut Reader<'_>) -> AddressType {
    let text = reader.text(field, "addressType");
    match &*text {
        "IPv4" => AddressType::V4,
        "IPv6" => AddressType::V6,
        "FQDN" => AddressType::Fqdn,
        _ => {
            reader
                .problems
                .push(format!("addressType: {text:?} is not IPv4, IPv6 or FQDN"));
            AddressType::Fqdn
        }
    }
}

fn ports(
    field: Field<Vec<Field<Port>>>,
    reader: &mut Reader<'_>,
) -> Option<std::sync::Arc<[SlicePort]>> {
    let ports = field.read("ports", &mut reader.problems)?;
    let ports = reader
        .elements(Field::Is(ports), "ports")
        .into_iter()
        .filter_map(|port| {
            // Null means all ports; a number that is none means nothing.
            let is_null = !port.port.is_present();
            let number = port.port.read("ports[].port", &mut reader.problems);
            (is_null || number.is_some()).then(|| SlicePort {
                name: reader.name(port.name, "ports[].name"),
                port: number,
            })
        })
        .collect();
    Some(ports)
}

fn read_endpoint(
    endpoint: Endpoint,
    address_type: AddressType,
    slice: &ObjectKey,
    reader: &mut Reader<'_>,
) -> SmallVec<[object::Endpoint; 1]> {
    let mut addresses = addresses(endpoint.addresses, address_type, reader);
    let target = target(endpoint.target_ref, slice, reader);
    if target != Target::Address {
        // The last one of an object's counts.
        addresses.drain(..addresses.len().saturating_sub(1));
    }
    let Some(&address) = addresses.first() else {
        return SmallVec::new();
    };
    let conditions = reader.part(endpoint.conditions, "endpoints[].conditions");
    let hints = reader.part(endpoint.hints, "endpoints[].hints");
    let first = object::Endpoint {
        address,
        ready: reader
            .flag(conditions.ready, "endpoints[].conditions.ready")
            .unwrap_or(true),
        target,
        hostname: reader.some_name(endpoint.hostname, "endpoints[].hostname"),
        zone: reader.some_name(endpoint.zone, "endpoints[].zone"),
        zone_hints: reader
            .elements(hints.for_zones, "endpoints[].hints.forZones")
            .into_iter()
            .filter_map(|zone| reader.some_name(zone.name, "endpoints[].hints.forZones[].name"))
            .collect(),
    };
    let others = addresses
        .into_iter()
        .skip(1)
        .map(|address| object::Endpoint {
            address,
            ..first.clone()
        });
    let others: SmallVec<[_; 1]> = others.collect();
    std::iter::once(first).chain(others).collect()
}

/// The addresses of the slice's family; others are problems, names are not read.
fn addresses(
    field: Field<Vec<Field<Box<str>>>>,
    address_type: AddressType,
    reader: &mut Reader<'_>,
) -> SmallVec<[IpAddr; 1]> {
    const PATH: &str = "endpoints[].addresses";
    let texts = reader.elements(field, PATH);
    let family = match address_type {
        AddressType::V4 => IpAddr::is_ipv4,
        AddressType::V6 => IpAddr::is_ipv6,
        AddressType::Fqdn => return SmallVec::new(),
    };
    let mut addresses = SmallVec::new();
    for text in texts {
        match reader.address(&text, PATH) {
            Some(address) if family(&address) => addresses.push(address),
            Some(address) => reader.problems.push(format!(
                "{PATH}: {address} is not of the slice's addressType"
            )),
            None => {}
        }
    }
    addresses
}

fn target(field: Field<TargetRef>, slice: &ObjectKey, reader: &mut Reader<'_>) -> Target {
    const PATH: &str = "endpoints[].targetRef";
    if !field.is_present() {
        return Target::Address;
    }
    // One that cannot be read is not an address of its own: it has an owner.
    let Some(target) = field.read(PATH, &mut reader.problems) else {
        return Target::Unsupported;
    };
    let kind = reader.text(target.kind, format_args!("{PATH}.kind"));
    let namespace = reader.some_name(target.namespace, format_args!("{PATH}.namespace"));
    let name = reader.some_name(target.name, format_args!("{PATH}.name"));
    match (&*kind, name) {
        ("Pod", Some(name)) => Target::Pod(ObjectKey {
            namespace: namespace.unwrap_or_else(|| slice.namespace.clone()),
            name,
        }),
        // Whatever namespace it says (destination.md section 5.2).
        ("ExternalWorkload", Some(name)) => Target::ExternalWorkload(ObjectKey {
            namespace: slice.namespace.clone(),
            name,
        }),
        _ => Target::Unsupported,
    }
}

fn mirror(metadata: &mut Metadata, reader: &mut Reader<'_>) -> Option<Box<Mirror>> {
    let mut annotation = |mark| {
        let text = metadata
            .annotation(mark, reader)
            .filter(|text| !text.is_empty())?;
        Some(reader.interner.name(&text))
    };
    let mirror = Mirror {
        gateway_identity: annotation(Mark::GatewayIdentity),
        remote_name: annotation(Mark::RemoteName),
        cluster: metadata.label_name(Mark::MirrorCluster, reader),
    };
    (mirror != Mirror::default()).then(|| Box::new(mirror))
}
