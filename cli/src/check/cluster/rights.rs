//! What the control plane's ServiceAccounts may do, which is asked for each of them as
//! the API server would decide it: whichever role it comes from.

use super::{
    look::Look,
    read::{ask, resource},
    row::{Answer, Category, Need, ROW, Row, none_of},
};
use ferrule_identity::{ANCHOR_SECRET, ISSUER_SECRET, MANAGED_BY, TRUST_ROOTS};
use futures::future::join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::ResourceExt as _;

const RIGHTS: Row = Row {
    category: Category::Config,
    anchor: Some("l5d-rbac"),
    after: &["l5d-existence-ns"],
    needs: &[
        Need("create", "subjectaccessreviews.authorization.k8s.io"),
        Need("get", "configmaps"),
        Need("get", "secrets"),
    ],
    remedy: "apply the chart again (helm upgrade): a role or a binding has been changed. What \
             each role needs is in docs/operations.md",
    ..ROW
};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "l5d-rbac-destination",
        title: "destination may read what it tells",
        run: |look| {
            Box::pin(async {
                let rights = [DESTINATION, webhook_authority(look).await?].concat();
                granted(look, "linkerd-destination", &rights).await
            })
        },
        ..RIGHTS
    },
    Row {
        id: "l5d-rbac-policy",
        title: "policy may read what it tells, and write statuses",
        run: |look| Box::pin(granted(look, "linkerd-destination", POLICY)),
        ..RIGHTS
    },
    Row {
        id: "l5d-rbac-identity",
        title: "identity may have tokens reviewed, and keep an issuer that is its own",
        run: |look| {
            Box::pin(async {
                let secret = look.issuer().await?.1;
                let is_ours = secret.is_some_and(|secret| {
                    secret
                        .labels()
                        .get(MANAGED_BY.0)
                        .is_some_and(|keeper| keeper == MANAGED_BY.1)
                });
                let kept = if is_ours { KEPT_ISSUER } else { &[] };
                granted(look, "linkerd-identity", &[IDENTITY, kept].concat()).await
            })
        },
        ..RIGHTS
    },
    Row {
        id: "l5d-rbac-proxy-injector",
        title: "proxy-injector may read what it decides by",
        run: |look| {
            Box::pin(async {
                let rights = [INJECTOR, webhook_authority(look).await?].concat();
                granted(look, "linkerd-proxy-injector", &rights).await
            })
        },
        ..RIGHTS
    },
];

/// Verbs on a resource.
#[derive(Clone, Copy)]
struct Right {
    verbs: &'static [&'static str],
    group: &'static str,
    plural: &'static str,
    /// In the control plane's namespace only.
    is_at_home: bool,
    /// One object, if it is not empty.
    name: &'static str,
}

const fn everywhere(
    verbs: &'static [&'static str],
    group: &'static str,
    plural: &'static str,
) -> Right {
    Right {
        verbs,
        group,
        plural,
        is_at_home: false,
        name: "",
    }
}

const fn named(
    verbs: &'static [&'static str],
    group: &'static str,
    plural: &'static str,
    name: &'static str,
) -> Right {
    Right {
        name,
        ..everywhere(verbs, group, plural)
    }
}

const fn at_home(
    verbs: &'static [&'static str],
    group: &'static str,
    plural: &'static str,
    name: &'static str,
) -> Right {
    Right {
        is_at_home: true,
        ..named(verbs, group, plural, name)
    }
}

const READ: &[&str] = &["list", "watch"];
const WORKLOADS: &str = "workload.linkerd.io";
const OWN: &str = "policy.linkerd.io";
const GATEWAY: &str = "gateway.networking.k8s.io";
const LEASES: &str = "coordination.k8s.io";
const WEBHOOKS: &str = "admissionregistration.k8s.io";
const PUBLISH: &[&str] = &["list", "watch", "patch"];

const DESTINATION: &[Right] = &[
    everywhere(READ, "", "services"),
    everywhere(READ, "", "pods"),
    everywhere(READ, "discovery.k8s.io", "endpointslices"),
    everywhere(READ, "", "nodes"),
    everywhere(READ, "", "namespaces"),
    everywhere(READ, "apps", "replicasets"),
    everywhere(READ, "batch", "jobs"),
    everywhere(READ, "linkerd.io", "serviceprofiles"),
    everywhere(READ, WORKLOADS, "externalworkloads"),
];

