//! From an issuer to a trust anchor (identity-injector.md 3.3, step 3).
//!
//! rustls-webpki does not do this: it takes no authority at the end of a path,
//! and takes trust anchors as valid for ever. The proxies do as it does, so what
//! is found here is stricter, and the pre-flight asks it as well.

use crate::{
    certificate::{Certificate, date},
    signature::SignatureError,
};
use std::{ops::RangeInclusive, time::SystemTime};
use thiserror::Error;

/// How many signatures are looked at before a path is given up. Files have two
/// or three certificates; one with a hundred of the same name must not stop us.
const MOST_SIGNATURES: usize = 100;

/// Why there is no path from an issuer to a trust anchor.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    /// A certificate has expired, or is not valid yet.
    #[error(
        "{subject} is not valid now: the time is {now}, it is valid from {not_before} to {not_after}"
    )]
    Validity {
        /// Of which certificate.
        subject: String,
        /// Our clock, RFC 3339.
        now: String,
        /// RFC 3339.
        not_before: String,
        /// RFC 3339.
        not_after: String,
    },
    /// Neither the file nor the trust anchors hold who signed it.
    #[error("{subject} is signed by an unknown authority: {issuer} is not among the trust anchors")]
    UnknownAuthority {
        /// Of which certificate.
        subject: String,
        /// Who signed it.
        issuer: String,
    },
    /// Who is named as having signed it did not.
    #[error("{subject} is signed by an unknown authority: it names {parent}, but {reason}")]
    Signature {
        /// Of which certificate.
        subject: String,
        /// Who is named.
        parent: String,
        /// What is wrong with the signature.
        reason: SignatureError,
    },
    /// Who signed it has the certificate of a leaf.
    #[error("{0} signed a certificate, but is no CA by its basic constraints")]
    NotAnAuthority(String),
    /// Who signed it has a key usage that does not include that.
    #[error("{0} signed a certificate, but its key usage does not include keyCertSign")]
    KeyUsage(String),
    /// Who signed it may not sign authorities, or not so many in a row.
    #[error("{0} has more CAs below it than its path length allows")]
    PathLength(String),
    /// A certificate has extended key usages, and a TLS server is not among them.
    #[error("incompatible key usage: {0} is not for serverAuth")]
    ExtendedKeyUsage(String),
    /// Too many certificates of the same name.
    #[error("more than {MOST_SIGNATURES} signatures would have to be checked")]
    TooComplex,
}

/// Looks for a path from the first certificate of `chain` to one of `anchors`
/// through the others, and returns when all certificates of it are valid.
///
/// Name constraints are left to the pre-flight: an issuer has no names that they
/// could be about.
pub(super) fn verify(
    chain: &[Certificate],
    anchors: &[Certificate],
    now: SystemTime,
) -> Result<RangeInclusive<SystemTime>, PathError> {
    let (issuer, parents) = chain.split_first().expect("never empty");
    check(issuer, now)?;
    if anchors.contains(issuer) {
        return Ok(validity(&[issuer]));
    }
    let mut search = Search {
        anchors,
        parents,
        now,
        signatures: 0,
    };
    let mut path = vec![issuer];
    search.extend(&mut path)?;
    Ok(validity(&path))
}

/// When all of these are valid; not empty, since they are now.
fn validity(path: &[&Certificate]) -> RangeInclusive<SystemTime> {
    let begin = path.iter().map(|certificate| certificate.not_before());
    let end = path.iter().map(|certificate| certificate.not_after());
    begin.max().expect("never empty")..=end.min().expect("never empty")
}

struct Search<'a> {
    anchors: &'a [Certificate],
    parents: &'a [Certificate],
    now: SystemTime,
    signatures: usize,
}

impl<'a> Search<'a> {
    /// Completes `path`, which starts with the issuer, to an anchor.
    fn extend(&mut self, path: &mut Vec<&'a Certificate>) -> Result<(), PathError> {
        let length = path.len();
        let child = *path.last().expect("starts with the issuer");
        let mut failure = None;
        for anchor in self.anchors {
            if child.is_issued_under_the_name_of(anchor) {
                match self.check_parent(anchor, path) {
                    Ok(()) => {
                        path.push(anchor);
                        return Ok(());
                    }
                    Err(error) => keep(&mut failure, error),
                }
            }
        }
        for parent in self.parents {
            if child.is_issued_under_the_name_of(parent) && !path.contains(&parent) {
                let mut extended = self.check_parent(parent, path);
                if extended.is_ok() {
                    path.push(parent);
                    extended = self.extend(path);
                }
                match extended {
                    Ok(()) => return Ok(()),
                    Err(error) => {
                        path.truncate(length);
                        keep(&mut failure, error);
                    }
                }
            }
        }
        Err(failure.unwrap_or_else(|| PathError::UnknownAuthority {
            subject: child.subject().to_owned(),
            issuer: child.issuer().to_owned(),
        }))
    }

    /// May `parent` stand above `path`?
    fn check_parent(
        &mut self,
        parent: &Certificate,
        path: &[&Certificate],
    ) -> Result<(), PathError> {
        let (child, below) = path.split_last().expect("starts with the issuer");
        self.signatures += 1;
        if self.signatures > MOST_SIGNATURES {
            return Err(PathError::TooComplex);
        }
        child
            .verify_signature(parent)
            .map_err(|reason| PathError::Signature {
                subject: child.subject().to_owned(),
                parent: parent.subject().to_owned(),
                reason,
            })?;
        check(parent, self.now)?;
        let subject = || parent.subject().to_owned();
        if !parent.is_ca() {
            return Err(PathError::NotAnAuthority(subject()));
        }
        if parent.may_sign_certificates() == Some(false) {
            return Err(PathError::KeyUsage(subject()));
        }
        // The issuer is taken as the end of the path and does not count: a root
        // of path length 0 may stand right above it.
        match parent.path_length() {
            Some(most) if below.len() > most as usize => Err(PathError::PathLength(subject())),
            _ => Ok(()),
        }
    }
}

/// What every certificate of a path has to be.
fn check(certificate: &Certificate, now: SystemTime) -> Result<(), PathError> {
    if now < certificate.not_before() || now > certificate.not_after() {
        return Err(PathError::Validity {
            subject: certificate.subject().to_owned(),
            now: date(now).to_string(),
            not_before: date(certificate.not_before()).to_string(),
            not_after: date(certificate.not_after()).to_string(),
        });
    }
    match certificate.extended_key_usage() {
        Some(usage) if !usage.any && !usage.server_auth => Err(PathError::ExtendedKeyUsage(
            certificate.subject().to_owned(),
        )),
        _ => Ok(()),
    }
}

/// Of several failures the first is told, but rather one of a certificate that
/// really signed: during a rotation roots have the same name and other keys.
fn keep(failure: &mut Option<PathError>, error: PathError) {
    match failure {
        None | Some(PathError::Signature { .. }) => *failure = Some(error),
        Some(_) => {}
    }
}
