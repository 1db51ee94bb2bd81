//! What the control plane's ServiceAccounts may do, which is asked for each of them as
//! the API server would decide it: whichever role it comes from. It is what the chart
//! grants, with its options; a test compares the two.

use super::{
    look::Look,
    read::{Read, ask, resource},
    row::{Answer, Category, Need, ROW, Row, none_of},
    settings::Settings,
};
use ferrule_identity::{ANCHOR_SECRET, ISSUER_SECRET, RESTARTS_LEASE, TRUST_ROOTS};
use futures::future::join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use std::{borrow::Cow, collections::BTreeSet};

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
        title: "destination may read what it tells, and restart workloads if it is to",
        run: |look| Box::pin(granted(look, Part::Destination)),
        ..RIGHTS
    },
    Row {
        id: "l5d-rbac-policy",
        title: "policy may read what it tells, and write statuses",
        run: |look| Box::pin(granted(look, Part::Policy)),
        ..RIGHTS
    },
    Row {
        id: "l5d-rbac-identity",
        title: "identity may find out whose a token is, and keep an issuer that is its own",
        run: |look| Box::pin(granted(look, Part::Identity)),
        ..RIGHTS
    },
    Row {
        id: "l5d-rbac-proxy-injector",
        title: "proxy-injector may read what it decides by",
        run: |look| Box::pin(granted(look, Part::Injector)),
        ..RIGHTS
    },
];

/// Who needs rights.
#[derive(Clone, Copy)]
enum Part {
    Destination,
    Policy,
    Identity,
    Injector,
}

impl Part {
    const ALL: [Self; 4] = [
        Self::Destination,
        Self::Policy,
        Self::Identity,
        Self::Injector,
    ];

    fn account(self) -> &'static str {
        match self {
            // They are one process.
            Self::Destination | Self::Policy => "linkerd-destination",
            Self::Identity => "linkerd-identity",
            Self::Injector => "linkerd-proxy-injector",
        }
    }
}

/// What is switched on that needs rights of its own.
struct Options {
    /// Ferrule makes the webhooks' certificates.
    webhooks: bool,
    /// It makes the trust anchor and the issuer.
    issuer: bool,
    /// It looks at tokens itself.
    local_tokens: bool,
    events: Events,
    /// It restarts workloads; the ConfigMap of the trust anchors.
    restarts: Option<String>,
}

/// Of what identity writes Events.
enum Events {
    None,
    /// Of what happens in the control plane's namespace.
    Here,
    Everywhere,
}

impl Options {
    fn of(settings: &Settings) -> Self {
        let restarts = settings.flag("identity.trustAnchorRotation.restartWorkloads");
        let trust_roots = &settings.credentials.trust_roots;
        Self {
            webhooks: settings.webhooks_are_managed(),
            issuer: settings.issuer_is_managed(),
            local_tokens: settings.text("identity.tokenReview") == Some("local"),
            events: match settings.text("identity.eventPolicy") {
                Some("none") => Events::None,
                Some("all") => Events::Everywhere,
                _ => Events::Here,
            },
            restarts: restarts.then(|| trust_roots.clone()),
        }
    }

    /// As the chart's values say; without any, as what is there shows.
    async fn read(look: &Look) -> Read<Self> {
        let settings = look.settings().await?;
        if let Some(settings) = settings.filter(|settings| settings.are_read()) {
            return Ok(Self::of(settings));
        }
        Ok(Self {
            webhooks: look.secret("ferrule-webhook-ca").await?.is_some(),
            issuer: super::identity::ours(look).await?,
            local_tokens: false,
            events: Events::None,
            restarts: None,
        })
    }
}

/// Verbs on a resource.
#[derive(Clone)]
struct Right {
    verbs: &'static [&'static str],
    group: &'static str,
    plural: &'static str,
    /// In the control plane's namespace only.
    is_at_home: bool,
    /// One object, if it is not empty.
    name: Cow<'static, str>,
}

const fn everywhere(
    verbs: &'static [&'static str],
    group: &'static str,
    plural: &'static str,
) -> Right {
    named(verbs, group, plural, "")
}

