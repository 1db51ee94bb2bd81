//! That the harness is what its users take it for: a real cluster, and real faults.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use ferrule_test_cluster::{Cluster, Component, Options, eventually, pods};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, ListParams, PostParams, VersionMatch};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

async fn create_deployment(client: &Client, namespace: &str, replicas: u32) -> Result<()> {
    let deployment = json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "initContainers": [
                        {"name": "first", "image": "first"},
                        {"name": "beside", "image": "beside", "restartPolicy": "Always"},
                    ],
                    "containers": [{"name": "web", "image": "web"}],
                },
            },
        },
    });
    let service = json!({
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"app": "web"},
            "ports": [{"port": 80}],
            "ipFamilyPolicy": "PreferDualStack",
        },
    });
    Api::<Deployment>::namespaced(client.clone(), namespace)
        .create(&PostParams::default(), &serde_json::from_value(deployment)?)
        .await?;
    Api::<Service>::namespaced(client.clone(), namespace)
        .create(&PostParams::default(), &serde_json::from_value(service)?)
        .await?;
    Ok(())
}

/// The addresses of ready endpoints in the slices of Service `web`.
async fn ready_endpoints(slices: &Api<EndpointSlice>) -> Result<BTreeSet<String>> {
    let of_web = ListParams::default().labels("kubernetes.io/service-name=web");
    Ok(slices
        .list(&of_web)
        .await?
        .into_iter()
        .inspect(|slice| {
            let manager = &slice.labels()["endpointslice.kubernetes.io/managed-by"];
            assert_eq!(manager, "endpointslice-controller.k8s.io");
        })
        .flat_map(|slice| slice.endpoints)
        .filter(|endpoint| {
            let conditions = endpoint.conditions.as_ref();
            conditions.and_then(|conditions| conditions.ready) == Some(true)
        })
        .flat_map(|endpoint| endpoint.addresses)
        .collect())
}

async fn ready_endpoints_become(slices: &Api<EndpointSlice>, count: usize) -> Result<()> {
    eventually(&format!("{count} ready endpoints"), || async {
        Ok((ready_endpoints(slices).await?.len() == count).then_some(()))
    })
    .await
}

fn config_map(name: &str) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.name = Some(name.to_owned());
    object
}

#[tokio::test]
async fn a_deployment_becomes_ready_has_endpoints_and_goes_away() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("deployment").await?;
    cluster.node("zoned", Some("zone-a")).await?;
    let _kubelet = cluster
        .kubelet(Some(namespace.name()), &["zoned", "other"])
        .await?;
    let client = cluster.client()?;
    create_deployment(&client, namespace.name(), 2).await?;

    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace.name());
    eventually("two ready replicas", || async {
        let status = deployments.get_status("web").await?.status;
        let ready = status.and_then(|status| status.ready_replicas);
        Ok((ready == Some(2)).then_some(()))
    })
    .await?;
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace.name());
    ready_endpoints_become(&slices, 2).await?;
    let zones: BTreeSet<_> = slices
        .list(&ListParams::default())
        .await?
        .into_iter()
        .flat_map(|slice| slice.endpoints)
        .map(|endpoint| (endpoint.node_name, endpoint.zone))
        .collect();
    let expected = [("other", None), ("zoned", Some("zone-a"))];
    assert_eq!(
        zones,
        expected
            .map(|(node, zone)| (Some(node.to_owned()), zone.map(str::to_owned)))
            .into()
    );

    // The kubelet leaves a pod alone that the test has made unready.
    let all_pods: Api<Pod> = Api::namespaced(client.clone(), namespace.name());
    let pod = all_pods.list(&ListParams::default()).await?.items.remove(0);
    pods::unready(&client, &pod).await?;
    ready_endpoints_become(&slices, 1).await?;
    pods::ready(&client, &pod).await?;
    ready_endpoints_become(&slices, 2).await?;

    deployments.delete("web", &DeleteParams::default()).await?;
    eventually("no pods", || async {
        let pods = all_pods.list(&ListParams::default()).await?;
        Ok(pods.items.is_empty().then_some(()))
    })
    .await?;
    namespace.delete().await
}

#[tokio::test]
async fn a_bound_pod_does_not_hold_its_namespace() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("bound").await?;
    cluster.node("n1", None).await?;
    let client = cluster.client()?;
    let all_pods: Api<Pod> = Api::namespaced(client.clone(), namespace.name());
    let pod = serde_json::from_value(json!({
        "metadata": {"name": "alone"},
        "spec": {"containers": [{"name": "web", "image": "web"}]},
    }))?;
    let pod = all_pods.create(&PostParams::default(), &pod).await?;
    let addresses = cluster.pod_addresses().next();
    let pod = pods::bind_and_ready(&client, &pod, "n1", &addresses).await?;
    let status = pod.status.context("a status")?;
    assert_eq!(status.pod_ip, Some(addresses[0].to_string()));
    namespace.delete().await
}

