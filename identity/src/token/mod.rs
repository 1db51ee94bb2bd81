//! Who asks for a certificate: the token of a service account, and what it says.

mod keys;
mod local;
mod review;

pub use self::{
    keys::{Doubt, KeyStats, KeyedReview},
    local::{TokenIssuer, TokenKeyError, TokenVerifier},
    review::{Permission, ReviewStats, TokenReview},
};

use crate::{NameError, Reason, name::check_label};
use std::{fmt, str, time::Duration};
use thiserror::Error;
use tonic::Code;

/// What a token must be for; also the audience of the tokens that injected pods
/// get as a projected volume.
pub const TOKEN_AUDIENCE: &str = "identity.l5d.io";

/// What tells whose a token is.
pub enum Authenticator {
    /// The Kubernetes API server.
    TokenReview(TokenReview),
    /// The keys of the API server, and itself where these do not do.
    Keys(KeyedReview),
    /// The key of the embedded default.
    Local(TokenVerifier),
}

impl Authenticator {
    /// The service account that `token` speaks for. What is around it (a file's
    /// last newline) does not count.
    ///
    /// # Errors
    /// If it speaks for none, or if that cannot be found out.
    pub async fn authenticate(&self, token: &[u8]) -> Result<ServiceAccount, TokenError> {
        let token = str::from_utf8(token).map_err(|_| TokenError::NotText)?;
        let token = token.trim();
        match self {
            Authenticator::TokenReview(review) => review.authenticate(token).await,
            Authenticator::Keys(keys) => keys.authenticate(token).await,
            Authenticator::Local(verifier) => verifier.verify(token),
        }
    }
}

/// A service account that can have an identity: its name and its namespace's are
/// RFC 1123 labels. Kubernetes allows more as names (`my.sa`); workloads of these
/// cannot join a mesh.
///
/// It displays as its username, `system:serviceaccount:NAMESPACE:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceAccount {
    namespace: String,
    name: String,
}

impl ServiceAccount {
    /// The service account `name` in `namespace`.
    ///
    /// # Errors
    /// If one of them is not a label.
    pub fn new(namespace: &str, name: &str) -> Result<Self, TokenError> {
        check_label(name)?;
        check_label(namespace)?;
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    /// The service account with this username.
    ///
    /// # Errors
    /// If the user is something else, or its names are not labels.
    pub fn from_username(username: &str) -> Result<Self, TokenError> {
        let parts: Vec<&str> = username.split(':').collect();
        match parts[..] {
            ["system", "serviceaccount", namespace, name] => Self::new(namespace, name),
            _ => Err(TokenError::Username(username.to_owned())),
        }
    }

    /// The namespace it is in.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its name in the namespace.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, name } = self;
        write!(f, "system:serviceaccount:{namespace}:{name}")
    }
}

/// Why a token speaks for nobody. No error has the token in it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Its bytes cannot be a token.
    #[error("the token is not text")]
    NotText,
    /// Who judges it says what is wrong with it.
    #[error("{0}")]
    Rejected(String),
    /// Who judges it does not know it.
    #[error("authentication token could not be authenticated")]
    Unauthenticated,
    /// It was asked for our audience, and the answer is for others.
    #[error("the API server says that the token is for {0:?}, not for {TOKEN_AUDIENCE:?}")]
    Audience(Vec<String>),
    /// It is not the token of a service account.
    #[error("username must be in form system:serviceaccount:NAMESPACE:NAME, not {0:?}")]
    Username(String),
    /// The service account cannot have an identity.
    #[error(transparent)]
    NotLabel(#[from] NameError),
    /// The API server could not be asked, or did not answer the question.
    #[error("the API server has not reviewed the token: {0}")]
    Api(String),
    /// The API server is too slow, or too many ask it.
    #[error("the API server has not reviewed the token in {} s", .0.as_secs())]
    Timeout(Duration),
}

impl TokenError {
    /// The code that `Certify` answers with (identity-injector.md 3.6).
    pub fn code(&self) -> Code {
        match self {
            TokenError::NotText
            | TokenError::Rejected(_)
            | TokenError::Username(_)
            | TokenError::NotLabel(_) => Code::InvalidArgument,
            TokenError::Unauthenticated | TokenError::Audience(_) => Code::FailedPrecondition,
            TokenError::Api(_) | TokenError::Timeout(_) => Code::Internal,
        }
    }

    /// The same as coarse as a metric label should be.
    pub fn reason(&self) -> Reason {
        match self {
            TokenError::NotText
            | TokenError::Rejected(_)
            | TokenError::Username(_)
            | TokenError::NotLabel(_) => Reason::TokenInvalid,
            TokenError::Unauthenticated | TokenError::Audience(_) => Reason::TokenUnauthenticated,
            TokenError::Api(_) | TokenError::Timeout(_) => Reason::TokenReviewFailed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_service_accounts_with_labels_for_names_have_identities() {
        let long = "a".repeat(64);
        let form = |username: &str| TokenError::Username(username.to_owned());
        let label = |part: &str| TokenError::NotLabel(NameError::Label { text: part.into() });
        for (username, expected) in [
            (
                "system:serviceaccount:emojivoto:web",
                Ok(("emojivoto", "web")),
            ),
            ("system:serviceaccount:1:a-1", Ok(("1", "a-1"))),
            // Scenario 25.
            ("system:node:n1", Err(form("system:node:n1"))),
            ("bob", Err(form("bob"))),
            ("", Err(form(""))),
            (
                "system:serviceaccount:ns",
                Err(form("system:serviceaccount:ns")),
            ),
            (
                "system:serviceaccount:ns:sa:x",
                Err(form("system:serviceaccount:ns:sa:x")),
            ),
            (
                "other:serviceaccount:ns:sa",
                Err(form("other:serviceaccount:ns:sa")),
            ),
            // Scenario 27.
            ("system:foo:a:b", Err(form("system:foo:a:b"))),
            // Scenario 26.
            ("system:serviceaccount:ns:my.sa", Err(label("my.sa"))),
            ("system:serviceaccount::sa", Err(label(""))),
            ("system:serviceaccount:ns:", Err(label(""))),
            ("system:serviceaccount:Ns:sa", Err(label("Ns"))),
            (
                &*format!("system:serviceaccount:ns:{long}"),
                Err(label(&long)),
            ),
        ] {
            let found = ServiceAccount::from_username(username);
            let found = found
                .as_ref()
                .map(|found| (found.namespace(), found.name()));
            assert_eq!(found, expected.as_ref().copied(), "{username:?}");
        }
    }

    #[test]
    fn a_service_account_displays_as_its_username() {
        let account = ServiceAccount::new("emojivoto", "web").unwrap();
        assert_eq!(account.to_string(), "system:serviceaccount:emojivoto:web");
        assert_eq!(
            ServiceAccount::from_username(&account.to_string()),
            Ok(account)
        );
    }
}
