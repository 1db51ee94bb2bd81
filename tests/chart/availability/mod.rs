//! High availability: any process of the chart's installation may be killed, or told to
//! end, at any moment. Proxies are told by others, pods are injected by others, and what
//! only one may write another writes.

mod front;
mod replicas;
mod workloads;

use self::{
    replicas::{LEASE, LEASES, Replicas, Role},
    workloads::{Workload, change, create},
};
use crate::{
    helm::{NAMESPACE, apply, ask},
    running::until,
    takeover::{Admissions, By, shop},
};
use anyhow::{Result, ensure};
use ferrule_test_cluster::Binary::Kubectl;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// A node dies.
    Kill,
    /// A rollout, or a node that is drained.
    Terminate,
}

/// How long another may take to write: a Lease that nobody gives back has to run out, and
/// is then looked at again; one that is given back, only the latter. Twice that, on a busy
/// machine.
fn failover(end: End) -> Duration {
    match end {
        End::Kill => LEASE * 2,
        End::Terminate => LEASE,
    }
}

#[tokio::test]
async fn any_replica_may_end_while_proxies_are_told_and_pods_are_injected() -> Result<()> {
    let mut replicas = Replicas::start().await?;
    apply(&replicas.cluster, &[shop()]).await?;
    // A pod that is refused because a replica has just died is created again.
    let admissions = Admissions::begin(&replicas.cluster, Duration::from_secs(5)).await?;
    create(&replicas).await?;
    let mut workloads = vec![Workload::start(&replicas).await?];
    let never_two = replicas.never_two();
    let mut number = 0;
    for end in [End::Kill, End::Terminate] {
        let refused = admissions.refused();
        for lease in LEASES {
            let holder = replicas.holder(lease).await?;
            number += 1;
            ends(&mut replicas, holder, end, number, &workloads).await?;
            workloads.push(Workload::start(&replicas).await?);
            writes(&replicas, lease).await?;
        }
        // And those that write nothing.
        for role in [Role::Identity, Role::Injector, Role::Destination] {
            let holder = replicas.holder(LEASES[2]).await?;
            if let Some(other) = replicas.other(role, holder) {
                number += 1;
                ends(&mut replicas, other, end, number, &workloads).await?;
            }
        }
        admissions.go_on(By::Ferrule).await?;
        let refused = admissions.refused() - refused;
        println!("{end:?}: {refused} pods were created at the second attempt");
        ensure!(
            end == End::Kill || refused == 0,
            "who is told to end drains"
        );
    }
    for workload in &workloads {
        workload.is_told(number).await?;
    }
    ensure!(workloads[0].certified() > 1, "it is renewed meanwhile");
    never_two.end()?;
    let injected = admissions.end()?;
    println!("{number} ends, {injected} pods were created");
    Ok(())
}

/// One ends; another does what it did, and everybody is told what is new.
async fn ends(
    replicas: &mut Replicas,
    index: usize,
    end: End,
    number: u8,
    workloads: &[Workload],
) -> Result<()> {
    let role = replicas.of(index).role;
    let mut held = Vec::new();
    for lease in LEASES {
        if replicas.holder(lease).await? == index {
            held.push(lease);
        }
    }
    // Whatever it is doing just then.
    sleep(Duration::from_millis(fastrand::u64(0..700))).await;
    let since = Instant::now();
    let mut gone = None;
    match end {
        End::Kill => {
            // It is noticed only afterwards.
            let replica = replicas.kill(index).await?;
            ensure!(replica == role);
        }
        End::Terminate => {
            let replica = replicas.take(index).await?;
            replica.process.terminate()?;
            gone = Some(replica);
        }
    }
    change(replicas, number).await?;
    for lease in held {
        replicas.holder(lease).await?;
        let took = since.elapsed();
        println!("{end:?} {role:?}: {lease} after {took:?}");
        ensure!(took < failover(end), "{lease} after {took:?}");
    }
    for workload in workloads {
        workload.is_told(number).await?;
    }
    if let Some(mut replica) = gone {
        ensure!(replica.process.ended().await? == Some(0), "it ends well");
        replicas.forget(&replica);
    }
    replicas.add(role).await
}

/// Whoever holds the Lease now does what it is for.
async fn writes(replicas: &Replicas, lease: &str) -> Result<()> {
    let cluster = &replicas.cluster;
    match lease {
        "ferrule-ca" => {
            let issuer = ["secret/linkerd-identity-issuer", "--namespace", NAMESPACE];
            let get = [&issuer[..], &["--output=jsonpath={.data.crt\\.pem}"]].concat();
            let before = ask(cluster, Kubectl, &[&["get"], &get[..]].concat()).await?;
            let another = ["annotate", "--overwrite"];
            let another = [&another[..], &issuer, &["ferrule.io/rotate-issuer=now"]].concat();
            ask(cluster, Kubectl, &another).await?;
            until(cluster, &get, |issuer| issuer != before).await
        }
        "ferrule-webhook-ca" => {
            let configuration =
                "mutatingwebhookconfigurations/linkerd-proxy-injector-webhook-config";
            let generation = "--output=jsonpath={.webhooks[0].clientConfig.caBundle}";
            // In vain: what is asked meanwhile would fail. The Secret is as good a sign.
            let secret = ["secret/ferrule-webhook-ca", "--namespace", NAMESPACE];
            let uid = [
                &secret[..],
                &["--ignore-not-found", "--output=jsonpath={.metadata.uid}"],
            ];
            let uid = uid.concat();
            let before = ask(cluster, Kubectl, &[&["get"], &uid[..]].concat()).await?;
            ask(cluster, Kubectl, &[&["delete"], &secret[..]].concat()).await?;
            until(cluster, &uid, |uid| !uid.is_empty() && uid != before).await?;
            until(cluster, &[configuration, generation], |it| !it.is_empty()).await
        }
        _ => {
            let route = serde_json::json!({
                "apiVersion": "policy.linkerd.io/v1beta3", "kind": "HTTPRoute",
                "metadata": {"name": format!("r{}", fastrand::u32(..)), "namespace": "shop"},
                "spec": {"parentRefs": [{
                    "group": "core", "kind": "Service", "name": "web", "port": 80,
                }]},
            });
            let name = route["metadata"]["name"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            apply(cluster, &[route]).await?;
            let kind = "httproutes.policy.linkerd.io";
            let status = [
                "--namespace=shop",
                "--output=jsonpath={.status.parents[*].conditions}",
            ];
            let get = [&[kind, &name][..], &status].concat();
            until(cluster, &get, |status| status.contains("Accepted")).await?;
            let delete = ["delete", kind, &name, "--namespace=shop"];
            ask(cluster, Kubectl, &delete).await.map(drop)
        }
    }
}
