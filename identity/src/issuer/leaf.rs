//! The certificates of workloads, and how they are written.

use super::{Issuer, Validity};
use crate::{
    certificate::{date, hex, sha256},
    csr::CsrError,
    der::sequence,
    signature::PublicKey,
};
use aws_lc_rs::rand;
use std::{
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use thiserror::Error;
use yasna::{
    DERWriter, DERWriterSeq, Tag,
    models::{ObjectIdentifier, TaggedDerValue},
    tags::{TAG_GENERALIZEDTIME, TAG_UTCTIME},
};

/// X.509 version 3 counts from 0.
const VERSION_3: u8 = 2;

/// RFC 5280 allows 20 octets; browsers' authorities have to have 8 random ones.
const SERIAL_OCTETS: usize = 16;

/// 2050-01-01T00:00:00Z in seconds since 1970: from then on dates have four
/// digits of year (RFC 5280, 4.1.2.5).
const YEAR_2050: Duration = Duration::from_secs(2_524_608_000);

/// A Name without any attribute.
const EMPTY_NAME: &[u8] = &[0x30, 0x00];

/// The bits digitalSignature (0) and keyEncipherment (2), first bit first.
const KEY_USAGE: (&[u8], usize) = (&[0b1010_0000], 3);

/// id-ce: key usage, subject alternative name, authority key identifier and
/// extended key usage are under it.
const ID_CE: [u64; 3] = [2, 5, 29];
const ID_KP_SERVER_AUTH: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 1];
const ID_KP_CLIENT_AUTH: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 2];

/// The certificate of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The certificate.
    pub der: Vec<u8>,
    /// From when it is valid, in whole seconds.
    pub not_before: SystemTime,
    /// Until when it is valid, in whole seconds.
    pub not_after: SystemTime,
    /// The serial number in lower-case hexadecimal.
    pub serial: String,
    /// The SHA-256 of the DER in lower-case hexadecimal.
    pub fingerprint: String,
}

/// Why there is no leaf.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SignError {
    /// The request was not checked before.
    #[error(transparent)]
    Request(#[from] CsrError),
    /// The leaf would not be valid at any time, as it never is for longer than the
    /// issuer and the certificates in its file.
    #[error("{subject} in the issuer's file has expired at {not_after}")]
    IssuerExpired {
        /// The first of them to expire.
        subject: String,
        /// When that was, RFC 3339.
        not_after: String,
    },
    /// Nobody has said for long that the issuer is still the one that signs.
    #[error(
        "the API server has not answered for so long that the issuer may have been replaced: \
         certificates of this one would have ended at {0}"
    )]
    Unconfirmed(String),
    /// The system gives no random numbers.
    #[error("no random numbers")]
    Random,
    /// It cannot be told whom the leaf is for.
    #[error("{0}")]
    Subject(&'static str),
}

/// Whom a leaf is for.
pub(super) struct Subject<'a> {
    /// A Name in DER, copied as it is.
    pub(super) name: &'a [u8],
    /// What it may be dialled by; never empty.
    pub(super) alternative_names: &'a [AlternativeName<'a>],
    pub(super) usage: Usage,
    pub(super) public_key: &'a PublicKey,
}

/// One of them.
pub(super) enum AlternativeName<'a> {
    Dns(&'a str),
    Ip(IpAddr),
}

/// What a leaf may be used for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    /// To be a server, and a client of others.
    Mesh,
    /// To be a server.
    Server,
}

impl Usage {
    fn purposes(self) -> &'static [&'static [u64]] {
        match self {
            Self::Mesh => &[ID_KP_SERVER_AUTH, ID_KP_CLIENT_AUTH],
            Self::Server => &[ID_KP_SERVER_AUTH],
        }
    }
}

/// Signs the certificate of identity-injector.md 3.7.
pub(super) fn sign(
    issuer: &Issuer,
    subject: &Subject<'_>,
    validity: &Validity,
    now: SystemTime,
) -> Result<Leaf, SignError> {
    let (not_before, not_after) = dates(issuer, validity, now)?;
    let serial = serial()?;
    let algorithm = sequence(issuer.key.signature_algorithm());
    let body = yasna::construct_der(|writer| {
        writer.write_sequence(|body| {
            body.next()
                .write_tagged(Tag::context(0), |version| version.write_u8(VERSION_3));
            body.next().write_bigint_bytes(&serial, true);
            body.next().write_tagged_der(&algorithm);
            body.next().write_der(issuer.certificate().subject_der());
            body.next().write_sequence(|dates| {
                dates.next().write_tagged_der(&der_date(not_before));
                dates.next().write_tagged_der(&der_date(not_after));
            });
            body.next().write_der(subject.name);
            body.next().write_der(subject.public_key.der());
            body.next().write_tagged(Tag::context(3), |writer| {
                writer.write_sequence(|extensions| {
                    write_extensions(extensions, subject, issuer.certificate().subject_key_id());
                });
            });
        });
    });
    let signature = issuer.key.sign(&body).ok_or(SignError::Random)?;
    let der = yasna::construct_der(|writer| {
        writer.write_sequence(|certificate| {
            certificate.next().write_der(&body);
            certificate.next().write_tagged_der(&algorithm);
            certificate
                .next()
                .write_bitvec_bytes(&signature, signature.len() * 8);
        });
    });
    Ok(Leaf {
        fingerprint: sha256(&der),
        der,
        not_before,
        not_after,
        serial: hex(&serial),
    })
}

