//! Our .proto files say what those of the published `linkerd2-proxy-api` say,
//! and what is encoded with ours is read the same by code generated from theirs.

mod facts;
mod mutations;
mod published;
mod samples;

use std::collections::BTreeSet;

use ferrule_proto::FILE_DESCRIPTOR_SET;
use prost::{DecodeError, Message, Name};
use prost_types::FileDescriptorSet;
use protox::prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};

use facts::Facts;
use samples::{Filler, leaves};

fn our_descriptors() -> FileDescriptorSet {
    FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("build.rs encoded it")
}

#[test]
fn our_files_say_what_the_published_files_say() {
    let ours = Facts::of(&our_descriptors());
    let published = Facts::of(&published::descriptors());

    let differences = ours.differences(&published);

    assert!(differences.is_empty(), "\n{}\n", differences.join("\n"));
}

/// A type that both crates generate: decodes and encodes it again with either.
struct Pair {
    name: String,
    ours: fn(&[u8]) -> Result<Vec<u8>, DecodeError>,
    published: fn(&[u8]) -> Result<Vec<u8>, DecodeError>,
}

impl Pair {
    fn of<Ours: Message + Name + Default, Published: Message + Default>() -> Self {
        Self {
            name: Ours::full_name(),
            ours: recode::<Ours>,
            published: recode::<Published>,
        }
    }
}

fn recode<M: Message + Default>(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    Ok(M::decode(bytes)?.encode_to_vec())
}

macro_rules! pairs {
    ($($package:ident::$message:ident,)*) => {
        [$(
            Pair::of::<
                ferrule_proto::$package::$message,
                linkerd2_proxy_api::$package::$message,
            >(),
        )*]
    };
}

fn pairs() -> impl IntoIterator<Item = Pair> {
    pairs![
        destination::GetDestination,
        destination::Update,
        destination::DestinationProfile,
        identity::CertifyRequest,
        identity::CertifyResponse,
        inbound::PortSpec,
        inbound::Server,
        outbound::TrafficSpec,
        outbound::OutboundPolicy,
        tap::ObserveRequest,
        tap::TapEvent,
    ]
}

/// So many of each message that each member of each oneof has its turn; whether
/// that is enough is asserted.
const SAMPLES: usize = 32;

#[test]
fn every_field_is_read_by_the_published_types_and_descriptors() {
    let our_pool = our_pool();
    let published_pool = DescriptorPool::from_file_descriptor_set(published::descriptors())
        .expect("the published descriptors are whole");
    let mut filler = Filler::default();

    for pair in pairs() {
        let name = pair.name.as_str();
        let descriptor = message(&our_pool, name);
        let published_descriptor = message(&published_pool, name);
        for _ in 0..SAMPLES {
            let sample = filler.message(&descriptor);
            let bytes = sample.encode_to_vec();

            // Names and types, by their descriptors.
            let read = DynamicMessage::decode(published_descriptor.clone(), bytes.as_slice());
            assert_same(
                &sample,
                &read.expect("the published descriptor decodes ours"),
            );

            // The code a proxy is built with, there and back.
            let published = (pair.published)(&bytes).expect("the published type decodes ours");
            let ours = (pair.ours)(&published).expect("our type decodes the published");
            let read = DynamicMessage::decode(descriptor.clone(), ours.as_slice());
            assert_same(&sample, &read.expect("our descriptor decodes our type"));

            // The published crate writes maps in any order; ours in one.
            assert_eq!((pair.ours)(&bytes), Ok(ours), "{name} has two encodings");
        }
    }

    let unfilled: Vec<String> = our_pool
        .all_messages()
        .filter(|message| message.package_name() != "google.protobuf" && !message.is_map_entry())
        .flat_map(|message| message.fields().collect::<Vec<_>>())
        .map(|field| field.full_name().to_owned())
        .filter(|name| !filler.filled().contains(name))
        .collect();
    assert!(
        unfilled.is_empty(),
        "never sampled:\n{}\n",
        unfilled.join("\n")
    );
}

fn our_pool() -> DescriptorPool {
    DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("build.rs encoded it")
}

fn message(pool: &DescriptorPool, name: &str) -> MessageDescriptor {
    pool.get_message_by_name(name)
        .unwrap_or_else(|| panic!("no message {name}"))
}

fn assert_same(sample: &DynamicMessage, read: &DynamicMessage) {
    let (sample, read) = (leaves(sample), leaves(read));
    let lost: Vec<_> = sample.difference(&read).cloned().collect();
    let invented: Vec<_> = read.difference(&sample).cloned().collect();
    assert!(
        lost.is_empty() && invented.is_empty(),
        "\nencoded:\n{}\ndecoded:\n{}\n",
        lost.join("\n"),
        invented.join("\n")
    );
}

#[test]
fn every_message_of_an_rpc_is_paired() {
    let of_rpcs: BTreeSet<String> = our_pool()
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .flat_map(|method| [method.input(), method.output()])
        .map(|message| message.full_name().to_owned())
        .collect();

    let paired: BTreeSet<String> = pairs().into_iter().map(|pair| pair.name).collect();

    assert_eq!(paired, of_rpcs);
}
