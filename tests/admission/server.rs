//! The API server that is asked whether it would store something.

use crate::{cases::Case, definitions::Definitions};
use anyhow::Context as _;
use http_body_util::BodyExt as _;
use kube::{
    Api, Client, Resource as _,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
    client::Body,
    core::Request,
};
use serde_json::{Value, json};

/// The object that is to be changed.
const STORED: &str = "stored";

pub(crate) struct Server<'a> {
    client: Client,
    namespace: String,
    definitions: &'a Definitions,
}

/// What came of it.
pub(crate) enum Answer {
    /// It would be stored, with these warnings.
    Admitted(Vec<String>),
    Refused(String),
}

impl<'a> Server<'a> {
    pub(crate) fn new(client: &Client, namespace: &str, definitions: &'a Definitions) -> Self {
        Self {
            client: client.clone(),
            namespace: namespace.to_owned(),
            definitions,
        }
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Stores an object of each kind.
    pub(crate) async fn prepare(&self) -> anyhow::Result<()> {
        let server = || json!({"group": "policy.linkerd.io", "kind": "Server", "name": "web"});
        let rule = json!([{"backendRefs": [{"name": "web", "port": 80}]}]);
        for (group, kind, spec) in [
            (
                "policy.linkerd.io",
                "Server",
                json!({"podSelector": {}, "port": 80}),
            ),
            (
                "policy.linkerd.io",
                "ServerAuthorization",
                json!({"server": {"name": "web"}, "client": {"unauthenticated": true}}),
            ),
            (
                "policy.linkerd.io",
                "AuthorizationPolicy",
                json!({"targetRef": server(), "requiredAuthenticationRefs": []}),
            ),
            (
                "policy.linkerd.io",
                "MeshTLSAuthentication",
                json!({"identities": ["*"]}),
            ),
            (
                "policy.linkerd.io",
                "NetworkAuthentication",
                json!({"networks": [{"cidr": "10.0.0.0/8"}]}),
            ),
            (
                "policy.linkerd.io",
                "EgressNetwork",
                json!({"trafficPolicy": "Allow"}),
            ),
            (
                "policy.linkerd.io",
                "HTTPLocalRateLimitPolicy",
                json!({"targetRef": server(), "total": {"requestsPerSecond": 1}}),
            ),
            ("policy.linkerd.io", "HTTPRoute", json!({})),
            ("gateway.networking.k8s.io", "HTTPRoute", json!({})),
            ("gateway.networking.k8s.io", "GRPCRoute", json!({})),
            (
                "gateway.networking.k8s.io",
                "TLSRoute",
                json!({"hostnames": ["a.example.com"], "rules": rule}),
            ),
            (
                "gateway.networking.k8s.io",
                "TCPRoute",
                json!({"rules": rule}),
            ),
        ] {
            let resource = self.resource(group, kind)?;
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
            let object = object(&resource, STORED, &json!({}), Some(&spec));
            let params = PatchParams::apply("test").force();
            let stored = api.patch(STORED, &params, &Patch::Apply(&object)).await;
            stored.with_context(|| format!("storing a {kind}"))?;
        }
        Ok(())
    }

    /// Asks whether it would be created.
    pub(crate) async fn create(&self, case: &Case) -> anyhow::Result<Answer> {
        let resource = self.resource(&case.group, &case.kind)?;
        let annotations = Value::Object(case.annotations.clone());
        let object = object(&resource, "new", &annotations, case.spec.as_ref());
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let request = self
            .request(&resource)
            .create(&params, object.to_string().into())?;
        self.ask(request).await
    }

    /// Asks whether what is stored could be changed into it.
    pub(crate) async fn change(&self, case: &Case) -> anyhow::Result<Answer> {
        let resource = self.resource(&case.group, &case.kind)?;
        let spec = match &case.spec {
            Some(spec) => json!({"op": "replace", "path": "/spec", "value": spec}),
            None => json!({"op": "remove", "path": "/spec"}),
        };
        let annotations =
            json!({"op": "add", "path": "/metadata/annotations", "value": case.annotations});
        let patch: json_patch::Patch = serde_json::from_value(json!([spec, annotations]))?;
        let params = PatchParams {
            dry_run: true,
            ..PatchParams::default()
        };
        let patch = Patch::<()>::Json(patch);
        let request = self.request(&resource).patch(STORED, &params, &patch)?;
        self.ask(request).await
    }

    fn resource(&self, group: &str, kind: &str) -> anyhow::Result<ApiResource> {
        let resource = self.definitions.resource(group, kind);
        resource.with_context(|| format!("{kind} of {group} is defined"))
    }

    fn request(&self, resource: &ApiResource) -> Request {
        Request::new(DynamicObject::url_path(resource, Some(&self.namespace)))
    }

    async fn ask(&self, request: http::Request<Vec<u8>>) -> anyhow::Result<Answer> {
        let response = self.client.send(request.map(Body::from)).await?;
        let warnings = response.headers().get_all("warning").into_iter();
        let warnings = warnings.filter_map(|warning| text_of(warning.to_str().ok()?));
        let warnings = warnings.collect();
        if response.status().is_success() {
            return Ok(Answer::Admitted(warnings));
        }
        let body = response.into_body().collect().await?.to_bytes();
        let status: Value = serde_json::from_slice(&body)?;
        let message = status["message"].as_str().context("a message")?;
        Ok(Answer::Refused(message.to_owned()))
    }
}

fn object(resource: &ApiResource, name: &str, annotations: &Value, spec: Option<&Value>) -> Value {
    let mut object = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name, "annotations": annotations},
    });
    if let Some(spec) = spec {
        object["spec"] = spec.clone();
    }
    object
}

/// The text of a warning such as `299 - "a \"b\""`.
fn text_of(warning: &str) -> Option<String> {
    let quoted = &warning[warning.find('"')?..];
    let text = quoted.strip_prefix('"')?.strip_suffix('"')?;
    Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
}
