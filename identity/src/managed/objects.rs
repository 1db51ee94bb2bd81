//! The Secrets and the ConfigMap, and how they are read and written.

use super::{
    plan::{AnchorPair, Anchors, IssuerPair, Made, Published, State},
    rotation::{
        ABORT_ROTATION, Phase, ROTATE_ANCHOR, ROTATION, ROTATION_OVERRIDE, ROTATION_PAUSED,
        ROTATION_WAITS, Requests,
    },
};
use crate::{
    IssuerScheme,
    certificate::date,
    follow::{ContentSource, Contents, Text},
};
use arc_swap::ArcSwapOption;
use futures::{Stream, StreamExt as _, stream};
use k8s_openapi::{
    ByteString,
    api::{
        authentication::v1::SelfSubjectReview,
        core::v1::{ConfigMap, Secret},
    },
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ObjectMeta, PostParams},
    core::{ApiResource, DynamicObject, PartialObjectMeta},
    runtime::{WatchStreamExt as _, watcher},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    fmt, io,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::timeout;
use tracing::debug;

/// The Secret of the issuer, as Linkerd calls it.
pub const ISSUER_SECRET: &str = "linkerd-identity-issuer";
/// The Secret of the trust anchor's key, which only the identity role reads.
pub const ANCHOR_SECRET: &str = "ferrule-trust-anchor";
/// The ConfigMap of the bundle, as Linkerd calls it.
pub const TRUST_ROOTS: &str = "linkerd-identity-trust-roots";
/// The bundle in it.
pub const TRUST_ROOTS_KEY: &str = "ca-bundle.crt";
/// What marks an object as made and kept here: this label with this value.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "ferrule");
/// On the issuer's Secret: asks for another issuer. Any value will do.
pub const ROTATE_ISSUER: &str = "ferrule.io/rotate-issuer";
/// On the issuer's Secret: the SHA-256 of the issuer's certificate, for who may not
/// read what is in it.
pub const ISSUER_SHA256: &str = "ferrule.io/issuer-sha256";
/// Likewise, when it expires.
pub const ISSUER_NOT_AFTER: &str = "ferrule.io/issuer-not-after";

/// In the anchor's Secret: what signs issuers now.
const CURRENT: [&str; 2] = ["current.crt", "current.key"];
/// While one anchor follows another: the one that signs next.
const NEXT: [&str; 2] = ["next.crt", "next.key"];
/// Likewise, the one that did before.
const PREVIOUS: [&str; 2] = ["previous.crt", "previous.key"];

const MANAGER: &str = "ferrule";
const COMPONENT: (&str, &str) = ("linkerd.io/control-plane-component", "identity");
const NAMESPACE: &str = "linkerd.io/control-plane-ns";

/// How long a reading may take.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Where issuer and anchors are.
pub(super) struct Objects {
    client: Client,
    secrets: Api<Secret>,
    config_maps: Api<ConfigMap>,
    namespace: String,
    scheme: IssuerScheme,
    /// How long a write may take.
    write_timeout: Duration,
    /// Why the objects could not be read last.
    unreadable: Arc<ArcSwapOption<String>>,
}

/// The objects as they were read, to be written again.
#[derive(Default)]
pub(super) struct Found {
    pub(super) state: State,
    anchor: Option<Secret>,
    issuer: Option<Secret>,
    bundle: Option<ConfigMap>,
}

impl Objects {
    pub(super) fn new(
        client: &Client,
        namespace: &str,
        scheme: IssuerScheme,
        write_timeout: Duration,
        unreadable: Arc<ArcSwapOption<String>>,
    ) -> Self {
        Self {
            client: client.clone(),
            secrets: Api::namespaced(client.clone(), namespace),
            config_maps: Api::namespaced(client.clone(), namespace),
            namespace: namespace.to_owned(),
            scheme,
            write_timeout,
            unreadable,
        }
    }

    pub(super) fn name(&self, kind: &str, name: &str) -> String {
        format!("{kind} {}/{name}", self.namespace)
    }

