//! The annotations that shape injection: one table of them is the parser, decides
//! what a pod inherits from its namespace, and is the reference page.

mod reader;
mod reference;
mod table;
pub(crate) mod text;

pub use self::{
    reference::reference,
    table::{INJECT, OPAQUE_PORTS},
};

use self::{
    reader::{Reader, Reading},
    table::{ANNOTATIONS, RETIRED},
};
use crate::{Namespace, Values, Warning, settings::Settings, warning::Effect};
use std::collections::BTreeMap;

/// What annotations start with that are about proxies.
const PREFIXES: [&str; 3] = [
    "config.linkerd.io/",
    "config.beta.linkerd.io/",
    "config.alpha.linkerd.io/",
];

/// An annotation that shapes injection.
struct Annotation {
    key: &'static str,
    place: Place,
    /// What holds where it is absent; empty where that is none, or not one text.
    default: &'static str,
    effect: &'static str,
    reader: Reader,
    /// It is not read where one of these is present.
    unless: &'static [&'static str],
}

/// Where an annotation has an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Pod,
    /// A pod inherits it from its namespace.
    PodAndNamespace,
    /// Also on Services, which inherit it from their namespace.
    ServiceToo,
}

impl Annotation {
    fn is_inherited(&self) -> bool {
        self.place != Place::Pod
    }
}

/// Annotations by key.
pub(crate) type Annotations = BTreeMap<String, String>;

/// Every key that a pod inherits from its namespace.
pub fn inherited_keys() -> impl Iterator<Item = &'static str> {
    let inherited = ANNOTATIONS.iter().filter(|row| row.is_inherited());
    inherited.map(|row| row.key)
}

/// An annotation that sets something, for those who write it.
#[derive(Clone, Copy)]
pub struct Setting(&'static Annotation);

/// The setting of a name such as `admin-port`, whatever is before the slash of its
/// key. Of several forms the first, which is the newest.
pub fn setting(name: &str) -> Option<Setting> {
    let mut rows = ANNOTATIONS.iter();
    let row = rows.find(|row| {
        row.key
            .split_once('/')
            .is_some_and(|(_, last)| last == name)
    });
    row.map(Setting)
}

/// Whether something reads an annotation of this key.
pub fn is_read(key: &str) -> bool {
    ANNOTATIONS.iter().any(|row| row.key == key)
}

/// The key that is most like one that nothing reads, if one is: a slip of the finger or
/// two, or another prefix.
pub fn nearest(key: &str) -> Option<&'static str> {
    let (_, name) = key.rsplit_once('/')?;
    let most = (name.len() / 4).clamp(1, 3);
    let distance = |row: &Annotation| {
        let (_, known) = row.key.rsplit_once('/')?;
        let distance = strsim::damerau_levenshtein(known, name);
        (row.key != key && distance <= most).then_some(distance)
    };
    let known = ANNOTATIONS
        .iter()
        .filter_map(|row| Some((distance(row)?, row.key)));
    known
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, key)| key)
}

impl Setting {
    /// Its key.
    pub fn key(self) -> &'static str {
        self.0.key
    }

    /// That a text would be understood.
    ///
    /// # Errors
    /// What is expected, where it would not be.
    pub fn check(self, text: &str) -> Result<(), String> {
        let mut settings = Settings::new(&Values::default());
        match self.0.reader.read(&mut settings, text) {
            Reading::Taken => Ok(()),
            Reading::Doubted | Reading::Ignored => Err(self.0.reader.expected().into_owned()),
        }
    }
}

/// What of its namespace's annotations a pod inherits: what it has no own value
/// of, however empty (identity-injector.md section 6.8).
pub(crate) fn inherited<'a>(
    pod: &'a Annotations,
    namespace: Option<&'a Namespace>,
) -> impl Iterator<Item = (&'static str, &'a str)> {
    inherited_keys().filter_map(move |key| {
        let value = namespace?.annotations.get(key)?;
        (!pod.contains_key(key)).then_some((key, value.as_str()))
    })
}

/// The settings of a pod, and what of its annotations and its namespace's could
/// not be read.
pub(crate) fn settings(
    values: &Values,
    pod: &Annotations,
    namespace: Option<&Namespace>,
) -> (Settings, Vec<Warning>) {
    let mut settings = Settings::new(values);
    let mut warnings = Vec::new();
    let from_namespace = |row: &Annotation| {
        let namespace = namespace.filter(|_| row.is_inherited())?;
        Some((namespace, namespace.annotations.get(row.key)?))
    };
    for row in ANNOTATIONS {
        let is_present = |key: &&str| {
            let inherited = || ANNOTATIONS.iter().find(|row| row.key == *key);
            pod.contains_key(*key) || inherited().and_then(from_namespace).is_some()
        };
        if row.unless.iter().any(is_present) {
            continue;
        }
        let own = pod.get(row.key);
        // Environment variables add up; of all else the pod's own counts alone.
        let layered = matches!(row.reader, Reader::Environment);
        if let Some((namespace, value)) = from_namespace(row).filter(|_| own.is_none() || layered) {
            let reading = row.reader.read(&mut settings, value);
            warnings.extend(warning(row, Some(namespace), value, reading));
        }
        if let Some(value) = own {
            let reading = row.reader.read(&mut settings, value);
            warnings.extend(warning(row, None, value, reading));
        }
    }
    warnings.extend(without_effect(pod, namespace));
    (settings, warnings)
}

