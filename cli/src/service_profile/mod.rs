//! `ferrule profile`: a ServiceProfile, as a template or made of what a service says of
//! itself.

mod open_api;
mod proto;
mod template;

use crate::{
    Error, check,
    cluster::{ClusterFlags, ControlPlane},
    output,
    read::{get, of},
};
use clap::Args;
use ferrule_cluster::object::is_dns_label;
use ferrule_proxy_injector::Values;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};
use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

const EXAMPLES: &str = "\
Examples:
  ferrule profile web --template -n shop
  ferrule profile web --open-api openapi.yaml -n shop | kubectl apply -f -
  ferrule profile orders --proto orders.proto -n shop | kubectl apply -f -";

/// Prints a ServiceProfile: the routes of a Service, for metrics, retries and timeouts.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("source").required(true))]
pub struct Profile {
    /// The Service
    #[arg(value_name = "SERVICE", value_parser = service)]
    service: String,

    /// Its namespace
    #[arg(short, long, value_name = "NAME", default_value = "default", value_parser = service)]
    namespace: String,

    /// Print one to start from, with explanations
    #[arg(long, group = "source")]
    template: bool,

    /// Make it of an OpenAPI 3 or Swagger 2 document, YAML or JSON; - for standard input
    #[arg(long, group = "source", value_name = "FILE")]
    open_api: Option<PathBuf>,

    /// Make it of the gRPC services of a .proto file; - for standard input
    #[arg(long, group = "source", value_name = "FILE")]
    proto: Option<PathBuf>,

    /// Do not ask the cluster for its domain: it is cluster.local
    #[arg(long)]
    ignore_cluster: bool,

    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,

    #[command(flatten)]
    control_plane: ControlPlane,

    #[command(flatten)]
    cluster: ClusterFlags,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// A document
    #[default]
    Yaml,
    /// The same as JSON; a template loses its explanations
    Json,
}

impl Profile {
    /// Prints it to standard output.
    ///
    /// # Errors
    /// If the file cannot be read or understood, or the cluster cannot be asked.
    pub async fn run(self) -> Result<(), Error> {
        let domain = self.domain().await?;
        let (service, namespace) = (&self.service, &self.namespace);
        let name = format!("{service}.{namespace}.svc.{domain}");
        let text = if self.template {
            template::template(&name, namespace)
        } else {
            let profile = profile(&name, namespace, &self.routes()?);
            // What the webhook would refuse is refused here.
            ferrule_destination::validation::validate_value(&profile)
                .map_err(|refusal| unreadable("what the file says", &refusal))?;
            yaml(&profile)
        };
        output::seen_enough(match self.output {
            Output::Yaml => output::print_as_it_is(&text).map_err(Error::from),
            Output::Json => {
                let read = serde_yaml::from_str::<Value>(&text);
                let value = read.map_err(|error| unreadable("the profile", &error))?;
                output::print_json(&value).map_err(Error::from)
            }
        })
    }

    fn routes(&self) -> Result<Vec<Value>, Error> {
        let read = |path: &Path| {
            let (name, read) = match path == Path::new("-") {
                true => {
                    let mut text = String::new();
                    let read = io::stdin().lock().read_to_string(&mut text);
                    ("standard input".to_owned(), read.map(|_| text))
                }
                false => (path.display().to_string(), fs::read_to_string(path)),
            };
            let text = read.map_err(|error| unreadable(&name, &error))?;
            Ok::<_, Error>((name, text))
        };
        match (&self.open_api, &self.proto) {
            (Some(path), _) => {
                let (name, text) = read(path)?;
                open_api::routes(&text).map_err(|reason| unreadable(&name, &reason))
            }
            (_, Some(path)) => {
                let (name, text) = read(path)?;
                proto::routes(&name, &text).map_err(|reason| unreadable(&name, &reason))
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The suffix of Services' names, as the control plane has it.
    async fn domain(&self) -> Result<String, Error> {
        if self.ignore_cluster {
            return Ok(Values::default().cluster_domain);
        }
        let client = self.cluster.api_server().await?;
        let namespace = &self.control_plane.namespace;
        let config: Option<ConfigMap> = get(of(&client, namespace), check::CONFIG).await?;
        let text = config.and_then(|config| config.data?.remove("values"));
        let (values, _) = Values::parse(&text.unwrap_or_default())?;
        Ok(values.cluster_domain)
    }
}

fn service(text: &str) -> Result<String, String> {
    match is_dns_label(text) {
        true => Ok(text.to_owned()),
        false => Err("expected lower-case letters, digits and dashes".to_owned()),
    }
}

fn unreadable(name: &str, reason: &impl ToString) -> Error {
    Error::Unreadable {
        name: name.to_owned(),
        reason: reason.to_string(),
    }
}

fn profile(name: &str, namespace: &str, routes: &[Value]) -> Value {
    json!({
        "apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"routes": routes},
    })
}

fn yaml(value: &Value) -> String {
    let text = serde_yaml::to_string(value).unwrap_or_default();
    // JSON is YAML, and no value is beyond it.
    match serde_yaml::from_str::<Value>(&text) {
        Ok(same) if same == *value => text,
        _ => format!("{value:#}\n"),
    }
}

/// A text as a regular expression that matches it alone.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if r"\.+*?()|[]{}^$".contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        profile: Profile,
    }

    #[test]
    fn a_profile_has_one_source() {
        for (line, is_good) in [
            ("web --template", true),
            ("web --open-api a.yaml -n shop", true),
            ("web --proto -", true),
            ("web", false),
            ("web --template --proto a.proto", false),
            ("Web --template", false),
            ("--template", false),
        ] {
            let words = ["profile"].into_iter().chain(line.split_whitespace());
            assert_eq!(Command::try_parse_from(words).is_ok(), is_good, "{line}");
        }
    }

    #[test]
    fn the_template_is_a_profile() {
        let text = template::template("web.shop.svc.cluster.local", "shop");
        let value: Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(value["metadata"]["name"], "web.shop.svc.cluster.local");
        assert_eq!(value["kind"], "ServiceProfile");
        assert!(
            value["spec"]["routes"][0]["condition"].is_object(),
            "{text}"
        );
    }

    #[test]
    fn what_is_printed_says_what_was_made() {
        let condition = json!({"pathRegex": r"/a\.b/[^/]*", "method": "GET"});
        let routes = vec![json!({"name": "GET /a.b/{id}", "condition": condition})];
        let made = profile("a.b.svc.c", "b", &routes);
        assert_eq!(serde_yaml::from_str::<Value>(&yaml(&made)).unwrap(), made);
    }
}
