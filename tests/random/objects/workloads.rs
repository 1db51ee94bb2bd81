//! Pods, the machines beside them, and whose pods they are.

use super::{
    ADDRESSES, HOST_PORT, HOSTS, MACHINES, NODES, Objects, PODS, REPLICA_SETS, ZONES, core,
    machine_name, machine_path, opaque_ports, pod_name, replica_set_path, twin,
};
use crate::{
    api::{apply, send},
    dice::Dice,
};
use http::Method;
use serde_json::json;
use std::net::IpAddr;

impl Objects {
    /// Any machine's; sometimes a pod's.
    pub(super) fn address_of_machine(&self, dice: &mut Dice) -> IpAddr {
        if dice.one_in(8) {
            dice.pick(&self.addresses[..ADDRESSES])
        } else {
            dice.pick(&self.addresses[ADDRESSES..])
        }
    }

    pub(super) async fn machine(&self, namespace: &str, dice: &mut Dice) -> anyhow::Result<()> {
        let number = dice.below(MACHINES);
        let mut ports = vec![json!({"name": "http", "port": 8080})];
        if dice.one_in(2) {
            ports.push(json!({"name": "db", "port": 5432}));
        }
        if dice.one_in(3) {
            ports.push(json!({"name": "linkerd-proxy", "port": 4999}));
        }
        let name = dice.pick(&["one", "other"]);
        let object = json!({
            "apiVersion": "workload.linkerd.io/v1beta1", "kind": "ExternalWorkload",
            "metadata": {
                "name": machine_name(number),
                "labels": {
                    "app": dice.pick(&["web", "db"]),
                    "topology.kubernetes.io/zone": dice.pick(&ZONES),
                },
                "annotations": opaque_ports(dice),
            },
            "spec": {
                "meshTLS": {
                    "identity": format!("spiffe://root.linkerd/{name}"),
                    "serverName": format!("{name}.linkerd"),
                },
                "ports": ports,
                "workloadIPs": [{"ip": self.address_of_machine(dice)}],
            },
        });
        apply(&self.client, &machine_path(namespace, number), &object).await
    }

    pub(super) async fn pod(&self, namespace: &str, dice: &mut Dice) -> anyhow::Result<()> {
        let number = dice.below(PODS);
        let name = pod_name(number);
        let path = core(namespace, "pods", &name);
        let mut labels = json!({"app": dice.pick(&["web", "db"])});
        if number != 0 {
            labels["linkerd.io/control-plane-ns"] =
                json!(dice.pick(&["linkerd", "linkerd", "other"]));
        }
        let mut annotations = opaque_ports(dice);
        if dice.one_in(6) {
            annotations["config.linkerd.io/skip-inbound-ports"] = json!("9090");
        }
        let mut metadata = json!({"name": name, "labels": labels, "annotations": annotations});
        if dice.one_in(2) {
            let owner = format!("rs-{}", dice.below(REPLICA_SETS));
            metadata["ownerReferences"] = json!([{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": owner,
            }]);
        }
        let mut db = json!({"name": "db", "containerPort": 5432});
        if number % 4 == 3 {
            db["hostPort"] = json!(HOST_PORT);
        }
        let listen = |name: &str, port: u16| {
            let name = format!("LINKERD2_PROXY_{name}_LISTEN_ADDR");
            json!({"name": name, "value": format!("0.0.0.0:{port}")})
        };
        let object = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": metadata,
            // Of a pod that is there this may not change.
            "spec": {
                "nodeName": NODES[number % NODES.len()].0,
                "automountServiceAccountToken": false,
                "containers": [
                    {
                        "name": "app", "image": "app",
                        "ports": [{"name": "http", "containerPort": 8080}, db],
                    },
                    {
                        "name": "linkerd-proxy", "image": "proxy",
                        "env": [listen("INBOUND", 4143), listen("ADMIN", 4191), listen("CONTROL", 4190)],
                    },
                ],
            },
        });
        apply(&self.client, &path, &object).await?;
        let ip = self.address_of(namespace, number, dice);
        let phase = dice.pick(&["Running", "Running", "Running", "Pending", "Succeeded"]);
        let host = dice.pick(&HOSTS);
        let status = json!({"status": {
            "phase": phase, "podIP": ip, "podIPs": [{"ip": ip}, {"ip": twin(ip)}],
            "hostIP": host, "hostIPs": [{"ip": host}],
        }});
        send(
            &self.client,
            Method::PATCH,
            &format!("{path}/status"),
            "application/merge-patch+json",
            &status,
        )
        .await
    }

    /// A Deployment's, or nobody's.
    pub(super) async fn replica_set(&self, namespace: &str, dice: &mut Dice) -> anyhow::Result<()> {
        let number = dice.below(REPLICA_SETS);
        let owners = match dice.below(3) {
            0 => json!([]),
            _ => {
                let name = dice.pick(&["d0", "d1"]);
                json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": name}])
            }
        };
        let labels = json!({"made": "by-nobody"});
        let object = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": format!("rs-{number}"), "ownerReferences": owners},
            "spec": {
                "replicas": 0, "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "app", "image": "app"}]},
                },
            },
        });
        let path = replica_set_path(namespace, number);
        apply(&self.client, &path, &object).await
    }
}
