//! One Ferrule, with the rights that it is said to need, writes on every kind.

use crate::{account::Account, objects::*};
use anyhow::ensure;
use ferrule_test_cluster::{Cluster, Options};
use ferrule_tests::Ferrule;
use serde_json::{Value, json};

#[tokio::test]
async fn every_kind_says_what_holds_of_it_and_is_written_only_when_that_changes()
-> anyhow::Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    install(&cluster.client()?).await?;
    let account = Account::create(&cluster).await?;
    let ferrule = start(&account.kubeconfig, &[]).await?;
    ferrule.ready().await?;
    leads(&ferrule, true).await?;
    tokio::try_join!(
        routes_of_all_kinds(&cluster),
        parents_that_come_and_go(&cluster),
        others_entries(&cluster),
        conflicts(&cluster),
        rate_limits(&cluster),
        egress_networks(&cluster),
    )?;
    nothing_waits(&ferrule).await?;
    let scrape = ferrule.scrape().await?;
    let errors = scrape.sum("resource_status_patch_api_errors_total", &[]);
    ensure!(errors == Some(0.0), "it may do what it must: {errors:?}");
    quiet(&cluster, &ferrule).await?;
    rights_that_go(&cluster, &account, &ferrule).await
}

async fn routes_of_all_kinds(cluster: &Cluster) -> anyhow::Result<()> {
    let (_namespace, objects) = namespace(cluster, "all").await?;
    for name in ["web", "a", "b", "c", "d", "e"] {
        objects.service(name).await?;
    }
    objects.server("http").await?;
    let network = json!({"trafficPolicy": "Allow"});
    objects.put(EGRESS_NETWORK, "out", network).await?;
    for (kind, own) in ROUTES.into_iter().zip(["a", "b", "c", "d", "e"]) {
        // Each on a Service of its own, so that they are not in each other's way.
        let mut own_port = parent(SERVICE, own);
        own_port["port"] = 80.into();
        let mut out = parent(EGRESS_NETWORK, "out");
        out["port"] = kind_port(kind).into();
        let gateway = json!({"name": "gateway"});
        let parents = [own_port, parent(SERVER, own), gateway, out];
        objects.route(kind, "r", &parents).await?;
        let port = kind_port(kind);
        let expected = [
            format!("{own}:80 Accepted ResolvedRefs"),
            format!("{own} !Accepted=NoMatchingParent"),
            format!("out:{port} Accepted ResolvedRefs"),
        ];
        let expected = expected.each_ref().map(String::as_str);
        objects.until(kind, "r", &expected).await?;
        objects.server(own).await?;
        let accepted = format!("{own} Accepted");
        let status = objects
            .until(kind, "r", &[expected[0], &accepted, expected[2]])
            .await?;
        ensure!(
            status["parents"][0]["parentRef"]
                == json!({
                    "group": "core", "kind": "Service", "namespace": objects.namespace,
                    "name": own, "port": 80,
                }),
            "{status}"
        );
        let condition = &status["parents"][0]["conditions"][0];
        ensure!(
            condition["reason"] == "Accepted" && condition["message"] == "",
            "{status}"
        );
        // No parents, no entries.
        objects.route(kind, "r", &[]).await?;
        objects.until(kind, "r", &[]).await?;
    }
    Ok(())
}

fn kind_port(kind: Kind) -> usize {
    let place = ROUTES.iter().position(|route| *route == kind);
    8_000 + place.unwrap_or_default()
}

async fn parents_that_come_and_go(cluster: &Cluster) -> anyhow::Result<()> {
    let (_namespace, objects) = namespace(cluster, "parents").await?;
    objects.route(HTTP, "r", &[web()]).await?;
    let nothing = ["web !Accepted=NoMatchingParent !ResolvedRefs=BackendNotFound"];
    let before = objects.until(HTTP, "r", &nothing).await?;
    objects.service("web").await?;
    objects.until(HTTP, "r", &ACCEPTED).await?;
    objects.delete(SERVICE, "web").await?;
    objects.until(HTTP, "r", &nothing).await?;
    let headless = json!({"clusterIP": "None", "ports": [{"port": 80}]});
    objects.put(SERVICE, "web", headless).await?;
    let status = objects.until(HTTP, "r", &NO_PARENT).await?;
    let accepted = &status["parents"][0]["conditions"][0];
    ensure!(
        accepted["message"] == "parent service must have a ClusterIP",
        "{status}"
    );
    ensure!(
        before["parents"][0]["conditions"][0]["message"] == "",
        "{before}"
    );
    Ok(())
}

