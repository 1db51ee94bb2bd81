/// A boolean as Go's `strconv.ParseBool` reads it, which is how annotations spell them.
pub fn parse_boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_gos() {
        for text in ["1", "t", "T", "TRUE", "true", "True"] {
            assert_eq!(parse_boolean(text), Some(true), "{text}");
        }
        for text in ["0", "f", "F", "FALSE", "false", "False"] {
            assert_eq!(parse_boolean(text), Some(false), "{text}");
        }
        for text in ["", "yes", "tRUE", " true", "enabled"] {
            assert_eq!(parse_boolean(text), None, "{text}");
        }
    }
}
