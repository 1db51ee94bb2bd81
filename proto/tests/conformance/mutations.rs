//! Shows that the comparison can fail: each kind of change is made to our
//! descriptors and must be reported.

use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

use crate::{facts::Facts, our_descriptors};

/// A change to a set of descriptors, and what must be reported as different.
type Mutation = (fn(&mut FileDescriptorSet), &'static [&'static str]);

const MUTATIONS: &[Mutation] = &[
    (
        |set| field(message(set, "net.TcpAddress"), "port").number = Some(3),
        &["field io.linkerd.proxy.net.TcpAddress.port"],
    ),
    (
        |set| field(message(set, "net.TcpAddress"), "port").set_type(Type::Fixed32),
        &["field io.linkerd.proxy.net.TcpAddress.port"],
    ),
    (
        |set| {
            let field = field(message(set, "destination.WeightedAddr"), "addr");
            field.type_name = Some(".io.linkerd.proxy.net.IPAddress".to_owned());
        },
        &["field io.linkerd.proxy.destination.WeightedAddr.addr"],
    ),
    (
        |set| field(message(set, "destination.AddrSet"), "addrs").set_label(Label::Optional),
        &["field io.linkerd.proxy.destination.AddrSet.addrs"],
    ),
    (
        |set| field(message(set, "meta.Metadata"), "default").oneof_index = None,
        &["field io.linkerd.proxy.meta.Metadata.default"],
    ),
    (
        |set| message(set, "meta.Metadata").oneof_decl[0].name = Some("sort".to_owned()),
        &[
            "field io.linkerd.proxy.meta.Metadata.default",
            "field io.linkerd.proxy.meta.Metadata.resource",
        ],
    ),
    (
        |set| field(message(set, "outbound.HttpRoute.Rule"), "requestTimeout").options = None,
        &["field io.linkerd.proxy.outbound.HttpRoute.Rule.requestTimeout"],
    ),
    (
        |set| message(set, "net.IPNetwork").field.truncate(1),
        &["field io.linkerd.proxy.net.IPNetwork.prefix_len"],
    ),
    (
        |set| message(set, "inbound.Server.LabelsEntry").options = None,
        &["message io.linkerd.proxy.inbound.Server.LabelsEntry"],
    ),
    (
        |set| {
            message(set, "destination.TlsIdentity")
                .reserved_name
                .clear();
        },
        &["message io.linkerd.proxy.destination.TlsIdentity"],
    ),
    (
        |set| message(set, "outbound.TlsRoute").reserved_range.clear(),
        &["message io.linkerd.proxy.outbound.TlsRoute"],
    ),
    (
        |set| {
            message(set, "destination.ProtocolHint")
                .nested_type
                .truncate(2);
        },
        &[
            "field io.linkerd.proxy.destination.ProtocolHint.OpaqueTransport.inbound_port",
            "message io.linkerd.proxy.destination.ProtocolHint.OpaqueTransport",
        ],
    ),
    (
        |set| message(set, "tap.TapEvent").enum_type[0].value[1].number = Some(7),
        &["value io.linkerd.proxy.tap.TapEvent.ProxyDirection.INBOUND"],
    ),
    (
        |set| file(set, "inbound").service[0].method[1].server_streaming = None,
        &["rpc io.linkerd.proxy.inbound.InboundServerPolicies.WatchPort"],
    ),
    (
        |set| {
            let method = &mut file(set, "destination").service[0].method[0];
            method.output_type = Some(".io.linkerd.proxy.destination.AddrSet".to_owned());
        },
        &["rpc io.linkerd.proxy.destination.Destination.Get"],
    ),
    (
        |set| file(set, "identity").service.clear(),
        &[
            "rpc io.linkerd.proxy.identity.Identity.Certify",
            "service io.linkerd.proxy.identity.Identity",
        ],
    ),
    (
        |set| {
            set.file
                .retain(|file| file.package() != "io.linkerd.proxy.opaque_route");
        },
        &[
            "field io.linkerd.proxy.opaque_route.Invalid.message",
            "message io.linkerd.proxy.opaque_route.Forbidden",
            "message io.linkerd.proxy.opaque_route.Invalid",
            "package io.linkerd.proxy.opaque_route",
        ],
    ),
];

#[test]
fn each_kind_of_difference_is_named_in_both_directions() {
    let descriptors = our_descriptors();
    let facts = Facts::of(&descriptors);

    for (mutate, expected) in MUTATIONS {
        let mut mutated = descriptors.clone();
        mutate(&mut mutated);
        let mutated = Facts::of(&mutated);

        for differences in [mutated.differences(&facts), facts.differences(&mutated)] {
            let named: Vec<&str> = differences
                .iter()
                .map(|line| {
                    line.split_once(": ")
                        .map_or(line.as_str(), |(name, _)| name)
                })
                .collect();
            assert_eq!(named, *expected, "\n{}\n", differences.join("\n"));
        }
    }
}

/// The file of a package, less the prefix that all share.
fn file<'a>(set: &'a mut FileDescriptorSet, package: &str) -> &'a mut FileDescriptorProto {
    let package = format!("io.linkerd.proxy.{package}");
    let mut files = set.file.iter_mut();
    files
        .find(|file| file.package() == package)
        .expect("the package is ours")
}

/// A message by the path to it, from its package on.
fn message<'a>(set: &'a mut FileDescriptorSet, path: &str) -> &'a mut DescriptorProto {
    let (package, path) = path.split_once('.').expect("a package and a message");
    let mut names = path.split('.');
    let mut child = |messages: &'a mut Vec<DescriptorProto>| {
        let name = names.next()?;
        messages.iter_mut().find(|message| message.name() == name)
    };
    let mut message = child(&mut file(set, package).message_type).expect("the message is ours");
    for _ in 0..path.matches('.').count() {
        message = child(&mut message.nested_type).expect("the message is ours");
    }
    message
}

fn field<'a>(message: &'a mut DescriptorProto, name: &str) -> &'a mut FieldDescriptorProto {
    let mut fields = message.field.iter_mut();
    fields
        .find(|field| field.name() == name)
        .expect("the field is ours")
}
