//! The command line of each component. A comment says what a flag is for where that is not its
//! name.

use std::path::Path;

use crate::addresses::{Ports, SERVICE_RANGE_V4, SERVICE_RANGE_V6};
use crate::cluster::Options;
use crate::credentials::Credentials;

pub(crate) fn etcd(ports: Ports, data: &Path) -> Vec<String> {
    let client = format!("http://127.0.0.1:{}", ports.etcd);
    let peer = format!("http://127.0.0.1:{}", ports.etcd_peer);
    vec![
        "--name=test".into(),
        format!("--data-dir={}", data.display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=test={peer}"),
        // A machine that loses power loses the test as well.
        "--unsafe-no-fsync".into(),
        // It waits for an election timeout (1 s unless told) before it elects itself.
        "--heartbeat-interval=20".into(),
        "--election-timeout=200".into(),
        "--log-level=warn".into(),
    ]
}

pub(crate) fn api_server(
    ports: Ports,
    credentials: &Credentials,
    options: &Options,
) -> Vec<String> {
    let service_ranges = if options.dual_stack {
        format!("{SERVICE_RANGE_V4},{SERVICE_RANGE_V6}")
    } else {
        SERVICE_RANGE_V4.to_owned()
    };
    let issuer = "https://kubernetes.default.svc.cluster.local";
    let file = |path: &Path| path.display().to_string();
    let mut flags = vec![
        format!("--etcd-servers=http://127.0.0.1:{}", ports.etcd),
        "--bind-address=127.0.0.1".into(),
        "--advertise-address=127.0.0.1".into(),
        format!("--secure-port={}", ports.api_server),
        // It would refuse to write a loopback address into default/kubernetes.
        "--endpoint-reconciler-type=none".into(),
        format!("--service-cluster-ip-range={service_ranges}"),
        "--authorization-mode=RBAC".into(),
        "--allow-privileged=true".into(),
        format!("--token-auth-file={}", file(&credentials.token_file)),
        format!("--tls-cert-file={}", file(&credentials.serving.certificate)),
        format!("--tls-private-key-file={}", file(&credentials.serving.key)),
        // No --api-audiences: TokenReview of a token for another audience must fail unless the
        // review asks for that audience, as in a cluster nobody configured.
        format!("--service-account-issuer={issuer}"),
        format!(
            "--service-account-key-file={}",
            file(&credentials.token_key)
        ),
        format!(
            "--service-account-signing-key-file={}",
            file(&credentials.token_key)
        ),
        // Aggregated APIs: without kube-proxy the server must go to endpoints itself, and
        // kube-system/extension-apiserver-authentication names the front proxy's authority.
        "--enable-aggregator-routing=true".into(),
        format!(
            "--requestheader-client-ca-file={}",
            file(&credentials.front_proxy_ca)
        ),
        "--requestheader-allowed-names=front-proxy-client".into(),
        "--requestheader-username-headers=X-Remote-User".into(),
        "--requestheader-group-headers=X-Remote-Group".into(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
        format!(
            "--proxy-client-cert-file={}",
            file(&credentials.front_proxy.certificate)
        ),
        format!(
            "--proxy-client-key-file={}",
            file(&credentials.front_proxy.key)
        ),
        // Large tests measure Ferrule, not the queue in front of the API server.
        "--max-requests-inflight=3000".into(),
        "--max-mutating-requests-inflight=1000".into(),
    ];
    flags.extend(options.api_server_flags.iter().cloned());
    flags
}

pub(crate) fn controller_manager(credentials: &Credentials) -> Vec<String> {
    let file = |path: &Path| path.display().to_string();
    let mut flags = vec![
        format!("--kubeconfig={}", file(&credentials.kubeconfig)),
        format!(
            "--service-account-private-key-file={}",
            file(&credentials.token_key)
        ),
        format!("--root-ca-file={}", file(&credentials.ca)),
        // Nobody renews a node's lease: these two would take the endpoints of silent nodes away
        // after 40 s, and their pods later.
        "--controllers=*,-node-lifecycle-controller,-pod-garbage-collector-controller".into(),
        "--leader-elect=false".into(),
        // Serves nothing, so it needs no port.
        "--secure-port=0".into(),
        "--kube-api-qps=500".into(),
        "--kube-api-burst=1000".into(),
    ];
    flags.extend(
        [
            "deployment",
            "endpoint",
            "gc",
            "namespace",
            "replicaset",
            "service-endpoint",
            "serviceaccount-token",
            "statefulset",
        ]
        .map(|kind| format!("--concurrent-{kind}-syncs=20")),
    );
    flags
}