async fn others_entries(cluster: &Cluster) -> anyhow::Result<()> {
    let (_namespace, objects) = namespace(cluster, "foreign").await?;
    objects.service("web").await?;
    let foreign = json!({
        "controllerName": "example.com/gateway", "parentRef": {"name": "web", "sectionName": "x"},
        "conditions": [{
            "type": "Odd", "status": "Unknown", "reason": "Why", "message": "because",
            "lastTransitionTime": "2020-01-01T00:00:00Z", "observedGeneration": 7,
        }],
    });
    objects.route(GRPC, "r", &[web()]).await?;
    let ours = objects.until(GRPC, "r", &ACCEPTED).await?["parents"][0].clone();
    // Behind ours, as others may write it: nothing is to be written.
    objects
        .write_parents(GRPC, "r", &[ours, foreign.clone()])
        .await?;
    let version = objects.version(GRPC, "r").await?;
    objects.service("other").await?;
    objects.route(GRPC, "late", &[web()]).await?;
    objects.until(GRPC, "late", &ACCEPTED).await?;
    ensure!(
        objects.version(GRPC, "r").await? == version,
        "it was written"
    );
    // Ours is to go, and the other one's comes first as it is.
    objects
        .route(GRPC, "r", &[parent(SERVICE, "other")])
        .await?;
    let odd = "\"example.com/gateway\" web !Odd=Why";
    let expected = [odd, "other Accepted ResolvedRefs"];
    let status = objects.until(GRPC, "r", &expected).await?;
    ensure!(status["parents"][0] == foreign, "{status}");
    // One that knows only itself takes ours away.
    objects
        .write_parents(GRPC, "r", std::slice::from_ref(&foreign))
        .await?;
    objects.until(GRPC, "r", &expected).await?;
    Ok(())
}

async fn conflicts(cluster: &Cluster) -> anyhow::Result<()> {
    let (_namespace, objects) = namespace(cluster, "conflicts").await?;
    objects.service("web").await?;
    let conflicted = ["web !Accepted=RouteReasonConflicted ResolvedRefs"];
    for kind in [TCP, TLS, HTTP, POLICY_HTTP, GRPC] {
        objects.route(kind, "r", &[web()]).await?;
    }
    for kind in [TCP, TLS, HTTP, POLICY_HTTP] {
        objects.until(kind, "r", &conflicted).await?;
    }
    objects.until(GRPC, "r", &ACCEPTED).await?;
    objects.delete(GRPC, "r").await?;
    for (kind, wanted) in [(HTTP, ACCEPTED), (POLICY_HTTP, ACCEPTED), (TLS, conflicted)] {
        objects.until(kind, "r", &wanted).await?;
    }
    Ok(())
}

async fn rate_limits(cluster: &Cluster) -> anyhow::Result<()> {
    let (_namespace, objects) = namespace(cluster, "limits").await?;
    let limit = |kind: &str| {
        json!({
            "targetRef": {"group": "policy.linkerd.io", "kind": kind, "name": "http"},
            "total": {"requestsPerSecond": 10},
        })
    };
    objects.put(RATE_LIMIT, "a", limit("Server")).await?;
    objects
        .until(RATE_LIMIT, "a", &["!Accepted=NoMatchingTarget"])
        .await?;
    objects.server("http").await?;
    let status = objects.until(RATE_LIMIT, "a", &["Accepted"]).await?;
    let target = json!({"group": "policy.linkerd.io", "kind": "Server", "name": "http"});
    ensure!(status["targetRef"] == target, "{status}");
    objects.put(RATE_LIMIT, "b", limit("Server")).await?;
    objects
        .until(RATE_LIMIT, "b", &["!Accepted=RateLimitReasonAlreadyExists"])
        .await?;
    objects.delete(RATE_LIMIT, "a").await?;
    objects.until(RATE_LIMIT, "b", &["Accepted"]).await?;
    Ok(())
}

