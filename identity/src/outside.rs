//! Proxies outside Kubernetes: nothing but what they show tells what they are under.

use crate::{TrustAnchors, presented};
use futures::future::join_all;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, GroupVersionKind, ListParams},
    core::Object,
};
use rustls_pki_types::ServerName;
use serde::Deserialize;
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::time::timeout;

/// Where a proxy listens whose ExternalWorkload does not say.
const INBOUND: u16 = 4143;
/// The name of the port that says it.
const PROXY: &str = "linkerd-proxy";
/// How long one may take to show its certificate.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many are asked at once.
const AT_ONCE: usize = 16;
const PAGE: u32 = 250;

/// The ExternalWorkloads whose proxies do not show a certificate under `anchors`, and
/// why, as `shop/vm: Connection refused`.
///
/// # Errors
/// The API server's.
pub(crate) async fn behind(client: &Client, anchors: &TrustAnchors) -> kube::Result<Vec<String>> {
    let kind = GroupVersionKind::gvk("workload.linkerd.io", "v1beta1", "ExternalWorkload");
    let workloads: Api<ExternalWorkload> =
        Api::all_with(client.clone(), &ApiResource::from_gvk(&kind));
    let mut params = ListParams::default().limit(PAGE);
    let mut behind = Vec::new();
    loop {
        let page = match workloads.list(&params).await {
            // There is no such kind.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(behind),
            page => page?,
        };
        for some in page.items.chunks(AT_ONCE) {
            let problems = join_all(some.iter().map(|workload| problem(workload, anchors))).await;
            behind.extend(problems.into_iter().flatten());
        }
        match page.metadata.continue_ {
            Some(next) if !next.is_empty() => params = params.continue_token(&next),
            _ => return Ok(behind),
        }
    }
}

type ExternalWorkload = Object<Spec, serde::de::IgnoredAny>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    #[serde(rename = "meshTLS")]
    mesh_tls: MeshTls,
    #[serde(rename = "workloadIPs")]
    addresses: Vec<Address>,
    ports: Vec<Port>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MeshTls {
    server_name: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Address {
    ip: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Port {
    #[serde(default)]
    name: String,
    port: u16,
}

async fn problem(workload: &ExternalWorkload, anchors: &TrustAnchors) -> Option<String> {
    let problem = under(workload, anchors).await.err()?;
    let namespace = workload.namespace().unwrap_or_default();
    Some(format!("{namespace}/{}: {problem}", workload.name_any()))
}

/// Whether a proxy shows a certificate under `anchors`; why not.
async fn under(workload: &ExternalWorkload, anchors: &TrustAnchors) -> Result<(), String> {
    let Spec {
        mesh_tls,
        addresses,
        ports,
    } = &workload.spec;
    let port = ports.iter().find(|port| port.name == PROXY);
    let port = port.map_or(INBOUND, |port| port.port);
    let name = ServerName::try_from(mesh_tls.server_name.clone())
        .map_err(|_| format!("{:?} is no server name", mesh_tls.server_name))?;
    let address = addresses.first().ok_or("it has no address")?;
    let address: IpAddr = address
        .ip
        .parse()
        .map_err(|_| format!("{:?} is no IP address", address.ip))?;
    let shown = timeout(
        PATIENCE,
        presented::dial(SocketAddr::new(address, port), name),
    )
    .await;
    let shown = shown.map_err(|_| "it does not answer".to_owned())?;
    let shown = shown.map_err(|error| error.to_string())?;
    presented::verify(&shown, anchors)
}
