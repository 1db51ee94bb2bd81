//! A meshed pod as clusters have them: what the injector and the controllers write, at the size
//! they write it, since reading pods is most of what a start costs.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::service::{PORT, Service};

/// How much is written into pods that the mesh does not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PodSize {
    /// What clusters have: 24 KB of JSON, 11 of them managed fields.
    #[default]
    Full,
    /// 8 KB: fewer variables, and no probes, so that many can be created.
    Lean,
}

/// What distinguishes a pod from its siblings.
#[derive(Clone, Debug)]
pub(crate) struct PodIdentity {
    pub(crate) name: String,
    pub(crate) node: String,
    pub(crate) ip: IpAddr,
}

const IMAGE: &str = "registry.example.com/shop/backend:v2.14.3";
const PROXY_IMAGE: &str = "cr.l5d.io/linkerd/proxy:edge-26.8.1";
const INIT_IMAGE: &str = "cr.l5d.io/linkerd/proxy-init:v2.4.3";
const MESH_NETWORKS: &str = "10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fd00::/8";

/// An elliptic-curve certificate is some 600 characters; only its size matters here.
const TRUST_ANCHORS: &str = "-----BEGIN CERTIFICATE-----
MIIBijCCATCgAwIBAgIRAJH0EXAMPLEEXAMPLEEXAMPLEEXAMPLEwCgYIKoZIzj0E
AwIwJTEjMCEGA1UEAxMacm9vdC5saW5rZXJkLmNsdXN0ZXIubG9jYWwwHhcNMjYw
MTAxMDAwMDAwWhcNMzYwMTAxMDAwMDAwWjAlMSMwIQYDVQQDExpyb290LmxpbmtlcmQ
uY2x1c3Rlci5sb2NhbDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABEXAMPLEEXAMPLE
EXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLE
o0UwQzAOBgNVHQ8BAf8EBAMCAQYwEgYDVR0TAQH/BAgwBgEB/wIBATAdBgNVHQ4EFgQU
EXAMPLEEXAMPLEEXAMPLEEXAMPLE=
-----END CERTIFICATE-----
";

/// The pod as its ReplicaSet creates it, bound to its node.
pub(crate) fn pod(
    size: PodSize,
    service: &Service,
    identity: &PodIdentity,
    replica_set_uid: &str,
) -> Value {
    let mut pod = full(service, identity, replica_set_uid);
    if size == PodSize::Lean {
        trim(&mut pod);
    }
    pod
}

/// Leaves out what makes pods large and the mesh does not read.
fn trim(pod: &mut Value) {
    let spec = &mut pod["spec"];
    for container in spec["containers"].as_array_mut().into_iter().flatten() {
        let is_read = |variable: &Value| {
            let name = variable["name"].as_str();
            name.is_some_and(|name| name.ends_with("_LISTEN_ADDR"))
        };
        if let Some(environment) = container["env"].as_array_mut() {
            environment.retain(is_read);
        }
        for field in [
            "livenessProbe",
            "readinessProbe",
            "lifecycle",
            "securityContext",
        ] {
            container[field].take();
        }
    }
    spec["initContainers"].take();
    spec["topologySpreadConstraints"].take();
}

