//! What service accounts asked the API server for, against what they may.

use crate::helm::NAMESPACE;
use anyhow::{Context as _, Result};
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, Subject,
};
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use serde_json::Value;
use std::{fmt, path::Path};

/// Has the API server write down what the control plane's accounts ask for.
pub(crate) const POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  userGroups: ['system:serviceaccounts:linkerd']
- level: None
";

/// A request that was made.
#[derive(Debug)]
pub(crate) struct Asked {
    account: String,
    group: String,
    /// With its subresource, after a slash.
    resource: String,
    verb: String,
    namespace: String,
    name: String,
    pub(crate) code: u64,
}

/// One thing that an account may do.
#[derive(Debug)]
pub(crate) struct Grant {
    account: String,
    /// Empty for all.
    namespace: String,
    group: String,
    resource: String,
    verb: String,
    /// Empty for all.
    name: String,
    /// The role that says so.
    role: String,
}

/// All requests in an audit log.
pub(crate) fn requests(log: &Path) -> Result<Vec<Asked>> {
    let text = std::fs::read_to_string(log)?;
    let mut asked = Vec::new();
    for line in text.lines() {
        let event: Value = serde_json::from_str(line)?;
        let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let object = &event["objectRef"];
        let user = of(&event["user"]["username"]);
        let prefix = format!("system:serviceaccount:{NAMESPACE}:");
        let Some(account) = user.strip_prefix(&prefix) else {
            continue;
        };
        // A watch has two lines; the first says that it was let in.
        if object.is_null() || (event["verb"] == "watch" && event["stage"] == "ResponseComplete") {
            continue;
        }
        let mut resource = of(&object["resource"]);
        if let Some(subresource) = object["subresource"].as_str() {
            resource = format!("{resource}/{subresource}");
        }
        asked.push(Asked {
            account: account.to_owned(),
            group: of(&object["apiGroup"]),
            resource,
            verb: of(&event["verb"]),
            namespace: of(&object["namespace"]),
            name: of(&object["name"]),
            code: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
        });
    }
    Ok(asked)
}

/// All that the control plane's accounts may do by roles that are bound to them.
pub(crate) async fn grants(client: &Client) -> Result<Vec<Grant>> {
    let mut grants = Vec::new();
    let params = ListParams::default();
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    let roles: Api<ClusterRole> = Api::all(client.clone());
    for binding in bindings.list(&params).await? {
        for account in accounts(binding.subjects.as_deref()) {
            let role = roles.get(&binding.role_ref.name).await?;
            let name = format!("ClusterRole {}", role.name_any());
            expand(&mut grants, &account, "", &name, role.rules);
        }
    }
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), NAMESPACE);
    let roles: Api<Role> = Api::namespaced(client.clone(), NAMESPACE);
    for binding in bindings.list(&params).await? {
        for account in accounts(binding.subjects.as_deref()) {
            let role = roles.get(&binding.role_ref.name).await;
            let role = role.context("a Role of the chart")?;
            let name = format!("Role {}", role.name_any());
            expand(&mut grants, &account, NAMESPACE, &name, role.rules);
        }
    }
    Ok(grants)
}

fn accounts(subjects: Option<&[Subject]>) -> Vec<String> {
    let subjects = subjects.unwrap_or_default().iter();
    let ours = subjects.filter(|subject| {
        subject.kind == "ServiceAccount" && subject.namespace.as_deref() == Some(NAMESPACE)
    });
    ours.map(|subject| subject.name.clone()).collect()
}

fn expand(
    grants: &mut Vec<Grant>,
    account: &str,
    namespace: &str,
    role: &str,
    rules: Option<Vec<PolicyRule>>,
) {
    for rule in rules.unwrap_or_default() {
        let names = rule.resource_names.unwrap_or_default();
        let names = if names.is_empty() {
            vec![String::new()]
        } else {
            names
        };
        for group in rule.api_groups.unwrap_or_default() {
            for resource in rule.resources.iter().flatten() {
                for name in &names {
                    for verb in &rule.verbs {
                        grants.push(Grant {
                            account: account.to_owned(),
                            namespace: namespace.to_owned(),
                            group: group.clone(),
                            resource: resource.clone(),
                            verb: verb.clone(),
                            name: name.clone(),
                            role: role.to_owned(),
                        });
                    }
                }
            }
        }
    }
}

impl Grant {
    /// How many of the requests it was for.
    pub(crate) fn used(&self, asked: &[Asked]) -> usize {
        let uses = asked.iter().filter(|asked| {
            asked.account == self.account
                && asked.group == self.group
                && asked.resource == self.resource
                && asked.verb == self.verb
                && (self.name.is_empty() || asked.name == self.name)
                && (self.namespace.is_empty() || asked.namespace == self.namespace)
        });
        uses.count()
    }
}

/// All grants with how often each was used, a line for the verbs of one resource.
pub(crate) fn table(grants: &[Grant], asked: &[Asked]) -> String {
    let mut table =
        String::from("| account | role | resource | verb: requests |\n|---|---|---|---|\n");
    let mut last = String::new();
    for grant in grants {
        let subject = grant.subject();
        let verb = format!("{}: {}", grant.verb, grant.used(asked));
        if subject == last {
            table.truncate(table.len() - " |\n".len());
            table.push_str(&format!(", {verb} |\n"));
        } else {
            table.push_str(&format!("{subject}{verb} |\n"));
            last = subject;
        }
    }
    table
}

impl Grant {
    fn subject(&self) -> String {
        let Self {
            account,
            role,
            group,
            resource,
            name,
            ..
        } = self;
        let dot = if group.is_empty() { "" } else { "." };
        let name = if name.is_empty() {
            String::new()
        } else {
            format!(" {name}")
        };
        format!("| {account} | {role} | {resource}{dot}{group}{name} | ")
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{} |", self.subject(), self.verb)
    }
}
