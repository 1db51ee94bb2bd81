//! The mesh's kinds in an API server that did not know them.

use anyhow::{Context as _, ensure};
use ferrule_test_cluster::PATIENCE;
use gateway_api::experimental::{
    grpcroutes::GrpcRoute, httproutes::HttpRoute, tcproutes::TcpRoute, tlsroutes::TlsRoute,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, CustomResourceExt as _, ResourceExt as _,
    api::{ApiResource, Patch, PatchParams},
    core::GroupVersionKind,
};
use std::{sync::LazyLock, time::Duration};
use tokio::time::{Instant, sleep};

/// The Gateway API's routes, as far as types can tell their definitions: without the
/// rules that span fields.
pub fn gateway_api() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![
        HttpRoute::crd(),
        GrpcRoute::crd(),
        TlsRoute::crd(),
        TcpRoute::crd(),
    ];
    for crd in &mut crds {
        // Without this the group, whose name is reserved, is not served.
        let approval = "https://github.com/kubernetes-sigs/gateway-api";
        let key = "api-approved.kubernetes.io".to_owned();
        crd.annotations_mut().insert(key, approval.to_owned());
    }
    crds
}

/// Objects of a kind, ours or the Gateway API's, in the version in which they are
/// stored.
///
/// # Errors
/// If it is neither's.
pub fn resource(group: &str, kind: &str) -> anyhow::Result<ApiResource> {
    // Their schemas take a while to make.
    static KNOWN: LazyLock<Vec<ApiResource>> = LazyLock::new(|| {
        let crds = ferrule_crds::all().into_iter().chain(gateway_api());
        crds.filter_map(|crd| stored(&crd)).collect()
    });
    let mut known = KNOWN.iter();
    let found = known.find(|known| known.group == group && known.kind == kind);
    found.cloned().with_context(|| format!("{kind} of {group}"))
}

fn stored(crd: &CustomResourceDefinition) -> Option<ApiResource> {
    let spec = &crd.spec;
    let version = spec.versions.iter().find(|version| version.storage)?;
    let kind = GroupVersionKind::gvk(&spec.group, &version.name, &spec.names.kind);
    Some(ApiResource::from_gvk_with_plural(&kind, &spec.names.plural))
}

/// Installs the Gateway API's routes, and waits until they are served.
///
/// # Errors
/// If the API server refuses.
pub async fn install_gateway_api(client: &Client) -> anyhow::Result<()> {
    install_those(client, gateway_api()).await
}

/// Installs all of our CRDs, and waits until they are served.
///
/// # Errors
/// If the API server refuses.
pub async fn install(client: &Client) -> anyhow::Result<()> {
    install_those(client, ferrule_crds::all()).await
}

/// Installs the CRD of one kind of ours, and waits until it is served.
///
/// # Errors
/// If there is no such kind, or the API server refuses.
pub async fn install_kind(client: &Client, kind: &str) -> anyhow::Result<()> {
    let mut crds = ferrule_crds::all();
    crds.retain(|crd| crd.spec.names.kind == kind);
    ensure!(crds.len() == 1, "{kind} is a kind of ours");
    install_those(client, crds).await
}

async fn install_those(client: &Client, crds: Vec<CustomResourceDefinition>) -> anyhow::Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let params = PatchParams::apply("test").force();
    for crd in &crds {
        api.patch(&crd.name_any(), &params, &Patch::Apply(crd))
            .await?;
    }
    for crd in &crds {
        served(client, crd).await?;
    }
    Ok(())
}

/// Established is not enough: it is said before the first request finds the kind.
async fn served(client: &Client, crd: &CustomResourceDefinition) -> anyhow::Result<()> {
    let (group, plural) = (&crd.spec.group, &crd.spec.names.plural);
    let deadline = Instant::now() + PATIENCE;
    for version in crd.spec.versions.iter().filter(|version| version.served) {
        let path = format!("/apis/{group}/{}/{plural}?limit=1", version.name);
        loop {
            let list = http::Request::get(&path).body(Vec::new())?;
            let Err(error) = client.request_text(list).await else {
                break;
            };
            ensure!(Instant::now() < deadline, "{path} is not served: {error}");
            sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}
