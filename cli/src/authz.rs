//! `ferrule authz`: which objects let requests to a workload in.

use crate::{
    Error,
    cluster::{ClusterFlags, failed},
    output::{self, Format},
    subject::{Subject, SubjectName},
};
use clap::Args;
use ferrule_cluster::{
    object::{
        AuthorizationPolicy, DefaultPolicy, Kind, Labels, Object, PolicyTarget, Server,
        ServerAuthorization, ServerSelector, WorkloadSelector,
        route::{ParentKind, Route, RouteKind},
    },
    source::kubernetes,
};
use kube::Client;
use serde::Serialize;
use serde_json::Value;

const EXAMPLES: &str = "\
`*` stands for all requests to a Server. A Server without authorizations has a line of
its own, since it lets in nobody but whom its accessPolicy names.

Examples:
  ferrule authz deploy/web -n shop
  ferrule authz web-5d4c-x2v8q -n shop -o json

What a proxy makes of it, port by port: ferrule diagnostics policy pod/NAME.NAMESPACE PORT";

const COLUMNS: &[&str] = &[
    "ROUTE",
    "SERVER",
    "AUTHORIZATION_POLICY",
    "SERVER_AUTHORIZATION",
];
const ROUTES: [RouteKind; 5] = [
    RouteKind::PolicyHttp,
    RouteKind::Http,
    RouteKind::Grpc,
    RouteKind::Tls,
    RouteKind::Tcp,
];
/// What decides where no Server does.
const DEFAULT: &str = "config.linkerd.io/default-inbound-policy";

/// Lists what lets requests to a workload in: a line for each Server that selects its pods,
/// or route of such, and each authorization that is for it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Authz {
    /// A pod, or KIND/NAME of a workload
    #[arg(value_name = "[KIND/]NAME")]
    subject: SubjectName,

    /// Its namespace
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    namespace: String,

    /// How to print the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,

    #[command(flatten)]
    cluster: ClusterFlags,
}

/// An authorization of something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    server: String,
    /// Kind and name; `None` for all requests to the Server.
    route: Option<String>,
    authorization_policy: Option<String>,
    server_authorization: Option<String>,
}

/// All objects of a namespace that may have a say.
#[derive(Debug, Default)]
struct Objects {
    servers: Vec<(String, Server)>,
    policies: Vec<(String, AuthorizationPolicy)>,
    authorizations: Vec<(String, ServerAuthorization)>,
    routes: Vec<(RouteKind, String, Route)>,
}

impl Authz {
    /// Prints the table to standard output; what decides otherwise to standard error.
    ///
    /// # Errors
    /// If the workload is not there, or something cannot be read.
    pub async fn run(self) -> Result<(), Error> {
        let client = self.cluster.api_server().await?;
        let subject = Subject::read(&client, &self.subject, &self.namespace).await?;
        let objects = Objects::read(&client, &self.namespace).await?;
        let labels = labels(&subject.pod["metadata"]["labels"]);
        let servers: Vec<_> = objects.selecting(&labels).collect();
        let rows = objects.rows(&servers);
        for (name, server) in &servers {
            if server.access != DefaultPolicy::Deny {
                let access = server.access;
                output::note(&format!(
                    "note: Server {name} lets in {access} besides (accessPolicy)"
                ));
            }
        }
        if servers.is_empty() {
            let title = &subject.title;
            let own = subject.pod["metadata"]["annotations"][DEFAULT].as_str();
            let own = own.map_or(String::new(), |own| format!(" ({own})"));
            output::note(&format!(
                "no Server selects the pods of {title}: {DEFAULT} decides{own}, of the pod, its \
                 namespace, or the control plane's default"
            ));
        }
        let printed = match self.output {
            Format::Json => output::print_json(&rows),
            Format::Table if rows.is_empty() => Ok(()),
            Format::Table => {
                let cells = |row: &Row| {
                    let or = |text: &Option<String>, other: &str| {
                        text.clone().unwrap_or_else(|| other.to_owned())
                    };
                    [
                        or(&row.route, "*"),
                        row.server.clone(),
                        or(&row.authorization_policy, "-"),
                        or(&row.server_authorization, "-"),
                    ]
                };
                output::print(&output::table(Some(COLUMNS), rows.iter().map(cells)))
            }
        };
        output::seen_enough(printed.map_err(Error::from))
    }
}

