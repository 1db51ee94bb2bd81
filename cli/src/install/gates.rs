//! What keeps manifests from being printed: things that templates cannot tell, and that a
//! cluster would show only when it is too late.

use super::{
    InstallError, forms,
    installed::Source,
    processes::{self, Starts},
    rendered::Rendered,
    values::at,
};
use crate::{
    Error, check,
    mesh_pod::{HeldAnchors, MeshPods},
    output,
    read::{Unread, all, each, get},
};
use ferrule_identity::{
    Certificate, ISSUER_SECRET, IdentityScope, Issuer, IssuerError, TRUST_ROOTS, TRUST_ROOTS_KEY,
    TrustAnchors, date,
};
use ferrule_proxy_injector::Values;
use k8s_openapi::{
    api::core::v1::{ConfigMap, Node, Pod, Secret},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition as Definition,
};
use kube::{Api, Client, api::ListParams};
use serde_json::Value;
use std::{collections::BTreeMap, rc::Rc, time::SystemTime};

/// Values mean something to proxies and to the processes of the control plane; those that do
/// not are all told.
pub(super) fn values(values: &Value) -> Result<(), InstallError> {
    let (_, problems) = Values::from_value(values);
    let mut problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    problems.extend(forms::problems(values));
    none(problems)
}

/// The processes of the control plane would start.
pub(super) fn processes(rendered: &Rendered, starts: Starts) -> Result<(), InstallError> {
    none(processes::problems(rendered, starts))
}

fn none(problems: Vec<String>) -> Result<(), InstallError> {
    match problems.is_empty() {
        true => Ok(()),
        false => Err(InstallError::Values(problems)),
    }
}

/// An issuer is not given where somebody else makes its Secret: nobody would look at it.
pub(super) fn issuer_is_looked_at(values: &Value) -> Result<(), InstallError> {
    let issuer = at(values, "identity.issuer.tls.crtPEM").as_str();
    let is_given = issuer.is_some_and(|pem| !pem.is_empty());
    match Source::of(values) {
        Source::External if is_given => Err(InstallError::Values(vec![
            "identity.issuer.tls.crtPEM is not for identity.issuer.scheme kubernetes.io/tls: \
             somebody else makes that Secret, so renew the issuer there"
                .to_owned(),
        ])),
        _ => Ok(()),
    }
}

/// What a render brings to sign and to trust.
pub(super) struct Brought {
    certificate: Vec<u8>,
    key: Vec<u8>,
    scope: IdentityScope,
    anchors: Option<TrustAnchors>,
}

impl Brought {
    /// Looks at the issuer and the trust anchors of a render as the identity role will;
    /// `published` are the anchors that the cluster has where the render has none. Says how
    /// long they last. `None` where it brings no issuer.
    ///
    /// # Errors
    /// Why proxies would not accept what is signed.
    pub(super) fn judge(
        rendered: &Rendered,
        namespace: &str,
        values: &Value,
        published: Option<&str>,
    ) -> Result<Option<Self>, Error> {
        let scope = scope(namespace, values)?;
        let read = |kind, name| rendered.find(kind, name).cloned();
        let parse = |pem: &str| TrustAnchors::from_pem(pem.as_bytes());
        let anchors = read("ConfigMap", TRUST_ROOTS).map(serde_json::from_value::<ConfigMap>);
        let anchors = anchors.and_then(|map| map.ok()?.data?.remove(TRUST_ROOTS_KEY));
        let anchors = anchors.as_deref().map(parse).transpose();
        let mut anchors = anchors.map_err(InstallError::Anchors)?;
        for anchor in anchors.iter().flat_map(TrustAnchors::certificates) {
            is_known(anchor, "trust anchor", true)?;
        }
        let secret = read("Secret", ISSUER_SECRET).map(serde_json::from_value::<Secret>);
        let Some(mut data) = secret.and_then(|secret| secret.ok()?.data) else {
            return Ok(None);
        };
        if anchors.is_none() {
            let published = published.map(parse).transpose();
            anchors = published.map_err(InstallError::Anchors)?;
        }
        let mut part = |key: &str| data.remove(key).map(|part| part.0).unwrap_or_default();
        let brought = Self {
            certificate: part("crt.pem"),
            key: part("key.pem"),
            scope,
            anchors,
        };
        if let Some(anchors) = &brought.anchors {
            let issuer = brought.issuer(anchors).map_err(InstallError::Issuer)?;
            is_known(issuer.certificate(), "issuer", false)?;
            told(&issuer, anchors);
        }
        Ok(Some(brought))
    }

