//! One trust anchor follows another while workloads go on shaking hands with each other.

use crate::{
    door::{Door, End},
    mesh::{ANCHOR, Mesh, ROOTS, Traffic},
};
use anyhow::{Context as _, Result, ensure};
use ferrule_test_cluster::{Cluster, Options, eventually};
use ferrule_tests::{Ferrule, Relay, TestProxy};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, CustomResourceExt as _, ResourceExt as _,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::time::Duration;

/// Leaves last for twelve seconds, and a replica that hears nothing signs for three more.
pub(crate) const SHORT: &str = "--identity-unconfirmed-issuance=3s";

/// What is said of a rotation.
pub(crate) struct Told {
    pub(crate) phase: Option<String>,
    pub(crate) waits: String,
}

pub(crate) async fn told(mesh: &Mesh) -> Result<Told> {
    let secret = mesh.secrets().get(ANCHOR).await?;
    let said = |name: &str| secret.annotations().get(name).cloned();
    let rotation = said("ferrule.io/rotation");
    let rotation: Option<Value> = rotation
        .map(|text| serde_json::from_str(&text))
        .transpose()?;
    Ok(Told {
        phase: rotation.and_then(|rotation| Some(rotation["phase"].as_str()?.to_owned())),
        waits: said("ferrule.io/rotation-waits-for").unwrap_or_default(),
    })
}

/// Waits until a rotation is in this phase, and all that it stands for is there.
pub(crate) async fn until_phase(mesh: &Mesh, phase: &str) -> Result<()> {
    eventually(phase, async || {
        let told = told(mesh).await?;
        let is_there = told.phase.as_deref() == Some(phase) && !told.waits.is_empty();
        Ok(is_there.then_some(()))
    })
    .await
}

async fn until_waiting_for(mesh: &Mesh, text: &str) -> Result<()> {
    eventually(text, async || {
        Ok(told(mesh).await?.waits.contains(text).then_some(()))
    })
    .await
}

/// Waits until it is over; what is published then.
pub(crate) async fn until_over(mesh: &Mesh) -> Result<String> {
    let over = eventually("the end", async || {
        Ok(told(mesh).await?.phase.is_none().then_some(()))
    });
    if let Err(error) = over.await {
        return Err(error.context(told(mesh).await?.waits));
    }
    mesh.anchors().await
}

pub(crate) async fn annotate(mesh: &Mesh, name: &str, value: Value) -> Result<()> {
    let patch = json!({"metadata": {"annotations": {name: value}}});
    let (secrets, params) = (mesh.secrets(), PatchParams::default());
    secrets.patch(ANCHOR, &params, &Patch::Merge(patch)).await?;
    Ok(())
}

pub(crate) async fn rotate(mesh: &Mesh) -> Result<()> {
    annotate(mesh, "ferrule.io/rotate-trust-anchor", json!("now")).await
}

pub(crate) fn certificates(pem: &str) -> usize {
    pem.matches("BEGIN CERTIFICATE").count()
}