fn full(service: &Service, identity: &PodIdentity, replica_set_uid: &str) -> Value {
    let app = &service.name;
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": identity.name,
            "generateName": format!("{}-", service.replica_set()),
            "labels": {
                "app.kubernetes.io/name": app,
                "app.kubernetes.io/part-of": "shop",
                "app.kubernetes.io/version": "2.14.3",
                "pod-template-hash": service.template_hash(),
                "linkerd.io/control-plane-ns": "linkerd",
                "linkerd.io/proxy-deployment": app,
                "linkerd.io/workload-ns": service.namespace,
            },
            "annotations": {
                "linkerd.io/created-by": "linkerd/proxy-injector edge-26.8.1",
                "linkerd.io/inject": "enabled",
                "linkerd.io/proxy-version": "edge-26.8.1",
                "linkerd.io/trust-root-sha256": "6c1dca8ef9e1f3a77a8d0ae1f1a64d7b3c1d7d3f1df3cb8ff4c8f81e3e7b0f52",
                "viz.linkerd.io/tap-enabled": "true",
                "prometheus.io/scrape": "true",
                "prometheus.io/port": "9102",
                "kubectl.kubernetes.io/restartedAt": "2026-10-01T08:00:00Z",
            },
            "ownerReferences": [{
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "name": service.replica_set(),
                "uid": replica_set_uid,
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "spec": {
            "nodeName": identity.node,
            "serviceAccountName": app,
            "initContainers": [init_container()],
            "containers": [proxy_container(service), app_container()],
            "volumes": [
                {"name": "config", "configMap": {"name": format!("{app}-config")}},
                {"name": "tmp", "emptyDir": {}},
                {"name": "linkerd-proxy-init-xtables-lock", "emptyDir": {}},
                {"name": "linkerd-identity-end-entity", "emptyDir": {"medium": "Memory"}},
                {"name": "linkerd-identity-token", "projected": {"sources": [{"serviceAccountToken": {
                    "audience": "identity.l5d.io", "expirationSeconds": 86400, "path": "linkerd-identity-token",
                }}]}},
            ],
            "topologySpreadConstraints": [{
                "maxSkew": 1,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/name": app}},
            }],
        },
    })
}

/// What the kubelet writes once all its containers run.
pub(crate) fn status(size: PodSize, identity: &PodIdentity, host: &str) -> Value {
    let at = "2026-11-01T08:00:00Z";
    let condition = |kind| json!({"type": kind, "status": "True", "lastTransitionTime": at});
    let container = |name: &str, image: &str, state: &str| {
        let state = match state {
            "running" => json!({"running": {"startedAt": at}}),
            _ => json!({"terminated": {
                "exitCode": 0, "reason": "Completed", "startedAt": at, "finishedAt": at,
                "containerID": format!("containerd://{:064x}", name.len()),
            }}),
        };
        json!({
            "name": name, "image": image, "state": state,
            "imageID": format!("{image}@sha256:{:064x}", image.len()),
            "containerID": format!("containerd://{:064x}", name.len()),
            "ready": true, "restartCount": 0, "started": true,
        })
    };
    let init_containers = match size {
        PodSize::Full => vec![container("linkerd-init", INIT_IMAGE, "terminated")],
        PodSize::Lean => Vec::new(),
    };
    json!({"status": {
        "phase": "Running",
        "hostIP": host,
        "hostIPs": [{"ip": host}],
        "podIP": identity.ip,
        "podIPs": [{"ip": identity.ip}],
        "qosClass": "Burstable",
        "startTime": at,
        "conditions": [
            condition("PodReadyToStartContainers"),
            condition("Initialized"),
            condition("Ready"),
            condition("ContainersReady"),
            condition("PodScheduled"),
        ],
        "initContainerStatuses": init_containers,
        "containerStatuses": [
            container("linkerd-proxy", PROXY_IMAGE, "running"),
            container("app", IMAGE, "running"),
        ],
    }})
}

