use ferrule_cluster::{
    World,
    object::{DefaultPolicy, ExternalWorkload, Labels, Name, ObjectKey, Pod, Server},
};
use std::fmt;

/// A workload whose proxy asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WorkloadKey {
    /// A Pod.
    Pod(ObjectKey),
    /// An ExternalWorkload.
    ExternalWorkload(ObjectKey),
}

impl WorkloadKey {
    /// The workload's namespace.
    pub fn namespace(&self) -> &Name {
        &self.key().namespace
    }

    /// Namespace and name.
    pub(crate) fn key(&self) -> &ObjectKey {
        match self {
            WorkloadKey::Pod(key) | WorkloadKey::ExternalWorkload(key) => key,
        }
    }
}

impl fmt::Display for WorkloadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorkloadKey::Pod(key) => write!(f, "pod {key}"),
            WorkloadKey::ExternalWorkload(key) => write!(f, "ExternalWorkload {key}"),
        }
    }
}

/// A workload of the mesh, as far as it decides its policy (policy.md section
/// 5.2).
#[derive(Clone, Copy)]
pub(crate) enum Workload<'w> {
    Pod(&'w Pod),
    External(&'w ExternalWorkload),
}

impl<'w> Workload<'w> {
    /// The workload, if the mesh has it. A pod's phase does not matter: its proxy
    /// asks from the first moment.
    pub(crate) fn find(world: &'w World, key: &WorkloadKey) -> Option<Self> {
        match key {
            WorkloadKey::Pod(key) => {
                let pod = world.pod_named(key)?;
                let is_meshed = pod.template.control_plane.is_some();
                is_meshed.then_some(Workload::Pod(pod))
            }
            WorkloadKey::ExternalWorkload(key) => {
                world.external_workload_named(key).map(Workload::External)
            }
        }
    }

    pub(super) fn labels(self) -> &'w Labels {
        match self {
            Workload::Pod(pod) => &pod.labels,
            Workload::External(workload) => &workload.labels,
        }
    }

    /// Whether a Server of its namespace is about a port of it.
    pub(super) fn is_governed_by(self, server: &Server, port: u16) -> bool {
        match self {
            Workload::Pod(pod) => server.governs_pod_port(pod, port),
            Workload::External(workload) => server.governs_workload_port(workload, port),
        }
    }

    /// Who may call a port that no Server is about (policy.md section 5.4).
    pub(super) fn default_policy(self, port: u16, mesh: DefaultPolicy) -> DefaultPolicy {
        let policy = self.own_default_policy().unwrap_or(mesh);
        if self.requires_identity(port) {
            policy.requiring_identity()
        } else {
            policy
        }
    }

    /// What the workload itself says about that.
    pub(super) fn own_default_policy(self) -> Option<DefaultPolicy> {
        match self {
            Workload::Pod(pod) => pod.template.default_policy,
            Workload::External(workload) => workload.default_policy,
        }
    }

    /// Whether only clients with an identity may call the port by it.
    pub(super) fn requires_identity(self, port: u16) -> bool {
        let strict = match self {
            Workload::Pod(pod) => &pod.template.require_identity_ports,
            Workload::External(workload) => &workload.require_identity_ports,
        };
        strict.contains(port)
    }

    /// Whether a port that no Server is about is not to be looked into. The
    /// mesh's default is not asked: the injector writes what of it a workload
    /// exposes into the annotation (section 4).
    pub(super) fn is_opaque(self, port: u16) -> bool {
        let own = match self {
            Workload::Pod(pod) => &pod.template.opaque_ports,
            Workload::External(workload) => &workload.opaque_ports,
        };
        own.as_ref().is_some_and(|ports| ports.contains(port))
    }

    /// The paths by which kubelets probe a port, in order.
    pub(super) fn probes(self, port: u16) -> Vec<&'w Name> {
        match self {
            Workload::Pod(pod) => pod.template.probe_paths(port).collect(),
            Workload::External(_) => Vec::new(),
        }
    }
}
