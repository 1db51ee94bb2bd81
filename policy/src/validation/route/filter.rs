//! What a rule does to requests and responses.

use super::{
    super::Refusal,
    matches::valid,
    shape::{Filter, Headers, Redirect, Rule},
};
use ferrule_cluster::object::route::{HeaderChanges, PathChange, PathChangeError, Redirect as New};

/// The filters of the mesh's own routes, each of which has the body that its type
/// names.
pub(super) fn of_policy<M>(rule: &Rule<M>, path: &str) -> Result<(), Refusal> {
    for (at, filter) in rule.filters.iter().flatten().enumerate() {
        let kind = &*filter.r#type;
        let (body, is_there) = match kind {
            "RequestHeaderModifier" => (
                "requestHeaderModifier",
                filter.request_header_modifier.is_some(),
            ),
            _ => ("requestRedirect", filter.request_redirect.is_some()),
        };
        if !is_there {
            return Err(Refusal(format!(
                "{path}.filters[{at}]: a filter of type {kind} needs {body}"
            )));
        }
    }
    known(rule, path)
}

/// The filters that proxies have. The others are not looked at.
pub(super) fn known<M>(rule: &Rule<M>, path: &str) -> Result<(), Refusal> {
    for (at, filter) in rule.filters.iter().flatten().enumerate() {
        check(filter, &format!("{path}.filters[{at}]"))?;
    }
    Ok(())
}

/// The first body counts, whatever the type is.
fn check(filter: &Filter, path: &str) -> Result<(), Refusal> {
    let Filter {
        request_header_modifier: request,
        response_header_modifier: response,
        request_redirect: redirect_to,
        ..
    } = filter;
    match (request, response, redirect_to) {
        (Some(changes), ..) => headers(changes, &format!("{path}.requestHeaderModifier")),
        (_, Some(changes), _) => headers(changes, &format!("{path}.responseHeaderModifier")),
        (_, _, Some(to)) => redirect(to, &format!("{path}.requestRedirect")),
        _ => Ok(()),
    }
}

fn headers(changes: &Headers, path: &str) -> Result<(), Refusal> {
    for (list, field) in [(&changes.add, "add"), (&changes.set, "set")] {
        for (at, header) in list.iter().flatten().enumerate() {
            let new = HeaderChanges::header(&header.name, &header.value);
            valid(&new, &format!("{path}.{field}[{at}]"))?;
        }
    }
    for (at, name) in changes.remove.iter().flatten().enumerate() {
        valid(&HeaderChanges::name(name), &format!("{path}.remove[{at}]"))?;
    }
    Ok(())
}

fn redirect(to: &Redirect, path: &str) -> Result<(), Refusal> {
    if let Some(change) = &to.path {
        let full = change.replace_full_path.as_deref();
        let prefix = change.replace_prefix_match.as_deref();
        let new = match (full, prefix) {
            (Some(full), _) => PathChange::full(full),
            (None, Some(prefix)) => PathChange::prefix(prefix),
            (None, None) => Err(PathChangeError::Missing),
        };
        valid(&new, &format!("{path}.path"))?;
    }
    match to.status_code {
        Some(code) if New::status(code).is_none() => Err(Refusal(format!(
            "{path}.statusCode: {code} is no status: expected 301 or 302"
        ))),
        _ => Ok(()),
    }
}
