//! What everybody should trust, as it is published.

use ferrule_identity::{TRUST_ROOTS_KEY, TrustAnchors};
use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt as _,
    core::{ApiResource, DynamicObject, PartialObjectMeta},
    runtime::{WatchStreamExt as _, watcher},
};
use std::fmt::Write as _;

/// How much of the hash tells one bundle from another.
const ID_BYTES: usize = 8;

/// The trust anchors that are published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bundle {
    /// The same for the same certificates, in whichever order and with whatever text
    /// between them; 16 hexadecimal digits.
    pub(super) id: String,
    /// SHA-256 of each.
    pub(super) fingerprints: Vec<String>,
    /// When somebody wrote it last.
    pub(super) published: Option<Timestamp>,
}

impl Bundle {
    /// Reads it; nothing if there is none, or none that can be read.
    pub(super) async fn read(
        client: &Client,
        namespace: &str,
        name: &str,
    ) -> kube::Result<Option<Self>> {
        let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let Some(config_map) = config_maps.get_opt(name).await? else {
            return Ok(None);
        };
        Ok(Self::of(&config_map).unwrap_or_else(|problem| {
            tracing::warn!("ConfigMap {namespace}/{name}: {problem}: nothing is restarted for it");
            None
        }))
    }

    fn of(config_map: &ConfigMap) -> Result<Option<Self>, String> {
        let data = config_map.data.as_ref();
        let Some(text) = data.and_then(|data| data.get(TRUST_ROOTS_KEY)) else {
            return Ok(None);
        };
        let anchors = TrustAnchors::from_pem(text.as_bytes())
            .map_err(|error| format!("{TRUST_ROOTS_KEY}: {error}"))?;
        let mut fingerprints: Vec<_> = anchors
            .certificates()
            .iter()
            .map(|anchor| anchor.fingerprint().to_owned())
            .collect();
        fingerprints.sort_unstable();
        fingerprints.dedup();
        Ok(Some(Self {
            id: id(&fingerprints),
            fingerprints,
            published: published(config_map),
        }))
    }
}

fn id(fingerprints: &[String]) -> String {
    use aws_lc_rs::digest::{SHA256, digest};
    let hash = digest(&SHA256, fingerprints.concat().as_bytes());
    let bytes = hash.as_ref().iter().take(ID_BYTES);
    bytes.fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// When the bundle was last another, as the API server noted it.
fn published(config_map: &ConfigMap) -> Option<Timestamp> {
    let field = format!("f:{TRUST_ROOTS_KEY}");
    let writers = config_map.managed_fields().iter();
    let times = writers.filter_map(|writer| {
        let fields = writer.fields_v1.as_ref()?;
        fields.0.get("f:data")?.get(&field)?;
        Some(writer.time.as_ref()?.0)
    });
    times.max()
}

/// Something may have changed. Only metadata is watched.
pub(super) fn changes(
    client: &Client,
    namespace: &str,
    name: &str,
) -> impl Stream<Item = ()> + Send + use<> {
    let kind = ApiResource::erase::<ConfigMap>(&());
    let api: Api<PartialObjectMeta<DynamicObject>> =
        Api::namespaced_with(client.clone(), namespace, &kind);
    // Roles that name objects allow a watch of one that is named so.
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    watcher(api, config)
        .default_backoff()
        .filter_map(async |event| match event {
            Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_) | watcher::Event::InitDone) => {
                Some(())
            }
            Ok(_) => None,
            Err(error) => {
                tracing::debug!("watching the trust anchors: {error}");
                None
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrule_identity::{IdentityScope, StateDirectory};
    use serde_json::json;
    use std::time::SystemTime;

    fn anchor() -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let state = StateDirectory::open(folder.path()).expect("opens");
        let scope = IdentityScope::new("linkerd", "cluster.local").expect("a scope");
        let made = state.credentials(&scope, SystemTime::now()).expect("made");
        String::from_utf8_lossy(made.anchors.pem()).into_owned()
    }

    fn config_map(text: &str) -> ConfigMap {
        let entry = |fields: &serde_json::Value, time: &str| json!({"manager": "m", "time": time, "fieldsV1": fields});
        let map = json!({
            "metadata": {"name": "linkerd-identity-trust-roots", "managedFields": [
                entry(&json!({"f:data": {".": {}, "f:ca-bundle.crt": {}}}), "2026-01-01T12:00:00Z"),
                entry(&json!({"f:metadata": {}}), "2026-01-02T12:00:00Z"),
            ]},
            "data": {TRUST_ROOTS_KEY: text},
        });
        serde_json::from_value(map).expect("a ConfigMap")
    }

    #[test]
    fn a_bundle_is_known_by_its_certificates_and_by_when_they_were_written() {
        let (one, two) = (anchor(), anchor());
        let read = |text: &str| Bundle::of(&config_map(text));
        let both = read(&format!("{one}{two}")).expect("good").expect("there");
        let same = read(&format!("# ours\n{two}\n{one}{one}")).expect("good");
        assert_eq!(same.as_ref(), Some(&both));
        assert_eq!(both.id.len(), 16);
        assert_eq!(both.fingerprints.len(), 2);
        let published = "2026-01-01T12:00:00Z".parse().expect("a time");
        assert_eq!(both.published, Some(published));
        let alone = read(&one).expect("good").expect("there");
        assert_ne!(alone.id, both.id);
        let error = read("garbage").expect_err("there is no certificate");
        assert!(error.starts_with("ca-bundle.crt: "), "{error}");
    }
}
