//! Which requests a rule is for.

use super::{
    super::Refusal,
    shape::{self, GrpcMatch, HttpMatch, Rule},
};
use ferrule_cluster::object::route::{self, NamedMatch, PathMatch, RouteMatchError};
use std::fmt;

type NewMatch = fn(Option<&str>, &str, &str) -> Result<NamedMatch, RouteMatchError>;

pub(super) fn http(rule: &Rule<HttpMatch>, path: &str) -> Result<(), Refusal> {
    each(rule, path, |one, path| {
        if let Some(written) = &one.path {
            let new = PathMatch::new(written.r#type.as_deref(), written.value.as_deref());
            valid(&new, &format!("{path}.path"))?;
        }
        named(&one.headers, &format!("{path}.headers"), NamedMatch::header)?;
        named(
            &one.query_params,
            &format!("{path}.queryParams"),
            NamedMatch::query,
        )
    })
}

pub(super) fn grpc(rule: &Rule<GrpcMatch>, path: &str) -> Result<(), Refusal> {
    each(rule, path, |one, path| {
        if let Some(rpc) = &one.method {
            let [service, method] = [&rpc.service, &rpc.method].map(|part| {
                let part = part.as_deref();
                part.unwrap_or_default()
            });
            let new = route::GrpcMatch::rpc(rpc.r#type.as_deref(), service, method);
            valid(&new, &format!("{path}.method"))?;
        }
        named(&one.headers, &format!("{path}.headers"), NamedMatch::header)
    })
}

fn each<M>(
    rule: &Rule<M>,
    path: &str,
    check: impl Fn(&M, &str) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let matches = rule.matches.iter().flatten().enumerate();
    let mut matches = matches.map(|(at, one)| check(one, &format!("{path}.matches[{at}]")));
    matches.try_for_each(|checked| checked)
}

fn named(list: &Option<Vec<shape::NamedMatch>>, path: &str, new: NewMatch) -> Result<(), Refusal> {
    for (at, written) in list.iter().flatten().enumerate() {
        let new = new(written.r#type.as_deref(), &written.name, &written.value);
        valid(&new, &format!("{path}[{at}]"))?;
    }
    Ok(())
}

/// What is wrong with the field at `path`, if anything is.
pub(super) fn valid<T, E: fmt::Display>(value: &Result<T, E>, path: &str) -> Result<(), Refusal> {
    match value {
        Ok(_) => Ok(()),
        Err(error) => Err(Refusal(format!("{path}: {error}"))),
    }
}