fn app_container() -> Value {
    let probe =
        |path: &str| json!({"httpGet": {"path": path, "port": "http"}, "periodSeconds": 10});
    json!({
        "name": "app",
        "image": IMAGE,
        "args": ["serve", "--config=/etc/shop/config.yaml", "--listen=:8080"],
        "ports": [
            {"name": "http", "containerPort": PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": 9102, "protocol": "TCP"},
        ],
        "env": [
            {"name": "GOMAXPROCS", "value": "2"},
            {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://otel-collector.observability:4317"},
            {"name": "DATABASE_HOST", "value": "postgres.storage.svc.cluster.local"},
            {"name": "DATABASE_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "database", "key": "password"}}},
            field("POD_IP", "status.podIP"),
        ],
        "livenessProbe": probe("/livez"),
        "readinessProbe": probe("/readyz"),
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/shop", "readOnly": true},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
            "capabilities": {"drop": ["ALL"]},
        },
    })
}

fn init_container() -> Value {
    json!({
        "name": "linkerd-init",
        "image": INIT_IMAGE,
        "args": [
            "--ipv6=false", "--incoming-proxy-port", "4143", "--outgoing-proxy-port", "4140",
            "--proxy-uid", "2102", "--inbound-ports-to-ignore", "4190,4191,4567,4568",
            "--outbound-ports-to-ignore", "4567,4568",
        ],
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
            "runAsUser": 65534, "capabilities": {"add": ["NET_ADMIN", "NET_RAW"]},
        },
        "volumeMounts": [{"name": "linkerd-proxy-init-xtables-lock", "mountPath": "/run"}],
    })
}

fn proxy_container(service: &Service) -> Value {
    let probe =
        |path: &str| json!({"httpGet": {"path": path, "port": 4191}, "initialDelaySeconds": 2});
    json!({
        "name": "linkerd-proxy",
        "image": PROXY_IMAGE,
        "ports": [
            {"name": "linkerd-proxy", "containerPort": 4143},
            {"name": "linkerd-admin", "containerPort": 4191},
        ],
        "env": proxy_environment(service),
        "livenessProbe": probe("/live"),
        "readinessProbe": probe("/ready"),
        "lifecycle": {"postStart": {"exec": {
            "command": ["/usr/lib/linkerd/linkerd-await", "--timeout=2m", "--port=4191"],
        }}},
        "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
            "runAsUser": 2102, "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "linkerd-identity-end-entity", "mountPath": "/var/run/linkerd/identity/end-entity"},
            {"name": "linkerd-identity-token", "mountPath": "/var/run/secrets/tokens"},
        ],
    })
}

