use super::{Refusal, Subject, network};
use ferrule_crds::EgressNetworkSpec;

const PATH: &str = "spec.networks";

/// That networks are also the cluster's is not refused: the status says it.
pub(super) fn check(subject: &Subject<'_>) -> Result<(), Refusal> {
    let spec: EgressNetworkSpec = subject.read()?;
    let Some(networks) = spec.networks else {
        return Ok(());
    };
    if networks.is_empty() {
        return Err(Refusal(format!(
            "{PATH}: there is none: list at least one, or remove the field for all addresses \
             outside of the cluster"
        )));
    }
    network::check(&networks, PATH)
}
