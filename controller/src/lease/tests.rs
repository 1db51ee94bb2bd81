//! On a real API server, since conflicts, versions and times are its own.

use super::*;
use ferrule_test_cluster::{Cluster, Component, Options};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::time::{Instant, timeout};

const NAME: &str = "policy-controller-write";
const PATIENCE: Duration = Duration::from_secs(120);
/// Short, so that tests are quick, and so long that an answer which is late on a busy machine
/// ends no leadership: a third of it is waited for.
const DURATION: Duration = Duration::from_secs(9);

fn terms(namespace: &str) -> Terms {
    Terms {
        namespace: namespace.to_owned(),
        deployment: None,
        duration: DURATION,
    }
}

fn replica(client: &Client, namespace: &str, host: &str) -> (Leases, Leadership) {
    let mut leases = Leases::new(client.clone(), terms(namespace), host);
    let leadership = leases.lead(NAME);
    (leases, leadership)
}

/// Waits until the replica leads, or no longer does.
async fn changed(leadership: &mut Leadership) -> anyhow::Result<bool> {
    Ok(timeout(PATIENCE, leadership.changed()).await?)
}

/// Waits until the Lease is as wanted.
async fn until(leases: &Api<Lease>, wanted: impl Fn(&Lease) -> bool) -> anyhow::Result<Lease> {
    let read = async {
        loop {
            if let Some(lease) = leases.get_opt(NAME).await?.filter(&wanted) {
                return Ok(lease);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, read).await?
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}

#[tokio::test]
async fn of_two_one_leads_and_hands_over_at_once_when_it_ends() -> anyhow::Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("lease").await?;
    let client = cluster.client()?;
    let (mut first, mut of_first) = replica(&client, namespace.name(), "one");
    assert!(changed(&mut of_first).await?);
    let (mut second, mut of_second) = replica(&client, namespace.name(), "two");
    // Longer than a claim holds: it is renewed.
    let waited = timeout(DURATION * 2, of_second.changed()).await;
    assert!(waited.is_err(), "both lead");
    assert!(of_first.is_leader());
    assert_eq!(of_first.transitions(), 1);

    let begun = Instant::now();
    first.release().await;
    assert!(!of_first.is_leader());
    assert!(!changed(&mut of_first).await?);
    assert!(changed(&mut of_second).await?);
    assert!(
        begun.elapsed() < DURATION,
        "it waited for the end of the claim"
    );

    second.release().await;
    let leases: Api<Lease> = Api::namespaced(client, namespace.name());
    let lease = leases.get(NAME).await?;
    assert_eq!(holder(&lease), None);
    let spec = lease.spec.unwrap_or_default();
    assert_eq!(spec.lease_transitions, Some(1));
    assert_eq!(spec.lease_duration_seconds, Some(9));
    Ok(())
}

#[tokio::test]
async fn a_replica_that_is_gone_is_succeeded_when_its_claim_has_ended() -> anyhow::Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("lease").await?;
    let client = cluster.client()?;
    let (first, mut of_first) = replica(&client, namespace.name(), "one");
    assert!(changed(&mut of_first).await?);
    let (_second, mut of_second) = replica(&client, namespace.name(), "two");
    let leases: Api<Lease> = Api::namespaced(client, namespace.name());
    until(&leases, |lease| {
        holder(lease).is_some_and(|holder| holder.starts_with("one_"))
    })
    .await?;
    // As a crash: nothing is given back.
    drop(first);
    assert!(changed(&mut of_second).await?);
    assert!(!of_first.is_leader(), "both lead");
    assert!(!changed(&mut of_first).await?);
    Ok(())
}

#[tokio::test]
async fn an_outage_of_the_api_server_ends_a_leadership_until_it_is_over() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(Options::default()).await?;
    let client = cluster.client()?;
    let (_leases, mut leadership) = replica(&client, "default", "one");
    assert!(changed(&mut leadership).await?);
    // Neither a closed connection nor silence is a reason to go on.
    cluster.pause(Component::ApiServer)?;
    let paused = Instant::now();
    assert!(!changed(&mut leadership).await?);
    assert!(paused.elapsed() < DURATION, "it led on after its claim");
    cluster.resume(Component::ApiServer)?;
    assert!(changed(&mut leadership).await?);
    cluster.kill(Component::ApiServer);
    assert!(!changed(&mut leadership).await?);
    assert!(leadership.errors() > 0);
    cluster.restart(Component::ApiServer).await?;
    assert!(changed(&mut leadership).await?);
    assert_eq!(leadership.transitions(), 5);
    Ok(())
}

