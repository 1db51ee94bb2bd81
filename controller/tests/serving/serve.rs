//! The binary as people and kubelets use it: flags, listeners, probes,
//! `ferrule diagnostics` and signals, on a directory of manifests.

use crate::ferrule::{Ferrule, SHOP, WEB, directory, ferrule, output};
use ferrule_proto::destination::{GetDestination, destination_client::DestinationClient, update};
use rustix::process::Signal;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tonic::Code;

#[tokio::test]
async fn a_directory_is_served_and_its_endpoints_are_listed() {
    let directory = directory();
    let server = Ferrule::serve(&directory, &[]).await;
    server.wait_until_ready().await;

    let (status, table, notes) = server.diagnostics(&["endpoints", WEB]).await;
    assert_eq!(status, Some(0), "{notes}");
    let lines: Vec<Vec<_>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0][..5], ["NAMESPACE", "IP", "PORT", "POD", "SERVICE"]);
    assert_eq!(
        lines[1][..5],
        ["shop", "10.42.0.10", "8080", "web-0", "web.shop"]
    );

    let (status, json, _) = server.diagnostics(&["profile", WEB, "-o", "json"]).await;
    assert_eq!(status, Some(0));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        json[0]["profile"]["fullyQualifiedName"],
        "web.shop.svc.cluster.local"
    );
}

#[tokio::test]
async fn questions_that_have_no_answer_say_what_to_do() {
    let directory = directory();
    let server = Ferrule::serve(&directory, &[]).await;
    server.wait_until_ready().await;

    let (status, table, notes) = server
        .diagnostics(&["endpoints", "empty.shop.svc.cluster.local"])
        .await;
    assert_eq!(status, Some(0), "an empty Service is no error");
    assert_eq!(
        (&*table, &*notes),
        ("", "empty.shop.svc.cluster.local: no endpoints found\n")
    );

    let (status, table, notes) = server
        .diagnostics(&["endpoints", WEB, "gone.shop.svc.cluster.local:80", "web:80"])
        .await;
    assert_eq!(status, Some(1));
    assert!(
        table.contains("10.42.0.10"),
        "what can be answered is: {table}"
    );
    assert!(
        notes.contains("gone.shop.svc.cluster.local:80: NotFound: Service gone.shop not found\n"),
        "{notes}"
    );
    assert!(
        notes.contains("web:80: InvalidArgument: ") && notes.contains("such as web.shop.svc"),
        "{notes}"
    );

    let (status, _, notes) = output(ferrule(&["dg", "ep", WEB, "--api-addr", "127.0.0.1:1"])).await;
    assert_eq!(status, Some(1));
    for told in [
        "127.0.0.1:1",
        "refused",
        "--api-addr",
        "ferrule serve --manifests",
    ] {
        assert!(notes.contains(told), "{told} in {notes}");
    }
}

#[tokio::test]
async fn an_edit_shows_within_a_second() {
    let directory = directory();
    let server = Ferrule::serve(&directory, &[]).await;
    server.wait_until_ready().await;
    let mut watch = server.watch(&["endpoints", WEB, "--watch", "-o", "json"]);
    let first = watch.event().await;
    assert_eq!(first["event"], "added");
    assert_eq!(first["endpoint"]["ip"], "10.42.0.10");

    // A machine that is busy may be late; who looks only now and then is so each time.
    let mut all = Vec::new();
    for number in 11..21 {
        let (before, after) = (
            format!("10.42.0.{}", number - 1),
            format!("10.42.0.{number}"),
        );
        let edited = SHOP.replace("10.42.0.10", &after);
        let start = Instant::now();
        std::fs::write(directory.path().join("shop.yaml"), edited).unwrap();
        let mut events = [watch.event().await, watch.event().await];
        all.push(start.elapsed());
        events.sort_by_key(|event| event["event"].to_string());
        assert_eq!(events[0]["event"], "added");
        assert_eq!(events[0]["endpoint"]["ip"], *after);
        assert_eq!(events[1]["event"], "removed");
        assert_eq!(events[1]["endpoint"]["ip"], *before);
        if all.last() < Some(&Duration::from_secs(1)) {
            return;
        }
    }
    panic!("{all:?}");
}

/// What no pod is: a machine, a Server that is about it, and a ServiceProfile.
const CUSTOM: &str = "\
apiVersion: v1
kind: Service
metadata: {name: vms, namespace: shop}
spec: {clusterIP: 10.96.0.12, selector: {app: vm}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: workload.linkerd.io/v1beta1
kind: ExternalWorkload
metadata: {name: vm, namespace: shop, labels: {app: vm}}
spec:
  meshTLS: {identity: 'spiffe://root/vm', serverName: vm.shop}
  ports: [{name: http, port: 8080}]
  workloadIPs: [{ip: 192.0.2.1}]
---
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: vm-http, namespace: shop}
spec:
  externalWorkloadSelector: {matchLabels: {app: vm}}
  port: http
  proxyProtocol: opaque
