use super::{Refusal, Subject, identity, network};
use ferrule_crds::{MeshTls, ServerAuthorizationSpec};

/// That it lets nobody in is not refused.
pub(super) fn check(subject: &Subject<'_>) -> Result<(), Refusal> {
    let spec: ServerAuthorizationSpec = subject.read()?;
    let refuse = |text: &str| Err(Refusal(text.to_owned()));
    if spec.server.name.is_some() == spec.server.selector.is_some() {
        return refuse("spec.server: set exactly one of name and selector; {} selects all");
    }
    let client = spec.client;
    if let Some(mesh_tls) = client.mesh_tls {
        if client.unauthenticated == Some(true) {
            return refuse(
                "spec.client.unauthenticated: it lets everybody in, whatever meshTLS says: remove \
                 one of them",
            );
        }
        check_mesh_tls(&mesh_tls)?;
    }
    network::check(&client.networks.unwrap_or_default(), "spec.client.networks")
}

fn check_mesh_tls(mesh_tls: &MeshTls) -> Result<(), Refusal> {
    let identities = mesh_tls.identities.as_deref().unwrap_or_default();
    let accounts = mesh_tls.service_accounts.as_deref().unwrap_or_default();
    if mesh_tls.unauthenticated_tls == Some(true) && !(identities.is_empty() && accounts.is_empty())
    {
        return Err(Refusal(
            "spec.client.meshTLS.unauthenticatedTLS: it lets in clients without an identity, \
             whatever identities and serviceAccounts say: remove it, or them"
                .to_owned(),
        ));
    }
    let mistakes = identities.iter().enumerate();
    let mut mistakes = mistakes.filter_map(|(at, text)| Some((at, identity::name_mistake(text)?)));
    match mistakes.next() {
        None => Ok(()),
        Some((at, mistake)) => Err(Refusal(format!(
            "spec.client.meshTLS.identities[{at}]: {mistake}"
        ))),
    }
}