/// Everybody shakes hands with everybody until one of them is under this issuer.
async fn all_meet(traffic: &Traffic, others: &[TestProxy]) -> Result<()> {
    for other in others {
        traffic.meets(other).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_new_anchor_follows_while_old_and_new_workloads_talk() -> Result<()> {
    let mesh = Mesh::new("rotation").await?;
    let (one, two) = tokio::try_join!(mesh.identity(&[SHORT]), mesh.identity(&[SHORT]))?;
    tokio::try_join!(one.ready(), two.ready())?;
    let old = mesh.anchors().await?;
    mesh.pod("old", &old).await?;
    let of_old = Traffic::begin(vec![
        mesh.proxy(&one, &old).await?,
        mesh.proxy(&two, &old).await?,
    ]);

    rotate(&mesh).await?;
    until_waiting_for(&mesh, "1 pod of 1 workload").await?;
    let at = told(&mesh).await?;
    assert_eq!(at.phase.as_deref(), Some("distributing"));
    ensure!(at.waits.contains("/pod/old"), "{}", at.waits);
    let both = mesh.anchors().await?;
    assert_eq!(certificates(&both), 2);
    mesh.pod("both", &both).await?;
    let of_both = Traffic::begin(vec![
        mesh.proxy(&one, &both).await?,
        mesh.proxy(&two, &both).await?,
    ]);
    let newcomer = [mesh.proxy(&two, &both).await?];
    all_meet(&of_old, &newcomer).await?;

    // Who trusts the old anchor only is not left behind.
    annotate(&mesh, "ferrule.io/rotation-override", json!("distributing")).await?;
    until_phase(&mesh, "switched").await?;
    let issuer = mesh.issuer("crt.pem").await?;
    assert_eq!(certificates(&issuer), 2);
    of_old.is_under(&issuer).await?;
    of_both.is_under(&issuer).await?;
    all_meet(&of_old, &newcomer).await?;
    until_waiting_for(&mesh, "1 pod of 1 workload").await?;
    of_old.end().await?;
    mesh.gone("old").await?;

    let new = until_over(&mesh).await?;
    assert_eq!(certificates(&new), 1);
    ensure!(new != old && both.contains(new.trim()), "the new one stays");
    let issuer = mesh.issuer("crt.pem").await?;
    assert_eq!(certificates(&issuer), 1);
    of_both.is_under(&issuer).await?;
    let young = [mesh.proxy(&one, &new).await?, mesh.proxy(&two, &new).await?];
    all_meet(&of_both, &young).await?;
    of_both.end().await?;
    mesh.event("TrustAnchorRotation").await?;
    mesh.event("TrustAnchorRotationWaits").await?;
    let secret = mesh.secrets().get(ANCHOR).await?;
    let keys: Vec<_> = secret
        .data
        .iter()
        .flatten()
        .map(|(key, _)| &**key)
        .collect();
    assert_eq!(keys, ["current.crt", "current.key"]);
    Ok(())
}

#[tokio::test]
async fn the_way_back_is_taken_from_either_phase() -> Result<()> {
    let mesh = Mesh::new("rotation-aborted").await?;
    let identity = mesh.identity(&[SHORT]).await?;
    identity.ready().await?;
    let old = mesh.anchors().await?;
    mesh.pod("old", &old).await?;
    let traffic = Traffic::begin(vec![mesh.proxy(&identity, &old).await?]);
    for phase in ["distributing", "switched"] {
        rotate(&mesh).await?;
        until_phase(&mesh, "distributing").await?;
        if phase == "switched" {
            annotate(&mesh, "ferrule.io/rotation-override", json!("distributing")).await?;
            until_phase(&mesh, phase).await?;
        }
        let both = mesh.proxy(&identity, &mesh.anchors().await?).await?;
        annotate(&mesh, "ferrule.io/abort-rotation", json!("now")).await?;
        assert_eq!(until_over(&mesh).await?, old);
        let back = mesh.proxy(&identity, &old).await?;
        traffic.meets(&both).await?;
        traffic.meets(&back).await?;
        assert_eq!(certificates(&mesh.issuer("crt.pem").await?), 1);
    }
    traffic.end().await?;
    Ok(())
}

#[tokio::test]
async fn an_anchor_that_expired_while_nobody_was_there_is_followed_without_a_restart() -> Result<()>
{
    let mesh = Mesh::new("rotation-expired").await?;
    let asked = [
        "--trust-anchor-lifetime=14s",
        "--issuer-lifetime=10s",
        "--trust-anchor-rotation=asked",
        SHORT,
    ];
    let identity = mesh.identity(&asked).await?;
    identity.ready().await?;
    let old = mesh.anchors().await?;
    mesh.pod("old", &old).await?;
    // Everything has expired, and it is said why.
    identity.logged("has expired").await?;
    identity.kill().await?;
    let identity = mesh.identity(&[SHORT]).await?;
    identity
        .logged("began to rotate the trust anchor, because it has expired")
        .await?;
    identity.ready().await?;
    let proxies = vec![
        mesh.proxy(&identity, &old).await?,
        mesh.proxy(&identity, &mesh.anchors().await?).await?,
    ];
    Traffic::begin_when(proxies, &mesh.issuer("crt.pem").await?)
        .await?
        .end()
        .await?;
    Ok(())
}

/// Notes an anchor that is alone in the bundle, once.
fn note(bundle: &str, seen: &mut Vec<String>) {
    if certificates(bundle) == 1 && seen.last().is_none_or(|last| last != bundle) {
        seen.push(bundle.to_owned());
    }
}

#[tokio::test]
async fn it_rotates_by_itself_again_and_again_while_workloads_come_and_go() -> Result<()> {
    let mesh = Mesh::new("rotation-automatic").await?;
    let flags = [
        "--trust-anchor-lifetime=60s",
        "--issuer-lifetime=24s",
        SHORT,
    ];
    let (one, two) = tokio::try_join!(mesh.identity(&flags), mesh.identity(&flags))?;
    tokio::try_join!(one.ready(), two.ready())?;
    let first = mesh.anchors().await?;
    let mut running: Vec<(String, TestProxy)> = Vec::new();
    let mut handshakes = 0;
    let mut seen = vec![first.clone()];
    let deadline = tokio::time::Instant::now() + Duration::from_secs(240);
    let mut count = 0;
    // Two rotations: neither the first anchor nor the one after it is left.
    loop {
        let bundle = mesh.anchors().await?;
        note(&bundle, &mut seen);
        if seen.len() >= 3 {
            break;
        }
        ensure!(
            tokio::time::Instant::now() < deadline,
            "{} anchors",
            seen.len()
        );
        // The oldest of four is replaced.
        if running.len() == 4 {
            let (name, proxy) = running.remove(0);
            drop(proxy);
            mesh.gone(&name).await?;
        }
        let name = format!("web-{count}");
        let identity = if count % 2 == 0 { &one } else { &two };
        mesh.pod(&name, &bundle).await?;
        running.push((name, mesh.proxy(identity, &bundle).await?));
        count += 1;
        // For a second, however many that is on this machine.
        let next = tokio::time::Instant::now() + Duration::from_secs(1);
        while tokio::time::Instant::now() < next {
            for (_, client) in &running {
                for (_, server) in &running {
                    client.handshake(server).await.context("a handshake")?;
                    handshakes += 1;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            note(&mesh.anchors().await?, &mut seen);
        }
    }
    println!(
        "{handshakes} handshakes of {count} workloads, {} anchors",
        seen.len()
    );
    let bundle = mesh.config_maps().get(ROOTS).await?;
    assert_eq!(bundle.labels()["app.kubernetes.io/managed-by"], "ferrule");
    Ok(())
}

#[tokio::test]
async fn it_goes_on_after_the_api_server_was_away_for_longer_than_an_issuer_is_renewed_before()
-> Result<()> {
    let mesh = Mesh::new("rotation-away").await?;
    let door = Door::open(&mesh.client, mesh.folder.path(), End::Before(usize::MAX)).await?;
    let text = std::fs::read_to_string(door.kubeconfig())?;
    let behind = text.split("http://").nth(1).context("a server")?;
    let behind = behind.split('"').next().context("its address")?;
    let relay = Relay::to(behind.parse()?).await?;
    let kubeconfig = mesh.folder.path().join("relay");
    std::fs::write(&kubeconfig, text.replace(behind, &relay.addr().to_string()))?;
    // An issuer is renewed ten seconds before its end.
    let flags = [
        "--issuer-lifetime=30s",
        "--identity-issuance-lifetime=40s",
        "--identity-unconfirmed-issuance=40s",
    ];
    let identity = mesh.identity_as(&kubeconfig, &flags).await?;
    identity.ready().await?;
    let old = mesh.anchors().await?;
    rotate(&mesh).await?;
    eventually("a phase", async || Ok(told(&mesh).await?.phase.map(drop))).await?;
    let both = mesh.proxy(&identity, &mesh.anchors().await?).await?;
    let traffic = Traffic::begin(vec![mesh.proxy(&identity, &old).await?, both]);
    relay.freeze();
    tokio::time::sleep(Duration::from_secs(12)).await;
    relay.thaw();
    until_phase(&mesh, "switched").await?;
    // They renew again, with an issuer that was made after that.
    let issuer = mesh.issuer("crt.pem").await?;
    let late = mesh.proxy(&identity, &mesh.anchors().await?).await?;
    traffic.meets(&late).await?;
    ensure!(certificates(&issuer) == 2, "both sign");
    traffic.end().await?;
    Ok(())
}

#[tokio::test]
async fn people_begin_it_look_at_it_hold_it_and_take_it_back() -> Result<()> {
    let mesh = Mesh::new("rotation-people").await?;
    let identity = mesh.identity(&[SHORT]).await?;
    identity.ready().await?;
    let old = mesh.anchors().await?;
    mesh.pod("web", &old).await?;
    let (kubeconfig, namespace) = (mesh.kubeconfig(), mesh.namespace.name());
    let kubeconfig = kubeconfig.to_str().context("UTF-8")?;
    let run = async |arguments: &[&str], code: i32, told: &[&str]| {
        let own = ["--kubeconfig", kubeconfig, "-L", namespace];
        let printed = Ferrule::command(&[arguments, &own].concat()).await?;
        ensure!(printed.code == Some(code), "{arguments:?}: {printed:?}");
        for text in told {
            let all = format!("{}{}", printed.stdout, printed.stderr);
            ensure!(all.contains(text), "{arguments:?}: {text}: {printed:?}");
        }
        Ok(())
    };
    let with = |flag: &'static str| ["identity", "rotate", "trust-anchor", flag];
    let begin = &["identity", "rotate", "trust-anchor"][..];
    let restarted = ["restarted: 1 pod of 1 workload: ", "/pod/web"];
    run(&with("--dry-run"), 0, &restarted).await?;
    assert_eq!(told(&mesh).await?.phase, None);
    run(&with("--abort"), 1, &["no rotation is under way"]).await?;
    run(&with("--pause"), 0, &["paused"]).await?;
    run(begin, 0, &["waits: it is paused"]).await?;
    assert_eq!(mesh.anchors().await?, old);
    run(&with("--resume"), 0, &["resumed"]).await?;
    until_phase(&mesh, "distributing").await?;
    let line = ["distributing, ", " follows ", "1 pod of 1 workload"];
    run(begin, 0, &line).await?;
    let admin = identity.address_of("admin").await?.to_string();
    run(&["identity", "status", "--api-addr", &admin], 0, &line).await?;
    // Where it leads, which it may have to begin anew on a machine that is busy.
    for (series, value) in [
        ("trust_anchor_rotation_laggards", 1.0),
        ("trust_anchor_rotation_phase{phase=\"distributing\"}", 1.0),
        ("trust_anchor_rotation_phase{phase=\"switched\"}", 0.0),
    ] {
        eventually(series, async || {
            let is_told = identity.metric(series).await? == Some(value);
            Ok(is_told.then_some(()))
        })
        .await?;
    }
    run(&with("--pause"), 0, &["paused"]).await?;
    mesh.gone("web").await?;
    until_waiting_for(&mesh, "paused").await?;
    run(&with("--abort"), 0, &[]).await?;
    assert_eq!(until_over(&mesh).await?, old);
    run(&with("--resume"), 0, &["resumed"]).await?;
    let watched = ["identity", "rotate", "trust-anchor", "--watch"];
    run(&watched, 0, &["switched, ", "it is over"]).await?;
    ensure!(mesh.anchors().await? != old, "another anchor");
    Ok(())
}

#[tokio::test]
async fn proxies_outside_kubernetes_are_waited_for_until_they_show_a_certificate_under_the_new_anchor()
-> Result<()> {
    // Nobody else's rotation is to wait for them.
    let cluster = Cluster::start(Options::default()).await?;
    let mesh = Mesh::on(&cluster, "rotation-outside").await?;
    let namespace = mesh.namespace.name();
    let crds: Api<CustomResourceDefinition> = Api::all(mesh.client.clone());
    let workloads = ferrule_crds::ExternalWorkload::crd();
    crds.create(&PostParams::default(), &workloads).await?;
    // What listeners of the control plane show stands for what machines do.
    let flags = [
        SHORT,
        "--mesh-tls=always",
        "--identity-issuance-lifetime=15s",
    ];
    let identity = mesh.identity(&flags).await?;
    identity.ready().await?;
    let stranger = Mesh::on(&cluster, "rotation-stranger").await?;
    let other = stranger.identity(&flags).await?;
    other.ready().await?;
    let port = |of: std::net::SocketAddr| json!([{"name": "linkerd-proxy", "port": of.port()}]);
    let ports = [
        port(other.address_of("identity").await?),
        port(identity.address_of("identity").await?),
    ];
    let resource = ApiResource::erase::<ferrule_crds::ExternalWorkload>(&());
    let machines: Api<DynamicObject> =
        Api::namespaced_with(mesh.client.clone(), namespace, &resource);
    let name = mesh.name().replacen("default", "linkerd-identity", 1);
    let machine = serde_json::from_value(json!({
        "apiVersion": "workload.linkerd.io/v1beta1",
        "kind": "ExternalWorkload",
        "metadata": {"name": "vm"},
        "spec": {
            "meshTLS": {"identity": "spiffe://root.linkerd.cluster.local/vm", "serverName": name},
            "workloadIPs": [{"ip": "127.0.0.1"}],
            "ports": ports[0],
        },
    }))?;
    let created = eventually("the kind is served", async || {
        Ok(machines.create(&PostParams::default(), &machine).await.ok())
    });
    created.await?;

    rotate(&mesh).await?;
    until_waiting_for(&mesh, "/vm: ").await?;
    let at = told(&mesh).await?;
    assert_eq!(at.phase.as_deref(), Some("switched"));
    ensure!(
        at.waits
            .contains("its certificate is not under the new anchor"),
        "{}",
        at.waits
    );
    // It has another certificate now.
    let patch = Patch::Merge(json!({"spec": {"ports": ports[1]}}));
    machines
        .patch("vm", &PatchParams::default(), &patch)
        .await?;
    until_over(&mesh).await?;
    Ok(())
}
