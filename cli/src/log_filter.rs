use tracing_subscriber::EnvFilter;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Reads a filter of what is logged: levels by module in the syntax of tracing, or a
/// single level. Levels of either vocabulary come out as tracing calls them.
///
/// # Errors
/// What is wrong with it, and what was expected.
pub fn log_filter(text: &str) -> Result<String, String> {
    let directives: Vec<_> = text.split(',').map(|item| directive(item.trim())).collect();
    let filter = directives.join(",");
    let invalid = |error: &dyn std::fmt::Display| {
        format!(
            "{error}; expected a level such as info, or levels by module such as info,kube=debug"
        )
    };
    if filter.is_empty() {
        return Err(invalid(&"it is empty"));
    }
    // A word that is no level would be taken for a module that is traced.
    if !text.contains([',', '=', '[', ':']) && !LEVELS.contains(&&*filter.to_lowercase()) {
        return Err(invalid(&format!("{text:?} is no level")));
    }
    match EnvFilter::builder().parse(&filter) {
        Ok(_) => Ok(filter),
        Err(error) => Err(invalid(&error)),
    }
}

/// A directive with its level as tracing calls it.
fn directive(item: &str) -> String {
    let (module, level) = match item.rsplit_once('=') {
        Some((module, level)) => (Some(module), level),
        None => (None, item),
    };
    let level = match &*level.to_ascii_lowercase() {
        "panic" | "fatal" => "error",
        "warning" => "warn",
        _ => level,
    };
    match module {
        Some(module) => format!("{module}={level}"),
        None => level.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_vocabularies_of_levels_are_read() {
        for (text, filter) in [
            ("info", Some("info")),
            ("INFO", Some("INFO")),
            ("panic", Some("error")),
            ("fatal", Some("error")),
            ("warning", Some("warn")),
            (
                "warn,ferrule_cluster=fatal",
                Some("warn,ferrule_cluster=error"),
            ),
            ("info, kube=debug", Some("info,kube=debug")),
            (
                "warn,linkerd=info,[{headers}]=off",
                Some("warn,linkerd=info,[{headers}]=off"),
            ),
            ("loud", None),
            ("ferrule=loud", None),
            ("", None),
        ] {
            let parsed = log_filter(text).ok();
            assert_eq!(parsed.as_deref(), filter, "{text}");
        }
    }
}