    fn issuer(&self, anchors: &TrustAnchors) -> Result<Issuer, IssuerError> {
        let now = SystemTime::now();
        Issuer::load(&self.certificate, &self.key, anchors, &self.scope, now)
    }

    /// Whether every workload that runs trusts what it will sign.
    ///
    /// # Errors
    /// If one does not, or they cannot be listed.
    pub(super) async fn is_trusted(&self, client: &Client, namespace: &str) -> Result<(), Error> {
        let mut distrusting = Vec::new();
        for (bundle, pods) in bundles(client, namespace).await? {
            let trusted = TrustAnchors::from_pem(bundle.as_bytes())
                .map_err(|error| error.to_string())
                .and_then(|anchors| self.issuer(&anchors).map_err(|error| error.to_string()));
            if let Err(reason) = trusted {
                let first = &pods[0];
                let more = match pods.len() {
                    1 => String::new(),
                    count => format!(" and {} more", count - 1),
                };
                distrusting.push(format!(
                    "pod {first}{more} would not trust the issuer: {reason}"
                ));
            }
        }
        match distrusting.is_empty() {
            true => Ok(()),
            false => Err(InstallError::Cut {
                what: distrusting.join("\n"),
            })?,
        }
    }
}

fn scope(namespace: &str, values: &Value) -> Result<IdentityScope, Error> {
    let domain = at(values, "identityTrustDomain").as_str();
    let scope = IdentityScope::new(namespace, domain.unwrap_or("cluster.local"));
    Ok(scope
        .map_err(|error| InstallError::Values(vec![format!("identityTrustDomain: {error}")]))?)
}

fn is_known(certificate: &Certificate, what: &str, is_anchor: bool) -> Result<(), Error> {
    match check::is_supported(certificate, is_anchor) {
        true => Ok(()),
        false => {
            let algorithm = certificate.public_key().algorithm();
            let subject = certificate.subject();
            Err(InstallError::Key(format!("the {what} {subject} has a key of {algorithm}")).into())
        }
    }
}

fn told(issuer: &Issuer, anchors: &TrustAnchors) {
    let (subject, until) = {
        let own = issuer.certificate();
        (own.subject(), date(own.not_after()))
    };
    output::note(&format!("issuer {subject}: good until {until}"));
    for anchor in anchors.certificates() {
        let until = date(anchor.not_after());
        output::note(&format!(
            "trust anchor {}: good until {until}",
            anchor.subject()
        ));
    }
    for warning in issuer.warnings() {
        output::note(&format!("warning: {warning}"));
    }
}

/// What running proxies trust that hold it themselves, with the pods that do.
async fn bundles(
    client: &Client,
    namespace: &str,
) -> Result<BTreeMap<Rc<str>, Vec<String>>, Error> {
    let params = ListParams::default().labels(&format!("{}={namespace}", check::CONTROL_PLANE));
    let (mut reader, mut found) = (MeshPods::default(), BTreeMap::<_, Vec<String>>::new());
    each(Api::all(client.clone()), params, |pod: Pod| {
        if let Some(pod) = reader.read(&pod)
            && let HeldAnchors::Text(bundle) = &pod.anchors
        {
            found
                .entry(bundle.clone())
                .or_default()
                .push(pod.full_name());
        }
    })
    .await?;
    Ok(found)
}

/// Where certificates come from, and whose names they have, stays as it is.
///
/// # Errors
/// If it would not.
pub(super) fn is_the_same_mesh(before: &Value, after: &Value) -> Result<(), InstallError> {
    let (old, new) = (Source::of(before), Source::of(after));
    if old != new {
        let (old, new) = (old.as_str(), new.as_str());
        let what = format!("the trust anchors and the issuer were {old}, and would be {new}");
        return Err(InstallError::Cut { what });
    }
    let path = "identityTrustDomain";
    let (old, new) = (at(before, path), at(after, path));
    if old != new {
        let what = format!("{path} was {old}, and would be {new}");
        return Err(InstallError::Cut { what });
    }
    Ok(())
}

/// Kinds of the mesh are defined.
pub(super) async fn definitions(client: &Client) -> Result<(), Error> {
    let mut missing = Vec::new();
    for name in check::own_definitions() {
        let found: Option<Definition> = get(Api::all(client.clone()), &name).await?;
        missing.extend(found.is_none().then_some(name));
    }
    match missing.is_empty() {
        true => Ok(()),
        false => Err(InstallError::NoDefinitions(missing))?,
    }
}

