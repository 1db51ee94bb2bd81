//! The charts themselves, as they were when this was compiled.

/// Every file of the charts but their READMEs: where it is below the charts' folder, with
/// `/` between names, and its text. In the order of their names.
pub static FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// The text of one of them.
pub fn text(name: &str) -> Option<&'static str> {
    let mut files = FILES.iter();
    files.find(|(of, _)| *of == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_charts_are_there_with_all_that_helm_reads() {
        for chart in ["ferrule-control-plane", "ferrule-crds"] {
            for file in ["Chart.yaml", "values.yaml", "values.schema.json"] {
                let name = format!("{chart}/{file}");
                let path = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
                let there = std::fs::read_to_string(path).unwrap_or_default();
                assert_eq!(text(&name), Some(&*there), "{name}");
            }
            let mut files = FILES.iter();
            assert!(files.any(|(name, _)| name.starts_with(&format!("{chart}/templates/"))));
        }
    }
}