    /// Something may have changed. Only metadata is watched: keys travel once, when
    /// they are read.
    pub(super) fn changes(&self) -> impl Stream<Item = ()> + Send + use<> {
        // One type for both kinds: a watcher is much code, and is compiled for each.
        type Metadata = PartialObjectMeta<DynamicObject>;
        let of = |kind: ApiResource, name: &str| {
            let api: Api<Metadata> =
                Api::namespaced_with(self.client.clone(), &self.namespace, &kind);
            // Roles that name objects allow a watch of one that is named so.
            let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
            watcher(api, config)
                .default_backoff()
                .filter_map(async |event| match event {
                    Ok(_) => Some(()),
                    Err(error) => {
                        debug!("watching what the issuer is kept in: {error}");
                        None
                    }
                })
        };
        let issuer = of(ApiResource::erase::<Secret>(&()), ISSUER_SECRET);
        let bundle = of(ApiResource::erase::<ConfigMap>(&()), TRUST_ROOTS);
        stream::select(Box::pin(issuer), Box::pin(bundle))
    }

    /// All three objects.
    pub(super) async fn find(&self) -> kube::Result<Found> {
        let anchor = within(READ_TIMEOUT, self.secrets.get_opt(ANCHOR_SECRET)).await?;
        let issuer = within(READ_TIMEOUT, self.secrets.get_opt(ISSUER_SECRET)).await?;
        let bundle = within(READ_TIMEOUT, self.config_maps.get_opt(TRUST_ROOTS)).await?;
        let state = State {
            anchors: anchor.as_ref().map(anchors),
            issuer: issuer.as_ref().map(|issuer| self.issuer_pair(issuer)),
            bundle: bundle.as_ref().map(|bundle| Published {
                ours: is_ours(&bundle.metadata),
                pem: bundle_pem(bundle).unwrap_or_default(),
            }),
        };
        Ok(Found {
            state,
            anchor,
            issuer,
            bundle,
        })
    }

    fn issuer_pair(&self, secret: &Secret) -> IssuerPair {
        let read = |key| data(secret, key).unwrap_or_default();
        IssuerPair {
            ours: is_ours(&secret.metadata),
            certificate: read(self.scheme.certificate()),
            key: read(self.scheme.key()).into(),
            asked: secret.annotations().contains_key(ROTATE_ISSUER),
        }
    }

    /// Writes a new trust anchor; nothing if there is one meanwhile.
    pub(super) async fn create_anchor(&self, certificate: &str, key: &str) -> kube::Result<()> {
        let secret = Secret {
            metadata: self.metadata(ANCHOR_SECRET),
            type_: Some("Opaque".to_owned()),
            data: Some(
                CURRENT
                    .into_iter()
                    .zip([certificate, key])
                    .map(bytes)
                    .collect(),
            ),
            ..Secret::default()
        };
        self.create(&self.secrets, &secret).await
    }

    /// Writes the anchors as they are to be; nothing if somebody else was quicker.
    pub(super) async fn write_anchors(&self, found: &Found, anchors: &Anchors) -> kube::Result<()> {
        let Some(secret) = &found.anchor else {
            return Ok(());
        };
        let mut secret = secret.clone();
        let data = secret.data.get_or_insert_default();
        let places = [
            (CURRENT, Some(&anchors.current)),
            (NEXT, anchors.next.as_ref()),
            (PREVIOUS, anchors.previous.as_ref()),
        ];
        for ([certificates, key], pair) in places {
            let held = pair.map(|pair| pair.certificates.clone());
            set(data, certificates, held.map(ByteString));
            let held = pair.and_then(|pair| pair.key.as_ref());
            set(data, key, held.map(|key| ByteString(key.to_vec())));
        }
        let rotation = anchors.rotation.as_ref();
        let rotation = rotation.and_then(|rotation| serde_json::to_string(rotation).ok());
        let requests = &anchors.requests;
        let asked = secret.metadata.annotations.get_or_insert_default();
        set(asked, ROTATION, rotation);
        set(asked, ROTATION_WAITS, anchors.waits.clone());
        // Who asks writes these; they are only ever taken away here.
        for (request, is_open) in [
            (ROTATE_ANCHOR, requests.rotate),
            (ABORT_ROTATION, requests.abort),
            (ROTATION_OVERRIDE, requests.unless_waiting_in.is_some()),
        ] {
            if !is_open {
                asked.remove(request);
            }
        }
        self.replace(&self.secrets, ANCHOR_SECRET, &secret).await
    }

