use ferrule_cluster::object::StatusCondition;

/// What a condition that is not True means, for people. The reasons are those that
/// Linkerd's users know, and most of their messages are empty.
pub fn explain(condition: &StatusCondition) -> &str {
    if !condition.message.is_empty() {
        return &condition.message;
    }
    match &*condition.reason {
        "NoMatchingParent" => "there is no such parent",
        "RouteReasonConflicted" => "a route of a more specific kind is on the same parent",
        "BackendNotFound" => "a backend does not exist",
        "InvalidKind" => "a backend is neither a Service nor an EgressNetwork",
        "NoMatchingTarget" => "there is no such Server",
        "RateLimitReasonAlreadyExists" => "an older rate limit is for the same Server",
        _ => "",
    }
}
