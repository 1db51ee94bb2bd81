//! The certificate authority of the mesh: who asks, may they have that name, and
//! a certificate for it.
//!
//! [`CertificateAuthority`] answers `Certify`: a token says who asks
//! ([`Authenticator`]), a [`CertificateRequest`] says for which key, and the
//! [`Issuer`] signs.
#![forbid(unsafe_code)]

mod anchors;
mod authority;
mod census;
mod certificate;
mod csr;
mod der;
mod files;
mod follow;
mod guard;
mod issuer;
mod key;
mod making;
mod managed;
mod name;
mod notice;
mod outside;
mod pod_spec;
mod presented;
mod restarts;
mod server;
mod signature;
mod state;
mod token;

pub use self::{
    anchors::TrustAnchors,
    authority::{AuthorityStats, CertificateAuthority, Credentials, Reason, Refusal, Step},
    census::{Among, Census, Trusts, Wanted, workload_of},
    certificate::{Certificate, CertificateError, ChainError, ExtendedKeyUsage, date},
    csr::{CertificateRequest, CsrError, CsrErrorKind},
    der::DerError,
    files::{IdentityFiles, IssuerScheme},
    follow::{FileMark, FilesStatus, SourceError, read_file},
    guard::{GuardStatus, HeldIssuer, ISSUER_OVERRIDE, IssuerGuard},
    issuer::{
        Issuer, IssuerError, IssuerWarning, Leaf, PathError, SignError, Validity, ValidityError,
    },
    key::{KeyError, SigningKey},
    making::{Lifetimes, MakingError},
    managed::{
        ABORT_ROTATION, ANCHOR_SECRET, Bundle, ISSUER_NOT_AFTER, ISSUER_SECRET, ISSUER_SHA256,
        Leader, MANAGED_BY, ManagedIssuer, ManagedStatus, Phase, ROTATE_ANCHOR, ROTATE_ISSUER,
        ROTATION, ROTATION_OVERRIDE, ROTATION_PAUSED, ROTATION_WAITS, Rotation, RotationLaggards,
        RotationPolicy, RotationStatus, TRUST_ROOTS, TRUST_ROOTS_KEY, Waits, WaitsFor,
    },
    name::{IdentityName, IdentityScope, NameError},
    notice::{Notice, Notices},
    pod_spec::PodSpec,
    presented::dial,
    restarts::{RESTART_STANDINGS, RESTARTS_LEASE, RestartStanding, RestartState},
    server::{IdentityServer, IdentityService},
    signature::{KeyAlgorithm, PublicKey, SignatureError},
    state::{StateDirectory, StateError},
    token::{
        Authenticator, Doubt, KeyStats, KeyedReview, Permission, ReviewStats, ServiceAccount,
        TOKEN_AUDIENCE, TokenError, TokenIssuer, TokenKeyError, TokenReview, TokenVerifier,
    },
};