impl Objects {
    async fn read(client: &Client, namespace: &str) -> Result<Self, Error> {
        let kinds = [
            Kind::Server,
            Kind::AuthorizationPolicy,
            Kind::ServerAuthorization,
        ];
        let kinds = kinds.into_iter().chain(ROUTES.map(RouteKind::kind));
        let mut objects = Self::default();
        for kind in kinds {
            let listed = kubernetes::list(client, kind).await;
            let listed =
                listed.map_err(failed(format!("list {}.{}", kind.plural(), kind.group())))?;
            for found in listed.into_iter().flatten() {
                if &*found.key.namespace == namespace {
                    objects.take(found.key.name.to_string(), found.object);
                }
            }
        }
        Ok(objects)
    }

    fn take(&mut self, name: String, object: Object) {
        match object {
            Object::Server(server) => self.servers.push((name, server)),
            Object::AuthorizationPolicy(policy) => self.policies.push((name, policy)),
            Object::ServerAuthorization(one) => self.authorizations.push((name, one)),
            Object::Route(kind, route) => self.routes.push((kind, name, route)),
            _ => {}
        }
    }

    /// Servers that are about pods with these labels.
    fn selecting<'a>(&'a self, pod: &'a Labels) -> impl Iterator<Item = (&'a str, &'a Server)> {
        let servers = self.servers.iter().filter(|(_, server)| {
            matches!(&server.workloads, Some(WorkloadSelector::Pods(selector)) if selector.matches(pod))
        });
        servers.map(|(name, server)| (&**name, server))
    }

    fn rows(&self, servers: &[(&str, &Server)]) -> Vec<Row> {
        let mut rows = Vec::new();
        for (name, server) in servers {
            let before = rows.len();
            let row = Row {
                server: (*name).to_owned(),
                route: None,
                authorization_policy: None,
                server_authorization: None,
            };
            for (policy, of) in &self.policies {
                let route = match &of.target {
                    Some(PolicyTarget::Namespace) => None,
                    Some(PolicyTarget::Server(server)) if &**server == *name => None,
                    Some(PolicyTarget::Route { kind, name: route })
                        if self.is_of(*kind, route, name) =>
                    {
                        Some(format!("{}/{route}", kind.kind().as_str()))
                    }
                    _ => continue,
                };
                rows.push(Row {
                    route,
                    authorization_policy: Some(policy.clone()),
                    ..row.clone()
                });
            }
            for (authorization, of) in &self.authorizations {
                let is_for_it = match &of.servers {
                    Some(ServerSelector::Name(server)) => &**server == *name,
                    Some(ServerSelector::Labels(selector)) => selector.matches(&server.labels),
                    None => false,
                };
                if is_for_it {
                    rows.push(Row {
                        server_authorization: Some(authorization.clone()),
                        ..row.clone()
                    });
                }
            }
            if rows.len() == before {
                rows.push(row);
            }
        }
        rows.sort();
        rows
    }

    /// Whether a route is attached to a Server.
    fn is_of(&self, kind: RouteKind, name: &str, server: &str) -> bool {
        let mut routes = self.routes.iter();
        let found = routes.find(|(of, route, _)| *of == kind && route == name);
        found.is_some_and(|(_, _, route)| {
            let mut parents = route.parents.iter();
            parents.any(|parent| {
                parent.key.kind == ParentKind::Server && &*parent.key.key.name == server
            })
        })
    }
}

fn labels(value: &Value) -> Labels {
    let pairs = value.as_object().into_iter().flatten();
    Labels::new(
        pairs.filter_map(|(key, value)| Some((key.as_str().into(), value.as_str()?.into()))),
    )
}
