//! Label selectors.

use super::{
    Reader,
    field::{Field, Pairs, object_shapes},
};
use crate::object::{Condition, LabelSelector, Requirement};
use serde::Deserialize;

/// `LabelSelector` of Kubernetes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Selector {
    match_labels: Field<Pairs<Box<str>>>,
    match_expressions: Field<Vec<Field<Expression>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Expression {
    key: Field<Box<str>>,
    operator: Field<Box<str>>,
    values: Field<Vec<Field<Box<str>>>>,
}

object_shapes!(Selector, Expression);

impl Selector {
    /// The selector, unless any part of it cannot be read: without that part it
    /// would mean more than its author wanted.
    pub(super) fn read(self, path: &str, reader: &mut Reader<'_>) -> Option<LabelSelector> {
        let known = reader.problems.len();
        let mut requirements = Vec::new();
        for (key, value) in reader
            .part(self.match_labels, format_args!("{path}.matchLabels"))
            .0
        {
            let value = reader.name(value, format_args!("{path}.matchLabels.{key}"));
            requirements.push(Requirement {
                key: reader.interner.name(&key),
                condition: Condition::In([value].into()),
            });
        }
        let path = format!("{path}.matchExpressions");
        for expression in reader.elements(self.match_expressions, &path) {
            requirements.extend(expression.read(&path, reader));
        }
        (reader.problems.len() == known).then(|| LabelSelector::new(requirements))
    }
}

impl Expression {
    fn read(self, path: &str, reader: &mut Reader<'_>) -> Option<Requirement> {
        let key = reader.name(self.key, format_args!("{path}[].key"));
        if key.is_empty() {
            reader
                .problems
                .push(format!("{path}[].key: expected the key of a label"));
            return None;
        }
        let operator = reader.text(self.operator, format_args!("{path}[].operator"));
        let has_values = self.values.is_present();
        let values = reader.elements(self.values, &format!("{path}[].values"));
        let values = values.iter().map(|text| reader.interner.name(text));
        let condition = match (&*operator, has_values) {
            ("In", true) => Condition::In(values.collect()),
            ("NotIn", true) => Condition::NotIn(values.collect()),
            ("Exists", false) => Condition::Exists,
            ("DoesNotExist", false) => Condition::DoesNotExist,
            (operator, has_values) => {
                let values = if has_values { "with" } else { "without" };
                reader.problems.push(format!(
                    "{path}: {operator:?} {values} values for {key:?}: expected In or NotIn \
                     with values, or Exists or DoesNotExist without"
                ));
                return None;
            }
        };
        Some(Requirement { key, condition })
    }
}
