use super::*;
use crate::object::{
    ClientIdentity, Clients, DefaultPolicy, IdentitySource, LabelSelector, Network, PolicyTarget,
    RequiredAuthentications, ServerPort, ServerSelector, WorkloadSelector, route::RouteKind,
};

fn read<T: Watched>(spec: Value) -> (Object, Vec<String>) {
    let converted = convert::<T>(named(json!({"spec": spec})));
    (converted.object, converted.problems)
}

fn server(mut value: Value) -> (object::Server, Vec<String>) {
    value["spec"]["podSelector"] = json!({});
    value["spec"]["port"] = json!(80);
    let converted = convert::<Server>(named(value));
    let Object::Server(server) = converted.object else {
        unreachable!()
    };
    (server, converted.problems)
}

fn saz(spec: Value) -> (object::ServerAuthorization, Vec<String>) {
    match read::<ServerAuthorization>(spec) {
        (Object::ServerAuthorization(read), problems) => (read, problems),
        _ => unreachable!(),
    }
}

fn policy(target: Value, refs: Value) -> (object::AuthorizationPolicy, Vec<String>) {
    let spec = json!({"targetRef": target, "requiredAuthenticationRefs": refs});
    match read::<AuthorizationPolicy>(spec) {
        (Object::AuthorizationPolicy(read), problems) => (read, problems),
        _ => unreachable!(),
    }
}

fn mesh_tls(spec: Value) -> (Vec<ClientIdentity>, Vec<String>) {
    match read::<MeshTlsAuthentication>(spec) {
        (Object::MeshTlsAuthentication(read), problems) => (read.identities.into(), problems),
        _ => unreachable!(),
    }
}

fn networks(list: Value) -> (Vec<Network>, Vec<String>) {
    match read::<NetworkAuthentication>(json!({"networks": list})) {
        (Object::NetworkAuthentication(read), problems) => (read.networks.into(), problems),
        _ => unreachable!(),
    }
}

fn network(cidr: &str, except: &[&str]) -> Network {
    Network {
        cidr: cidr.parse().unwrap(),
        except: except.iter().map(|text| text.parse().unwrap()).collect(),
    }
}

fn key(namespace: &str, name: &str) -> ObjectKey {
    ObjectKey::new(namespace, name)
}

#[test]
fn a_server_is_read_with_its_age_and_labels() {
    let (found, problems) = server(json!({
        "metadata": {"creationTimestamp": "2026-01-31T12:00:00Z", "labels": {"tier": "front"}},
        "spec": {"accessPolicy": "all-authenticated", "proxyProtocol": "HTTP/2"},
    }));
    assert_eq!(problems, [""; 0]);
    assert_eq!(found.created, Some(1_769_860_800));
    assert_eq!(
        found.labels.get("tier").map(|value| &**value),
        Some("front")
    );
    assert_eq!(found.access, DefaultPolicy::AllAuthenticated);
    assert_eq!(found.port, Some(ServerPort::Number(80)));
    assert_eq!(
        found.workloads,
        Some(WorkloadSelector::Pods(LabelSelector::default()))
    );
}

#[test]
fn a_server_that_says_nothing_or_nonsense_of_access_lets_nobody_in() {
    let (found, problems) = server(json!({"metadata": {"creationTimestamp": null}}));
    assert_eq!((found.access, found.created), (DefaultPolicy::Deny, None));
    assert_eq!(problems, [""; 0]);
    let (found, problems) = server(json!({
        "metadata": {"creationTimestamp": "yesterday"}, "spec": {"accessPolicy": "allow"},
    }));
    assert_eq!((found.access, found.created), (DefaultPolicy::Deny, None));
    assert_eq!(problems.len(), 2, "{problems:?}");
}

#[test]
fn a_server_authorization_is_for_a_name_or_labels() {
    for (server, expected) in [
        (
            json!({"name": "web"}),
            Some(ServerSelector::Name("web".into())),
        ),
        (
            json!({"name": "web", "selector": {}}),
            Some(ServerSelector::Name("web".into())),
        ),
        (
            json!({"selector": {}}),
            Some(ServerSelector::Labels(LabelSelector::default())),
        ),
        (json!({}), None),
        (json!({"name": 5, "selector": {}}), None),
        (json!({"selector": {"matchLabels": {"app": 5}}}), None),
    ] {
        let client = json!({"unauthenticated": true});
        let (found, problems) = saz(json!({"server": server, "client": client}));
        assert_eq!(found.servers, expected, "{server}");
        assert_eq!(problems.is_empty(), expected.is_some(), "{problems:?}");
    }
}