#[tokio::test]
async fn a_token_speaks_for_its_service_account_and_rbac_holds() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("token").await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client()?, namespace.name());
    let request = TokenRequest {
        spec: TokenRequestSpec {
            expiration_seconds: Some(600),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let token = accounts
        .create_token_request("default", &PostParams::default(), &request)
        .await?
        .status
        .context("a token")?
        .token;
    let client = cluster.client_for_token(&token)?;
    let maps: Api<ConfigMap> = Api::namespaced(client, namespace.name());
    match maps.list(&ListParams::default()).await {
        Err(kube::Error::Api(status)) => {
            let user = format!("system:serviceaccount:{namespace}:default");
            assert!(status.message.contains(&user), "{}", status.message);
            assert_eq!(status.code, 403);
        }
        other => bail!("expected to be forbidden: {other:?}"),
    }
    Ok(())
}

#[tokio::test]
async fn objects_survive_faults_until_etcd_is_restored_to_an_earlier_state() -> Result<()> {
    let mut cluster = Cluster::start(Options {
        dual_stack: true,
        ..Options::default()
    })
    .await?;
    let client = cluster.client()?;
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let create = PostParams::default();
    let before = maps.create(&create, &config_map("before")).await?;

    cluster.kill(Component::ApiServer);
    ensure!(maps.get("before").await.is_err(), "a killed server answers");
    cluster.restart(Component::ApiServer).await?;
    assert_eq!(maps.get("before").await?.uid(), before.uid());

    cluster.kill(Component::Etcd);
    cluster.restart(Component::Etcd).await?;
    assert_eq!(maps.get("before").await?.uid(), before.uid());

    let earlier = ListParams {
        resource_version: before.resource_version(),
        version_match: Some(VersionMatch::Exact),
        ..ListParams::default()
    };
    maps.create(&create, &config_map("later")).await?;
    assert_eq!(
        maps.list(&earlier).await?.items.len(),
        2,
        "the root CA's and this"
    );
    // The API server may remember what etcd does not.
    cluster.kill(Component::ApiServer);
    cluster.forget_history().await?;
    cluster.restart(Component::ApiServer).await?;
    match maps.list(&earlier).await {
        Err(kube::Error::Api(status)) => assert_eq!(status.code, 410),
        other => bail!("the past is not forgotten: {other:?}"),
    }

    cluster.pause(Component::ApiServer)?;
    let waited = tokio::time::timeout(Duration::from_millis(300), maps.get("before")).await;
    ensure!(waited.is_err(), "a paused server answers");
    cluster.resume(Component::ApiServer)?;
    assert_eq!(maps.get("before").await?.uid(), before.uid());

    let folder = tempfile::tempdir()?;
    let snapshot = folder.path().join("snapshot");
    cluster.snapshot_etcd(&snapshot)?;
    for number in 0..50 {
        maps.create(&create, &config_map(&format!("after-{number}")))
            .await?;
    }
    let newest = maps.get("after-49").await?;
    cluster.restore_etcd(&snapshot).await?;
    assert_eq!(maps.get("before").await?.uid(), before.uid());
    assert!(maps.get_opt("after-49").await?.is_none());
    let again = maps.create(&create, &config_map("again")).await?;
    let version = |map: &ConfigMap| map.resource_version()?.parse::<u64>().ok();
    assert!(version(&again) < version(&newest), "versions went on");

    // The controllers work again too, in both families.
    let _kubelet = cluster.kubelet(None, &["n1"]).await?;
    create_deployment(&client, "default", 2).await?;
    let slices: Api<EndpointSlice> = Api::default_namespaced(client);
    ready_endpoints_become(&slices, 4).await
}

/// The owner, `make cluster`, is killed with SIGKILL and can clean nothing up.
#[tokio::test]
async fn a_cluster_does_not_outlive_the_process_that_started_it() -> Result<()> {
    let mut owner = Command::new(env!("CARGO_BIN_EXE_ferrule-test-cluster"))
        .args(["--nodes", "1"])
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let output = owner.stdout.take().context("a pipe")?;
    let kubeconfig = tokio::task::spawn_blocking(move || {
        use std::io::BufRead as _;
        std::io::BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                line.split_once("KUBECONFIG=")
                    .map(|(_, path)| path.to_owned())
            })
    })
    .await?
    .context("the kubeconfig's path")?;
    let folder = std::path::PathBuf::from(kubeconfig);
    let folder = folder.parent().context("a folder")?.to_owned();
    let config = std::fs::read_to_string(folder.join("kubeconfig"))?;
    let server = config.split('"').nth(1).context("the server's URL")?;
    let address = server.trim_start_matches("https://").to_owned();
    ensure!(std::net::TcpStream::connect(&address).is_ok());

    owner.kill()?;
    owner.wait()?;
    eventually("nobody listens and the folder is gone", || async {
        let gone = !folder.exists() && std::net::TcpStream::connect(&address).is_err();
        Ok(gone.then_some(()))
    })
    .await
}
