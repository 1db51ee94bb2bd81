use super::{Name, ObjectKey};
use smallvec::SmallVec;
use std::{net::IpAddr, sync::Arc};

/// What the mesh reads of an EndpointSlice.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointSlice {
    /// Label `kubernetes.io/service-name`, else the first owner of kind Service.
    pub service: Option<Name>,
    /// `addressType`.
    pub address_type: AddressType,
    /// `ports`; `None` where the field is null.
    pub ports: Option<Arc<[SlicePort]>>,
    /// `endpoints`, in order.
    pub endpoints: Box<[Endpoint]>,
    /// `metadata.resourceVersion` as a number, 0 where it is none. It only
    /// decides which of two slices that list one endpoint differently holds.
    pub resource_version: u64,
    /// What a multicluster mirror wrote on it.
    pub mirror: Option<Box<Mirror>>,
}

/// The family of a slice's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressType {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
    /// Host names: nothing the mesh can send to.
    Fqdn,
}

/// One of a slice's ports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SlicePort {
    /// Empty for an unnamed port.
    pub name: Name,
    /// `None` where the number is null ("all ports").
    pub port: Option<u16>,
}

/// One of a slice's endpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// The address. Of several that one endpoint of an object lists the last
    /// counts; without an object each is an endpoint (destination.md section 5.2).
    pub address: IpAddr,
    /// `conditions.ready`, true where absent.
    pub ready: bool,
    /// What the address belongs to.
    pub target: Target,
    /// `hostname`.
    pub hostname: Option<Name>,
    /// `zone`.
    pub zone: Option<Name>,
    /// `hints.forZones`; empty where there are none.
    pub zone_hints: SmallVec<[Name; 1]>,
}

/// `targetRef` of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// None: the endpoint is its address.
    Address,
    /// A Pod.
    Pod(ObjectKey),
    /// An ExternalWorkload, in the slice's own namespace.
    ExternalWorkload(ObjectKey),
    /// A kind that the mesh does not send to.
    Unsupported,
}

/// A multicluster mirror's annotations and label on a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirror {
    /// Annotation `mirror.linkerd.io/remote-gateway-identity`.
    pub gateway_identity: Option<Name>,
    /// Annotation `mirror.linkerd.io/remote-svc-fq-name`.
    pub remote_name: Option<Name>,
    /// Label `mirror.linkerd.io/cluster-name`.
    pub cluster: Option<Name>,
}