const fn named(
    verbs: &'static [&'static str],
    group: &'static str,
    plural: &'static str,
    name: &'static str,
) -> Right {
    Right {
        verbs,
        group,
        plural,
        is_at_home: false,
        name: Cow::Borrowed(name),
    }
}

const fn at_home(
    verbs: &'static [&'static str],
    group: &'static str,
    plural: &'static str,
    name: &'static str,
) -> Right {
    Right {
        verbs,
        group,
        plural,
        is_at_home: true,
        name: Cow::Borrowed(name),
    }
}

const READ: &[&str] = &["list", "watch"];
const LOOK_UP: &[&str] = &["get", "list", "watch"];
const WORKLOADS: &str = "workload.linkerd.io";
const OWN: &str = "policy.linkerd.io";
const GATEWAY: &str = "gateway.networking.k8s.io";
const LEASES: &str = "coordination.k8s.io";
const WEBHOOKS: &str = "admissionregistration.k8s.io";
const PUBLISH: &[&str] = &["list", "watch", "patch"];
const HOLD: &[&str] = &["get", "patch"];
const RESTART: &[&str] = &["get", "list", "patch"];

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

/// Of who restarts workloads, but for the ConfigMap.
const RESTARTS: &[Right] = &[
    everywhere(RESTART, "apps", "deployments"),
    everywhere(RESTART, "apps", "statefulsets"),
    everywhere(RESTART, "apps", "daemonsets"),
    everywhere(&["list"], "policy", "poddisruptionbudgets"),
    everywhere(&["create"], "", "events"),
    at_home(HOLD, LEASES, "leases", RESTARTS_LEASE),
];

const POLICY: &[Right] = &[
    everywhere(READ, OWN, "servers"),
    everywhere(READ, OWN, "serverauthorizations"),
    everywhere(READ, OWN, "authorizationpolicies"),
    everywhere(READ, OWN, "meshtlsauthentications"),
    everywhere(READ, OWN, "networkauthentications"),
    everywhere(LOOK_UP, OWN, "httproutes"),
    everywhere(LOOK_UP, OWN, "httplocalratelimitpolicies"),
    everywhere(LOOK_UP, OWN, "egressnetworks"),
    everywhere(LOOK_UP, GATEWAY, "httproutes"),
    everywhere(LOOK_UP, GATEWAY, "grpcroutes"),
    everywhere(LOOK_UP, GATEWAY, "tlsroutes"),
    everywhere(LOOK_UP, GATEWAY, "tcproutes"),
    everywhere(&["patch"], OWN, "httproutes/status"),
    everywhere(&["patch"], OWN, "httplocalratelimitpolicies/status"),
    everywhere(&["patch"], OWN, "egressnetworks/status"),
    everywhere(&["patch"], GATEWAY, "httproutes/status"),
    everywhere(&["patch"], GATEWAY, "grpcroutes/status"),
    everywhere(&["patch"], GATEWAY, "tlsroutes/status"),
    everywhere(&["patch"], GATEWAY, "tcproutes/status"),
    at_home(&["create"], LEASES, "leases", ""),
    at_home(HOLD, LEASES, "leases", "policy-controller-write"),
    // Leases belong to it.
    at_home(&["get"], "apps", "deployments", "linkerd-destination"),
];

const IDENTITY: &[Right] = &[
    everywhere(&["create"], "authentication.k8s.io", "tokenreviews"),
    at_home(&["get"], "apps", "deployments", "linkerd-identity"),
];

const LOCAL_TOKENS: &[Right] = &[
    everywhere(READ, "", "pods"),
    everywhere(READ, "", "serviceaccounts"),
];
/// Those are counted that do not trust an anchor.
const COUNT: &[Right] = &[everywhere(&["list"], "", "pods")];

const EVENTS: &[Right] = &[everywhere(&["create"], "", "events")];
const EVENTS_HERE: &[Right] = &[at_home(&["create"], "", "events", "")];