    /// Writes what a rotation waits for, for people.
    pub(super) async fn write_waits(&self, found: &Found, waits: Option<&str>) -> kube::Result<()> {
        let Some(anchors) = &found.state.anchors else {
            return Ok(());
        };
        let anchors = Anchors {
            waits: waits.map(ToOwned::to_owned),
            ..anchors.clone()
        };
        self.write_anchors(found, &anchors).await
    }

    /// The clock of the API server.
    pub(super) async fn clock(&self) -> kube::Result<Option<SystemTime>> {
        let reviews: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let review = SelfSubjectReview::default();
        let params = PostParams::default();
        let answer = within(READ_TIMEOUT, reviews.create(&params, &review)).await?;
        let created = answer.metadata.creation_timestamp;
        Ok(created.map(|time| SystemTime::from(time.0)))
    }

    /// Writes the bundle; nothing if somebody else was quicker.
    pub(super) async fn publish(&self, found: &Found, pem: &str) -> kube::Result<()> {
        let entry = (TRUST_ROOTS_KEY.to_owned(), pem.to_owned());
        let Some(bundle) = &found.bundle else {
            let bundle = ConfigMap {
                metadata: self.metadata(TRUST_ROOTS),
                data: Some([entry].into()),
                ..ConfigMap::default()
            };
            return self.create(&self.config_maps, &bundle).await;
        };
        let mut bundle = bundle.clone();
        bundle.data.get_or_insert_default().extend([entry]);
        self.replace(&self.config_maps, TRUST_ROOTS, &bundle).await
    }

    /// Writes an issuer, likewise.
    pub(super) async fn write_issuer(&self, found: &Found, made: &Made) -> kube::Result<()> {
        let mut parts = vec![
            (self.scheme.certificate(), &*made.certificate),
            (self.scheme.key(), &*made.key),
        ];
        // Linkerd's tools look for the anchors there.
        if self.scheme == IssuerScheme::KubernetesTls {
            parts.push(("ca.crt", &*made.anchors));
        }
        let parts = parts.into_iter().map(bytes);
        let about = [
            (ISSUER_SHA256.to_owned(), made.fingerprint.clone()),
            (
                ISSUER_NOT_AFTER.to_owned(),
                date(made.not_after).to_string(),
            ),
        ];
        let Some(secret) = &found.issuer else {
            let mut metadata = self.metadata(ISSUER_SECRET);
            metadata.annotations = Some(about.into());
            let secret = Secret {
                metadata,
                type_: Some(self.scheme.secret_type().to_owned()),
                data: Some(parts.collect()),
                ..Secret::default()
            };
            return self.create(&self.secrets, &secret).await;
        };
        let mut secret = secret.clone();
        secret.data.get_or_insert_default().extend(parts);
        let annotations = secret.metadata.annotations.get_or_insert_default();
        annotations.remove(ROTATE_ISSUER);
        annotations.extend(about);
        self.replace(&self.secrets, ISSUER_SECRET, &secret).await
    }

    fn metadata(&self, name: &str) -> ObjectMeta {
        let labels = [MANAGED_BY, COMPONENT, (NAMESPACE, &*self.namespace)];
        ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels.map(|(key, value)| (key.into(), value.into())).into()),
            ..ObjectMeta::default()
        }
    }

    async fn create<K>(&self, api: &Api<K>, object: &K) -> kube::Result<()>
    where
        K: kube::Resource + Clone + Serialize + DeserializeOwned + fmt::Debug,
    {
        let params = params();
        let created = within(self.write_timeout, api.create(&params, object));
        unless_late(created.await.map(drop))
    }

    /// The object names the version that was read: of two who write, one does.
    async fn replace<K>(&self, api: &Api<K>, name: &str, object: &K) -> kube::Result<()>
    where
        K: kube::Resource + Clone + Serialize + DeserializeOwned + fmt::Debug,
    {
        let params = params();
        let replaced = within(self.write_timeout, api.replace(name, &params, object));
        unless_late(replaced.await.map(drop))
    }

    async fn contents(&self) -> kube::Result<Contents> {
        let issuer = within(READ_TIMEOUT, self.secrets.get_opt(ISSUER_SECRET)).await?;
        let bundle = within(READ_TIMEOUT, self.config_maps.get_opt(TRUST_ROOTS)).await?;
        let secret = self.name("Secret", ISSUER_SECRET);
        let of_issuer = |key: &'static str| {
            let bytes = match &issuer {
                None => Err(not_found("there is no such Secret")),
                Some(issuer) => data(issuer, key).ok_or_else(|| not_found("it has no such key")),
            };
            Text::new(format!("{key} in {secret}"), bytes)
        };
        let anchors = match &bundle {
            None => Err(not_found("there is no such ConfigMap")),
            Some(bundle) => bundle_pem(bundle).ok_or_else(|| not_found("it has no such key")),
        };
        let place = self.name("ConfigMap", TRUST_ROOTS);
        Ok(Contents {
            anchors: Text::new(format!("{TRUST_ROOTS_KEY} in {place}"), anchors),
            certificate: of_issuer(self.scheme.certificate()),
            key: of_issuer(self.scheme.key()),
            is_theirs: issuer
                .as_ref()
                .is_some_and(|issuer| !is_ours(&issuer.metadata)),
        })
    }
}

