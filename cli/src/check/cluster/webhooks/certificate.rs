//! The certificates of webhooks. Where Ferrule makes them, leaves are in the memory of
//! their processes, and what can be looked at is who signs them.

use super::{Entry, Webhook};
use crate::{
    check::cluster::{
        identity::{in_date, not_due, part},
        look::Look,
        row::{Answer, Problem, none_of},
        settings::Settings,
    },
    identity::verify,
};
use ferrule_identity::{Certificate, TrustAnchors};
use rustls::{
    crypto::CryptoProvider,
    pki_types::{PrivateKeyDer, ServerName, pem::PemObject as _},
    sign::CertifiedKey,
};

/// The Secret of the authority that Ferrule makes, and the part of who signs.
const AUTHORITY: (&str, &str) = ("ferrule-webhook-ca", "ca.crt");
const AUTHORITY_NAME: &str = "the authority of the webhooks,";

/// What a webhook's certificate, or who signs it, is kept in.
enum Kept {
    /// A certificate that is served, and its key.
    Pair {
        secret: &'static str,
        chain: Vec<Certificate>,
        key: Vec<u8>,
    },
    /// Who signs what is served.
    Authority(Vec<Certificate>),
    /// Nothing that is known.
    Elsewhere,
}

impl Kept {
    async fn of(look: &Look, webhook: &Webhook, entry: &Entry) -> Result<Self, Problem> {
        let read = |secret: &str, key: &str, pem: &[u8]| {
            let chain = Certificate::chain_from_pem(pem);
            chain.map_err(|error| Problem::found(format!("Secret {secret}, {key}: {error}")))
        };
        let settings = look.settings().await?;
        let is_managed = settings.is_some_and(Settings::webhooks_are_managed);
        // What Linkerd's release has left behind is not served.
        let pairs = if is_managed {
            &[][..]
        } else {
            webhook.secrets_of(entry)
        };
        for &(name, certificate, key) in pairs {
            if let Some(secret) = look.secret(name).await? {
                return Ok(Self::Pair {
                    secret: name,
                    chain: read(name, certificate, part(secret, certificate)?)?,
                    key: part(secret, key)?.to_vec(),
                });
            }
        }
        let (name, key) = AUTHORITY;
        Ok(match look.secret(name).await? {
            Some(secret) => Self::Authority(read(name, key, part(secret, key)?)?),
            None => Self::Elsewhere,
        })
    }
}

pub(super) async fn valid(look: &Look, webhook: &Webhook) -> Answer {
    for entry in webhook.ours(look).await? {
        let kept = Kept::of(look, webhook, &entry).await?;
        let bundle = bundle(webhook, &entry)?;
        let bundle_is_good = || none_of(expired_all(look, &bundle));
        match &kept {
            Kept::Pair { secret, chain, key } => {
                in_date(look, secret, &chain[..1])?;
                matches_key(secret, chain, key)?;
                let name = match &entry.client.service {
                    Some(service) => format!("{}.{}.svc", service.name, service.namespace),
                    None => format!("{}.{}.svc", webhook.service, look.namespace()),
                };
                let server = ServerName::try_from(name.clone());
                let server = server.map_err(|error| Problem::found(error.to_string()))?;
                let shown: Vec<_> = chain.iter().map(|one| one.der().clone()).collect();
                verify(&shown, &bundle, &server).map_err(|reason| {
                    Problem::found(format!(
                        "the certificate in Secret {secret} is not good for {name} by caBundle of \
                         {}: {reason}",
                        webhook.configuration
                    ))
                })?;
            }
            Kept::Authority(authority) => {
                in_date(look, AUTHORITY_NAME, &authority[..1])?;
                let is_known = bundle.contains(&authority[0]);
                none_of((!is_known).then(|| {
                    format!(
                        "caBundle of {} does not hold the authority in Secret {}",
                        webhook.configuration, AUTHORITY.0
                    )
                }))?;
            }
            Kept::Elsewhere => bundle_is_good()?,
        }
    }
    Ok(())
}

pub(super) async fn in_date_for_long(look: &Look, webhook: &Webhook) -> Answer {
    for entry in webhook.ours(look).await? {
        match Kept::of(look, webhook, &entry).await? {
            Kept::Pair { secret, chain, .. } => not_due(look, secret, &chain[..1])?,
            Kept::Authority(chain) => not_due(look, AUTHORITY_NAME, &chain[..1])?,
            Kept::Elsewhere => {
                return Err(Problem::not_applicable("its certificate is in no Secret"));
            }
        }
    }
    Ok(())
}

/// What the API server verifies by.
fn bundle(webhook: &Webhook, entry: &Entry) -> Result<TrustAnchors, Problem> {
    let name = webhook.configuration;
    let pem = entry
        .client
        .ca_bundle
        .as_ref()
        .map_or(&[][..], |pem| &pem.0);
    if pem.is_empty() {
        return Err(Problem::found(format!(
            "{name} has no caBundle for {}",
            entry.name
        )));
    }
    let read = TrustAnchors::from_pem(pem);
    read.map_err(|error| Problem::found(format!("caBundle of {name}: {error}")))
}

/// Says that none of them is good, if so.
fn expired_all(look: &Look, bundle: &TrustAnchors) -> Option<String> {
    let mut all = bundle.certificates().iter();
    let are_bad = all.all(|one| in_date(look, "", std::slice::from_ref(one)).is_err());
    are_bad.then(|| "no certificate of caBundle is in date".to_owned())
}

fn matches_key(secret: &str, chain: &[Certificate], key: &[u8]) -> Answer {
    let wrong = |reason: String| Problem::found(format!("the key in Secret {secret}: {reason}"));
    // The parser's own words may quote the key.
    let key = PrivateKeyDer::from_pem_slice(key);
    let key = key.map_err(|_| wrong("expected a private key, PEM".to_owned()))?;
    let provider = CryptoProvider::get_default().expect("installed first in main");
    let shown = chain.iter().map(|one| one.der().clone()).collect();
    let pair = CertifiedKey::from_der(shown, key, provider);
    pair.map(drop).map_err(|error| wrong(error.to_string()))
}
