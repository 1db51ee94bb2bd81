//! Which messages a proxy can use (api.md section 2.9): it replaces a policy that
//! it cannot convert by one that lets nothing through, and its task dies of some
//! others. Either is a fault of whoever sent it.

mod distribution;
mod filters;
mod inbound;
mod matches;
mod outbound;

pub use self::{inbound::server, outbound::policy};

pub(crate) use self::outbound::backends;

use ferrule_proto::{
    destination::DestinationProfile,
    meta::{Metadata, metadata},
};
use std::{fmt, time::Duration};

/// What is wrong with a message, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Innermost last: `http1`, `routes[0]`, `metadata`.
    path: Vec<String>,
    reason: String,
}

/// Whether a proxy can use something.
pub type Accepted = Result<(), Invalid>;

impl Invalid {
    fn new(reason: impl Into<String>) -> Self {
        Self {
            path: Vec::new(),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.reason)
        } else {
            write!(f, "{}: {}", self.path.join("."), self.reason)
        }
    }
}

impl std::error::Error for Invalid {}

/// Says where a part of a message is.
trait Within {
    fn within(self, place: impl Into<String>) -> Self;
}

impl<T> Within for Result<T, Invalid> {
    fn within(self, place: impl Into<String>) -> Self {
        self.map_err(|mut invalid| {
            invalid.path.insert(0, place.into());
            invalid
        })
    }
}

/// Whether a proxy bears a profile. It refuses none, but drops what it cannot
/// read; one thing breaks it.
///
/// # Errors
/// What is wrong.
pub fn profile(profile: &DestinationProfile) -> Accepted {
    let budget = profile.retry_budget.as_ref();
    if budget.is_some_and(|budget| budget.min_retries_per_second > i32::MAX as u32 - 1) {
        let reason = Invalid::new("the budget's library does not bear so many");
        return Err(reason).within("retry_budget.min_retries_per_second");
    }
    Ok(())
}

fn each<T>(place: &str, items: &[T], check: impl Fn(&T) -> Accepted) -> Accepted {
    for (index, item) in items.iter().enumerate() {
        check(item).within(format!("{place}[{index}]"))?;
    }
    Ok(())
}

/// Checks what may be absent.
fn optional<T>(place: &str, part: Option<&T>, check: impl Fn(&T) -> Accepted) -> Accepted {
    part.map_or(Ok(()), check).within(place)
}

/// Checks what must be there.
fn required<T>(place: &str, part: Option<&T>, check: impl Fn(&T) -> Accepted) -> Accepted {
    check(there(place, part)?).within(place)
}

fn there<'a, T>(place: &str, part: Option<&'a T>) -> Result<&'a T, Invalid> {
    part.ok_or_else(|| Invalid::new("missing")).within(place)
}

fn present<T>(_: &T) -> Accepted {
    Ok(())
}

fn duration(duration: &prost_types::Duration) -> Accepted {
    match Duration::try_from(*duration) {
        Ok(_) => Ok(()),
        Err(error) => Err(Invalid::new(error.to_string())),
    }
}

fn kind_is_set(metadata: &Metadata) -> Accepted {
    metadata
        .kind
        .as_ref()
        .map(|_| ())
        .ok_or_else(|| Invalid::new("neither a default nor a resource"))
}

/// What outbound policy demands of every reference.
fn complete(metadata: &Metadata) -> Accepted {
    kind_is_set(metadata)?;
    let Some(metadata::Kind::Resource(resource)) = &metadata.kind else {
        return Ok(());
    };
    for (part, text) in [
        ("group", &resource.group),
        ("kind", &resource.kind),
        ("name", &resource.name),
        ("namespace", &resource.namespace),
    ] {
        if text.is_empty() {
            return Err(Invalid::new("empty")).within(part);
        }
    }
    Ok(())
}
