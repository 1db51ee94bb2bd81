//! A control plane's namespace, and workloads with proxies in others.

use anyhow::{Context as _, Result, ensure};
use ferrule_test_cluster::{Cluster, Kubelet, TestNamespace, eventually};
use ferrule_tests::{Ferrule, TestAuthority};
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment, StatefulSet},
    core::v1::{ConfigMap, Event, Namespace, Pod},
    policy::v1::PodDisruptionBudget,
};
use k8s_openapi::jiff::Timestamp;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, ListParams, Patch, PatchParams},
    core::ApiResource,
};
use serde_json::{Value, json};

const OPT_IN: &str = "ferrule.io/restart-for-trust-anchor";
const RESTARTED_FOR: &str = "ferrule.io/restarted-for-trust-bundle";
const ROOTS: &str = "linkerd-identity-trust-roots";

/// A mesh whose control plane is in a namespace of its own.
pub(crate) struct Mesh {
    pub(crate) cluster: &'static Cluster,
    pub(crate) client: Client,
    control_plane: TestNamespace,
}

impl Mesh {
    pub(crate) async fn new() -> Result<Self> {
        let cluster = Cluster::shared().await?;
        Ok(Self {
            cluster,
            client: cluster.client()?,
            control_plane: cluster.namespace("mesh").await?,
        })
    }

    /// A namespace of workloads, which says this about restarts.
    pub(crate) async fn apps(&self, prefix: &str, said: Option<&str>) -> Result<Apps> {
        let namespace = self.cluster.namespace(prefix).await?;
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let patch = json!({"metadata": {"annotations": {OPT_IN: said}}});
        let params = PatchParams::default();
        let name = namespace.name();
        namespaces
            .patch(name, &params, &Patch::Merge(patch))
            .await?;
        Ok(Apps {
            cluster: self.cluster,
            client: self.client.clone(),
            control_plane: self.control_plane.name().to_owned(),
            namespace,
        })
    }

    /// Publishes a trust anchor that nobody trusts who runs already.
    pub(crate) async fn publish(&self) -> Result<()> {
        let anchor = TestAuthority::new()?.anchors_pem();
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": ROOTS}, "data": {"ca-bundle.crt": anchor},
        });
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), self.control_plane.name());
        let params = PatchParams::apply("test").force();
        maps.patch(ROOTS, &params, &Patch::Apply(map)).await?;
        Ok(())
    }

    /// What `ferrule identity status` prints.
    pub(crate) async fn status(&self) -> Result<String> {
        let kubeconfig = self.cluster.kubeconfig().to_str().context("UTF-8")?;
        let of = ["--kubeconfig", kubeconfig, "-L", self.control_plane.name()];
        // There is no identity process: that is noted, and the rest is shown.
        let nobody = ["--api-addr", "127.0.0.1:9"];
        let status = [&["identity", "status"][..], &of, &nobody].concat();
        Ok(Ferrule::command(&status).await?.stdout)
    }

    /// A process that restarts workloads, one as soon as the last is ready.
    pub(crate) async fn ferrule(&self) -> Result<Ferrule> {
        self.ferrule_every("0s").await
    }

    /// The same, and the next only so long after the last.
    pub(crate) async fn ferrule_every(&self, interval: &str) -> Result<Ferrule> {
        let interval = format!("--restart-interval={interval}");
        let namespace = format!("--control-plane-namespace={}", self.control_plane.name());
        let flags = [
            "--roles=destination",
            "--restart-workloads",
            &interval,
            // Times of pods are whole seconds.
            "--restart-settle=2s",
            "--lease-duration=9s",
            "--drain-delay=0s",
            &namespace,
        ];
        Ferrule::start_with(self.cluster.kubeconfig(), &flags).await
    }
}

/// A namespace of workloads.
pub(crate) struct Apps {
    cluster: &'static Cluster,
    client: Client,
    control_plane: String,
    namespace: TestNamespace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Deployment,
    StatefulSet,
    DaemonSet,
}

impl Kind {
    fn resource(self) -> ApiResource {
        match self {
            Self::Deployment => ApiResource::erase::<Deployment>(&()),
            Self::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
            Self::DaemonSet => ApiResource::erase::<DaemonSet>(&()),
        }
    }
}

impl Apps {
    pub(crate) fn name(&self) -> &str {
        self.namespace.name()
    }

    /// What has its pods run on a node, as long as it is held.
    pub(crate) async fn kubelet(&self) -> Result<Kubelet> {
        self.cluster.kubelet(Some(self.name()), &["restarts"]).await
    }