#[tokio::test]
async fn what_others_do_to_the_lease_is_noticed_and_made_up_for() -> anyhow::Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("lease").await?;
    let client = cluster.client()?;
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace.name());
    let (_replica, mut leadership) = replica(&client, namespace.name(), "one");
    assert!(changed(&mut leadership).await?);

    leases.delete(NAME, &DeleteParams::default()).await?;
    until(&leases, |lease| holder(lease).is_some()).await?;
    assert!(leadership.is_leader(), "it is free, and made again");

    // Somebody who does not ask takes it, as a person with kubectl may.
    let stolen = json!({"spec": {"holderIdentity": "thief", "leaseDurationSeconds": 1}});
    let params = PatchParams::default();
    leases.patch(NAME, &params, &Patch::Merge(&stolen)).await?;
    assert!(!changed(&mut leadership).await?);
    assert!(
        changed(&mut leadership).await?,
        "it is not renewed, so it ends"
    );
    Ok(())
}

#[tokio::test]
async fn a_lease_of_an_earlier_version_is_kept_as_it_is() -> anyhow::Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("lease").await?;
    let client = cluster.client()?;
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace.name());
    let theirs = serde_json::from_value(json!({
        "metadata": {"name": NAME, "labels": {"a": "b"}},
        "spec": {"holderIdentity": "", "leaseTransitions": 7},
    }))?;
    leases.create(&PostParams::default(), &theirs).await?;
    let (_replica, mut leadership) = replica(&client, namespace.name(), "one");
    assert!(changed(&mut leadership).await?);
    let lease = leases.get(NAME).await?;
    assert_eq!(lease.spec.and_then(|spec| spec.lease_transitions), Some(8));
    assert_eq!(lease.metadata.labels.unwrap_or_default()["a"], "b");
    Ok(())
}

#[tokio::test]
async fn a_new_lease_belongs_to_the_deployment() -> anyhow::Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("lease").await?;
    let client = cluster.client()?;
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}});
    let deployment = serde_json::from_value(json!({
        "metadata": {"name": "linkerd-destination"},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": template["metadata"], "spec": {
                "containers": [{"name": "web", "image": "web"}],
            }},
        },
    }))?;
    let deployments: Api<k8s_openapi::api::apps::v1::Deployment> =
        Api::namespaced(client.clone(), namespace.name());
    let deployment = deployments
        .create(&PostParams::default(), &deployment)
        .await?;
    for (name, owner, owned) in [
        ("policy-controller-write", "linkerd-destination", true),
        ("ferrule-ca", "linkerd-nobody", false),
    ] {
        let terms = Terms {
            deployment: Some(owner.to_owned()),
            ..terms(namespace.name())
        };
        let mut replica = Leases::new(client.clone(), terms, "one");
        let mut leadership = replica.lead(name);
        assert!(changed(&mut leadership).await?);
        let leases: Api<Lease> = Api::namespaced(client.clone(), namespace.name());
        let metadata = leases.get(name).await?.metadata;
        let labels = metadata.labels.unwrap_or_default();
        assert_eq!(labels["linkerd.io/control-plane-component"], "destination");
        assert_eq!(labels["linkerd.io/control-plane-ns"], namespace.name());
        let owners = metadata.owner_references.unwrap_or_default();
        let uids: Vec<_> = owners.iter().map(|owner| owner.uid.as_str()).collect();
        let expected = deployment.metadata.uid.as_deref().filter(|_| owned);
        assert_eq!(uids, expected.into_iter().collect::<Vec<_>>());
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_not_renewed_ends_by_itself() {
    let (mut leadership, claim, _) = Leadership::new(NAME);
    assert!(!leadership.is_leader());
    claim.set(Some(Instant::now() + Duration::from_millis(50)));
    assert!(leadership.changed().await);
    assert!(!leadership.changed().await);
    assert!(!leadership.is_leader());
    // Renewed claims are no change.
    claim.set(Some(Instant::now() + PATIENCE));
    assert!(leadership.changed().await);
    claim.set(Some(Instant::now() + PATIENCE * 2));
    let silent = timeout(Duration::from_millis(50), leadership.changed()).await;
    assert!(silent.is_err());
    drop(claim);
    let silent = timeout(Duration::from_millis(50), leadership.changed()).await;
    assert!(silent.is_err(), "it still counts");
}
