use super::{Refusal, Subject};
use ferrule_cluster::object::{DefaultPolicy, ProxyProtocol};
use ferrule_crds::server::v1beta3::ServerSpec;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

pub(super) fn check(subject: &Subject<'_>) -> Result<(), Refusal> {
    let spec: ServerSpec = subject.read()?;
    let refuse = |text: String| Err(Refusal(text));
    if spec.pod_selector.is_some() == spec.external_workload_selector.is_some() {
        let found = if spec.pod_selector.is_some() {
            "both are there"
        } else {
            "there is neither"
        };
        return refuse(format!(
            "spec: {found}: set exactly one of podSelector and externalWorkloadSelector; {{}} \
             selects all"
        ));
    }
    if let IntOrString::Int(port) = spec.port
        && !(1..=0xffff).contains(&port)
    {
        return refuse(format!(
            "spec.port: {port} is no port: expected 1 to 65535, or the name of a port"
        ));
    }
    if ProxyProtocol::parse(&spec.proxy_protocol).is_none() {
        let known = ProxyProtocol::ALL.map(|(_, spelling)| spelling).join(", ");
        return refuse(format!(
            "spec.proxyProtocol: {:?} is none of {known}",
            spec.proxy_protocol
        ));
    }
    match spec.access_policy.parse::<DefaultPolicy>() {
        Ok(_) => Ok(()),
        Err(error) => refuse(format!("spec.accessPolicy: {error}")),
    }
}