    /// Makes a workload with a proxy and `spec` more; waits for nothing.
    pub(crate) async fn put(&self, kind: Kind, name: &str, more: &Value) -> Result<()> {
        let env = json!({
            "name": "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS",
            "valueFrom": {"configMapKeyRef": {"name": ROOTS, "key": "ca-bundle.crt"}},
        });
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": format!("{kind:?}"),
            "metadata": {"name": name, "annotations": more["annotations"]},
            "spec": {
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {
                        "app": name, "linkerd.io/control-plane-ns": self.control_plane,
                    }},
                    "spec": {
                        "terminationGracePeriodSeconds": 0,
                        "containers": [
                            {"name": "linkerd-proxy", "image": "proxy", "env": [env]},
                        ],
                    },
                },
            },
        });
        for (key, value) in more["spec"].as_object().into_iter().flatten() {
            object["spec"][key] = value.clone();
        }
        let params = PatchParams::apply("test").force();
        let put = self
            .api(kind)
            .patch(name, &params, &Patch::Apply(object))
            .await;
        put.with_context(|| format!("{kind:?} {name}"))?;
        Ok(())
    }

    /// A Deployment of so many pods, all of them ready.
    pub(crate) async fn deployment(&self, name: &str, pods: usize) -> Result<()> {
        self.put(Kind::Deployment, name, &json!({"spec": {"replicas": pods}}))
            .await?;
        self.ready(Kind::Deployment, name, pods).await
    }

    /// Waits until so many pods are ready and no others are there.
    pub(crate) async fn ready(&self, kind: Kind, name: &str, pods: usize) -> Result<()> {
        let what = format!("{kind:?} {name} has {pods} pods");
        eventually(&what, async || {
            let status = self.get(kind, name).await?.data["status"].clone();
            let (ready, all) = match kind {
                Kind::DaemonSet => ("numberAvailable", "currentNumberScheduled"),
                Kind::Deployment | Kind::StatefulSet => ("availableReplicas", "replicas"),
            };
            Ok((status[ready] == pods && status[all] == pods).then_some(()))
        })
        .await
    }

    pub(crate) async fn get(&self, kind: Kind, name: &str) -> Result<DynamicObject> {
        let found = self.api(kind).get(name).await;
        found.with_context(|| format!("{kind:?} {name}"))
    }

    /// As `kubectl rollout undo` does with a restart.
    pub(crate) async fn undo(&self, name: &str) -> Result<()> {
        let annotations = json!({"annotations": {RESTARTED_FOR: null}});
        let patch = json!({"spec": {"template": {"metadata": annotations}}});
        let params = PatchParams::default();
        self.api(Kind::Deployment)
            .patch(name, &params, &Patch::Merge(patch))
            .await?;
        Ok(())
    }

    /// Whether it was restarted, ever.
    pub(crate) async fn is_restarted(&self, kind: Kind, name: &str) -> Result<bool> {
        Ok(is_restarted(&self.get(kind, name).await?))
    }

    /// Waits until it was restarted.
    pub(crate) async fn restarted(&self, kind: Kind, name: &str) -> Result<()> {
        eventually(&format!("{kind:?} {name} is restarted"), async || {
            Ok(self.is_restarted(kind, name).await?.then_some(()))
        })
        .await
    }

    /// The Deployments whose restart is under way: by one request, so all of one time.
    pub(crate) async fn under_way(&self) -> Result<Vec<String>> {
        let all = self.api(Kind::Deployment);
        let all = all.list(&ListParams::default()).await?;
        let is_under_way = |object: &DynamicObject| {
            let (spec, status) = (&object.data["spec"], &object.data["status"]);
            let observed = status["observedGeneration"].as_i64();
            let wanted = &spec["replicas"];
            let done = observed == object.metadata.generation
                && [&status["updatedReplicas"], &status["replicas"]] == [wanted; 2]
                && status["availableReplicas"] == *wanted;
            is_restarted(object) && !done
        };
        let under_way = all.items.into_iter().filter(is_under_way);
        Ok(under_way.map(|object| object.name_any()).collect())
    }

    /// Has so many pods of a workload always be there.
    pub(crate) async fn budget(&self, app: &str, least: usize) -> Result<()> {
        let budget = json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": app},
            "spec": {"minAvailable": least, "selector": {"matchLabels": {"app": app}}},
        });
        let budgets: Api<PodDisruptionBudget> = Api::namespaced(self.client.clone(), self.name());
        let params = PatchParams::apply("test").force();
        budgets.patch(app, &params, &Patch::Apply(budget)).await?;
        Ok(())
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), self.name())
    }

    /// Waits for a pod that nobody runs yet.
    pub(crate) async fn pending(&self) -> Result<Pod> {
        eventually("a new pod", async || {
            let pods = self.pods().list(&ListParams::default()).await?;
            let is_pending = |pod: &Pod| {
                let status = pod.status.as_ref();
                status.is_some_and(|status| status.phase.as_deref() == Some("Pending"))
            };
            Ok(pods.items.into_iter().find(is_pending))
        })
        .await
    }

    /// Waits for an Event about an object, and tells how many there are of it.
    pub(crate) async fn told(&self, name: &str, reason: &str) -> Result<usize> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), self.name());
        let fields = format!("reason={reason},involvedObject.name={name}");
        let params = ListParams::default().fields(&fields);
        eventually(&fields, async || {
            let told = events.list(&params).await?.items.len();
            Ok((told > 0).then_some(told))
        })
        .await
    }

    /// When restarts began here, by their Events: in whole seconds, in order.
    pub(crate) async fn begun(&self) -> Result<Vec<Timestamp>> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), self.name());
        let params = ListParams::default().fields("reason=RestartedForTrustAnchor");
        let told = events.list(&params).await?.items.into_iter();
        let mut begun: Vec<_> = told
            .filter_map(|event| Some(event.first_timestamp?.0))
            .collect();
        begun.sort_unstable();
        Ok(begun)
    }

    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), self.name(), &kind.resource())
    }
}

fn is_restarted(object: &DynamicObject) -> bool {
    let annotations = &object.data["spec"]["template"]["metadata"]["annotations"];
    annotations[RESTARTED_FOR].is_string()
}

/// Waits until so many restarts ended so, by all of these processes.
pub(crate) async fn restarts(processes: &[&Ferrule], result: &str, count: f64) -> Result<()> {
    eventually(&format!("{count} restarts {result}"), async || {
        let mut sum = 0.0;
        for process in processes {
            let labels = [("result", result)];
            let found = process.scrape().await?;
            sum += found
                .sum("trust_anchor_restarts_total", &labels)
                .context("a count")?;
        }
        ensure!(sum <= count, "{sum} restarts {result}, not {count}");
        Ok((sum == count).then_some(()))
    })
    .await
}
