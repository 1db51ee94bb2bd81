//! What a proxy is to do with connections to a port of its workload (policy.md
//! section 5): so far by the pod's annotations and the mesh's defaults alone.

mod authorization;
mod route;

use crate::PolicySettings;
use ferrule_cluster::{
    ViewKey, World,
    object::{ObjectKey, Pod, PodTemplate},
};
use ferrule_proto::inbound::{
    ProxyProtocol, Server,
    proxy_protocol::{Detect, Kind, Opaque},
};
use prost_types::Duration;
use tonic::Status;

/// How long a proxy waits for a client to say what it speaks (policy.md section
/// 5.4).
const DETECT_TIMEOUT: Duration = Duration {
    seconds: 10,
    nanos: 0,
};

/// What a server is asked of; one view each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InboundKey {
    /// The pod.
    pub pod: ObjectKey,
    /// The port, declared or not.
    pub port: u16,
}

impl ViewKey for InboundKey {
    /// The pod.
    type Dependency = ObjectKey;

    fn dependency(&self) -> ObjectKey {
        self.pod.clone()
    }
}

impl InboundKey {
    /// The policy as the world stands.
    ///
    /// # Errors
    /// NOT_FOUND where there is no such pod in the mesh.
    pub(crate) fn policy(
        &self,
        settings: &PolicySettings,
        world: &World,
    ) -> Result<Server, Status> {
        match meshed_pod(world, &self.pod) {
            Some(pod) => Ok(default_server(settings, &pod.template, self.port)),
            None => Err(Status::not_found(format!(
                "unknown server: the mesh has no pod {}",
                self.pod
            ))),
        }
    }
}

/// The pod, if it is of the mesh: whatever its phase, its proxy asks from the
/// first moment.
pub(crate) fn meshed_pod<'w>(world: &'w World, key: &ObjectKey) -> Option<&'w Pod> {
    let pod = world.pod_named(key)?;
    pod.template.control_plane.is_some().then_some(pod)
}

/// The policy of a port that no Server selects (section 5.4).
fn default_server(settings: &PolicySettings, pod: &PodTemplate, port: u16) -> Server {
    let mut policy = pod.default_policy.unwrap_or(settings.default_policy);
    if pod.require_identity_ports.contains(port) {
        policy = policy.requiring_identity();
    }
    // The mesh's default is not asked: the injector writes what of it a pod
    // exposes into the annotation (section 4).
    let is_opaque = pod
        .opaque_ports
        .as_ref()
        .is_some_and(|ports| ports.contains(port));
    let kind = if is_opaque {
        Kind::Opaque(Opaque {})
    } else {
        Kind::Detect(Detect {
            timeout: Some(DETECT_TIMEOUT),
            http_routes: route::defaults(settings, pod, port),
            http_local_rate_limit: None,
        })
    };
    Server {
        protocol: Some(ProxyProtocol { kind: Some(kind) }),
        server_ips: Vec::new(),
        authorizations: authorization::of_policy(settings, policy)
            .into_iter()
            .collect(),
        labels: authorization::labels(policy.as_str()),
    }
}
