//! What the API server says now, for those who compare it with an index.

use crate::{
    Interner,
    object::{Kind, Object, ObjectKey},
    source::wire::{ApiVersion, Received, is_metadata_only, reading},
};
use kube::{
    Api, Client,
    api::{ListParams, ObjectList},
};
use std::time::SystemTime;

/// Objects in a page.
const PAGE: u32 = 500;
/// How often a list is begun again whose pages are not kept for long enough.
const ATTEMPTS: usize = 3;

/// An object as the API server has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Where.
    pub key: ObjectKey,
    /// What the mesh reads of it, exactly as an index would have it.
    pub object: Object,
    /// `metadata.resourceVersion`.
    pub resource_version: Option<String>,
    /// When it was last written, where it says so.
    pub last_write: Option<SystemTime>,
}

/// All objects of a kind; `None` if the API server does not serve it.
///
/// # Errors
/// The API server does not answer, or refuses.
pub async fn list(client: &Client, kind: Kind) -> Result<Option<Vec<Listed>>, kube::Error> {
    let listed = async {
        if is_metadata_only(kind) {
            served::<true>(client, kind).await
        } else {
            served::<false>(client, kind).await
        }
    };
    reading(kind, Interner::new(), listed).await
}

/// By the first version that is served, as a watch does.
async fn served<const METADATA_ONLY: bool>(
    client: &Client,
    kind: Kind,
) -> Result<Option<Vec<Listed>>, kube::Error> {
    let mut version = ApiVersion::first(kind);
    loop {
        match whole::<METADATA_ONLY>(client, version).await {
            Err(error) if has_code(&error, 404) => {
                version = version.next();
                if version.is_first() {
                    return Ok(None);
                }
            }
            listed => return listed.map(Some),
        }
    }
}

async fn whole<const METADATA_ONLY: bool>(
    client: &Client,
    version: ApiVersion,
) -> Result<Vec<Listed>, kube::Error> {
    let mut attempt = 1;
    loop {
        match pages::<METADATA_ONLY>(client, version).await {
            Err(error) if has_code(&error, 410) && attempt < ATTEMPTS => attempt += 1,
            listed => return listed,
        }
    }
}

async fn pages<const METADATA_ONLY: bool>(
    client: &Client,
    version: ApiVersion,
) -> Result<Vec<Listed>, kube::Error> {
    let api = Api::<Received<METADATA_ONLY>>::all_with(client.clone(), &version);
    let mut listed = Vec::new();
    let mut parameters = ListParams::default().limit(PAGE);
    loop {
        let page: ObjectList<Received<METADATA_ONLY>> = api.list(&parameters).await?;
        listed.extend(page.items.into_iter().filter_map(|object| {
            let resource_version = object.resource_version().map(str::to_owned);
            // One without a name is in no index either.
            let converted = object.converted.ok()?;
            Some(Listed {
                key: converted.key,
                object: converted.object,
                resource_version,
                last_write: object.last_write,
            })
        }));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(listed),
        }
    }
}

fn has_code(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}
