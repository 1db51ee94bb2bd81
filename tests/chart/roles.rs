//! The roles work with the rights of the chart, need all of them, and are refused
//! nothing: told by the API server's own audit log.

use crate::{
    audit,
    helm::{CHART, NAMESPACE, apply, ask, pipe},
    processes::Pods,
};
use anyhow::{Context as _, Result, ensure};
use ferrule_test_cluster::{Binary::*, Cluster, Options};
use ferrule_tests::{Ferrule, crds};
use k8s_openapi::ByteString;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use serde_json::{Value, json};
use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep},
};
use tokio_rustls::TlsConnector;

const PATIENCE: Duration = Duration::from_secs(60);
/// An event about a workload is counted up after this long, ten seconds, and not before.
const EVENT_AGAIN: Duration = Duration::from_secs(12);
const WEBHOOK_CA: &str = "ferrule-webhook-ca";

/// The control plane as processes.
struct Running {
    cluster: Cluster,
    identity: Ferrule,
    injector: Ferrule,
    destination: Ferrule,
}

#[tokio::test]
async fn every_role_works_with_the_rights_of_the_chart_and_needs_all_of_them() -> Result<()> {
    let folder = TempDir::new()?;
    let log = folder.path().join("audit.log");
    let policy = folder.path().join("audit-policy.yaml");
    std::fs::write(&policy, audit::POLICY)?;
    let cluster = Cluster::start(Options {
        api_server_flags: vec![
            format!("--audit-log-path={}", log.display()),
            format!("--audit-policy-file={}", policy.display()),
            // Kinds are listed, as older API servers would be asked to.
            "--feature-gates=WatchList=false".to_owned(),
        ],
        ..Options::default()
    })
    .await?;
    install(&cluster).await?;
    let running = start(cluster, &folder).await?;
    serve_the_webhooks(&running).await?;
    inject(&running).await?;
    let told = Instant::now();
    discover(&running).await?;
    refuse(&running).await?;
    write_statuses(&running).await?;
    ask_for_what_nobody_knows(&running).await?;
    mend_the_authority(&running, "linkerd-proxy-injector").await?;
    rotate(&running).await?;
    // The same event again, later: it is counted up.
    sleep(EVENT_AGAIN.saturating_sub(told.elapsed())).await;
    let scale = [
        "scale",
        "--namespace=shop",
        "--replicas=2",
        "deployment/web",
    ];
    ask(&running.cluster, Kubectl, &scale).await?;
    let again = "--output=jsonpath={.items[?(@.reason==\"Injected\")].count}";
    until(
        &running.cluster,
        &["events", "--namespace=shop", again],
        |counts| {
            counts
                .split(' ')
                .any(|count| count != "1" && !count.is_empty())
        },
    )
    .await?;
    // Its Lease is free, and the other component's replica takes it.
    running.injector.terminate()?;
    leads(&running.destination, WEBHOOK_CA).await?;
    mend_the_authority(&running, "linkerd-destination").await?;
    judge(&end(running).await?, &log).await
}

/// What was asked for, against what may be.
async fn judge(cluster: &Cluster, log: &Path) -> Result<()> {
    let asked = audit::requests(log)?;
    let grants = audit::grants(&cluster.client()?).await?;
    println!("{}", audit::table(&grants, &asked));
    let refused: Vec<_> = asked.iter().filter(|asked| asked.code == 403).collect();
    ensure!(refused.is_empty(), "these rights are missing: {refused:#?}");
    let unused = grants.iter().filter(|grant| grant.used(&asked) == 0);
    let unused: Vec<_> = unused.map(ToString::to_string).collect();
    ensure!(
        unused.is_empty(),
        "these rights are for nothing: {unused:#?}"
    );
    Ok(())
}

async fn install(cluster: &Cluster) -> Result<()> {
    let namespace = ["--namespace", NAMESPACE, "--create-namespace"];
    for (release, chart) in [
        ("ferrule-crds", "charts/ferrule-crds"),
        ("ferrule-control-plane", CHART),
    ] {
        let args = [&["install", release, chart][..], &namespace].concat();
        ask(cluster, Helm, &args).await?;
    }
    crds::install_gateway_api(&cluster.client()?).await
}

