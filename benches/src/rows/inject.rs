//! Pods that are injected, one review after another, as an API server asks.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Bench, Findings};
use crate::processes::Setup;
use crate::protocol::{Certified, Reviews, Tls};
use crate::report::Unit;

const NAMESPACE: &str = "bench-inject";
const REPLICA_SET: &str = "web-5d4f8c7b9";
const SERVER_NAME: &str = "linkerd-proxy-injector.linkerd.svc";
/// An API server has a few requests under way, over a connection or two.
const IN_FLIGHT: usize = 16;
const CONNECTIONS: usize = 2;
const WARM_UP: usize = 500;
/// Of design.md, for a typical pod: reviews a second on one core, and what one costs.
const RATE: f64 = 2_000.0;
const MICROSECONDS: f64 = 500.0;

pub(super) async fn measure(bench: &Bench<'_>, findings: &mut Findings) -> Result<()> {
    bench.world.owned(NAMESPACE, REPLICA_SET).await?;
    let folder = tempfile::Builder::new()
        .prefix("ferrule-bench-")
        .tempdir()?;
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    let issued = bench.mesh.issue(SERVER_NAME)?;
    write("tls.crt", &issued.chain)?;
    write("tls.key", &issued.key)?;
    write("values", "{}")?;
    let setup = Setup {
        mesh: Some(bench.mesh),
        injector: Some(folder.path()),
        ..bench.plaintext("proxy-injector")
    };
    let mut server = bench.start(&setup)?;
    server.ready().await?;
    server.settle().await?;
    findings.resident("resident before", &server, None).await?;

    let mut generator = bench.generator()?;
    for (what, name, containers, variables, calls, targets) in [
        (
            "typical",
            "inject",
            2,
            20,
            20_000,
            Some((RATE, MICROSECONDS)),
        ),
        ("very large", "inject-large", 40, 200, 500, None),
    ] {
        let review = review(containers, variables).to_string();
        write("review", &review)?;
        let order = order(bench, server.webhooks(), folder.path());
        let warm_up = Reviews {
            calls: WARM_UP.min(calls),
            ..order.clone()
        };
        generator.review(warm_up).await?;
        let measurement = server.measure(name)?;
        let reviewed = generator.review(Reviews { calls, ..order }).await?;
        let used = measurement.end()?;
        let kib = review.len() as f64 / 1024.0;
        findings.add(&format!("{what} pod: a review"), Unit::Kib, kib, None);
        findings.reviewed(what, &reviewed, used.cpu_seconds, targets);
        findings.memory(
            &format!("{what} pod: peak resident"),
            used.memory.peak,
            None,
        );
    }
    Ok(())
}

impl Findings {
    /// Targets are reviews for each second of the server's CPU, and microseconds of it for one.
    fn reviewed(
        &mut self,
        pod: &str,
        reviewed: &Certified,
        cpu_seconds: f64,
        targets: Option<(f64, f64)>,
    ) {
        let count = reviewed.answered as f64;
        let named = |rest: &str| format!("{pod} pod: {rest}");
        let rate = count / reviewed.seconds;
        self.add(&named("reviews"), Unit::PerSecond, rate, None);
        let per_cpu = count / cpu_seconds;
        let target = targets.map(|(rate, _)| rate);
        self.add(
            &named("reviews on one core"),
            Unit::PerSecond,
            per_cpu,
            target,
        );
        let each = cpu_seconds / count * 1e6;
        let target = targets.map(|(_, each)| each);
        self.add(
            &named("server CPU a review"),
            Unit::Microseconds,
            each,
            target,
        );
        for (percentile, ms) in [("p50", reviewed.each_ms.p50), ("p99", reviewed.each_ms.p99)] {
            self.add(&named(percentile), Unit::Milliseconds, ms, None);
        }
    }
}

fn order(bench: &Bench<'_>, server: std::net::SocketAddr, folder: &Path) -> Reviews {
    Reviews {
        server,
        tls: Tls {
            trust_anchors: bench.mesh.trust_anchors(),
            server_name: SERVER_NAME.to_owned(),
            certificate: None,
            alpn: true,
        },
        path: "/inject".to_owned(),
        body: folder.join("review"),
        calls: 0,
        in_flight: IN_FLIGHT,
        connections: CONNECTIONS,
        timeout_ms: 120_000,
    }
}

/// What an API server asks about a pod of a Deployment, with what admission before the webhook
/// has put into it.
fn review(containers: usize, variables: usize) -> Value {
    let mount = json!({
        "name": "kube-api-access-x", "readOnly": true,
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
    });
    let container = |number: usize| {
        let variables = (0..variables).map(|variable| {
            json!({
                "name": format!("SETTING_{number}_{variable}"),
                "value": format!("the value of setting {variable} of container {number}"),
            })
        });
        json!({
            "name": format!("web-{number}"), "image": "registry.example/shop/web:1.2.3",
            "ports": [{"containerPort": 8080 + number, "name": format!("http-{number}"),
                       "protocol": "TCP"}],
            "env": variables.collect::<Vec<_>>(),
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"},
                          "limits": {"memory": "256Mi"}},
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080 + number,
                                           "scheme": "HTTP"}, "periodSeconds": 10},
            "volumeMounts": [mount], "imagePullPolicy": "IfNotPresent",
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        })
    };
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "generateName": format!("{REPLICA_SET}-"), "namespace": NAMESPACE,
            "labels": {"app": "web", "pod-template-hash": "5d4f8c7b9"},
            "annotations": {"prometheus.io/scrape": "true"},
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": REPLICA_SET,
                "uid": "5f3c2a10-0000-4000-8000-000000000001", "controller": true,
            }],
        },
        "spec": {
            "containers": (0..containers).map(container).collect::<Vec<_>>(),
            "volumes": [{"name": "kube-api-access-x", "projected": {"defaultMode": 420,
                "sources": [{"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}],
            }}],
            "serviceAccountName": "web", "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists",
                             "effect": "NoExecute", "tolerationSeconds": 300}],
        },
    });
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "5f3c2a10-0000-4000-8000-000000000002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": NAMESPACE, "operation": "CREATE", "dryRun": false,
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
            "object": pod, "oldObject": null,
        },
    })
}
