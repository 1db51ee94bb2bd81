//! Objects from the API server, and why there are none.

use crate::{Error, api::root_cause};
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource,
    api::{ListParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;
use tokio::sync::OnceCell;

/// How many objects are listed at once.
const PAGE: u32 = 500;

/// Why something cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// The user may not: a verb and what it is about.
    Forbidden(String),
    /// What the API server says.
    Failed(String),
}

impl From<Unread> for Error {
    fn from(unread: Unread) -> Self {
        let (what, reason) = match unread {
            Unread::Forbidden(access) => (access, "you may not".to_owned()),
            Unread::Failed(reason) => ("do what is asked".to_owned(), reason),
        };
        Self::ApiServer { what, reason }
    }
}

pub(crate) type Read<T> = Result<T, Unread>;

/// What was read once, for all checks that ask.
#[derive(Debug)]
pub(crate) struct Once<T>(OnceCell<Read<T>>);

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(OnceCell::new())
    }
}

impl<T> Once<T> {
    pub(crate) async fn get(&self, read: impl Future<Output = Read<T>>) -> Read<&T> {
        let found = self.0.get_or_init(|| read).await;
        found.as_ref().map_err(Clone::clone)
    }
}

/// A kind of objects that is known when this is compiled.
pub(crate) trait Known:
    Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug
{
}

impl<K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug> Known for K {}

/// `pods`, `jobs.batch`.
pub(crate) fn resource(group: &str, plural: &str) -> String {
    match group {
        "" => plural.to_owned(),
        group => format!("{plural}.{group}"),
    }
}

fn resource_of<K: Known>() -> String {
    resource(&K::group(&()), &K::plural(&()))
}

/// What an error means to who asked for something.
pub(crate) fn unread(verb: &str, resource: &str) -> impl FnOnce(kube::Error) -> Unread + use<> {
    let access = format!("{verb} {resource}");
    move |error| match error {
        kube::Error::Api(status) if status.code == 403 && is_denied(&status.message) => {
            Unread::Forbidden(access)
        }
        kube::Error::Api(status) => Unread::Failed(format!("{access}: {}", status.message)),
        error => Unread::Failed(format!("{access}: {}", root_cause(&error))),
    }
}

/// Whether it is the user who may not: admission says 403, too.
pub(crate) fn is_denied(message: &str) -> bool {
    message.contains(" cannot ")
}

/// One object, if it is there.
pub(crate) async fn get<K: Known>(api: Api<K>, name: &str) -> Read<Option<K>> {
    let found = api.get_opt(name).await;
    found.map_err(unread("get", &resource_of::<K>()))
}

/// Hands every object to `take`, page by page; none of a kind that is not served.
pub(crate) async fn each<K: Known>(
    api: Api<K>,
    params: ListParams,
    mut take: impl FnMut(K),
) -> Read<()> {
    let mut params = params.limit(PAGE);
    loop {
        let page = match api.list(&params).await {
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            page => page.map_err(unread("list", &resource_of::<K>()))?,
        };
        page.items.into_iter().for_each(&mut take);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(()),
        }
    }
}

/// All objects, each made smaller on arrival.
pub(crate) async fn all<K: Known, T>(
    api: Api<K>,
    params: ListParams,
    trim: impl Fn(K) -> T,
) -> Read<Vec<T>> {
    let mut found = Vec::new();
    each(api, params, |object| found.push(trim(object))).await?;
    Ok(found)
}

/// Objects of a namespace.
pub(crate) fn of<K>(client: &Client, namespace: &str) -> Api<K>
where
    K: Known + Resource<Scope = NamespaceResourceScope>,
{
    Api::namespaced(client.clone(), namespace)
}

/// Asks a question that is an object, such as a SubjectAccessReview.
pub(crate) async fn ask<K: Known + Serialize>(api: Api<K>, question: &K) -> Read<K> {
    let answer = api.create(&PostParams::default(), question).await;
    answer.map_err(unread("create", &resource_of::<K>()))
}