#[test]
fn the_clients_of_a_server_authorization() {
    let account = |namespace, name| ClientIdentity::ServiceAccount(key(namespace, name));
    for (client, expected) in [
        (
            json!({"unauthenticated": true, "meshTLS": {"identities": ["a"]}}),
            Some(Clients::Unauthenticated),
        ),
        (
            json!({"meshTLS": {"unauthenticatedTLS": true, "identities": ["a"]}}),
            Some(Clients::UnauthenticatedTls),
        ),
        (
            json!({"unauthenticated": false, "meshTLS": {
                "serviceAccounts": [{"name": "sa"}, {"name": "sa", "namespace": "other"}],
                "identities": ["*", "*.a.b", "x"],
            }}),
            Some(Clients::Identities(
                [
                    ClientIdentity::Below("".into()),
                    ClientIdentity::Below("a.b".into()),
                    ClientIdentity::Exact("x".into()),
                    account("ns", "sa"),
                    account("other", "sa"),
                ]
                .into(),
            )),
        ),
        // What cannot be read is nobody; the rest counts.
        (
            json!({"meshTLS": {"identities": [5, "", "x"], "serviceAccounts": [{"namespace": "other"}, {"name": "a", "namespace": 5}]}}),
            Some(Clients::Identities(
                [ClientIdentity::Exact("x".into())].into(),
            )),
        ),
        (json!({}), None),
        (json!({"meshTLS": {}}), None),
        (json!({"unauthenticated": "true"}), None),
    ] {
        let (found, _) = saz(json!({"server": {"name": "web"}, "client": client}));
        assert_eq!(found.clients, expected, "{client}");
        assert_eq!(found.networks, None, "{client}");
    }
    let (_, problems) = saz(json!({"server": {"name": "web"}, "client": {}}));
    assert!(
        problems[0].starts_with("spec.client: nobody is let in"),
        "{problems:?}"
    );
}

#[test]
fn networks_that_cannot_be_read_are_not_the_same_as_none() {
    for (list, expected) in [
        (json!(null), None),
        (json!([]), None),
        (
            json!([{"cidr": "10.0.0.0/8"}]),
            Some(vec![network("10.0.0.0/8", &[])]),
        ),
        (json!([{"cidr": "10.0.0.0/33"}]), Some(vec![])),
        (json!([null]), Some(vec![])),
        (json!("10.0.0.0/8"), Some(vec![])),
    ] {
        let client = json!({"unauthenticated": true, "networks": list});
        let (found, _) = saz(json!({"server": {"name": "web"}, "client": client}));
        assert_eq!(found.networks.map(Vec::from), expected, "{list}");
    }
}

