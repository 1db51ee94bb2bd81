//! Every check, in the order in which they are told.

use super::{
    cni, config, control_plane, data_plane, definitions, existence, identity, kubernetes, objects,
    rights,
    row::{Category, Mode, Row},
    setup, upkeep, webhooks,
};

/// Those that were left out of Linkerd's, and why.
pub(super) const LEFT_OUT: &[(&str, &str)] = &[
    (
        "l5d-version-latest, l5d-version-cli, l5d-version-control-up-to-date, l5d-cp-proxy-version, \
         l5d-data-plane-cli-version",
        "Ferrule asks nobody outside of the cluster what the newest version is",
    ),
    (
        "l5d-cp-proxy-healthy, l5d-cp-proxy-cli-version",
        "pods of the control plane have no proxies: mesh TLS is in the process. Whether they run is \
         `l5d-api-control-ready`",
    ),
    (
        "heartbeat in l5d-existence-sa, CronJobs in pre-k8s",
        "there is no heartbeat",
    ),
    (
        "extension-apiserver-authentication in pre-k8s",
        "it is for tap, which is an extension's",
    ),
    (
        "extensions' own checks",
        "`ferrule` runs no other commands; `linkerd viz check` and the like still work",
    ),
    (
        "slow consumers, overflows of queues",
        "streams have no queues: a slow proxy skips what is old",
    ),
];

/// All of them.
pub(super) fn all() -> Vec<&'static Row> {
    let parts = [
        kubernetes::ROWS,
        definitions::ROWS,
        setup::ROWS,
        existence::ROWS,
        config::ROWS,
        rights::ROWS,
        objects::ROWS,
        cni::ROWS,
        identity::ROWS,
        upkeep::ROWS,
        webhooks::ROWS,
        control_plane::ROWS,
        data_plane::ROWS,
    ];
    let mut rows: Vec<&Row> = parts.into_iter().flatten().collect();
    rows.sort_by_key(|row| row.category);
    rows
}

/// Those of a mode.
pub(super) fn of(mode: Mode, cni: bool) -> Vec<&'static Row> {
    let mut rows = all();
    rows.retain(|row| row.category.is_part_of(mode, cni));
    rows
}

/// Those of a category.
pub(super) fn of_category(category: Category) -> impl Iterator<Item = &'static Row> {
    all()
        .into_iter()
        .filter(move |row| row.category == category)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_check_has_an_id_of_its_own_and_says_what_to_do() {
        let rows = all();
        let ids: BTreeSet<_> = rows.iter().map(|row| row.id).collect();
        assert_eq!(ids.len(), rows.len());
        for row in &rows {
            assert!(
                !row.title.is_empty() && !row.remedy.is_empty(),
                "{}",
                row.id
            );
            assert!(!row.anchor().is_empty(), "{}", row.id);
            let is_about_the_api = row.category == Category::KubernetesApi;
            assert!(is_about_the_api || !row.needs.is_empty(), "{}", row.id);
            assert_eq!(
                row.after.is_empty(),
                row.id == "k8s-api-client",
                "{}",
                row.id
            );
        }
    }

    /// Pages are written as docs/NAME.md, and a section after one as its title in quotes.
    #[test]
    fn pages_and_sections_that_remedies_name_exist() {
        let mut sections = 0;
        for row in all() {
            for (at, _) in row.remedy.match_indices("docs/") {
                let text = &row.remedy[at..];
                let (path, rest) = text.split_once(".md").expect("a page");
                let file = format!("{}/../{path}.md", env!("CARGO_MANIFEST_DIR"));
                let page = std::fs::read_to_string(&file);
                let page = page.unwrap_or_else(|error| panic!("{}: {file}: {error}", row.id));
                let Some(rest) = rest.strip_prefix(", \"") else {
                    continue;
                };
                let (title, _) = rest.split_once('"').expect("quotes are closed");
                let mut lines = page.lines();
                let is_there = lines.any(|line| {
                    let heading = line.strip_prefix("##");
                    heading.is_some_and(|line| line.trim_start_matches('#').trim() == title)
                });
                assert!(is_there, "{}: {path}.md has no section {title:?}", row.id);
                sections += 1;
            }
        }
        assert!(sections > 5, "{sections} sections are named");
    }

    #[test]
    fn what_a_check_depends_on_is_looked_at_and_does_not_depend_on_it() {
        for mode in [Mode::Pre, Mode::Crds, Mode::ControlPlane, Mode::DataPlane] {
            let rows = of(mode, true);
            let mut decided = BTreeSet::new();
            loop {
                let due = rows.iter().filter(|row| {
                    !decided.contains(row.id)
                        && row
                            .after
                            .iter()
                            .all(|id| decided.contains(id) || !rows.iter().any(|row| row.id == *id))
                });
                let due: Vec<_> = due.map(|row| row.id).collect();
                if due.is_empty() {
                    break;
                }
                decided.extend(due);
            }
            let left = rows.iter().filter(|row| !decided.contains(row.id));
            let left: Vec<_> = left.map(|row| row.id).collect();
            assert!(left.is_empty(), "{mode:?}: {left:?} depend on each other");
        }
        let known: BTreeSet<_> = all().iter().map(|row| row.id).collect();
        for row in all() {
            for id in row.after {
                assert!(
                    known.contains(id),
                    "{} is after {id}, which is none",
                    row.id
                );
            }
        }
    }

    #[test]
    fn a_mode_has_what_linkerds_has() {
        let ids = |mode| {
            of(mode, false)
                .iter()
                .map(|row| row.id)
                .collect::<BTreeSet<_>>()
        };
        let (pre, crds) = (ids(Mode::Pre), ids(Mode::Crds));
        let (control, data) = (ids(Mode::ControlPlane), ids(Mode::DataPlane));
        for of in [&pre, &crds, &control, &data] {
            assert!(of.contains("k8s-api-version") && of.contains("gateway-api-crd"));
        }
        assert!(pre.contains("pre-ns") && !control.contains("pre-ns"));
        assert!(crds.contains("l5d-existence-crd") && !crds.contains("l5d-existence-ns"));
        assert!(control.contains("l5d-version-control-mismatched"));
        assert!(!data.contains("l5d-version-control-mismatched"));
        assert!(data.contains("l5d-existence-ns") && data.contains("l5d-data-plane-ready"));
        assert!(!pre.contains("cni-plugin-ready") && control.contains("cni-plugin-ready"));
    }
}