impl ContentSource for Objects {
    /// An API server that does not answer changes nothing.
    async fn read(&self) -> Option<Contents> {
        match self.contents().await {
            Ok(contents) => {
                self.unreadable.store(None);
                Some(contents)
            }
            Err(error) => {
                super::note(
                    &self.unreadable,
                    format!("cannot read the identity issuer: {error}"),
                );
                None
            }
        }
    }
}

fn anchors(secret: &Secret) -> Anchors {
    let pair = |[certificates, key]: [&str; 2]| {
        let certificates = data(secret, certificates)?;
        let key = data(secret, key).map(Into::into);
        Some(AnchorPair { certificates, key })
    };
    let said = secret.annotations();
    let is_asked = |request: &str| said.contains_key(request);
    let unless = said.get(ROTATION_OVERRIDE);
    let rotation = said.get(ROTATION).map(|text| serde_json::from_str(text));
    let (rotation, unreadable) = match rotation.transpose() {
        Ok(rotation) => (rotation, None),
        Err(error) => (
            None,
            Some(format!(
                "the annotation {ROTATION} of the Secret {ANCHOR_SECRET} cannot be read: {error}: \
                 put back what was there"
            )),
        ),
    };
    Anchors {
        current: pair(CURRENT).unwrap_or_default(),
        next: pair(NEXT),
        previous: pair(PREVIOUS),
        rotation,
        unreadable,
        requests: Requests {
            rotate: is_asked(ROTATE_ANCHOR),
            paused: is_asked(ROTATION_PAUSED),
            abort: is_asked(ABORT_ROTATION),
            unless_waiting_in: unless.and_then(|name| Phase::named(name)),
        },
        waits: said.get(ROTATION_WAITS).cloned(),
    }
}

/// Puts it there, or takes away what is.
fn set<T>(map: &mut BTreeMap<String, T>, key: &str, value: Option<T>) {
    match value {
        Some(value) => {
            map.insert(key.to_owned(), value);
        }
        None => {
            map.remove(key);
        }
    }
}

fn is_ours(metadata: &ObjectMeta) -> bool {
    let labels = metadata.labels.as_ref();
    let label = labels.and_then(|labels| labels.get(MANAGED_BY.0));
    label.is_some_and(|value| value == MANAGED_BY.1)
}

fn data(secret: &Secret, key: &str) -> Option<Vec<u8>> {
    Some(secret.data.as_ref()?.get(key)?.0.clone())
}

fn bundle_pem(bundle: &ConfigMap) -> Option<Vec<u8>> {
    let data: &BTreeMap<String, String> = bundle.data.as_ref()?;
    Some(data.get(TRUST_ROOTS_KEY)?.clone().into_bytes())
}

fn bytes((key, text): (&str, &str)) -> (String, ByteString) {
    (key.to_owned(), ByteString(text.as_bytes().to_vec()))
}

fn params() -> PostParams {
    PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    }
}

fn not_found(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, text)
}

async fn within<T>(time: Duration, call: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    match timeout(time, call).await {
        Ok(answer) => answer,
        Err(_) => Err(kube::Error::Service(
            format!("the API server does not answer within {} s", time.as_secs()).into(),
        )),
    }
}

/// Somebody else was quicker: what they wrote is looked at next.
fn unless_late(written: kube::Result<()>) -> kube::Result<()> {
    match written {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        written => written,
    }
}
