//! The objects in a document.

use super::{
    finding::{self, Finding},
    place,
};
use ferrule_proxy_injector::WorkloadKind;
use serde_json::Value;

/// An object, and what it says that it is.
pub(in crate::check) struct Object<'a> {
    pub(super) value: &'a Value,
    pub(super) group: &'a str,
    pub(super) version: &'a str,
    pub(in crate::check) kind: &'a str,
    /// Where it says so.
    pub(in crate::check) namespace: Option<&'a str>,
    pub(in crate::check) name: Option<&'a str>,
    /// Its place in a list.
    item: Option<usize>,
}

impl<'a> Object<'a> {
    /// The object of a document, or the items of a list.
    ///
    /// # Errors
    /// Says why it is none.
    pub(in crate::check) fn all(value: &'a Value) -> Result<Vec<Self>, &'static str> {
        let list = Self::new(value, None).ok_or(
            "this is no object of Kubernetes, which has apiVersion and kind: it is not looked at",
        )?;
        let items = value["items"].as_array();
        let Some((items, of)) = items.zip(list.kind.strip_suffix("List")) else {
            return Ok(vec![list]);
        };
        let items = items.iter().enumerate();
        Ok(items
            .filter_map(|(at, item)| {
                let mut object = Self::new(item, Some(at));
                // The items of a PodList need not say that they are Pods.
                if object.is_none() && item.is_object() && !of.is_empty() {
                    let (group, version) = (list.group, list.version);
                    object = Some(Self::of(item, group, version, of, Some(at)));
                }
                object
            })
            .collect())
    }

    fn new(value: &'a Value, item: Option<usize>) -> Option<Self> {
        let kind = value["kind"].as_str()?;
        let version = value["apiVersion"].as_str()?;
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        Some(Self::of(value, group, version, kind, item))
    }

    fn of(
        value: &'a Value,
        group: &'a str,
        version: &'a str,
        kind: &'a str,
        item: Option<usize>,
    ) -> Self {
        let text = |field: &str| {
            let text = value["metadata"][field].as_str();
            text.filter(|text| !text.is_empty())
        };
        Self {
            value,
            group,
            version,
            kind,
            namespace: text("namespace"),
            name: text("name"),
            item,
        }
    }

    /// What is wrong with it; `None` if the mesh does not read its kind.
    pub(in crate::check) fn findings(&self) -> Option<Vec<Finding>> {
        finding::findings(self)
    }

    /// The steps from the document to what a finding is about.
    pub(super) fn path_of(&self, finding: &Finding) -> Vec<String> {
        let mut path = Vec::new();
        if let Some(item) = self.item {
            path.extend(["items".to_owned(), item.to_string()]);
        }
        if finding.in_template
            && let Some(workload) = WorkloadKind::of(self.value)
        {
            path.extend(workload.template_path().iter().map(|&step| step.to_owned()));
        }
        path.extend(place::path(&finding.text));
        path
    }
}
