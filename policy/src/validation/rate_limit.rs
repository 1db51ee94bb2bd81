use super::{POLICY, Refusal, Subject, reference::Reference};
use ferrule_crds::{ClientRef, HttpLocalRateLimitPolicySpec, Limit, Override};

const TOTAL: &str = "spec.total.requestsPerSecond";
const IDENTITY: &str = "spec.identity.requestsPerSecond";

pub(super) fn check(subject: &Subject<'_>) -> Result<(), Refusal> {
    let spec: HttpLocalRateLimitPolicySpec = subject.read()?;
    let total = rate(spec.total, TOTAL)?;
    let identity = rate(spec.identity, IDENTITY)?;
    let overrides = spec.overrides.unwrap_or_default();
    let overrides: Vec<_> = overrides
        .iter()
        .enumerate()
        .map(|(at, over)| read_override(over, at))
        .collect::<Result<_, _>>()?;

    let target = Reference {
        group: spec.target_ref.group.as_deref(),
        kind: &spec.target_ref.kind,
    };
    if !target.is(POLICY, "Server") {
        return Err(Refusal(format!(
            "spec.targetRef: {target} cannot be limited: expected Server.{POLICY}"
        )));
    }
    if let Some(total) = total {
        above_zero(total, TOTAL)?;
        let parts = identity.map(|rate| (rate, IDENTITY)).into_iter();
        let overrides = overrides.iter().map(|over| (over.rate, &*over.path));
        for (rate, path) in parts.chain(overrides) {
            if rate > total {
                return Err(Refusal(format!(
                    "{path}: {rate} would never be reached: expected at most {TOTAL}, which is \
                     {total}"
                )));
            }
        }
    }
    if let Some(identity) = identity {
        above_zero(identity, IDENTITY)?;
    }
    for over in &overrides {
        above_zero(over.rate, &over.path)?;
    }
    for (at, over) in overrides.iter().enumerate() {
        check_clients(over.clients, &format!("spec.overrides[{at}].clientRefs"))?;
    }
    Ok(())
}

/// An override that can be read.
struct ReadOverride<'a> {
    rate: u32,
    path: String,
    clients: &'a [ClientRef],
}

fn read_override(over: &Override, at: usize) -> Result<ReadOverride<'_>, Refusal> {
    let path = format!("spec.overrides[{at}].requestsPerSecond");
    Ok(ReadOverride {
        rate: number(over.requests_per_second, &path)?,
        path,
        clients: &over.client_refs,
    })
}

fn rate(limit: Option<Limit>, path: &str) -> Result<Option<u32>, Refusal> {
    limit
        .map(|limit| number(limit.requests_per_second, path))
        .transpose()
}

/// A rate as a proxy can be told it.
fn number(rate: i64, path: &str) -> Result<u32, Refusal> {
    rate.try_into().map_err(|_| {
        Refusal(format!(
            "{path}: {rate} is no rate: expected 1 to {}",
            u32::MAX
        ))
    })
}

fn above_zero(rate: u32, path: &str) -> Result<(), Refusal> {
    if rate > 0 {
        return Ok(());
    }
    Err(Refusal(format!(
        "{path}: 0 would let nothing through: expected 1 or more"
    )))
}

fn check_clients(clients: &[ClientRef], path: &str) -> Result<(), Refusal> {
    let references = clients.iter().map(|client| Reference {
        group: client.group.as_deref(),
        kind: &client.kind,
    });
    let wrong = references
        .enumerate()
        .find(|(_, reference)| !reference.is("", "ServiceAccount"));
    match wrong {
        None => Ok(()),
        Some((at, reference)) => Err(Refusal(format!(
            "{path}[{at}]: {reference} is no client: expected ServiceAccount, without a group"
        ))),
    }
}