/// New definitions know every version in which objects are stored. What is said of the
/// Gateway API's is a warning: the mesh does without.
pub(super) async fn stored_versions(client: &Client, rendered: &Rendered) -> Result<(), Error> {
    let read = async |name: &str| get::<Definition>(Api::all(client.clone()), name).await;
    for object in rendered.objects() {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let status = read(name).await?.and_then(|found| found.status);
        let stored = status.and_then(|status| status.stored_versions);
        let versions = object["spec"]["versions"].as_array();
        let is_known = |version: &String| {
            let mut versions = versions.into_iter().flatten();
            versions.any(|of| of["name"] == **version && of["served"] == true)
        };
        let lost: Vec<_> = stored
            .into_iter()
            .flatten()
            .filter(|version| !is_known(version))
            .collect();
        if !lost.is_empty() {
            let (name, versions) = (name.to_owned(), lost.join(", "));
            Err(InstallError::Stored { name, versions })?;
        }
    }
    let routes = "httproutes.gateway.networking.k8s.io";
    let serves_v1 = |found: &Definition| {
        let mut versions = found.spec.versions.iter();
        versions.any(|version| version.name == "v1" && version.served)
    };
    match read(routes).await? {
        None => output::note(
            "note: the Gateway API is not installed; routes of policy.linkerd.io and \
             ServiceProfiles work without. It can be installed at any time, v1.1.1 or later",
        ),
        Some(found) if !serves_v1(&found) => output::note(&format!(
            "warning: {routes} does not serve v1: the Gateway API's bundle is to be v1.1.1 or later"
        )),
        Some(_) => {}
    }
    Ok(())
}

/// Nodes that run Docker let only root redirect traffic.
pub(super) async fn nodes(client: &Client, values: &Value) -> Result<(), Error> {
    if at(values, "cniEnabled") == true || at(values, "proxyInit.runAsRoot") == true {
        return Ok(());
    }
    let docker = |node: Node| {
        let runtime = node.status?.node_info?.container_runtime_version;
        let name = node.metadata.name.unwrap_or_default();
        let is_docker = runtime.starts_with("docker");
        is_docker.then(|| format!("node {name} runs {runtime}"))
    };
    let nodes = all(Api::all(client.clone()), ListParams::default(), docker).await;
    match nodes {
        // Whoever may not read nodes may still install.
        Err(Unread::Forbidden(_)) => Ok(()),
        nodes => match nodes?.into_iter().flatten().next() {
            Some(node) => Err(InstallError::Docker(node).into()),
            None => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn another_source_of_certificates_or_other_names_are_refused() {
        let managed = json!({"identityTrustDomain": "cluster.local"});
        let values =
            json!({"identityTrustDomain": "cluster.local", "identityTrustAnchorsPEM": "a"});
        let renamed = json!({"identityTrustDomain": "corp.test"});
        assert!(is_the_same_mesh(&managed, &managed).is_ok());
        for (before, after, told) in [
            (
                &managed,
                &values,
                "were made by Ferrule, and would be given by values",
            ),
            (
                &values,
                &managed,
                "were given by values, and would be made by Ferrule",
            ),
            (
                &managed,
                &renamed,
                "was \"cluster.local\", and would be \"corp.test\"",
            ),
        ] {
            let error = is_the_same_mesh(before, after).unwrap_err().to_string();
            assert!(error.contains(told) && error.contains("--force"), "{error}");
        }
    }

    #[test]
    fn a_value_that_proxies_cannot_read_is_told_by_its_name() {
        let values = super::values(&json!({"proxy": {"ports": {"admin": "many"}}}));
        let error = values.unwrap_err().to_string();
        assert!(error.contains("proxy.ports.admin"), "{error}");
        assert!(super::values(&json!({})).is_ok());
    }

    #[test]
    fn an_issuer_that_nobody_would_look_at_is_refused() {
        let tls = json!({"crtPEM": "a"});
        for (scheme, is_good) in [("linkerd.io/tls", true), ("kubernetes.io/tls", false)] {
            let issuer = json!({"scheme": scheme, "tls": tls});
            let values = json!({"identity": {"issuer": issuer}});
            assert_eq!(issuer_is_looked_at(&values).is_ok(), is_good, "{scheme}");
        }
    }
}
