use ferrule_cluster::object::is_dns_label;

/// The longest name that DNS knows.
const LONGEST: usize = 253;

/// Reads a flag that is a DNS name, without a dot at its end.
///
/// # Errors
/// What was expected, where the text is something else.
pub fn domain(text: &str) -> Result<String, &'static str> {
    if text.len() <= LONGEST && text.split('.').all(is_dns_label) {
        Ok(text.to_owned())
    } else {
        Err("expected a DNS name in lower case of at most 253 characters, such as cluster.local")
    }
}