const POLICY: &[Right] = &[
    everywhere(READ, OWN, "servers"),
    everywhere(READ, OWN, "serverauthorizations"),
    everywhere(READ, OWN, "authorizationpolicies"),
    everywhere(READ, OWN, "meshtlsauthentications"),
    everywhere(READ, OWN, "networkauthentications"),
    everywhere(READ, OWN, "httproutes"),
    everywhere(READ, OWN, "httplocalratelimitpolicies"),
    everywhere(READ, OWN, "egressnetworks"),
    everywhere(READ, GATEWAY, "httproutes"),
    everywhere(READ, GATEWAY, "grpcroutes"),
    everywhere(READ, GATEWAY, "tlsroutes"),
    everywhere(READ, GATEWAY, "tcproutes"),
    everywhere(&["patch"], OWN, "httproutes/status"),
    everywhere(&["patch"], OWN, "httplocalratelimitpolicies/status"),
    everywhere(&["patch"], OWN, "egressnetworks/status"),
    everywhere(&["patch"], GATEWAY, "httproutes/status"),
    everywhere(&["patch"], GATEWAY, "grpcroutes/status"),
    everywhere(&["patch"], GATEWAY, "tlsroutes/status"),
    everywhere(&["patch"], GATEWAY, "tcproutes/status"),
    at_home(&["create"], LEASES, "leases", ""),
    at_home(
        &["get", "patch"],
        LEASES,
        "leases",
        "policy-controller-write",
    ),
];

const IDENTITY: &[Right] = &[everywhere(
    &["create"],
    "authentication.k8s.io",
    "tokenreviews",
)];

/// Of an issuer that Ferrule keeps.
const KEPT_ISSUER: &[Right] = &[
    at_home(&["create"], "", "secrets", ""),
    at_home(&["create"], "", "configmaps", ""),
    at_home(
        &["get", "list", "watch", "update"],
        "",
        "secrets",
        ISSUER_SECRET,
    ),
    at_home(&["get"], "", "secrets", ANCHOR_SECRET),
    at_home(
        &["get", "list", "watch", "update"],
        "",
        "configmaps",
        TRUST_ROOTS,
    ),
    at_home(&["create"], LEASES, "leases", ""),
    at_home(&["get", "patch"], LEASES, "leases", "ferrule-ca"),
];

const INJECTOR: &[Right] = &[
    everywhere(READ, "", "namespaces"),
    everywhere(READ, "apps", "replicasets"),
    everywhere(READ, "batch", "jobs"),
    everywhere(&["create", "patch"], "", "events"),
];

/// Of whoever serves webhooks with certificates that Ferrule makes.
const WEBHOOK_AUTHORITY: &[Right] = &[
    at_home(&["create"], "", "secrets", ""),
    at_home(
        &["get", "list", "watch", "patch"],
        "",
        "secrets",
        "ferrule-webhook-ca",
    ),
    at_home(&["create"], LEASES, "leases", ""),
    at_home(&["get", "patch"], LEASES, "leases", "ferrule-webhook-ca"),
    named(
        PUBLISH,
        WEBHOOKS,
        "mutatingwebhookconfigurations",
        "linkerd-proxy-injector-webhook-config",
    ),
    named(
        PUBLISH,
        WEBHOOKS,
        "validatingwebhookconfigurations",
        "linkerd-sp-validator-webhook-config",
    ),
    named(
        PUBLISH,
        WEBHOOKS,
        "validatingwebhookconfigurations",
        "linkerd-policy-validator-webhook-config",
    ),
];

async fn webhook_authority(look: &Look) -> super::read::Read<&'static [Right]> {
    let is_managed = look.secret("ferrule-webhook-ca").await?.is_some();
    Ok(if is_managed { WEBHOOK_AUTHORITY } else { &[] })
}

async fn granted(look: &Look, account: &str, rights: &[Right]) -> Answer {
    let questions = rights.iter().flat_map(|right| {
        let verbs = right.verbs.iter();
        verbs.map(move |verb| async move {
            let answer = ask(look.everywhere(), &question(look, account, right, verb)).await?;
            let is_allowed = answer.status.is_some_and(|status| status.allowed);
            Ok((!is_allowed).then(|| {
                let what = resource(right.group, right.plural);
                let name = right.name;
                let what = format!("{what} {name}");
                format!(
                    "ServiceAccount {account} may not {verb} {}",
                    what.trim_end()
                )
            }))
        })
    });
    let mut missing = Vec::new();
    for answer in join_all(questions).await {
        let answer: super::read::Read<_> = answer;
        missing.extend(answer?);
    }
    none_of(missing)
}

fn question(look: &Look, account: &str, right: &Right, verb: &str) -> SubjectAccessReview {
    let namespace = look.namespace();
    let (plural, subresource) = match right.plural.split_once('/') {
        Some((plural, subresource)) => (plural, Some(subresource.to_owned())),
        None => (right.plural, None),
    };
    let attributes = ResourceAttributes {
        namespace: right.is_at_home.then(|| namespace.to_owned()),
        name: (!right.name.is_empty()).then(|| right.name.to_owned()),
        verb: Some(verb.to_owned()),
        group: Some(right.group.to_owned()),
        resource: Some(plural.to_owned()),
        subresource,
        ..ResourceAttributes::default()
    };
    let groups = [
        "system:serviceaccounts".to_owned(),
        format!("system:serviceaccounts:{namespace}"),
        "system:authenticated".to_owned(),
    ];
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{namespace}:{account}")),
            groups: Some(groups.into()),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    }
}
