use crate::Values;
use serde_json::Value;

/// What holds for one pod: the values, and over them what annotations say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) values: Values,
    /// Whether there is a debug container.
    pub(crate) debug: bool,
    /// `opaque-ports` as annotated; `None` where only the values say.
    pub(crate) opaque_ports: Option<String>,
    /// `pod-inbound-ports`; `None` where they are found out.
    pub(crate) inbound_ports: Option<String>,
}

impl Settings {
    pub(crate) fn new(values: &Values) -> Self {
        Self {
            values: values.clone(),
            debug: false,
            opaque_ports: None,
            inbound_ports: None,
        }
    }

    /// Adds variables to the proxy's environment: one of the same name is replaced
    /// where it is, others come last (identity-injector.md scenario 107).
    pub(crate) fn add_variables(&mut self, variables: Vec<Value>) {
        let all = &mut self.values.proxy.additional_env;
        for variable in variables {
            match all
                .iter_mut()
                .find(|known| known["name"] == variable["name"])
            {
                Some(known) => *known = variable,
                None => all.push(variable),
            }
        }
    }

    /// The image of proxy, init container and validator.
    pub(crate) fn image(&self) -> String {
        format!("{}:{}", self.values.proxy.image.name, self.proxy_version())
    }

    /// The tag of that image.
    pub(crate) fn proxy_version(&self) -> &str {
        or(&self.values.proxy.image.version, &self.values.version)
    }

    /// When that image is pulled.
    pub(crate) fn pull_policy(&self) -> &str {
        or(
            &self.values.proxy.image.pull_policy,
            &self.values.image_pull_policy,
        )
    }

    /// The debug container's image.
    pub(crate) fn debug_image(&self) -> String {
        let image = &self.values.debug_image;
        format!(
            "{}:{}",
            image.name,
            or(&image.version, &self.values.version)
        )
    }

    /// When the debug container's image is pulled.
    pub(crate) fn debug_pull_policy(&self) -> &str {
        or(
            &self.values.debug_image.pull_policy,
            &self.values.image_pull_policy,
        )
    }
}

fn or<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}
