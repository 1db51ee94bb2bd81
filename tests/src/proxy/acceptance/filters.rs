//! What routes do to requests.

use super::{Accepted, Invalid, Within as _, each, matches::header_name, optional};
use ferrule_proto::{
    grpc_route::GrpcFailureInjector,
    http_route::{
        HttpFailureInjector, PathModifier, Ratio, RequestHeaderModifier, RequestRedirect,
        ResponseHeaderModifier, path_modifier::Replace,
    },
    http_types::{Headers, Scheme, headers::Header, scheme},
};
use http::{HeaderValue, StatusCode, uri::Authority};

pub(super) fn http_failure(injector: &HttpFailureInjector) -> Accepted {
    status(injector.status).within("status")?;
    optional("ratio", injector.ratio.as_ref(), ratio)
}

pub(super) fn grpc_failure(injector: &GrpcFailureInjector) -> Accepted {
    if injector.code > u32::from(u16::MAX) {
        return Err(Invalid::new("too large")).within("code");
    }
    optional("ratio", injector.ratio.as_ref(), ratio)
}

pub(super) fn request_headers(modifier: &RequestHeaderModifier) -> Accepted {
    optional("add", modifier.add.as_ref(), headers)?;
    optional("set", modifier.set.as_ref(), headers)?;
    each("remove", &modifier.remove, |name| header_name(name))
}

pub(super) fn response_headers(modifier: &ResponseHeaderModifier) -> Accepted {
    optional("add", modifier.add.as_ref(), headers)?;
    optional("set", modifier.set.as_ref(), headers)?;
    each("remove", &modifier.remove, |name| header_name(name))
}

pub(super) fn redirect(redirect: &RequestRedirect) -> Accepted {
    optional("scheme", redirect.scheme.as_ref(), scheme)?;
    if !redirect.host.is_empty() && redirect.host.parse::<Authority>().is_err() {
        let reason = format!("{:?} is no authority", redirect.host);
        return Err(Invalid::new(reason)).within("host");
    }
    optional("path", redirect.path.as_ref(), path)?;
    if redirect.port > u32::from(u16::MAX) {
        return Err(Invalid::new("too large")).within("port");
    }
    match redirect.status {
        0 => Ok(()),
        number => status(number).within("status"),
    }
}

fn path(path: &PathModifier) -> Accepted {
    match &path.replace {
        Some(Replace::Full(text) | Replace::Prefix(text)) if !text.starts_with('/') => {
            Err(Invalid::new(format!("{text:?} does not begin with /")))
        }
        _ => Ok(()),
    }
}

fn scheme(scheme: &Scheme) -> Accepted {
    let known = match &scheme.r#type {
        None => return Err(Invalid::new("no type is set")),
        Some(scheme::Type::Registered(number)) => scheme::Registered::try_from(*number).is_ok(),
        Some(scheme::Type::Unregistered(text)) => text.parse::<http::uri::Scheme>().is_ok(),
    };
    if known {
        Ok(())
    } else {
        Err(Invalid::new(format!("{scheme:?} is none")))
    }
}

fn headers(headers: &Headers) -> Accepted {
    each("headers", &headers.headers, |Header { name, value }| {
        header_name(name).within("name")?;
        match HeaderValue::from_bytes(value) {
            Ok(_) => Ok(()),
            Err(error) => Err(Invalid::new(error.to_string())).within("value"),
        }
    })
}

fn ratio(ratio: &Ratio) -> Accepted {
    if ratio.denominator == 0 || ratio.numerator > ratio.denominator {
        let reason = format!("{}/{} is no share", ratio.numerator, ratio.denominator);
        return Err(Invalid::new(reason));
    }
    Ok(())
}

fn status(number: u32) -> Accepted {
    let status = u16::try_from(number).ok();
    match status.map(StatusCode::from_u16) {
        Some(Ok(_)) => Ok(()),
        _ => Err(Invalid::new(format!("{number} is no HTTP status"))),
    }
}
