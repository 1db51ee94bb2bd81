use ferrule_cluster::object::{Name, ObjectKey};

/// The class of clients that one view of a Service's endpoints is for: all in
/// it are told the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndpointsKey {
    /// The Service.
    pub service: ObjectKey,
    /// The port that was asked for.
    pub port: u16,
    /// Only the endpoint with this hostname.
    pub hostname: Option<Name>,
    /// The clients' zone, where it is known.
    pub zone: Option<Name>,
    /// The clients' node (empty where unknown), only while the Service's
    /// internalTrafficPolicy is Local.
    pub node: Option<Name>,
}

/// What a client asks for, before the Service's policy says which view that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointsRequest {
    /// The Service.
    pub service: ObjectKey,
    /// The port.
    pub port: u16,
    /// Only the endpoint with this hostname.
    pub hostname: Option<Name>,
    /// The client's zone when the stream was opened (a node's zone does not
    /// change; destination.md D25).
    pub zone: Option<Name>,
    /// The client's node, empty where it did not say.
    pub node: Name,
}

impl EndpointsKey {
    /// Whether the other differs in nothing but the clients' zone.
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        let Self {
            service,
            port,
            hostname,
            zone: _,
            node,
        } = self;
        *service == other.service
            && *port == other.port
            && *hostname == other.hostname
            && *node == other.node
    }
}

impl EndpointsRequest {
    /// The view for this client.
    pub fn key(&self, local_traffic: bool) -> EndpointsKey {
        EndpointsKey {
            service: self.service.clone(),
            port: self.port,
            hostname: self.hostname.clone(),
            zone: self.zone.clone(),
            node: local_traffic.then(|| self.node.clone()),
        }
    }
}