/// In an order in which each makes what is its own.
async fn start(cluster: Cluster, folder: &TempDir) -> Result<Running> {
    let pods = Pods::new(&cluster, folder.path())?;
    // Proxies are spoken to by mesh TLS though they are on this machine.
    let meshed = ["--mesh-tls=always"];
    let identity = [&meshed[..], &["--identity-addr=127.0.0.1:0"]].concat();
    let identity = pods.start("linkerd-identity", &identity).await?;
    identity.ready().await?;

    let anchors = config_map(&cluster, "linkerd-identity-trust-roots", "ca-bundle\\.crt").await?;
    let anchors = pods.write("anchors.pem", &anchors)?;
    let anchors = format!("--trust-anchors={}", anchors.display());
    let values = config_map(&cluster, "linkerd-config", "values").await?;
    let values = pods.write("values", &values)?;
    let values = format!("--values={}", values.display());
    // API servers reach webhooks at addresses of Services, which are none of this machine
    // alone.
    let webhooks = "--webhook-addr=0.0.0.0:0";
    let injector = [webhooks, &values, &anchors, "--drain-delay=0s"];
    let injector = pods.start("linkerd-proxy-injector", &injector).await?;
    injector.ready().await?;
    leads(&injector, WEBHOOK_CA).await?;

    let token = pods
        .token("linkerd-destination", &["identity.l5d.io"])
        .await?;
    let token = pods.write("identity-token", &token)?;
    let token = format!("--identity-token={}", token.display());
    let address = identity.address_of("identity").await?;
    let address = format!("--identity-svc-addr={address}");
    let destination = [
        &meshed[..],
        &[
            webhooks,
            &anchors,
            &token,
            &address,
            "--policy-addr=127.0.0.1:0",
        ],
    ]
    .concat();
    let destination = pods.start("linkerd-destination", &destination).await?;
    destination.ready().await?;
    leads(&destination, "policy-controller-write").await?;
    Ok(Running {
        cluster,
        identity,
        injector,
        destination,
    })
}

async fn leads(ferrule: &Ferrule, lease: &str) -> Result<()> {
    let leads =
        |scrape: &ferrule_tests::Scrape| scrape.sum("leader", &[("lease", lease)]) == Some(1.0);
    ferrule.scraped(lease, leads).await.map(drop)
}

/// As kube-controller-manager would, if the processes were pods.
async fn serve_the_webhooks(running: &Running) -> Result<()> {
    let host = host()?;
    let mut slices = Vec::new();
    for (service, port, process) in [
        (
            "linkerd-proxy-injector",
            "proxy-injector",
            &running.injector,
        ),
        ("linkerd-sp-validator", "sp-validator", &running.destination),
        (
            "linkerd-policy-validator",
            "policy-https",
            &running.destination,
        ),
    ] {
        let address = process.address_of("webhooks").await?;
        slices.push(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": format!("{service}-test"), "namespace": NAMESPACE,
                "labels": {"kubernetes.io/service-name": service},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [host], "conditions": {"ready": true}}],
            "ports": [{"name": port, "port": address.port(), "protocol": "TCP"}],
        }));
    }
    apply(&running.cluster, &slices).await
}

/// An address of this machine that Kubernetes takes for one of a pod.
fn host() -> Result<IpAddr> {
    // Nothing is sent: the system chooses from where it would be.
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect("192.0.2.1:9")?;
    Ok(socket.local_addr()?.ip())
}

async fn inject(running: &Running) -> Result<()> {
    let cluster = &running.cluster;
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "shop", "annotations": {"linkerd.io/inject": "enabled"}},
    });
    apply(cluster, &[namespace]).await?;
    let create = [
        "create",
        "deployment",
        "web",
        "--image=web",
        "--port=80",
        "--namespace=shop",
    ];
    ask(cluster, Kubectl, &create).await?;
    let expose = [
        "expose",
        "deployment",
        "web",
        "--port=80",
        "--namespace=shop",
    ];
    ask(cluster, Kubectl, &expose).await?;
    let names = "--output=jsonpath={.items[*].spec.initContainers[*].name}";
    // The API server hears of the webhook's endpoints when it does.
    until(cluster, &["pods", "--namespace=shop", names], |names| {
        names.contains("linkerd-proxy")
    })
    .await
}

