//! Keys, and what a token says that is signed with one of them.

use super::Doubt;
use crate::token::{TOKEN_AUDIENCE, TokenError};
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    errors::ErrorKind,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk},
};
use serde::Deserialize;
use std::collections::HashMap;
use thiserror::Error;

/// How far the API server's clock may be from ours, in seconds; the API server itself
/// grants tokens as much.
const LEEWAY: u64 = 60;

/// The API server's issuer and keys at one moment.
pub(super) struct KeySet {
    issuer: String,
    keys: HashMap<String, Key>,
}

struct Key {
    key: DecodingKey,
    /// By the kind of key, never by what a token says.
    algorithms: Vec<Algorithm>,
}

/// Why there are no keys.
#[derive(Debug, Error)]
pub(super) enum KeysError {
    #[error("the API server's OpenID configuration cannot be read: {0}")]
    Discovery(serde_json::Error),
    #[error("the API server's keys cannot be read: {0}")]
    Keys(serde_json::Error),
    #[error("the API server publishes no key that can be used")]
    None,
}

/// What is to be thought of a token.
pub(super) enum Checked {
    Verified(Box<Claims>),
    Refused(TokenError),
    Doubtful(Doubt),
}

/// What a token says.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    #[serde(rename = "iss")]
    issuer: String,
    /// The username.
    #[serde(rename = "sub")]
    pub(super) subject: String,
    #[serde(rename = "aud")]
    audiences: Audiences,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Option<Kubernetes>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Deserialize)]
struct Kubernetes {
    namespace: String,
    serviceaccount: Reference,
    pod: Option<Reference>,
    secret: Option<Reference>,
    node: Option<Reference>,
}

#[derive(Debug, Deserialize)]
struct Reference {
    name: String,
    uid: Option<String>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
}

#[derive(Deserialize)]
struct Published {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// Reads what the API server publishes; keys of a kind that is not known are left
    /// out.
    pub(super) fn read(discovery: &str, keys: &str) -> Result<Self, KeysError> {
        let discovery: Discovery = serde_json::from_str(discovery).map_err(KeysError::Discovery)?;
        let published: Published = serde_json::from_str(keys).map_err(KeysError::Keys)?;
        let keys = published.keys.into_iter().filter_map(|value| {
            let jwk: Jwk = serde_json::from_value(value).ok()?;
            let algorithms = algorithms(&jwk.algorithm)?;
            let key = DecodingKey::from_jwk(&jwk).ok()?;
            Some((jwk.common.key_id?, Key { key, algorithms }))
        });
        let keys: HashMap<_, _> = keys.collect();
        if keys.is_empty() {
            return Err(KeysError::None);
        }
        Ok(Self {
            issuer: discovery.issuer,
            keys,
        })
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Everything about a token but what it is bound to.
    pub(super) fn check(&self, token: &str) -> Checked {
        let refused = |text: &str| Checked::Refused(TokenError::Rejected(text.to_owned()));
        let Ok(header) = decode_header(token) else {
            return refused("the token is no JSON Web Token of the API server");
        };
        let Some(key) = header.kid.and_then(|id| self.keys.get(&id)) else {
            return Checked::Doubtful(Doubt::Key);
        };
        if !key.algorithms.contains(&header.alg) {
            return refused("the token is not signed as its key signs");
        }
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        // Who it is for decides who is asked, and not only whether it is good.
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
        let claims = match decode::<Claims>(token, &key.key, &validation) {
            Ok(token) => token.claims,
            Err(error) => {
                return refused(match error.kind() {
                    ErrorKind::ExpiredSignature => "the token has expired",
                    ErrorKind::ImmatureSignature => "the token is not valid yet",
                    ErrorKind::InvalidSignature => "the token's signature is not its key's",
                    _ => "the token does not say what a service account's says",
                });
            }
        };
        if claims.issuer != self.issuer {
            return Checked::Doubtful(Doubt::Issuer);
        }
        if !claims.audiences.has(TOKEN_AUDIENCE) {
            return Checked::Doubtful(Doubt::Audience);
        }
        Checked::Verified(claims.into())
    }
}

/// What a key of this kind signs with.
fn algorithms(kind: &AlgorithmParameters) -> Option<Vec<Algorithm>> {
    match kind {
        AlgorithmParameters::RSA(_) => {
            Some(vec![Algorithm::RS256, Algorithm::RS384, Algorithm::RS512])
        }
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => Some(vec![Algorithm::ES256]),
            EllipticCurve::P384 => Some(vec![Algorithm::ES384]),
            _ => None,
        },
        _ => None,
    }
}

impl Audiences {
    fn has(&self, audience: &str) -> bool {
        match self {
            Audiences::One(one) => one == audience,
            Audiences::Many(many) => many.iter().any(|one| one == audience),
        }
    }
}

impl Claims {
    /// The uids of what must exist: the service account, and the pod if there is one.
    /// `None` if the token is bound to something else, or is not of one piece.
    pub(super) fn bound_to(&self) -> Option<Vec<&str>> {
        let Kubernetes {
            namespace,
            serviceaccount: account,
            pod,
            secret,
            node,
        } = self.kubernetes.as_ref()?;
        let username = format!("system:serviceaccount:{namespace}:{}", account.name);
        // A pod's token names its node, too; a node's own has no pod.
        let is_of_node = node.is_some() && pod.is_none();
        if username != self.subject || secret.is_some() || is_of_node {
            return None;
        }
        let mut uids = vec![account.uid.as_deref()?];
        if let Some(pod) = pod {
            uids.push(pod.uid.as_deref()?);
        }
        Some(uids)
    }
}

#[cfg(test)]
mod tests;
