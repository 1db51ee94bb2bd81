//! How it stands with those that want to be restarted, for people to read.

use ferrule_identity::{RestartStanding, RestartState};
use std::collections::BTreeMap;

/// More than anybody reads; an annotation is not for long lists.
const MOST: usize = 100;
/// The most of a reason that is written down, in characters.
const LONGEST: usize = 200;

/// A namespace, and a workload in it as its pods call it.
type Who = (String, String);

#[derive(Default)]
pub(super) struct Standings {
    all: BTreeMap<Who, (RestartState, Option<String>)>,
    /// What is written down; `None` until it was read.
    written: Option<Vec<RestartStanding>>,
}

impl Standings {
    /// What is written down, by who has led before.
    pub(super) fn found(&mut self, written: Vec<RestartStanding>) {
        if self.written.is_none() {
            let all = written.iter().cloned();
            self.all = all
                .map(|one| ((one.namespace, one.owner), (one.state, one.because)))
                .collect();
        }
        self.written = Some(written);
    }

    pub(super) fn set(&mut self, who: &Who, state: RestartState, because: Option<&str>) {
        let because = because.map(|text| text.chars().take(LONGEST).collect());
        self.all.insert(who.clone(), (state, because));
    }

    /// It waits for others, unless something was said of it already.
    pub(super) fn queue(&mut self, who: &Who) {
        let waits = || {
            let because = "others are restarted first".to_owned();
            (RestartState::Waits, Some(because))
        };
        self.all.entry(who.clone()).or_insert_with(waits);
    }

    pub(super) fn remove(&mut self, who: &Who) {
        self.all.remove(who);
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&Who) -> bool) {
        self.all.retain(|who, _| keep(who));
    }

    /// What is to be written down, if it is not.
    pub(super) fn unwritten(&self) -> Option<Vec<RestartStanding>> {
        let all: Vec<_> = self.all.iter().take(MOST).map(standing).collect();
        (self.written.as_ref()? != &all).then_some(all)
    }

    pub(super) fn written(&mut self, all: Vec<RestartStanding>) {
        self.written = Some(all);
    }
}

fn standing((who, what): (&Who, &(RestartState, Option<String>))) -> RestartStanding {
    let ((namespace, owner), (state, because)) = (who.clone(), what.clone());
    RestartStanding {
        namespace,
        owner,
        state,
        because,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(name: &str) -> Who {
        ("shop".to_owned(), format!("deployment/{name}"))
    }

    #[test]
    fn what_changes_is_to_be_written_and_what_was_read_is_gone_on_from() {
        let mut first = Standings::default();
        assert_eq!(first.unwritten(), None, "nobody knows what is there");
        first.found(Vec::new());
        assert_eq!(first.unwritten(), None);
        first.set(&who("a"), RestartState::Waits, Some("its budget"));
        first.queue(&who("a"));
        first.queue(&who("b"));
        let written = first.unwritten().expect("nothing is written");
        let texts: Vec<_> = written.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            ["waits: its budget", "waits: others are restarted first"]
        );
        first.written(written.clone());
        assert_eq!(first.unwritten(), None);

        let mut second = Standings::default();
        second.found(written);
        assert_eq!(second.unwritten(), None);
        second.set(&who("b"), RestartState::Restarting, None);
        second.retain(|one| *one == who("b"));
        let left = second.unwritten().expect("another");
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].to_string(), "is being restarted");
        second.remove(&who("b"));
        assert_eq!(second.unwritten(), Some(Vec::new()));
    }

    #[test]
    fn it_stays_as_large_as_an_annotation_may_be() {
        let mut many = Standings::default();
        many.found(Vec::new());
        for n in 0..1000 {
            let reason = "a reason ".repeat(100);
            many.set(&who(&n.to_string()), RestartState::Refused, Some(&reason));
        }
        let all = serde_json::to_string(&many.unwritten()).expect("JSON");
        assert!(all.len() < 64 * 1024, "{}", all.len());
    }
}