/// Of an issuer that Ferrule keeps.
const KEPT_ISSUER: &[Right] = &[
    everywhere(&["list"], WORKLOADS, "externalworkloads"),
    at_home(&["create"], "", "secrets", ""),
    at_home(&["create"], "", "configmaps", ""),
    at_home(
        &["get", "list", "watch", "update"],
        "",
        "secrets",
        ISSUER_SECRET,
    ),
    at_home(&["get", "update"], "", "secrets", ANCHOR_SECRET),
    at_home(
        &["get", "list", "watch", "update"],
        "",
        "configmaps",
        TRUST_ROOTS,
    ),
    at_home(&["create"], LEASES, "leases", ""),
    at_home(HOLD, LEASES, "leases", "ferrule-ca"),
];

const INJECTOR: &[Right] = &[
    everywhere(LOOK_UP, "", "namespaces"),
    everywhere(LOOK_UP, "apps", "replicasets"),
    everywhere(LOOK_UP, "batch", "jobs"),
    everywhere(&["create", "patch"], "", "events"),
];

/// Of the injector alone, where Ferrule makes the certificates of webhooks: the Deployment
/// that the Lease belongs to, and what is handed over to Linkerd.
const INJECTORS_WEBHOOK: &[Right] = &[
    at_home(&["get"], "apps", "deployments", "linkerd-proxy-injector"),
    at_home(READ, "", "secrets", "linkerd-proxy-injector-k8s-tls"),
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
    at_home(HOLD, LEASES, "leases", "ferrule-webhook-ca"),
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

fn rights(part: Part, options: &Options) -> Vec<Right> {
    let Options {
        webhooks, issuer, ..
    } = *options;
    let on = |is_on: bool, rights: &'static [Right]| if is_on { rights } else { &[] };
    match part {
        Part::Destination => {
            let restarts = options.restarts.as_ref();
            let bundle = restarts.map(|name| Right {
                name: Cow::Owned(name.clone()),
                ..at_home(LOOK_UP, "", "configmaps", "")
            });
            let restarts = on(restarts.is_some(), RESTARTS);
            let mut rights = [DESTINATION, on(webhooks, WEBHOOK_AUTHORITY), restarts].concat();
            rights.extend(bundle);
            rights
        }
        Part::Policy => POLICY.to_vec(),
        Part::Identity => {
            let tokens = match options.local_tokens {
                true => LOCAL_TOKENS,
                false => COUNT,
            };
            let events = match options.events {
                Events::None => &[],
                Events::Here => EVENTS_HERE,
                Events::Everywhere => EVENTS,
            };
            [IDENTITY, tokens, events, on(issuer, KEPT_ISSUER)].concat()
        }
        Part::Injector => [
            INJECTOR,
            on(webhooks, INJECTORS_WEBHOOK),
            on(webhooks, WEBHOOK_AUTHORITY),
        ]
        .concat(),
    }
}

/// What `ferrule check` asks of the rights of an installation with these values of the chart
/// (YAML), a line each: account, verb, resource and a name, if it is one object;
/// `here` for those in the control plane's namespace alone.
pub fn looked_at(values: &str) -> BTreeSet<String> {
    let options = Options::of(&Settings::read(Some(values.to_owned())));
    let mut lines = BTreeSet::new();
    for part in Part::ALL {
        for right in rights(part, &options) {
            let what = resource(right.group, right.plural);
            let place = if right.is_at_home { " here" } else { "" };
            let name = match &*right.name {
                "" => String::new(),
                name => format!(" {name}"),
            };
            let line = |verb| format!("{} {verb} {what}{name}{place}", part.account());
            lines.extend(right.verbs.iter().map(line));
        }
    }
    lines
}

async fn granted(look: &Look, part: Part) -> Answer {
    let (account, rights) = (part.account(), rights(part, &Options::read(look).await?));
    let questions = rights.iter().flat_map(|right| {
        let verbs = right.verbs.iter();
        verbs.map(move |verb| async move {
            let answer = ask(look.everywhere(), &question(look, account, right, verb)).await?;
            let is_allowed = answer.status.is_some_and(|status| status.allowed);
            Ok((!is_allowed).then(|| {
                let what = resource(right.group, right.plural);
                let name = &right.name;
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
        let answer: Read<_> = answer;
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
        name: (!right.name.is_empty()).then(|| right.name.to_string()),
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
