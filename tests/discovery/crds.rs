//! Our kinds in an API server that did not know them.

use anyhow::ensure;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams},
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// For a kind to be served once it is defined.
const PATIENCE: Duration = Duration::from_secs(60);

/// Installs all CRDs, and waits until they are served.
pub(crate) async fn install(client: &Client) -> anyhow::Result<()> {
    install_those(client, ferrule_crds::all()).await
}

/// Installs the CRD of one kind, and waits until it is served.
pub(crate) async fn install_kind(client: &Client, kind: &str) -> anyhow::Result<()> {
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