/// The injector's, in its order.
fn proxy_environment(service: &Service) -> Value {
    let mut environment = vec![
        field("_pod_name", "metadata.name"),
        field("_pod_ns", "metadata.namespace"),
        field("_pod_nodeName", "spec.nodeName"),
        field("_pod_sa", "spec.serviceAccountName"),
    ];
    let inbound_ports = format!("{PORT},9102");
    let local_name = "$(_pod_sa).$(_pod_ns).serviceaccount.identity.linkerd.cluster.local";
    let context =
        "{\"ns\":\"$(_pod_ns)\", \"nodeName\":\"$(_pod_nodeName)\", \"pod\":\"$(_pod_name)\"}\n";
    let workload = "{\"ns\":\"$(_pod_ns)\", \"pod\":\"$(_pod_name)\"}\n";
    let destination = "linkerd-destination.linkerd.serviceaccount.identity.linkerd.cluster.local";
    let named = [
        ("CORES", "1"),
        ("CORES_MIN", "1"),
        ("SHUTDOWN_ENDPOINT_ENABLED", "false"),
        (
            "LOG",
            "warn,linkerd=info,hickory=error,[{headers}]=off,[{request}]=off",
        ),
        ("LOG_FORMAT", "plain"),
        (
            "DESTINATION_SVC_ADDR",
            "linkerd-dst-headless.linkerd.svc.cluster.local.:8086",
        ),
        ("DESTINATION_PROFILE_NETWORKS", MESH_NETWORKS),
        (
            "POLICY_SVC_ADDR",
            "linkerd-policy.linkerd.svc.cluster.local.:8090",
        ),
        ("POLICY_WORKLOAD", workload),
        ("INBOUND_DEFAULT_POLICY", "all-unauthenticated"),
        ("POLICY_CLUSTER_NETWORKS", MESH_NETWORKS),
        ("CONTROL_STREAM_INITIAL_TIMEOUT", "3s"),
        ("CONTROL_STREAM_IDLE_TIMEOUT", "5m"),
        ("CONTROL_STREAM_LIFETIME", "1h"),
        ("INBOUND_CONNECT_TIMEOUT", "100ms"),
        ("OUTBOUND_CONNECT_TIMEOUT", "1000ms"),
        ("OUTBOUND_DISCOVERY_IDLE_TIMEOUT", "5s"),
        ("INBOUND_DISCOVERY_IDLE_TIMEOUT", "90s"),
        ("CONTROL_LISTEN_ADDR", "0.0.0.0:4190"),
        ("ADMIN_LISTEN_ADDR", "0.0.0.0:4191"),
        ("OUTBOUND_LISTEN_ADDR", "127.0.0.1:4140"),
        ("OUTBOUND_LISTEN_ADDRS", "127.0.0.1:4140"),
        ("INBOUND_LISTEN_ADDR", "0.0.0.0:4143"),
        ("INBOUND_PORTS", &inbound_ports),
        ("DESTINATION_PROFILE_SUFFIXES", "svc.cluster.local."),
        ("INBOUND_ACCEPT_KEEPALIVE", "10000ms"),
        ("OUTBOUND_CONNECT_KEEPALIVE", "10000ms"),
        ("INBOUND_ACCEPT_USER_TIMEOUT", "30s"),
        ("OUTBOUND_CONNECT_USER_TIMEOUT", "30s"),
        ("OUTBOUND_METRICS_HOSTNAME_LABELS", "false"),
        ("INBOUND_SERVER_HTTP2_KEEP_ALIVE_INTERVAL", "10s"),
        ("INBOUND_SERVER_HTTP2_KEEP_ALIVE_TIMEOUT", "3s"),
        ("OUTBOUND_SERVER_HTTP2_KEEP_ALIVE_INTERVAL", "10s"),
        ("OUTBOUND_SERVER_HTTP2_KEEP_ALIVE_TIMEOUT", "3s"),
        (
            "INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION",
            "25,587,3306,4444,5432,6379,9300,11211",
        ),
        ("DESTINATION_CONTEXT", context),
        ("IDENTITY_DIR", "/var/run/linkerd/identity/end-entity"),
        ("IDENTITY_TRUST_ANCHORS", TRUST_ANCHORS),
        (
            "IDENTITY_TOKEN_FILE",
            "/var/run/secrets/tokens/linkerd-identity-token",
        ),
        (
            "IDENTITY_SVC_ADDR",
            "linkerd-identity-headless.linkerd.svc.cluster.local.:8080",
        ),
        ("IDENTITY_LOCAL_NAME", local_name),
        (
            "IDENTITY_SVC_NAME",
            "linkerd-identity.linkerd.serviceaccount.identity.linkerd.cluster.local",
        ),
        ("DESTINATION_SVC_NAME", destination),
        ("POLICY_SVC_NAME", destination),
    ];
    environment
        .extend(named.map(
            |(name, value)| json!({"name": format!("LINKERD2_PROXY_{name}"), "value": value}),
        ));
    environment.push(field("LINKERD2_PROXY_INBOUND_IPS", "status.podIPs"));
    environment.push(json!({"name": "_pod_app", "value": service.name}));
    Value::Array(environment)
}

fn field(name: &str, path: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_of_every_pod_says_where_it_listens() {
        for (size, variables) in [(PodSize::Full, 40..60), (PodSize::Lean, 3..10)] {
            says_where_it_listens(size, &variables);
        }
    }

    fn says_where_it_listens(size: PodSize, variables: &std::ops::Range<usize>) {
        let identity = PodIdentity {
            name: "pod".to_owned(),
            node: "node".to_owned(),
            ip: [10, 0, 0, 1].into(),
        };
        let pod = pod(size, &Service::new("bench", 7), &identity, "uid");
        let proxy = &pod["spec"]["containers"][0];
        assert_eq!(proxy["name"], "linkerd-proxy");
        let environment = proxy["env"].as_array().unwrap();
        assert!(variables.contains(&environment.len()));
        for (name, address) in [
            ("INBOUND", ":4143"),
            ("ADMIN", ":4191"),
            ("CONTROL", ":4190"),
        ] {
            let name = format!("LINKERD2_PROXY_{name}_LISTEN_ADDR");
            let variable = environment.iter().find(|variable| variable["name"] == name);
            let value = variable.and_then(|variable| variable["value"].as_str());
            assert!(value.unwrap().ends_with(address), "{name}");
        }
    }
}
