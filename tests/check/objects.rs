//! Objects as JSON, by path; what is spoilt is mended.

use anyhow::{Context as _, Result, ensure};
use http::{Request, StatusCode, header::CONTENT_TYPE};
use kube::{Client, client::Body};
use serde_json::Value;
use std::time::Duration;
use tokio::time::sleep;

/// How often a write is tried that somebody else was quicker than.
const TRIES: usize = 20;

#[derive(Clone)]
pub(crate) struct Objects(pub(crate) Client);

/// An object that is not as it was.
#[must_use = "it is to be mended"]
pub(crate) struct Spoilt {
    objects: Objects,
    path: String,
    /// What it was; `None` for one that was not there.
    before: Option<Value>,
}

impl Objects {
    async fn ask(
        &self,
        verb: &str,
        path: &str,
        kind: &str,
        body: &Value,
    ) -> Result<(StatusCode, Value)> {
        let body = match body {
            Value::Null => Vec::new(),
            body => serde_json::to_vec(body)?,
        };
        let request = Request::builder()
            .method(verb)
            .uri(path)
            .header(CONTENT_TYPE, kind);
        let answer = self.0.send(request.body(Body::from(body))?).await?;
        let status = answer.status();
        let body = answer.into_body().collect_bytes().await?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    async fn done(&self, verb: &str, path: &str, kind: &str, body: &Value) -> Result<Value> {
        let (status, said) = self.ask(verb, path, kind, body).await?;
        ensure!(
            status.is_success(),
            "{verb} {path}: {status}: {}",
            said["message"]
        );
        Ok(said)
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Option<Value>> {
        let (status, found) = self
            .ask("GET", path, "application/json", &Value::Null)
            .await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        ensure!(status.is_success(), "{path}: {status}");
        Ok(Some(found))
    }

    pub(crate) async fn create(&self, collection: &str, object: &Value) -> Result<Value> {
        self.done("POST", collection, "application/json", object)
            .await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<()> {
        let (status, said) = self
            .ask("DELETE", path, "application/json", &Value::Null)
            .await?;
        ensure!(
            status.is_success() || status == StatusCode::NOT_FOUND,
            "{path}: {said}"
        );
        Ok(())
    }

    pub(crate) async fn merge(&self, path: &str, patch: &Value) -> Result<()> {
        self.done("PATCH", path, "application/merge-patch+json", patch)
            .await
            .map(drop)
    }

    /// Changes an object until it is mended.
    pub(crate) async fn spoil(&self, path: &str, edit: impl Fn(&mut Value)) -> Result<Spoilt> {
        let before = self
            .get(path)
            .await?
            .with_context(|| format!("there is no {path}"))?;
        self.replace(path, |now| edit(now)).await?;
        Ok(self.spoilt(path, Some(before)))
    }

    /// Takes an object away until it is mended.
    pub(crate) async fn remove(&self, path: &str) -> Result<Spoilt> {
        let before = self
            .get(path)
            .await?
            .with_context(|| format!("there is no {path}"))?;
        self.delete(path).await?;
        while self.get(path).await?.is_some() {
            sleep(Duration::from_millis(50)).await;
        }
        Ok(self.spoilt(path, Some(before)))
    }

    /// Has an object until it is mended.
    pub(crate) async fn add(&self, collection: &str, object: &Value) -> Result<Spoilt> {
        let made = self.create(collection, object).await?;
        let name = made["metadata"]["name"].as_str().context("a name")?;
        Ok(self.spoilt(&format!("{collection}/{name}"), None))
    }

    fn spoilt(&self, path: &str, before: Option<Value>) -> Spoilt {
        Spoilt {
            objects: self.clone(),
            path: path.to_owned(),
            before,
        }
    }

    /// Writes what is there now anew.
    async fn replace(&self, path: &str, edit: impl Fn(&mut Value)) -> Result<()> {
        for _ in 0..TRIES {
            let mut now = self
                .get(path)
                .await?
                .with_context(|| format!("there is no {path}"))?;
            edit(&mut now);
            let (status, said) = self.ask("PUT", path, "application/json", &now).await?;
            if status == StatusCode::CONFLICT {
                sleep(Duration::from_millis(50)).await;
                continue;
            }
            ensure!(
                status.is_success(),
                "PUT {path}: {status}: {}",
                said["message"]
            );
            return Ok(());
        }
        anyhow::bail!("{path} cannot be written")
    }
}

impl Spoilt {
    /// Makes it what it was.
    pub(crate) async fn mend(self) -> Result<()> {
        let Some(mut before) = self.before else {
            return self.objects.delete(&self.path).await;
        };
        if self.objects.get(&self.path).await?.is_some() {
            return self
                .objects
                .replace(&self.path, |now| {
                    let version = now["metadata"]["resourceVersion"].clone();
                    let uid = now["metadata"]["uid"].clone();
                    *now = before.clone();
                    now["metadata"]["resourceVersion"] = version;
                    now["metadata"]["uid"] = uid;
                    now["metadata"]["managedFields"] = Value::Null;
                })
                .await;
        }
        for field in [
            "resourceVersion",
            "uid",
            "managedFields",
            "creationTimestamp",
        ] {
            before["metadata"][field] = Value::Null;
        }
        let (collection, _) = self.path.rsplit_once('/').context("a path")?;
        self.objects.create(collection, &before).await.map(drop)
    }
}
