use super::Name;

/// The labels of an object, sorted by key. Equal ones are one allocation (see
/// [`Interner::labels`](crate::Interner::labels)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Labels(Box<[(Name, Name)]>);

impl Labels {
    /// Of two values for one key the later counts, as in a map.
    pub fn new(pairs: impl IntoIterator<Item = (Name, Name)>) -> Self {
        let pairs: std::collections::BTreeMap<_, _> = pairs.into_iter().collect();
        Self(pairs.into_iter().collect())
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Name> {
        let at = self.0.binary_search_by(|(known, _)| (**known).cmp(key));
        at.ok().map(|at| &self.0[at].1)
    }

    /// Keys and values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Name)> {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

/// Which objects are meant, by their labels. All requirements must hold; without
/// any, every object is meant (policy.md section 2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector(Box<[Requirement]>);

/// One requirement of a [`LabelSelector`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label that is looked at.
    pub key: Name,
    /// What it must be.
    pub condition: Condition,
}

/// What a [`Requirement`] asks of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// There, with one of these values.
    In(Box<[Name]>),
    /// Not there, or with a value that is none of these.
    NotIn(Box<[Name]>),
    /// There.
    Exists,
    /// Not there.
    DoesNotExist,
}

impl LabelSelector {
    /// A selector of these requirements.
    pub fn new(requirements: impl IntoIterator<Item = Requirement>) -> Self {
        Self(requirements.into_iter().collect())
    }

    /// A label that it requires, and the values that will do. To look for objects
    /// by: what has none of these is not meant.
    pub fn required_label(&self) -> Option<(&Name, &[Name])> {
        let mut required = self.0.iter();
        required.find_map(|requirement| match &requirement.condition {
            Condition::In(values) => Some((&requirement.key, &**values)),
            _ => None,
        })
    }

    /// Whether an object with these labels is meant.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| requirement.holds(labels))
    }
}

impl Requirement {
    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match &self.condition {
            Condition::In(values) => value.is_some_and(|value| values.contains(value)),
            Condition::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Condition::Exists => value.is_some(),
            Condition::DoesNotExist => value.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::new(pairs.iter().map(|&(key, value)| (key.into(), value.into())))
    }

    #[test]
    fn every_requirement_must_hold() {
        let web = labels(&[("tier", "front"), ("app", "web")]);
        let values = |texts: &[&str]| texts.iter().map(|&text| Name::from(text)).collect();
        let requirement = |key: &str, condition| Requirement {
            key: key.into(),
            condition,
        };
        for (requirements, expected) in [
            (vec![], true),
            (
                vec![requirement("app", Condition::In(values(&["api", "web"])))],
                true,
            ),
            (
                vec![requirement("app", Condition::In(values(&["api"])))],
                false,
            ),
            (vec![requirement("app", Condition::In(values(&[])))], false),
            (
                vec![requirement("none", Condition::In(values(&["web"])))],
                false,
            ),
            (
                vec![requirement("app", Condition::NotIn(values(&["web"])))],
                false,
            ),
            (
                vec![requirement("none", Condition::NotIn(values(&["web"])))],
                true,
            ),
            (vec![requirement("app", Condition::Exists)], true),
            (vec![requirement("none", Condition::Exists)], false),
            (vec![requirement("app", Condition::DoesNotExist)], false),
            (vec![requirement("none", Condition::DoesNotExist)], true),
            (
                vec![
                    requirement("app", Condition::Exists),
                    requirement("tier", Condition::In(values(&["back"]))),
                ],
                false,
            ),
        ] {
            let selector = LabelSelector::new(requirements);
            assert_eq!(selector.matches(&web), expected, "{selector:?}");
        }
    }

    #[test]
    fn labels_do_not_depend_on_their_order() {
        let one = labels(&[("b", "2"), ("a", "1"), ("c", "3")]);
        assert_eq!(one, labels(&[("c", "3"), ("b", "2"), ("a", "1")]));
        assert_eq!(one.get("b").map(|value| &**value), Some("2"));
        assert_eq!(one.get("d"), None);
    }
}
