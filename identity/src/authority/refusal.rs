//! Why somebody gets no certificate.

use crate::{CsrError, CsrErrorKind, IdentityName, IssuerError, SignError, TokenError};
use thiserror::Error;
use tonic::{Code, Status};

/// Of DNS; an identity is one.
const LONGEST_NAME: usize = 253;

/// A message travels in a header, and proxies read at most 16 KiB of these; what an
/// API server says of a token may be of any length.
const LONGEST_MESSAGE: usize = 1024;

/// Why `Certify` was refused, as coarse as a metric label should be; in the order
/// in which it is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// There is no issuer yet.
    NotReady,
    /// The request has no identity, token or signing request.
    MissingField,
    /// The signing request cannot be read.
    MalformedCsr,
    /// The issuer does not verify (any more); it may have expired.
    IssuerInvalid,
    /// The signing request is not signed with its own key.
    CsrPossession,
    /// The signing request has other names than the identity asked for.
    CsrNames,
    /// The key to be certified is of another kind than proxies have.
    CsrKey,
    /// The API server could not be asked whose the token is.
    TokenReviewFailed,
    /// The token is expired, or not for us, or of nobody who could have an identity.
    TokenInvalid,
    /// The token is not known.
    TokenUnauthenticated,
    /// The token is somebody else's.
    IdentityMismatch,
    /// The signature could not be made.
    Signing,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Reason; 12] = [
        Reason::NotReady,
        Reason::MissingField,
        Reason::MalformedCsr,
        Reason::IssuerInvalid,
        Reason::CsrPossession,
        Reason::CsrNames,
        Reason::CsrKey,
        Reason::TokenReviewFailed,
        Reason::TokenInvalid,
        Reason::TokenUnauthenticated,
        Reason::IdentityMismatch,
        Reason::Signing,
    ];

    /// The reason as a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::NotReady => "not_ready",
            Reason::MissingField => "missing_field",
            Reason::MalformedCsr => "malformed_csr",
            Reason::IssuerInvalid => "issuer_invalid",
            Reason::CsrPossession => "csr_possession",
            Reason::CsrNames => "csr_names",
            Reason::CsrKey => "csr_key",
            Reason::TokenReviewFailed => "token_review_failed",
            Reason::TokenInvalid => "token_invalid",
            Reason::TokenUnauthenticated => "token_unauthenticated",
            Reason::IdentityMismatch => "identity_mismatch",
            Reason::Signing => "signing",
        }
    }
}

/// A refused `Certify`; it displays as the message of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Refusal {
    code: Code,
    reason: Reason,
    message: String,
}

impl Refusal {
    /// The code of the answer (identity-injector.md 3.5).
    pub fn code(&self) -> Code {
        self.code
    }

    /// What it is counted as.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// What clients have written may be in the message; it goes into logs, and must
    /// not begin lines of its own there.
    fn new(code: Code, reason: Reason, message: impl Into<String>) -> Self {
        let mut message = message.into().replace(char::is_control, " ");
        message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
        Self {
            code,
            reason,
            message,
        }
    }

    pub(super) fn not_ready() -> Self {
        let message = "cert issuer not ready yet";
        Self::new(Code::Unavailable, Reason::NotReady, message)
    }

    pub(super) fn missing(field: &str) -> Self {
        let message = format!("missing {field}");
        Self::new(Code::InvalidArgument, Reason::MissingField, message)
    }

    pub(super) fn csr(error: &CsrError) -> Self {
        let (code, reason) = match error.kind() {
            CsrErrorKind::Malformed => (Code::InvalidArgument, Reason::MalformedCsr),
            CsrErrorKind::Possession => (Code::FailedPrecondition, Reason::CsrPossession),
            CsrErrorKind::Names => (Code::FailedPrecondition, Reason::CsrNames),
            CsrErrorKind::Key => (Code::FailedPrecondition, Reason::CsrKey),
        };
        Self::new(code, reason, error.to_string())
    }

    pub(super) fn issuer(error: &IssuerError) -> Self {
        Self::new(Code::Unknown, Reason::IssuerInvalid, error.to_string())
    }

    pub(super) fn token(identity: &str, error: &TokenError) -> Self {
        let message = match error.code() {
            Code::Internal => {
                let identity = shown(identity);
                format!("error validating token for {identity}: {error}")
            }
            _ => error.to_string(),
        };
        Self::new(error.code(), error.reason(), message)
    }

    pub(super) fn mismatch(requested: &str, found: &IdentityName) -> Self {
        let requested = shown(requested);
        let message = format!("identity did not match token: requested={requested}; found={found}");
        Self::new(Code::FailedPrecondition, Reason::IdentityMismatch, message)
    }

    pub(super) fn signing(error: &SignError) -> Self {
        Self::new(Code::Internal, Reason::Signing, error.to_string())
    }
}

/// What a client claims to be, cut where it gets absurd: a message travels in a
/// header, and is logged.
pub(super) fn shown(identity: &str) -> &str {
    &identity[..identity.floor_char_boundary(LONGEST_NAME)]
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        Status::new(refusal.code, refusal.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IdentityScope;

    #[test]
    fn every_reason_has_a_place_and_a_label_of_its_own() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            let labels = Reason::ALL.into_iter().map(Reason::as_str);
            assert_eq!(labels.filter(|label| *label == reason.as_str()).count(), 1);
        }
    }

    #[test]
    fn a_client_writes_no_lines_of_its_own_into_the_log() {
        let scope = IdentityScope::new("linkerd", "local").unwrap();
        let found = scope.service_account("ns", "web").unwrap();
        let refusal = Refusal::mismatch("a\n2026 ERROR \u{1b}[31mb", &found);
        assert!(
            refusal.to_string().contains("=a 2026 ERROR  [31mb;"),
            "{refusal}"
        );
    }

    #[test]
    fn no_message_is_longer_than_a_header_may_be() {
        let said = TokenError::Rejected("é".repeat(10_000));
        let refusal = Refusal::token("web.ns", &said);
        assert_eq!(refusal.to_string(), "é".repeat(LONGEST_MESSAGE / 2));
        let short = TokenError::Rejected("token has expired".to_owned());
        let refusal = Refusal::token("web.ns", &short);
        assert_eq!(refusal.to_string(), "token has expired");
    }

    #[test]
    fn an_absurd_name_is_cut() {
        assert_eq!(shown("web.ns"), "web.ns");
        assert_eq!(shown(&"é".repeat(200)), "é".repeat(126));
    }
}