---
apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata: {name: vms.shop.svc.cluster.local, namespace: shop}
spec: {routes: [{name: all, condition: {pathRegex: '.*'}}]}
";

#[tokio::test]
async fn the_kinds_of_crds_work_from_files() {
    let directory = directory();
    std::fs::write(directory.path().join("custom.yaml"), CUSTOM).unwrap();
    let server = Ferrule::serve(&directory, &[]).await;
    server.wait_until_ready().await;
    let mut client = DestinationClient::connect(format!("http://{}", server.destination))
        .await
        .unwrap();
    let request = |path: &str| GetDestination {
        path: path.into(),
        ..GetDestination::default()
    };
    let vms = request("vms.shop.svc.cluster.local:80");
    let mut stream = client.get(vms.clone()).await.unwrap().into_inner();
    let told = stream.message().await.unwrap().unwrap();
    let Some(update::Update::Add(set)) = told.update else {
        panic!("{told:?}");
    };
    assert_eq!(set.addrs.len(), 1);
    assert_eq!(set.addrs[0].metric_labels["external_workload"], "vm");
    assert!(set.addrs[0].tls_identity.is_some());

    let profile = client.get_profile(request("192.0.2.1:8080")).await;
    let mut profile = profile.unwrap().into_inner();
    assert!(profile.message().await.unwrap().unwrap().opaque_protocol);
    // Without the Server it is not.
    let edited = CUSTOM.replace("proxyProtocol: opaque", "proxyProtocol: HTTP/1");
    std::fs::write(directory.path().join("custom.yaml"), edited).unwrap();
    assert!(!profile.message().await.unwrap().unwrap().opaque_protocol);

    let mut profile = client.get_profile(vms).await.unwrap().into_inner();
    let profile = profile.message().await.unwrap().unwrap();
    assert_eq!(profile.fully_qualified_name, "vms.shop.svc.cluster.local");
}

#[tokio::test]
async fn a_watch_finds_the_server_again() {
    let directory = directory();
    let first = Ferrule::serve(&directory, &[]).await;
    first.wait_until_ready().await;
    let mut watch = first.watch(&["endpoints", WEB, "--watch", "-o", "json"]);
    assert_eq!(watch.event().await["event"], "added");

    let addr = first.admin.to_string();
    assert_eq!(first.stop(Signal::TERM).await, Some(0));
    let lost = watch.event().await;
    assert_eq!(lost["event"], "disconnected");
    let edited = SHOP.replace("10.42.0.10", "10.42.0.11");
    std::fs::write(directory.path().join("shop.yaml"), edited).unwrap();
    let _second = Ferrule::serve(&directory, &["--admin-addr", &addr]).await;
    assert_eq!(watch.event().await["event"], "connected");
    // What changed meanwhile, and only that.
    assert_eq!(watch.event().await["event"], "removed");
    assert_eq!(watch.event().await["endpoint"]["ip"], "10.42.0.11");
}

#[tokio::test]
async fn probes_metrics_and_state_are_on_the_admin_address() {
    let directory = directory();
    let server = Ferrule::serve(&directory, &[]).await;
    server.wait_until_ready().await;
    assert_eq!(server.get("/live").await, (200, "ok\n".to_owned()));
    assert_eq!(server.get("/ping").await, (200, "pong\n".to_owned()));
    assert_eq!(server.get("/").await.0, 404);

    let (_, metrics) = server.get("/metrics").await;
    assert!(
        metrics.contains("\npod_cache_size{cluster=\"local\"} 1\n"),
        "{metrics}"
    );
    assert!(!metrics.contains("# EOF"), "text unless asked otherwise");

    let (_, state) = server.get("/debug/state").await;
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["kinds"]["Service"]["count"], 2);
    assert_eq!(state["ready"], true);
    let (_, state) = server.get("/debug/state?service=shop/web").await;
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["exists"], true);
    assert_eq!(server.get("/debug/state?service=web").await.0, 400);

    assert_eq!(server.request("PUT", "/log-level", "debug").await.0, 204);
    assert_eq!(server.request("PUT", "/log-level", "loud").await.0, 400);
}