fn warning(
    row: &Annotation,
    namespace: Option<&Namespace>,
    value: &str,
    reading: Reading,
) -> Option<Warning> {
    let effect = match reading {
        Reading::Taken => return None,
        Reading::Ignored => Effect::Ignored,
        Reading::Doubted => Effect::Doubted,
    };
    Some(Warning::annotation(
        row.key,
        namespace,
        value,
        effect,
        row.reader.expected(),
    ))
}

/// Annotations that look like ours and do nothing where they are.
fn without_effect<'a>(
    pod: &'a Annotations,
    namespace: Option<&'a Namespace>,
) -> impl Iterator<Item = Warning> {
    let is_known = |key: &str| {
        let ours = PREFIXES.iter().any(|prefix| key.starts_with(prefix));
        !ours || RETIRED.contains(&key) || ANNOTATIONS.iter().any(|row| row.key == key)
    };
    let on_pod = pod.keys().filter(move |key| !is_known(key));
    let on_pod = on_pod.map(|key| Warning::unknown(key, None));
    let namespaces = namespace.into_iter();
    let on_namespace = namespaces.flat_map(move |namespace| {
        namespace.annotations.keys().filter_map(move |key| {
            let for_pods = |row: &&Annotation| row.key == key && !row.is_inherited();
            if ANNOTATIONS.iter().any(|row| for_pods(&row)) {
                return Some(Warning::not_inherited(key, namespace));
            }
            (!is_known(key)).then(|| Warning::unknown(key, Some(namespace)))
        })
    });
    on_pod.chain(on_namespace)
}

/// What is expected of the text of an annotation of the table.
pub(crate) fn expected(key: &str) -> std::borrow::Cow<'static, str> {
    let row = ANNOTATIONS.iter().find(|row| row.key == key);
    row.map_or("any text".into(), |row| row.reader.expected())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Injector, TrustAnchors};
    use serde_json::json;
    use std::collections::BTreeSet;

    #[test]
    fn a_pod_inherits_forty_settings_two_older_ones_and_whether_to_inject() {
        // identity-injector.md section 6.8.
        let keys: Vec<_> = inherited_keys().collect();
        let alpha = |key: &&&str| key.starts_with("config.alpha.linkerd.io/");
        let config = |key: &&&str| key.starts_with("config.linkerd.io/");
        assert_eq!(keys.iter().filter(config).count(), 40);
        assert_eq!(keys.iter().filter(alpha).count(), 2);
        assert_eq!(keys.len(), 43);
        for key in [
            "enable-gateway",
            "proxy-cpu-ratio-limit",
            "close-wait-timeout",
            "debug-image",
            "debug-image-version",
            "debug-image-pull-policy",
        ] {
            assert!(!keys.contains(&format!("config.linkerd.io/{key}").as_str()));
        }
    }

    #[test]
    fn every_annotation_is_in_the_table_once() {
        let keys: BTreeSet<_> = ANNOTATIONS.iter().map(|row| row.key).collect();
        assert_eq!(keys.len(), ANNOTATIONS.len());
        for retired in RETIRED {
            assert!(!keys.contains(retired), "{retired}");
        }
    }

    #[test]
    fn a_slip_of_the_finger_is_told_from_something_else() {
        for (key, known) in [
            ("config.linkerd.io/opaque-port", Some(OPAQUE_PORTS)),
            ("config.linkerd.io/opague-ports", Some(OPAQUE_PORTS)),
            (
                "config.linkerd.io/skip-outbound-port",
                Some("config.linkerd.io/skip-outbound-ports"),
            ),
            ("config.linkerd.io/inject", Some(INJECT)),
            ("linkerd.io/injet", Some(INJECT)),
            (
                "config.linkerd.io/default-inbound-polcy",
                Some("config.linkerd.io/default-inbound-policy"),
            ),
            ("config.linkerd.io/nothing-like-any", None),
            ("linkerd.io/extension", None),
            ("no-prefix", None),
        ] {
            assert_eq!(nearest(key), known, "{key}");
        }
    }

    #[test]
    fn the_default_of_every_row_is_what_holds_without_it() {
        let containers = |annotations: &Annotations| {
            let injector = Injector {
                values: Values::default(),
                trust_anchors: TrustAnchors::new("anchors"),
                control_plane_namespace: "linkerd".into(),
                created_by: "test".into(),
            };
            let mut pod = json!({
                "metadata": {"annotations": annotations},
                "spec": {"containers": [{"name": "web"}]},
            });
            let namespace = Namespace {
                name: "shop".into(),
                annotations: [(INJECT.to_owned(), "enabled".to_owned())].into(),
            };
            let decision = injector.review("Pod", &pod, &namespace, None).unwrap();
            assert_eq!(decision.warnings, [], "{annotations:?}");
            json_patch::patch(&mut pod, &decision.patch.unwrap()).unwrap();
            pod["spec"].clone()
        };
        let plain = containers(&Annotations::new());
        for row in ANNOTATIONS.iter().filter(|row| !row.default.is_empty()) {
            let annotations = [(row.key.to_owned(), row.default.to_owned())].into();
            assert_eq!(containers(&annotations), plain, "{}", row.key);
        }
    }
}
