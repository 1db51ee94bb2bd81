//! What Helm has rendered, as text and as objects.

use super::InstallError;
use crate::{manifest::Text, output};
use serde_json::{Value, json};
use std::io;

/// Manifests, in the order in which they are to be applied.
#[derive(Debug, Default)]
pub(super) struct Rendered {
    text: String,
    objects: Vec<Value>,
}

/// How manifests are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Output {
    /// Documents, with the chart's comments
    #[default]
    Yaml,
    /// One List
    Json,
}

impl Rendered {
    pub(super) fn parse(text: String) -> Result<Self, InstallError> {
        let mut objects = Vec::new();
        for document in Text::new("the chart".to_owned(), text.clone()).documents() {
            let object = document.content.map_err(|broken| {
                InstallError::Helm(format!("line {}: {}", document.line, broken.text))
            })?;
            objects.push(object);
        }
        Ok(Self { text, objects })
    }

    /// Puts an object first.
    pub(super) fn put_before(&mut self, object: Value) {
        let rest = self.text.trim_start_matches("---\n");
        self.text = format!("---\n{}---\n{rest}", yaml(&object));
        self.objects.insert(0, object);
    }

    /// Puts an object last.
    pub(super) fn put_after(&mut self, object: Value) {
        let is_ended = self.text.is_empty() || self.text.ends_with('\n');
        self.text += if is_ended { "---\n" } else { "\n---\n" };
        self.text += &yaml(&object);
        self.objects.push(object);
    }

    pub(super) fn objects(&self) -> &[Value] {
        &self.objects
    }

    /// The object of this kind and name.
    pub(super) fn find(&self, kind: &str, name: &str) -> Option<&Value> {
        let mut objects = self.objects.iter();
        objects.find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
    }

    /// All values that the control plane is rendered with, but for keys.
    pub(super) fn values(&self) -> Result<Value, InstallError> {
        let config = self.find("ConfigMap", crate::check::CONFIG);
        let text = config.and_then(|config| config["data"]["values"].as_str());
        let unread =
            |reason: String| InstallError::Helm(format!("ConfigMap linkerd-config: {reason}"));
        let text = text.ok_or_else(|| unread("it has no values".to_owned()))?;
        serde_yaml::from_str(text).map_err(|error| unread(error.to_string()))
    }

    pub(super) fn print(&self, output: Output) -> io::Result<()> {
        match output {
            Output::Yaml => output::print_as_it_is(&self.text),
            Output::Json => {
                let list = json!({"apiVersion": "v1", "kind": "List", "items": self.objects});
                output::print_json(&list)
            }
        }
    }
}

/// A document that says the same.
fn yaml(object: &Value) -> String {
    let text = serde_yaml::to_string(object).unwrap_or_default();
    // JSON is YAML, and no value is beyond it.
    let mut text = match serde_yaml::from_str::<Value>(&text) {
        Ok(same) if same == *object => text,
        _ => object.to_string(),
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_around_a_render_is_in_its_text_and_in_its_objects() {
        let text = "---\n# Source: a\nkind: A\nmetadata:\n  name: a\n".to_owned();
        let mut rendered = Rendered::parse(text).unwrap();
        rendered.put_before(json!({"kind": "Namespace", "metadata": {"name": "linkerd"}}));
        rendered.put_after(json!({"kind": "Secret", "metadata": {"name": "last: one"}}));
        let again = Rendered::parse(rendered.text.clone()).unwrap();
        assert_eq!(again.objects, rendered.objects, "{}", rendered.text);
        assert!(rendered.text.contains("\n# Source: a\n"));
        let names: Vec<_> = again.objects.iter().map(|one| &one["kind"]).collect();
        assert_eq!(names, ["Namespace", "A", "Secret"]);
    }
}
