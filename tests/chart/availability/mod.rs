//! High availability: any processes of the chart's installation may be killed, up to two
//! at a moment, or all be rolled out. Proxies are told by others, pods are injected by
//! others, and what only one may write another writes.

mod front;
mod replicas;
mod workloads;

use self::{
    replicas::{LEASE, REPLICAS, Replicas, Role},
    workloads::{Interruptions, Workload, change, create},
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

/// Which process dies.
#[derive(Clone, Copy, Debug)]
enum Victim {
    /// The one that writes under this Lease.
    Writer(&'static str),
    /// Any other of a role.
    Another(Role),
}

use Victim::{Another, Writer};

/// Who dies at the same moment, as when a node does, or two.
const DEATHS: [&[Victim]; 5] = [
    &[Writer("ferrule-webhook-ca")],
    // Two roles lose who writes.
    &[Writer("ferrule-ca"), Writer("policy-controller-write")],
    // One of three is left.
    &[
        Writer("policy-controller-write"),
        Another(Role::Destination),
    ],
    &[Another(Role::Identity), Another(Role::Identity)],
    &[Another(Role::Injector), Another(Role::Injector)],
];

/// How long another may take to write where nobody gives the Lease back: it has to run
/// out, and is then looked at again. Much longer, on a machine whose two cores have nine
/// processes and kubectl to run.
const AFTER_DEATH: Duration = LEASE.saturating_mul(10);
/// The same where it is given back.
const AFTER_RELEASE: Duration = LEASE.saturating_mul(5);
/// From when a stream ends until it has been opened anew and tells something, on a busy
/// machine: before the replica that has ended it is gone.
const AT_ONCE: Duration = Duration::from_secs(10);

/// The control plane, and proxies that go by it.
struct Mesh {
    replicas: Replicas,
    workloads: Vec<Workload>,
    /// How often the cluster changed.
    changes: u8,
}

#[tokio::test]
async fn replicas_may_die_and_be_rolled_out_while_proxies_are_told_and_pods_are_injected()
-> Result<()> {
    let replicas = Replicas::start().await?;
    apply(&replicas.cluster, &[shop()]).await?;
    // A pod that is refused because a replica has just died is created again.
    let admissions = Admissions::begin(&replicas.cluster, Duration::from_secs(5)).await?;
    create(&replicas).await?;
    let never_two = replicas.never_two();
    let workloads = vec![Workload::start(&replicas).await?];
    let mut mesh = Mesh {
        replicas,
        workloads,
        changes: 0,
    };
    for victims in DEATHS {
        mesh.die(victims).await?;
    }
    admissions.go_on(By::Ferrule).await?;
    let refused = admissions.refused();
    println!("{refused} pods were created at the second attempt");

    mesh.roll_out().await?;
    admissions.go_on(By::Ferrule).await?;
    let refused = admissions.refused() - refused;
    ensure!(refused == 0, "who is told to end refused {refused} pods");
    never_two.end()?;
    let renewed = mesh.workloads[0].certified() > 1;
    ensure!(renewed, "certificates are renewed meanwhile");
    println!("{} pods were created", admissions.end()?);
    Ok(())
}

impl Mesh {
    /// Some die at the same moment; others do what they did, and everybody is told what
    /// is new.
    async fn die(&mut self, victims: &[Victim]) -> Result<()> {
        let begin = Instant::now();
        let chosen = self.choose(victims).await?;
        let held = self.replicas.held_by(&chosen).await?;
        // Whatever they are doing just then.
        sleep(Duration::from_millis(fastrand::u64(0..700))).await;
        let since = Instant::now();
        let roles = self.replicas.kill(chosen).await?;
        self.change().await?;
        self.are_held(&held, since, AFTER_DEATH).await?;
        self.is_told().await?;
        self.workloads.push(Workload::start(&self.replicas).await?);
        for lease in held {
            writes(&self.replicas, lease).await?;
        }
        self.replicas.add(&roles).await?;
        println!("{victims:?} in {:?}", begin.elapsed());
        Ok(())
    }

    async fn choose(&self, victims: &[Victim]) -> Result<Vec<usize>> {
        let mut chosen = Vec::new();
        for victim in victims {
            let index = match victim {
                Writer(lease) => self.replicas.holder(lease).await?,
                Another(role) => {
                    let others = self.replicas.of(*role);
                    let others: Vec<_> = others.filter(|index| !chosen.contains(index)).collect();
                    others[fastrand::usize(..others.len())]
                }
            };
            chosen.push(index);
        }
        Ok(chosen)
    }

    /// All Deployments get another revision: of each, one after the other is told to end,
    /// and its successor starts. Nobody is refused anything, and nobody waits.
    async fn roll_out(&mut self) -> Result<()> {
        let begin = Instant::now();
        let streams = 4 * self.workloads.len();
        let interruptions = Interruptions::begin(&self.workloads);
        for _ in 0..REPLICAS {
            let oldest = Role::ALL
                .iter()
                .filter_map(|role| self.replicas.of(*role).next());
            let oldest: Vec<_> = oldest.collect();
            let held = self.replicas.held_by(&oldest).await?;
            let since = Instant::now();
            let gone = self.replicas.terminate(oldest).await?;
            self.change().await?;
            self.are_held(&held, since, AFTER_RELEASE).await?;
            self.is_told().await?;
            self.workloads.push(Workload::start(&self.replicas).await?);
            self.replicas.add(&Role::ALL).await?;
            for lease in held {
                writes(&self.replicas, lease).await?;
            }
            for mut replica in gone {
                ensure!(replica.process.ended().await? == Some(0), "it ends well");
                self.replicas.forget(&replica);
            }
        }
        // By those that are left.
        self.change().await?;
        self.is_told().await?;
        let lasted = interruptions.end().await?;
        println!(
            "rolled out in {:?}: streams ended and told again after {lasted:?}",
            begin.elapsed()
        );
        ensure!(lasted.len() >= streams, "all end, with their replica");
        let longest = lasted.iter().max();
        ensure!(longest < Some(&AT_ONCE), "{longest:?}");
        Ok(())
    }

    /// Every stream has something new to tell.
    async fn change(&mut self) -> Result<()> {
        self.changes += 1;
        change(&self.replicas, self.changes).await
    }

    /// Waits until every stream has told the last change.
    async fn is_told(&self) -> Result<()> {
        for workload in &self.workloads {
            workload.is_told(self.changes).await?;
        }
        Ok(())
    }

    /// Waits until others hold these Leases.
    async fn are_held(&self, leases: &[&str], since: Instant, limit: Duration) -> Result<()> {
        for lease in leases {
            self.replicas.holder(lease).await?;
            let took = since.elapsed();
            println!("{lease} after {took:?}");
            ensure!(took < limit, "{lease} after {took:?}");
        }
        Ok(())
    }
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