async fn discover(running: &Running) -> Result<()> {
    let _kubelet = running.cluster.kubelet(Some("shop"), &["n1"]).await?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let asked = ["endpoints", "web.shop.svc.cluster.local:80"];
        let printed = running.destination.diagnostics(&asked).await?;
        if printed.stdout.contains("web.shop") {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{printed:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Nothing is refused unless the webhook is reached: the failure policy is Ignore.
async fn refuse(running: &Running) -> Result<()> {
    for (object, told) in [
        (
            json!({
                "apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
                "metadata": {"name": "web.shop.svc.cluster.local", "namespace": "shop"},
                "spec": {"routes": [{
                    "name": "all", "timeout": "5", "condition": {"pathRegex": "/.*"},
                }]},
            }),
            "linkerd-sp-validator.linkerd.io",
        ),
        (
            json!({
                "apiVersion": "policy.linkerd.io/v1alpha1", "kind": "NetworkAuthentication",
                "metadata": {"name": "n", "namespace": "shop"},
                "spec": {"networks": [{"cidr": "10.0.0.0/8", "except": ["11.0.0.0/8"]}]},
            }),
            "linkerd-policy-validator.linkerd.io",
        ),
    ] {
        let create = ["create", "--dry-run=server", "--filename=-"];
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = pipe(&running.cluster, &create, &object.to_string()).await?;
            let error = String::from_utf8_lossy(&answer.stderr).into_owned();
            if error.contains(told) {
                break;
            }
            ensure!(Instant::now() < deadline, "{told} lets it in: {error}");
            sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(())
}

/// A route of each kind, a rate limit and an EgressNetwork, until all say something.
async fn write_statuses(running: &Running) -> Result<()> {
    let object = |group_version: &str, kind: &str, spec: Value| {
        json!({
            "apiVersion": group_version, "kind": kind,
            "metadata": {"name": "web", "namespace": "shop"}, "spec": spec,
        })
    };
    let policy = "policy.linkerd.io/v1beta3";
    let alpha = "policy.linkerd.io/v1alpha1";
    let server = json!({"podSelector": {}, "port": 80, "proxyProtocol": "HTTP/1"});
    let limit = json!({
        "targetRef": {"group": "policy.linkerd.io", "kind": "Server", "name": "web"},
        "total": {"requestsPerSecond": 10},
    });
    let mut objects = vec![
        object(policy, "Server", server),
        object(alpha, "HTTPLocalRateLimitPolicy", limit),
        object(alpha, "EgressNetwork", json!({"trafficPolicy": "Allow"})),
    ];
    let mut written = vec![
        "httplocalratelimitpolicies.policy.linkerd.io".to_owned(),
        "egressnetworks.policy.linkerd.io".to_owned(),
    ];
    for (group, kind) in [
        ("policy.linkerd.io", "HTTPRoute"),
        ("gateway.networking.k8s.io", "HTTPRoute"),
        ("gateway.networking.k8s.io", "GRPCRoute"),
        ("gateway.networking.k8s.io", "TLSRoute"),
        ("gateway.networking.k8s.io", "TCPRoute"),
    ] {
        let resource = crds::resource(group, kind)?;
        let mut spec = json!({
            "parentRefs": [{"group": "", "kind": "Service", "name": "web", "port": 80}],
            "rules": [{"backendRefs": [{"name": "web", "port": 80}]}],
        });
        if kind == "TLSRoute" {
            spec["hostnames"] = json!(["web.example.com"]);
        }
        objects.push(object(&resource.api_version, kind, spec));
        written.push(format!("{}.{group}", resource.plural));
    }
    apply(&running.cluster, &objects).await?;
    for kind in written {
        let status = ["--namespace=shop", "--output=jsonpath={.items[*].status}"];
        let args = [&[kind.as_str()][..], &status].concat();
        until(&running.cluster, &args, |status| {
            status.contains("Accepted")
        })
        .await?;
    }
    Ok(())
}

/// Who is quicker than the injector's watches is looked up: as nobody can be that for
/// certain, the injector is asked about what does not exist.
async fn ask_for_what_nobody_knows(running: &Running) -> Result<()> {
    let bundle = ca_bundle(&running.cluster).await?;
    let address = running.injector.address_of("webhooks").await?;
    let address = SocketAddr::from(([127, 0, 0, 1], address.port()));
    for (namespace, kind) in [
        ("nowhere", "ReplicaSet"),
        ("shop", "ReplicaSet"),
        ("shop", "Job"),
    ] {
        let version = if kind == "Job" { "batch/v1" } else { "apps/v1" };
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"generateName": "a-", "ownerReferences": [{
                "apiVersion": version, "kind": kind, "name": "nobody", "uid": "0",
                "controller": true,
            }]},
            "spec": {"containers": [{"name": "a", "image": "a"}]},
        });
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "1", "operation": "CREATE", "namespace": namespace, "dryRun": true,
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "userInfo": {}, "object": pod,
            },
        });
        let answer = post(address, &bundle, "/inject", &review).await?;
        let expected = if namespace == "nowhere" {
            " 500 "
        } else {
            " 200 "
        };
        ensure!(answer.contains(expected), "{answer}");
    }
    Ok(())
}

async fn post(address: SocketAddr, bundle: &[u8], path: &str, body: &Value) -> Result<String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle) {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder().with_root_certificates(roots);
    let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
    let name = ServerName::try_from(format!("linkerd-proxy-injector.{NAMESPACE}.svc"))?;
    let stream = TcpStream::connect(address).await?;
    let mut stream = connector.connect(name, stream).await?;
    let body = body.to_string();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut answer = String::new();
    // Some end without saying so by TLS.
    let _ = stream.read_to_string(&mut answer).await;
    Ok(answer)
}

