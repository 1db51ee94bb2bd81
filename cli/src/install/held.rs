//! Where an upgrade finds what is installed: in the cluster, or in manifests of it.

use super::InstallError;
use crate::{
    Error,
    manifest::Input,
    read::{Known, get, of},
};
use k8s_openapi::{
    NamespaceResourceScope, api::core::v1::Namespace,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition as Definition,
};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;

/// The label of a namespace that says which pods are let into it.
pub(super) const POD_SECURITY: &str = "pod-security.kubernetes.io/enforce";

/// What holds the objects of a control plane.
pub(super) enum Held {
    /// The API server.
    Cluster(Client),
    /// Manifests, which nobody has to be asked for.
    Manifests(Manifests),
}

/// Objects, and where they were read.
pub(super) struct Manifests {
    name: String,
    objects: Vec<Value>,
}

impl Held {
    /// What a file, a directory or standard input (`-`) has.
    ///
    /// # Errors
    /// When it cannot be read, or some of it is no YAML.
    pub(super) fn manifests(path: &Path) -> Result<Self, Error> {
        let mut objects = Vec::new();
        for input in Input::read(path)? {
            for value in input.values() {
                match &value["items"] {
                    Value::Array(items) if value["kind"] == "List" => {
                        objects.extend(items.iter().cloned());
                    }
                    _ => objects.push(value.clone()),
                }
            }
        }
        let name = match path == Path::new("-") {
            true => "standard input".to_owned(),
            false => path.display().to_string(),
        };
        Ok(Self::Manifests(Manifests { name, objects }))
    }

    /// Whom to ask for more, if anybody.
    pub(super) fn client(&self) -> Option<&Client> {
        match self {
            Self::Cluster(client) => Some(client),
            Self::Manifests(_) => None,
        }
    }

    /// An object of a namespace, if it is there.
    pub(super) async fn get<K>(&self, namespace: &str, name: &str) -> Result<Option<K>, Error>
    where
        K: Known + Resource<Scope = NamespaceResourceScope>,
    {
        match self {
            Self::Cluster(client) => Ok(get(of(client, namespace), name).await?),
            Self::Manifests(manifests) => {
                manifests.find(&K::api_version(&()), &K::kind(&()), Some(namespace), name)
            }
        }
    }

    /// The definition of a kind, if it is there.
    pub(super) async fn definition(&self, name: &str) -> Result<Option<Definition>, Error> {
        match self {
            Self::Cluster(client) => Ok(get(Api::all(client.clone()), name).await?),
            Self::Manifests(manifests) => {
                let (version, kind) = ("apiextensions.k8s.io/v1", "CustomResourceDefinition");
                manifests.find(version, kind, None, name)
            }
        }
    }

    /// Which pods the namespace lets in, where somebody has decided that.
    pub(super) async fn pod_security(&self, namespace: &str) -> Result<Option<String>, Error> {
        let found: Option<Namespace> = match self {
            Self::Cluster(client) => get(Api::all(client.clone()), namespace).await?,
            Self::Manifests(manifests) => manifests.find("v1", "Namespace", None, namespace)?,
        };
        let labels = found.and_then(|namespace| namespace.metadata.labels);
        Ok(labels.and_then(|mut labels| labels.remove(POD_SECURITY)))
    }

    /// That there is no control plane.
    pub(super) fn none(&self, namespace: &str) -> InstallError {
        let namespace = namespace.to_owned();
        match self {
            Self::Cluster(_) => InstallError::NotInstalled(namespace),
            Self::Manifests(Manifests { name, .. }) => InstallError::NotInManifests {
                name: name.clone(),
                namespace,
            },
        }
    }
}

impl Manifests {
    /// The last of these, as kubectl would apply them. Where no namespace is written it is
    /// the one that is looked for.
    fn find<K: DeserializeOwned>(
        &self,
        version: &str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<K>, Error> {
        let found = self.objects.iter().rfind(|object| {
            let metadata = &object["metadata"];
            let is_there = match (metadata["namespace"].as_str(), namespace) {
                (Some(own), Some(namespace)) => own == namespace,
                _ => true,
            };
            object["apiVersion"] == version
                && object["kind"] == kind
                && metadata["name"] == name
                && is_there
        });
        let read = found.map(|object| serde_json::from_value(object.clone()));
        read.transpose().map_err(|error| Error::Unreadable {
            name: format!("{kind} {name} in {}", self.name),
            reason: error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{ConfigMap, Secret};

    const TEXT: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: {x: first}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: mesh}, data: {x: last}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: other}, data: {x: other}}
- {apiVersion: v1, kind: Secret, metadata: {name: bad, namespace: mesh}, data: [1]}
";

    #[tokio::test]
    async fn what_is_applied_last_counts_and_of_its_namespace_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.yaml");
        std::fs::write(&path, TEXT).unwrap();
        let held = Held::manifests(&path).unwrap();
        for (namespace, expected) in [("mesh", "last"), ("other", "other"), ("third", "first")] {
            let found: Option<ConfigMap> = held.get(namespace, "a").await.unwrap();
            let data = found.unwrap().data.unwrap();
            assert_eq!(data["x"], expected, "{namespace}");
        }
        assert_eq!(held.get::<ConfigMap>("mesh", "b").await.unwrap(), None);
        let error = held.get::<Secret>("mesh", "bad").await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("Secret bad in ") && text.contains("all.yaml"),
            "{text}"
        );
        let error = held.none("mesh").to_string();
        assert!(
            error.contains("all.yaml") && error.contains("-L"),
            "{error}"
        );
    }
}
