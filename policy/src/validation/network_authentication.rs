use super::{Refusal, Subject, network};
use ferrule_crds::NetworkAuthenticationSpec;

const PATH: &str = "spec.networks";

pub(super) fn check(subject: &Subject<'_>) -> Result<(), Refusal> {
    let spec: NetworkAuthenticationSpec = subject.read()?;
    if spec.networks.is_empty() {
        return Err(Refusal(format!(
            "{PATH}: there is none: list at least one, 0.0.0.0/0 and ::/0 for all addresses"
        )));
    }
    network::check(&spec.networks, PATH)
}