async fn egress_networks(cluster: &Cluster) -> anyhow::Result<()> {
    let (_namespace, objects) = namespace(cluster, "egress").await?;
    objects.service("web").await?;
    let network = |cidr: &str| json!({"trafficPolicy": "Deny", "networks": [{"cidr": cidr}]});
    objects
        .put(EGRESS_NETWORK, "out", network("10.0.0.0/8"))
        .await?;
    objects
        .route(TLS, "r", &[parent(EGRESS_NETWORK, "out")])
        .await?;
    let overlaps = ["!Accepted=EgressReasonNetworkOverlap"];
    objects.until(EGRESS_NETWORK, "out", &overlaps).await?;
    let refused = ["out !Accepted=NoMatchingParent ResolvedRefs"];
    let status = objects.until(TLS, "r", &refused).await?;
    let message = &status["parents"][0]["conditions"][0]["message"];
    ensure!(
        *message == "EgressNetwork parent has not been accepted",
        "{status}"
    );
    objects
        .put(EGRESS_NETWORK, "out", network("1.0.0.0/8"))
        .await?;
    objects.until(EGRESS_NETWORK, "out", &["Accepted"]).await?;
    objects
        .until(TLS, "r", &["out Accepted ResolvedRefs"])
        .await?;
    Ok(())
}

/// Changes that nothing is said of, and a Ferrule that has just started, write
/// nothing.
async fn quiet(cluster: &Cluster, ferrule: &Ferrule) -> anyhow::Result<()> {
    let (_namespace, objects) = namespace(cluster, "quiet").await?;
    objects.service("web").await?;
    for kind in ROUTES {
        objects.route(kind, "r", &[web()]).await?;
    }
    objects.until(GRPC, "r", &ACCEPTED).await?;
    nothing_waits(ferrule).await?;
    let written = patches(ferrule).await?;
    let versions = async || -> anyhow::Result<Vec<Value>> {
        let mut versions = Vec::new();
        for kind in ROUTES {
            versions.push(objects.version(kind, "r").await?.into());
        }
        Ok(versions)
    };
    let before = versions().await?;
    let more = json!({"ports": [{"port": 80}], "selector": {"app": "web"}});
    objects.put(SERVICE, "web", more).await?;
    objects.service("unrelated").await?;
    // What comes after them has been judged, so they have.
    objects
        .route(GRPC, "last", &[parent(SERVICE, "unrelated")])
        .await?;
    objects
        .until(GRPC, "last", &["unrelated Accepted ResolvedRefs"])
        .await?;
    nothing_waits(ferrule).await?;
    ensure!(patches(ferrule).await? == written + 1.0, "more was written");
    ensure!(versions().await? == before, "they were written");

    let second = start(cluster.kubeconfig(), &[]).await?;
    second.ready().await?;
    nothing_waits(&second).await?;
    ensure!(versions().await? == before, "they were written");
    second.kill().await
}

/// Losing the right to write one kind holds up no other, and is no secret.
async fn rights_that_go(
    cluster: &Cluster,
    account: &Account,
    ferrule: &Ferrule,
) -> anyhow::Result<()> {
    let (_namespace, objects) = namespace(cluster, "rights").await?;
    account.may_write(&["httproutes"]).await?;
    objects.service("web").await?;
    let network = json!({"trafficPolicy": "Allow"});
    // Until the API server knows of the lost right, it may still write.
    let mut number = 0;
    let refused = loop {
        number += 1;
        let name = format!("out{number}");
        objects.put(EGRESS_NETWORK, &name, network.clone()).await?;
        let route = format!("r{number}");
        objects.route(POLICY_HTTP, &route, &[web()]).await?;
        objects.until(POLICY_HTTP, &route, &ACCEPTED).await?;
        let scrape = ferrule.scrape().await?;
        if scrape.sum("resource_status_patch_api_errors_total", &[]) > Some(0.0) {
            break name;
        }
    };
    ferrule.logged("statuses cannot be written").await?;
    account.may_write(&["httproutes", "egressnetworks"]).await?;
    objects
        .until(EGRESS_NETWORK, &refused, &["Accepted"])
        .await?;
    ferrule.logged("statuses can be written again").await
}