#[test]
fn a_network_whose_exception_cannot_be_read_is_left_out() {
    let (found, problems) = networks(json!([
        {"cidr": "10.0.0.1/24", "except": ["10.0.0.8/29", "10.0.0.3"]},
        {"cidr": "fd00::/8"},
        {"cidr": "::1"},
        {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.2"]},
        {"cidr": "10.0.0.0/8", "except": "10.1.0.0/16"},
        {"except": []},
    ]));
    assert_eq!(
        found,
        [
            network("10.0.0.1/24", &["10.0.0.8/29", "10.0.0.3/32"]),
            network("fd00::/8", &[]),
            network("::1/128", &[]),
        ]
    );
    assert_eq!(
        problems,
        [
            "spec.networks[].except: \"10.2\" is neither an IP address nor a network such as 10.0.0.0/8",
            "spec.networks[].except: expected a list, found \"10.1.0.0/16\"",
            "spec.networks[].cidr: \"\" is neither an IP address nor a network such as 10.0.0.0/8",
        ]
    );
}

#[test]
fn the_target_of_a_policy_is_told_by_group_and_kind() {
    let route = |kind, name: &str| PolicyTarget::Route {
        kind,
        name: name.into(),
    };
    let linkerd = "policy.linkerd.io";
    let gateway = "gateway.networking.k8s.io";
    for (group, kind, expected) in [
        (
            Some(linkerd),
            "Server",
            Some(PolicyTarget::Server("X".into())),
        ),
        (
            Some("Policy.Linkerd.io"),
            "server",
            Some(PolicyTarget::Server("X".into())),
        ),
        (None, "Namespace", Some(PolicyTarget::Namespace)),
        (Some(""), "namespace", Some(PolicyTarget::Namespace)),
        (Some("core"), "Namespace", Some(PolicyTarget::Namespace)),
        (
            Some(linkerd),
            "HttpRoute",
            Some(route(RouteKind::PolicyHttp, "x")),
        ),
        (
            Some(gateway),
            "HTTPRoute",
            Some(route(RouteKind::Http, "x")),
        ),
        (
            Some(gateway),
            "GRPCRoute",
            Some(route(RouteKind::Grpc, "x")),
        ),
        (Some(linkerd), "GRPCRoute", None),
        (None, "Server", None),
        (Some("apps"), "Deployment", None),
    ] {
        let (found, problems) = policy(
            json!({"group": group, "kind": kind, "name": "X"}),
            json!([]),
        );
        assert_eq!(found.target, expected, "{group:?} {kind}");
        assert_eq!(problems.is_empty(), expected.is_some(), "{problems:?}");
    }
    for target in [
        json!(null),
        json!("web"),
        json!({"kind": "Namespace"}),
        json!({"group": 5, "kind": "Namespace", "name": "ns"}),
    ] {
        let (found, problems) = policy(target.clone(), json!([]));
        assert_eq!(found.target, None, "{target}");
        assert_eq!(problems.len(), 1, "{problems:?}");
    }
}

#[test]
fn a_policy_requires_all_that_it_says_or_lets_nobody_in() {
    let linkerd = "policy.linkerd.io";
    let mesh = json!({"group": linkerd, "kind": "MeshTLSAuthentication", "name": "m", "namespace": "other"});
    let net = json!({"group": linkerd, "kind": "NetworkAuthentication", "name": "n"});
    let account = json!({"kind": "ServiceAccount", "name": "sa"});
    let some = |identity, network| Some(RequiredAuthentications { identity, network });
    let mesh_tls = || Some(IdentitySource::MeshTls(key("other", "m")));
    for (refs, expected) in [
        (json!([]), some(None, None)),
        (json!([mesh]), some(mesh_tls(), None)),
        (json!([net, mesh]), some(mesh_tls(), Some(key("ns", "n")))),
        (
            json!([account]),
            some(Some(IdentitySource::ServiceAccount(key("ns", "sa"))), None),
        ),
        (json!([mesh, account]), None),
        (json!([net, net]), None),
        (json!([mesh, mesh]), None),
        (json!([mesh, null]), None),
        (json!([mesh, {"kind": "User", "name": "x"}]), None),
        (
            json!([{"group": linkerd, "kind": "MeshTLSAuthentication"}]),
            None,
        ),
        (
            json!([{"group": linkerd, "kind": "MeshTLSAuthentication", "name": "m", "namespace": 5}]),
            None,
        ),
        (json!(null), None),
        (json!({}), None),
    ] {
        let (found, problems) = policy(json!({"kind": "Namespace", "name": "ns"}), refs.clone());
        assert_eq!(found.required, expected, "{refs}");
        assert_eq!(
            problems.is_empty(),
            expected.is_some(),
            "{refs} {problems:?}"
        );
    }
}

#[test]
fn identities_of_a_mesh_tls_authentication_come_in_the_order_of_declaration() {
    let (found, problems) = mesh_tls(json!({
        "identities": ["*.ns.x", "spiffe://td/x"],
        "identityRefs": [
            {"kind": "Namespace", "name": "foo"},
            {"kind": "serviceaccount", "name": "sa"},
            {"group": "core", "kind": "ServiceAccount", "name": "sa", "namespace": "other"},
            {"kind": "User", "name": "me"},
            {"kind": "Namespace"},
        ],
    }));
    assert_eq!(
        found,
        [
            ClientIdentity::Below("ns.x".into()),
            ClientIdentity::Exact("spiffe://td/x".into()),
            ClientIdentity::Namespace("foo".into()),
            ClientIdentity::ServiceAccount(key("ns", "sa")),
            ClientIdentity::ServiceAccount(key("other", "sa")),
        ]
    );
    assert_eq!(
        problems,
        [
            "spec.identityRefs[]: \"User\" has no identity; expected ServiceAccount or Namespace",
            "spec.identityRefs[]: no name",
        ]
    );
    for spec in [json!({}), json!(null), json!({"identities": []})] {
        let (found, problems) = mesh_tls(spec);
        assert_eq!((found.len(), problems.len()), (0, 1));
    }
}
