//! What the API server makes of the definitions.

use anyhow::Result;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, ResourceExt as _};

use crate::support::cluster;

/// GitOps tools compare what they apply with what they read back, for ever.
#[tokio::test]
async fn the_api_server_changes_nothing_in_what_is_applied() -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(cluster().await?.client()?);
    for ours in ferrule_crds::all() {
        let theirs = api.get(&ours.name_any()).await?;
        assert_eq!(
            serde_json::to_value(&theirs.spec)?,
            serde_json::to_value(&ours.spec)?,
            "{}",
            ours.name_any()
        );
    }
    Ok(())
}

/// Conditions say what is wrong with names and schemas, and both count as established.
#[tokio::test]
async fn the_api_server_complains_of_no_definition() -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(cluster().await?.client()?);
    for crd in ferrule_crds::all() {
        let status = api.get(&crd.name_any()).await?.status.unwrap();
        for condition in status.conditions.unwrap_or_default() {
            let good = match condition.type_.as_str() {
                "Established" | "NamesAccepted" => "True",
                _ => "False",
            };
            assert_eq!(condition.status, good, "{}: {condition:?}", crd.name_any());
        }
        let stored: Vec<&str> = crd
            .spec
            .versions
            .iter()
            .filter(|version| version.storage)
            .map(|version| version.name.as_str())
            .collect();
        assert_eq!(status.stored_versions.unwrap(), stored);
    }
    Ok(())
}