#[tokio::test]
async fn sigterm_ends_streams_with_unavailable_and_exits_with_0() {
    let directory = directory();
    let server = Ferrule::serve(&directory, &["--drain-delay", "5s"]).await;
    server.wait_until_ready().await;
    let mut client = DestinationClient::connect(format!("http://{}", server.destination))
        .await
        .unwrap();
    let request = GetDestination {
        path: WEB.into(),
        ..GetDestination::default()
    };
    let mut stream = client.get(request.clone()).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());

    server.signal(Signal::TERM);
    server.wait_for("/ready", 503).await;
    assert_eq!(server.get("/live").await.0, 200);
    let answer = client.get(request).await;
    assert!(answer.is_ok(), "it serves on during the delay");
    drop(answer);
    let end = stream.message().await.unwrap_err();
    assert_eq!(end.code(), Code::Unavailable);
    assert_eq!(server.exit().await, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_the_process_at_once() {
    let directory = directory();
    let server = Ferrule::serve(&directory, &["--drain-delay", "1m"]).await;
    server.wait_until_ready().await;
    server.signal(Signal::TERM);
    server.wait_for("/ready", 503).await;
    assert_eq!(server.stop(Signal::INT).await, Some(130));
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let directory = directory();
    let manifests = directory.path().to_str().unwrap();
    let flags = [
        "--identity-addr",
        "--destination-addr",
        "--policy-addr",
        "--admin-addr",
    ];
    for flag in flags {
        let mut args = vec!["serve", "--manifests", manifests, flag, &addr];
        for other in flags.into_iter().filter(|other| *other != flag) {
            args.extend([other, "127.0.0.1:0"]);
        }
        let (status, _, notes) = output(ferrule(&args)).await;
        assert_eq!(status, Some(1));
        assert!(notes.contains(&addr) && notes.contains(flag), "{notes}");
    }
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_at_the_start() {
    for (args, told) in [
        (
            &["serve", "--roles", "police"][..],
            "possible values: destination",
        ),
        (
            &["serve", "--default-opaque-ports", "smtp"],
            "--default-opaque-ports",
        ),
        (&["serve", "--no-such-flag"], "--no-such-flag"),
    ] {
        let (status, _, notes) = output(ferrule(args)).await;
        assert_eq!(status, Some(1), "{args:?}: {notes}");
        assert!(notes.contains(told), "{args:?}: {notes}");
    }
    let listen = [
        "--destination-addr=127.0.0.1:0",
        "--identity-addr=127.0.0.1:0",
        "--policy-addr=127.0.0.1:0",
        "--admin-addr=127.0.0.1:0",
    ];
    let state = tempfile::TempDir::new().unwrap();
    let state_dir = format!("--state-dir={}", state.path().display());
    for (args, told) in [
        (
            &["--manifests=/no/such/directory", &state_dir][..],
            "/no/such/directory",
        ),
        (
            &["--kubeconfig=/no/such/file"],
            "--kubeconfig /no/such/file",
        ),
        (&[], "ferrule serve --manifests DIR"),
        (&["--manifests=/", "--state-dir=/dev/null"], "/dev/null"),
        (
            &["--manifests=/", &state_dir, "--trust-anchors=/no/such/file"],
            "--issuer-dir",
        ),
        (
            &[
                "--manifests=/",
                &state_dir,
                "--trust-anchors=/no/such/file",
                "--issuer-dir=/no/such",
            ],
            "/no/such",
        ),
        (
            &["--manifests=/", "--identity-issuance-lifetime=0s"],
            "--identity-issuance-lifetime",
        ),
        (
            &[
                "--manifests=/",
                "--roles=destination",
                "--mesh-tls=always",
                "--trust-anchors=/no/such/file",
            ],
            "/no/such/file",
        ),
    ] {
        let args = [&["serve"], &listen[..], args].concat();
        let (status, _, notes) = output(ferrule(&args)).await;
        assert_eq!(status, Some(1), "{args:?}: {notes}");
        assert!(notes.contains(told), "{args:?}: {notes}");
    }
    let (status, help, _) = output(ferrule(&["serve", "--help"])).await;
    assert_eq!(status, Some(0));
    assert!(help.contains("FERRULE_DRAIN_WINDOW"));
}

#[tokio::test]
async fn somebody_who_tries_it_is_told_what_to_ask() {
    let directory = directory();
    let mut server = Ferrule::serve(&directory, &["--log-format", "plain"]).await;
    let banner = server.banner().await;
    let command = format!(
        "ferrule diagnostics endpoints {WEB} --api-addr {}",
        server.admin
    );
    assert!(banner.contains(&command), "{banner}");
    assert!(
        !banner.contains("empty.shop"),
        "a Service without endpoints answers with nothing: {banner}"
    );
}