fn write_extensions(
    extensions: &mut DERWriterSeq<'_>,
    subject: &Subject<'_>,
    authority_key_id: Option<&[u8]>,
) {
    let (bits, length) = KEY_USAGE;
    extension(extensions.next(), 15, true, |value| {
        value.write_bitvec_bytes(bits, length);
    });
    extension(extensions.next(), 37, false, |value| {
        value.write_sequence(|purposes| {
            for purpose in subject.usage.purposes() {
                purposes
                    .next()
                    .write_oid(&ObjectIdentifier::from_slice(purpose));
            }
        });
    });
    if let Some(id) = authority_key_id {
        extension(extensions.next(), 35, false, |value| {
            value.write_sequence(|key| {
                key.next()
                    .write_tagged_implicit(Tag::context(0), |writer| writer.write_bytes(id));
            });
        });
    }
    // Without a subject it is the only name there is, and has to be understood
    // (RFC 5280, 4.2.1.6).
    let critical = subject.name == EMPTY_NAME;
    extension(extensions.next(), 17, critical, |value| {
        value.write_sequence(|names| {
            for name in subject.alternative_names {
                write_name(names.next(), name);
            }
        });
    });
}

/// A GeneralName (RFC 5280, 4.2.1.6).
fn write_name(writer: DERWriter<'_>, name: &AlternativeName<'_>) {
    match name {
        AlternativeName::Dns(name) => writer.write_tagged_implicit(Tag::context(2), |writer| {
            writer.write_ia5_string(name);
        }),
        AlternativeName::Ip(IpAddr::V4(address)) => {
            writer.write_tagged_implicit(Tag::context(7), |writer| {
                writer.write_bytes(&address.octets());
            });
        }
        AlternativeName::Ip(IpAddr::V6(address)) => {
            writer.write_tagged_implicit(Tag::context(7), |writer| {
                writer.write_bytes(&address.octets());
            });
        }
    }
}

fn extension(writer: DERWriter<'_>, id: u64, critical: bool, value: impl FnOnce(DERWriter<'_>)) {
    let [a, b, c] = ID_CE;
    writer.write_sequence(|extension| {
        extension
            .next()
            .write_oid(&ObjectIdentifier::from_slice(&[a, b, c, id]));
        if critical {
            extension.next().write_bool(true);
        }
        extension.next().write_bytes(&yasna::construct_der(value));
    });
}

/// From before now, for the proxies whose clocks are slow; never beyond the
/// issuer and those of its file.
fn dates(
    issuer: &Issuer,
    validity: &Validity,
    now: SystemTime,
) -> Result<(SystemTime, SystemTime), SignError> {
    let shortest = issuer
        .chain
        .iter()
        .min_by_key(|parent| parent.not_after())
        .expect("never empty");
    let limit = shortest.not_after();
    let wanted = validity
        .lifetime()
        .checked_add(validity.clock_skew())
        .and_then(|length| now.checked_add(length));
    let not_after = wanted.map_or(limit, |wanted| whole_seconds(wanted).min(limit));
    if let Some(latest) = validity.latest()
        && latest <= now
    {
        return Err(SignError::Unconfirmed(date(latest).to_string()));
    }
    let not_after = validity
        .latest()
        .map_or(not_after, |latest| whole_seconds(latest).min(not_after));
    if not_after <= now {
        return Err(SignError::IssuerExpired {
            subject: shortest.subject().to_owned(),
            not_after: date(limit).to_string(),
        });
    }
    let not_before = now
        .checked_sub(validity.clock_skew())
        .map_or(UNIX_EPOCH, whole_seconds);
    Ok((not_before, not_after))
}

/// Rounded down, as a certificate can not tell fractions.
fn whole_seconds(time: SystemTime) -> SystemTime {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => UNIX_EPOCH + Duration::from_secs(since.as_secs()),
        // Our clock is set before 1970. Who checks dates refuses the leaf anyhow.
        Err(_) => UNIX_EPOCH,
    }
}

fn der_date(time: SystemTime) -> TaggedDerValue {
    let (tag, format) = if time < UNIX_EPOCH + YEAR_2050 {
        (TAG_UTCTIME, "%y%m%d%H%M%SZ")
    } else {
        (TAG_GENERALIZEDTIME, "%Y%m%d%H%M%SZ")
    };
    TaggedDerValue::from_tag_and_bytes(tag, date(time).strftime(format).to_string().into_bytes())
}

/// Random, since replicas sign without knowing of one another; positive, and
/// without a leading zero, by its first two bits.
fn serial() -> Result<[u8; SERIAL_OCTETS], SignError> {
    let mut serial = [0; SERIAL_OCTETS];
    rand::fill(&mut serial).map_err(|_| SignError::Random)?;
    serial[0] = serial[0] & 0x3f | 0x40;
    Ok(serial)
}
