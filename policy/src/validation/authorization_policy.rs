use super::{GATEWAY, POLICY, Refusal, Subject, reference::Reference};
use ferrule_crds::{AuthenticationRef, AuthorizationPolicySpec, TargetRef};

const REQUIRED: &str = "spec.requiredAuthenticationRefs";

/// What policies can be for.
const TARGETS: [(&str, &str); 5] = [
    (POLICY, "Server"),
    ("", "Namespace"),
    (POLICY, "HTTPRoute"),
    (GATEWAY, "HTTPRoute"),
    (GATEWAY, "GRPCRoute"),
];

pub(super) fn check(subject: &Subject<'_>) -> Result<(), Refusal> {
    let spec: AuthorizationPolicySpec = subject.read()?;
    check_namespace(&spec.target_ref, subject.namespace)?;
    check_required(&spec.required_authentication_refs)?;
    let target = of_target(&spec.target_ref);
    if TARGETS.iter().any(|(group, kind)| target.is(group, kind)) {
        return Ok(());
    }
    let known = TARGETS.map(|(group, kind)| {
        let group = Some(group);
        Reference { group, kind }.to_string()
    });
    Err(Refusal(format!(
        "spec.targetRef: a policy cannot be for {target}: expected one of {}",
        known.join(", ")
    )))
}

fn of_target(target: &TargetRef) -> Reference<'_> {
    Reference {
        group: target.group.as_deref(),
        kind: &target.kind,
    }
}

fn check_namespace(target: &TargetRef, own: Option<&str>) -> Result<(), Refusal> {
    let Some(own) = own.filter(|_| of_target(target).is("", "Namespace")) else {
        return Ok(());
    };
    if target.name == own {
        return Ok(());
    }
    Err(Refusal(format!(
        "spec.targetRef.name: a policy cannot be for another namespace, {:?}: name {own:?}, or \
         create the policy there",
        target.name
    )))
}

fn check_required(required: &[AuthenticationRef]) -> Result<(), Refusal> {
    let of = |written: &AuthenticationRef, group: &str, kind: &str| {
        let reference = Reference {
            group: written.group.as_deref(),
            kind: &written.kind,
        };
        reference.is(group, kind)
    };
    let count = |group, kind| {
        let those = required.iter().filter(|written| of(written, group, kind));
        those.count()
    };
    let refuse = |text: &str| Err(Refusal(format!("{REQUIRED}: {text}")));
    let mesh_tls = count(POLICY, "MeshTLSAuthentication");
    let accounts = count("", "ServiceAccount");
    let networks = count(POLICY, "NetworkAuthentication");
    if mesh_tls > 1 {
        return refuse(
            "only one may be a MeshTLSAuthentication: list all identities in one, or create \
             several policies",
        );
    }
    if accounts > 1 {
        return refuse(
            "only one may be a ServiceAccount: list them in one MeshTLSAuthentication, or create \
             several policies",
        );
    }
    if mesh_tls + accounts > 1 {
        return refuse(
            "only one may be a MeshTLSAuthentication or a ServiceAccount: list the ServiceAccount \
             in the MeshTLSAuthentication, or create several policies",
        );
    }
    if networks > 1 {
        return refuse(
            "only one may be a NetworkAuthentication: list all networks in one, or create several \
             policies",
        );
    }
    if mesh_tls + accounts + networks == required.len() {
        return Ok(());
    }
    let unknown = required.iter().map(|written| Reference {
        group: written.group.as_deref(),
        kind: &written.kind,
    });
    let unknown = unknown.filter(|reference| {
        !(reference.is(POLICY, "MeshTLSAuthentication")
            || reference.is("", "ServiceAccount")
            || reference.is(POLICY, "NetworkAuthentication"))
    });
    let unknown: Vec<_> = unknown.map(|reference| reference.to_string()).collect();
    refuse(&format!(
        "{} cannot be required: expected MeshTLSAuthentication.{POLICY}, \
         NetworkAuthentication.{POLICY} or ServiceAccount",
        unknown.join(", ")
    ))
}
