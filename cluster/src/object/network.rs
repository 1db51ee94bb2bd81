use ipnet::IpNet;

/// Addresses that clients may come from (policy.md section 2.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// All of these, with the bits of the host as they were written,
    pub cidr: IpNet,
    /// but for these.
    pub except: Box<[IpNet]>,
}