/// The replica that leads makes everything anew that is removed or spoilt.
async fn mend_the_authority(running: &Running, who: &str) -> Result<()> {
    let cluster = &running.cluster;
    let secret = format!("secret/{WEBHOOK_CA}");
    let key = "--output=jsonpath={.data.ca\\.key}";
    let in_namespace = ["--namespace", NAMESPACE];
    let has_key = [
        &[secret.as_str(), "--ignore-not-found", key][..],
        &in_namespace,
    ]
    .concat();
    let delete = [&["delete", &secret][..], &in_namespace].concat();
    ask(cluster, Kubectl, &delete).await?;
    until(cluster, &has_key, |key| !key.is_empty())
        .await
        .with_context(|| format!("{who} makes the Secret"))?;
    let spoil = [
        "patch",
        &secret,
        "--type=merge",
        "--patch={\"data\":{\"ca.key\":null}}",
    ];
    ask(cluster, Kubectl, &[&spoil[..], &in_namespace].concat()).await?;
    until(cluster, &has_key, |key| !key.is_empty())
        .await
        .with_context(|| format!("{who} mends the Secret"))?;
    for configuration in [
        "mutatingwebhookconfigurations/linkerd-proxy-injector-webhook-config",
        "validatingwebhookconfigurations/linkerd-sp-validator-webhook-config",
        "validatingwebhookconfigurations/linkerd-policy-validator-webhook-config",
    ] {
        let remove = "[{\"op\":\"remove\",\"path\":\"/webhooks/0/clientConfig/caBundle\"}]";
        let patch = format!("--patch={remove}");
        let remove = ["patch", configuration, "--type=json", &patch];
        ask(cluster, Kubectl, &remove).await?;
        let bundle = "--output=jsonpath={.webhooks[0].clientConfig.caBundle}";
        until(cluster, &[configuration, bundle], |bundle| {
            !bundle.is_empty()
        })
        .await
        .with_context(|| format!("{who} writes caBundle of {configuration}"))?;
    }
    Ok(())
}

/// Another issuer, told by an Event, and a bundle that somebody has spoilt.
async fn rotate(running: &Running) -> Result<()> {
    let cluster = &running.cluster;
    let in_namespace = ["--namespace", NAMESPACE];
    let ask_for_one = [
        "annotate",
        "secret/linkerd-identity-issuer",
        "ferrule.io/rotate-issuer=now",
    ];
    ask(
        cluster,
        Kubectl,
        &[&ask_for_one[..], &in_namespace].concat(),
    )
    .await?;
    let reasons = "--output=jsonpath={.items[*].reason}";
    let events = [&["events", reasons][..], &in_namespace].concat();
    until(cluster, &events, |reasons| {
        reasons.contains("IssuerUpdated")
    })
    .await?;
    let spoil = [
        "patch",
        "configmap/linkerd-identity-trust-roots",
        "--type=merge",
        "--patch={\"data\":{\"ca-bundle.crt\":\"spoilt\"}}",
    ];
    ask(cluster, Kubectl, &[&spoil[..], &in_namespace].concat()).await?;
    let bundle = "--output=jsonpath={.data.ca-bundle\\.crt}";
    let roots = "configmap/linkerd-identity-trust-roots";
    let bundle = [&[roots, bundle][..], &in_namespace].concat();
    until(cluster, &bundle, |bundle| {
        bundle.contains("BEGIN CERTIFICATE")
    })
    .await
}

/// Leases are given back.
async fn end(running: Running) -> Result<Cluster> {
    let Running {
        cluster,
        identity,
        injector,
        destination,
    } = running;
    for mut process in [identity, injector, destination] {
        // The injector is on its way already.
        let _ = process.terminate();
        process.ended().await?;
    }
    Ok(cluster)
}

async fn config_map(cluster: &Cluster, name: &str, key: &str) -> Result<String> {
    let name = format!("configmap/{name}");
    let output = format!("--output=jsonpath={{.data.{key}}}");
    let get = ["get", &name, "--namespace", NAMESPACE, &output];
    ask(cluster, Kubectl, &get).await
}

async fn ca_bundle(cluster: &Cluster) -> Result<Vec<u8>> {
    let get = [
        "get",
        "mutatingwebhookconfigurations/linkerd-proxy-injector-webhook-config",
        "--output=jsonpath={.webhooks[0].clientConfig.caBundle}",
    ];
    let text = ask(cluster, Kubectl, &get).await?;
    let bundle: ByteString = serde_json::from_value(json!(text))?;
    Ok(bundle.0)
}

/// Waits until `kubectl get` prints what is wanted.
async fn until(cluster: &Cluster, args: &[&str], wanted: impl Fn(&str) -> bool) -> Result<()> {
    let args = [&["get"], args].concat();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let printed = ask(cluster, Kubectl, &args).await?;
        if wanted(&printed) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{args:?}: {printed}");
        sleep(Duration::from_millis(200)).await;
    }
}
