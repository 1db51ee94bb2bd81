use super::Name;

/// Something that holds of an object, or not; when that came about is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusCondition {
    /// `type`.
    pub kind: Name,
    /// `status`: True, False or Unknown.
    pub status: Name,
    /// `reason`.
    pub reason: Name,
    /// `message`.
    pub message: Name,
}

impl StatusCondition {
    /// The type of the condition that says whether an object takes effect.
    pub const ACCEPTED: &'static str = "Accepted";

    /// Whether the condition of this type is True.
    pub fn holds(conditions: &[Self], kind: &str) -> bool {
        let mut conditions = conditions.iter();
        conditions.any(|condition| *condition.kind == *kind && *condition.status == *"True")
    }
}
