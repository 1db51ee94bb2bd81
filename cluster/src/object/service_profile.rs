use super::Name;

/// What the mesh reads of a ServiceProfile (destination.md section 11.3).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceProfile {
    /// `spec.dstOverrides`.
    pub overrides: Box<[Override]>,
}

/// An authority to which a share of a Service's requests goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// `authority`, with or without a port.
    pub authority: Name,
    /// `weight` in thousandths.
    pub weight: u32,
}
