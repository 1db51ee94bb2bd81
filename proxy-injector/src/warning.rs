use crate::Namespace;
use std::{borrow::Cow, fmt};

/// How much of a text is shown: warnings of Kubernetes are to be short.
const SHOWN: usize = 40;

/// Something that somebody wrote and that does not do what it looks like. Printed,
/// it names the annotation and says what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(Text);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Text {
    Annotation {
        key: String,
        namespace: Option<String>,
        value: String,
        effect: Effect,
        expected: Cow<'static, str>,
    },
    Unknown {
        key: String,
        namespace: Option<String>,
    },
    NotInherited {
        key: String,
        namespace: String,
    },
    OwnerLabel {
        key: String,
        owner: String,
    },
    ServiceAccount(String),
}

/// What becomes of an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Ignored,
    /// An item of a list is.
    ItemIgnored,
    Doubted,
    NoInjection,
}

impl Warning {
    pub(crate) fn annotation(
        key: &str,
        namespace: Option<&Namespace>,
        value: &str,
        effect: Effect,
        expected: Cow<'static, str>,
    ) -> Self {
        Self(Text::Annotation {
            key: key.to_owned(),
            namespace: namespace.map(|namespace| namespace.name.clone()),
            value: value.to_owned(),
            effect,
            expected,
        })
    }

    pub(crate) fn unknown(key: &str, namespace: Option<&Namespace>) -> Self {
        Self(Text::Unknown {
            key: key.to_owned(),
            namespace: namespace.map(|namespace| namespace.name.clone()),
        })
    }

    pub(crate) fn not_inherited(key: &str, namespace: &Namespace) -> Self {
        Self(Text::NotInherited {
            key: key.to_owned(),
            namespace: namespace.name.clone(),
        })
    }

    pub(crate) fn owner_label(key: &str, owner: &str) -> Self {
        Self(Text::OwnerLabel {
            key: key.to_owned(),
            owner: owner.to_owned(),
        })
    }

    pub(crate) fn service_account(name: &str) -> Self {
        Self(Text::ServiceAccount(name.to_owned()))
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |namespace: &Option<String>| match namespace {
            Some(namespace) => format!(" of namespace {namespace}"),
            None => String::new(),
        };
        match &self.0 {
            Text::Annotation {
                key,
                namespace,
                value,
                effect,
                expected,
            } => {
                let effect = match effect {
                    Effect::Ignored => "is ignored",
                    Effect::ItemIgnored => "is left out",
                    Effect::Doubted => "will not be understood",
                    Effect::NoInjection => "prevents injection",
                };
                let of = of(namespace);
                write!(
                    f,
                    "{key}{of}: {} {effect}; expected {expected}",
                    short(value)
                )
            }
            Text::Unknown { key, namespace } => {
                write!(f, "{key}{} is not known and has no effect", of(namespace))
            }
            Text::NotInherited { key, namespace } => write!(
                f,
                "{key} of namespace {namespace} has no effect there; expected on pods"
            ),
            Text::OwnerLabel { key, owner } => write!(
                f,
                "label {key} is left out: {} is longer than a label may be (63 characters)",
                short(owner)
            ),
            Text::ServiceAccount(name) => write!(
                f,
                "the proxy will not start as service account {}: expected a name whose parts \
                 between dots are of 63 characters at most, since identities are DNS names",
                short(name)
            ),
        }
    }
}

fn short(value: &str) -> String {
    if value.chars().count() <= SHOWN {
        return format!("{value:?}");
    }
    let start: String = value.chars().take(SHOWN).collect();
    format!("{start:?}...")
}
