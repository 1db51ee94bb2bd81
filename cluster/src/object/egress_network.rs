use super::{Network, PortSet, StatusCondition, traffic::Traffic};

/// What the mesh reads of an EgressNetwork: addresses outside of the cluster, and
/// what is done with traffic to them (policy.md section 3.7).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EgressNetwork {
    /// `metadata.creationTimestamp` in seconds since 1970.
    pub created: Option<i64>,
    /// Whether traffic for which there is no route is let through. Where that
    /// cannot be read it is not.
    pub allows: bool,
    /// The addresses; `None` where nothing is said: all outside of the cluster.
    pub networks: Option<Box<[Network]>>,
    /// Annotation `config.linkerd.io/opaque-ports`; `None` where there is none.
    pub opaque_ports: Option<PortSet>,
    /// What its annotations say of traffic to it.
    pub traffic: Option<Box<Traffic>>,
    /// `status.conditions`.
    pub conditions: Box<[StatusCondition]>,
}

impl EgressNetwork {
    /// Whether its status says that it takes effect, without which no route is
    /// accepted there.
    pub fn is_accepted(&self) -> bool {
        StatusCondition::holds(&self.conditions, StatusCondition::ACCEPTED)
    }

    /// Whether it means the same to those who send, whatever its status says.
    pub fn leads_as(&self, other: &Self) -> bool {
        Self {
            conditions: other.conditions.clone(),
            ..self.clone()
        } == *other
    }
}
