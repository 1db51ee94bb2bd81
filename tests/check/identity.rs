//! Trust anchors and issuers that are not good.

use crate::{
    certificates::{Pair, Root},
    mesh::{Mesh, here},
    objects::Spoilt,
};
use anyhow::Result;
use k8s_openapi::ByteString;
use rcgen::KeyPair;
use serde_json::json;

fn secret(text: &str) -> ByteString {
    ByteString(text.as_bytes().to_vec())
}

/// Puts an issuer there that somebody else keeps: Ferrule would mend its own.
async fn issuer(mesh: &Mesh, pair: &Pair) -> Result<Spoilt> {
    mesh.objects
        .spoil(&here("secrets", "linkerd-identity-issuer"), |secret_| {
            secret_["metadata"]["labels"] = json!({});
            secret_["data"] = json!({
                "crt.pem": secret(&pair.certificate), "key.pem": secret(&pair.key),
            });
        })
        .await
}

async fn anchors(mesh: &Mesh, pem: &str) -> Result<Spoilt> {
    mesh.objects
        .spoil(&here("configmaps", "linkerd-identity-trust-roots"), |map| {
            map["metadata"]["labels"] = json!({});
            map["data"] = json!({"ca-bundle.crt": pem});
        })
        .await
}

pub(crate) async fn an_issuer_that_has_expired(mesh: &Mesh) -> Result<()> {
    let root = Root::new()?;
    let anchors = anchors(mesh, &root.pem()).await?;
    let issuer = issuer(mesh, &root.issuer(10, -2)?).await?;
    let told = mesh.check(&[]).await?;
    let why = ["CN=identity.linkerd.cluster.local has expired"];
    told.fails("l5d-identity-issuer-cert-is-time-valid", &why)?;
    told.was_stopped(
        "l5d-identity-issuer-cert-not-expiring-soon",
        "l5d-identity-issuer-cert-is-time-valid",
    )?;
    // What was good signs on, which is not what the Secret holds.
    told.warns("l5d-identity-issuer-loaded", &["signs with another issuer"])?;
    // Nothing else is hidden by it.
    told.succeeds("l5d-identity-issuer-cert-issued-by-trust-anchor")?;
    told.succeeds("l5d-proxy-injector-webhook-reachable")?;
    issuer.mend().await?;
    anchors.mend().await
}

pub(crate) async fn an_issuer_that_is_due(mesh: &Mesh) -> Result<()> {
    let root = Root::new()?;
    let anchors = anchors(mesh, &root.pem()).await?;
    // A third of a life of 9 days is the less of both (ruling 12).
    let issuer = issuer(mesh, &root.issuer(7, 2)?).await?;
    let told = mesh.check(&[]).await?;
    told.warns(
        "l5d-identity-issuer-cert-not-expiring-soon",
        &["it is time to renew it"],
    )?;
    told.succeeds("l5d-identity-issuer-cert-is-time-valid")?;
    issuer.mend().await?;
    let issuer = self::issuer(mesh, &root.issuer(1, 8)?).await?;
    mesh.check(&[])
        .await?
        .succeeds("l5d-identity-issuer-cert-not-expiring-soon")?;
    issuer.mend().await?;
    anchors.mend().await
}

pub(crate) async fn another_meshs_anchors(mesh: &Mesh) -> Result<()> {
    let anchors = anchors(mesh, &Root::new()?.pem()).await?;
    let told = mesh.check(&[]).await?;
    let why = ["signed by an unknown authority"];
    told.fails("l5d-identity-issuer-cert-issued-by-trust-anchor", &why)?;
    anchors.mend().await
}

pub(crate) async fn an_anchor_that_proxies_cannot_read(mesh: &Mesh) -> Result<()> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512)?;
    let anchors = anchors(mesh, &Root::with_key(key)?.pem()).await?;
    let told = mesh.check(&[]).await?;
    let id = "l5d-identity-trustAnchors-use-supported-crypto";
    told.fails(id, &["CN=root.linkerd.cluster.local", "P-521"])?;
    anchors.mend().await
}

pub(crate) async fn keys_of_another_scheme(mesh: &Mesh) -> Result<()> {
    let pair = Root::new()?.issuer(1, 100)?;
    let path = here("secrets", "linkerd-identity-issuer");
    let edit = |object: &mut serde_json::Value| {
        object["metadata"]["labels"] = json!({});
        object["data"] = json!({
            "tls.crt": secret(&pair.certificate), "tls.key": secret(&pair.key),
        });
    };
    let spoilt = mesh.objects.spoil(&path, edit).await?;
    let told = mesh.check(&[]).await?;
    let why = ["has no crt.pem; it has tls.crt, tls.key"];
    told.fails("l5d-identity-cert-config-valid", &why)?;
    spoilt.mend().await
}

pub(crate) async fn a_key_of_another_certificate(mesh: &Mesh) -> Result<()> {
    let root = Root::new()?;
    let (one, other) = (root.issuer(1, 100)?, root.issuer(1, 100)?);
    let mixed = Pair {
        certificate: one.certificate,
        key: other.key,
    };
    let spoilt = issuer(mesh, &mixed).await?;
    let told = mesh.check(&[]).await?;
    told.fails(
        "l5d-identity-cert-config-valid",
        &["public and private key do not match"],
    )?;
    told.was_stopped(
        "l5d-identity-issuer-cert-issued-by-trust-anchor",
        "l5d-identity-cert-config-valid",
    )?;
    spoilt.mend().await
}

pub(crate) async fn no_anchors(mesh: &Mesh) -> Result<()> {
    let spoilt = anchors(
        mesh,
        "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n",
    )
    .await?;
    let told = mesh.check(&[]).await?;
    told.fails(
        "l5d-identity-trust-roots-valid",
        &["linkerd-identity-trust-roots"],
    )?;
    spoilt.mend().await
}
