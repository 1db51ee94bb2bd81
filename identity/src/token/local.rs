//! Tokens of the embedded default, which has no API server to issue them.

use super::{ServiceAccount, TOKEN_AUDIENCE, TokenError};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, errors::ErrorKind,
};
use pem::{EncodeConfig, LineEnding, Pem};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use thiserror::Error;

/// Who issued a token, so that one of another system that got here is told apart.
const ISSUER: &str = "ferrule";
/// What the key's block in a file is called.
const PRIVATE_KEY: &str = "PRIVATE KEY";

/// Issues tokens for service accounts: JSON Web Tokens signed with a P-256 key
/// (ES256), for [`TOKEN_AUDIENCE`].
#[derive(Clone)]
pub struct TokenIssuer {
    key: EncodingKey,
    verifier: TokenVerifier,
}

/// Knows the tokens of one [`TokenIssuer`].
#[derive(Clone)]
pub struct TokenVerifier(Arc<Rules>);

struct Rules {
    key: DecodingKey,
    validation: Validation,
}

/// A key that cannot sign tokens.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenKeyError {
    /// The text holds no key of this kind.
    #[error("expected a P-256 key in a PEM block `PRIVATE KEY` (PKCS#8)")]
    NotAKey,
    /// The cryptographic library failed.
    #[error("cannot make a signature or a key: {0}")]
    Signing(String),
}

#[derive(Debug, Deserialize, Serialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Vec<String>,
    iat: u64,
    nbf: u64,
    exp: u64,
}

impl TokenIssuer {
    /// Makes a new key, as text for [`TokenIssuer::from_pem`].
    ///
    /// # Errors
    /// If the system has no random numbers to give.
    pub fn generate_key() -> Result<String, TokenKeyError> {
        let failed = |_| TokenKeyError::Signing("no key could be made".to_owned());
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
        let key = key.to_pkcs8v1().map_err(failed)?;
        let block = Pem::new(PRIVATE_KEY, key.as_ref());
        let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
        Ok(pem::encode_config(&block, config))
    }

    /// Issues with the key in `pem`: the first block `PRIVATE KEY`, PKCS#8, P-256.
    ///
    /// # Errors
    /// If there is no such key.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TokenKeyError> {
        let blocks = pem::parse_many(pem).map_err(|_| TokenKeyError::NotAKey)?;
        let block = blocks.iter().find(|block| block.tag() == PRIVATE_KEY);
        let der = block.ok_or(TokenKeyError::NotAKey)?.contents();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
            .map_err(|_| TokenKeyError::NotAKey)?;
        Ok(Self {
            key: EncodingKey::from_ec_der(der),
            verifier: TokenVerifier::new(pair.public_key().as_ref()),
        })
    }

    /// A token that speaks for `account` from `now` on, for `lifetime`. Whether
    /// such an account exists anywhere does not matter.
    ///
    /// # Errors
    /// If the signature cannot be made.
    pub fn issue(
        &self,
        account: &ServiceAccount,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<String, TokenKeyError> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: account.to_string(),
            aud: vec![TOKEN_AUDIENCE.to_owned()],
            iat: now,
            nbf: now,
            exp: now.saturating_add(lifetime.as_secs()),
        };
        encode(&Header::new(Algorithm::ES256), &claims, &self.key)
            .map_err(|error| TokenKeyError::Signing(error.to_string()))
    }

    /// What knows the tokens issued here.
    pub fn verifier(&self) -> TokenVerifier {
        self.verifier.clone()
    }
}

impl TokenVerifier {
    /// For a public key: an uncompressed point.
    fn new(public_key: &[u8]) -> Self {
        let mut validation = Validation::new(Algorithm::ES256);
        // Issued on this machine, by this clock.
        validation.leeway = 0;
        validation.validate_nbf = true;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[TOKEN_AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "sub", "aud", "nbf", "exp"]);
        Self(Arc::new(Rules {
            key: DecodingKey::from_ec_der(public_key),
            validation,
        }))
    }

    /// The service account that `token` speaks for now.
    ///
    /// # Errors
    /// If it was not issued here, or its time is over.
    pub fn verify(&self, token: &str) -> Result<ServiceAccount, TokenError> {
        let token = decode::<Claims>(token, &self.0.key, &self.0.validation);
        let token = token.map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => TokenError::Rejected("the token has expired".to_owned()),
            ErrorKind::ImmatureSignature => {
                TokenError::Rejected("the token is not valid yet".to_owned())
            }
            ErrorKind::InvalidAudience => {
                TokenError::Rejected(format!("the token is not for {TOKEN_AUDIENCE}"))
            }
            _ => TokenError::Unauthenticated,
        })?;
        ServiceAccount::from_username(&token.claims.sub)
    }
}

impl fmt::Debug for TokenIssuer {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuer").finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
