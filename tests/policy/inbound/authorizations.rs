//! Scenarios 41 to 58: who may call.

use crate::{expected as told, objects::*, world::World};
use anyhow::Result;
use ferrule_proto::inbound::{Authz, Server};
use ferrule_tests::scenarios;
use serde_json::{Value, json};

scenarios! {
    s41_42_identities_are_all_or_below_a_domain_or_one,
    s43_44_45_48_accounts_namespaces_and_networks,
    s46_an_authentication_of_another_namespace_comes_and_goes,
    s47_49_a_policy_of_the_namespace_is_for_its_servers_alone,
    s50_51_a_routes_policy_is_with_the_route,
    s52_53_networks_are_told_with_their_exceptions,
    s54_56_57_a_server_authorization_is_about_the_clusters_networks,
    s55_a_server_authorization_follows_the_labels_of_servers,
    s58_all_that_lets_in_is_told_together,
}

/// Port 80 of Server `srv`, HTTP/1, which lets these in.
fn letting_in(authorizations: Vec<Authz>) -> Server {
    let routes = vec![told::default_route()];
    let server = told::by_server("srv", told::http1(routes), authorizations);
    told::Message::in_order(server)
}

fn srv() -> Value {
    server("srv", &json!(80), "HTTP/1")
}

/// Policy `p` of `srv`, which requires this.
fn requiring(required: &Value) -> Value {
    authorization_policy("p", &refers("Server", "srv"), required)
}

async fn s41_42_identities_are_all_or_below_a_domain_or_one(w: World) -> Result<()> {
    w.apply_all([web(), srv(), mesh_tls("m", &["*"])]).await?;
    w.apply(requiring(&json!([refers("MeshTLSAuthentication", "m")])))
        .await?;
    let told = |exact: &[&str], below: &[&str]| {
        let permit = told::identities(exact, below);
        letting_in(vec![told::policy("p", permit, &told::ANY)])
    };
    let mut stream = w.web(80, told(&[], &[""])).await?;
    let below = told::account("ns");
    let pattern = format!("*.{below}");
    w.apply(mesh_tls("m", &[&*pattern, "spiffe://td/x"]))
        .await?;
    stream.tells(told(&["spiffe://td/x"], &[&below])).await
}

async fn s43_44_45_48_accounts_namespaces_and_networks(w: World) -> Result<()> {
    w.apply_all([web(), srv()]).await?;
    let mut stream = w.web(80, letting_in(vec![])).await?;
    let refs = json!([{"kind": "Namespace", "name": "foo"}, account("other", "sa")]);
    let m = with(
        mesh_tls("m", &[]),
        json!({"spec": {"identities": null, "identityRefs": refs}}),
    );
    w.apply(m).await?;
    // 48: nothing is let in while a part is missing.
    let both = json!([
        refers("MeshTLSAuthentication", "m"),
        refers("NetworkAuthentication", "n"),
    ]);
    w.apply(requiring(&both)).await?;
    stream.is_silent().await?;
    w.apply(network("n", &json!([{"cidr": "192.168.0.0/16"}])))
        .await?;
    // 43, 45
    let (all, sa) = (told::account("foo"), told::account("sa.other"));
    let permit = told::identities(&[&sa], &[&all]);
    let told = told::policy("p", permit, &["192.168.0.0/16"]);
    stream.tells(letting_in(vec![told])).await?;
    // 44
    w.apply(requiring(&json!([account("other", "sa")]))).await?;
    let permit = || told::identities(&[&sa], &[]);
    let first = || told::policy("p", permit(), &told::ANY);
    stream.tells(letting_in(vec![first()])).await?;
    // 45: two policies are alternatives.
    let network = json!([refers("NetworkAuthentication", "n")]);
    w.apply(authorization_policy(
        "q",
        &refers("Server", "srv"),
        &network,
    ))
    .await?;
    let second = told::policy("q", told::anyone(), &["192.168.0.0/16"]);
    stream.tells(letting_in(vec![first(), second])).await
}

async fn s46_an_authentication_of_another_namespace_comes_and_goes(w: World) -> Result<()> {
    let other = w.other_namespace().await?;
    let there = json!({"metadata": {"namespace": other}});
    let m = with(mesh_tls("m", &["*.x.y"]), there);
    w.apply_all([web(), srv(), m.clone()]).await?;
    let reference = with(
        refers("MeshTLSAuthentication", "m"),
        json!({"namespace": other}),
    );
    w.apply(requiring(&json!([reference]))).await?;
    let permit = || told::identities(&[], &["x.y"]);
    let told = || letting_in(vec![told::policy("p", permit(), &told::ANY)]);
    let mut stream = w.web(80, told()).await?;
    w.delete(&m).await?;
    stream.tells(letting_in(vec![])).await?;
    w.apply(m).await?;
    stream.tells(told()).await
}

async fn s47_49_a_policy_of_the_namespace_is_for_its_servers_alone(w: World) -> Result<()> {
    w.apply_all([web(), srv()]).await?;
    let mut with_server = w.web(80, letting_in(vec![])).await?;
    let default = told::by_default(super::DEFAULT, &told::CLUSTER);
    let mut without = w.web(81, default).await?;
    let target = json!({"kind": "Namespace", "name": "$ns"});
    let policy = authorization_policy("all", &target, &json!([]));
    w.apply(policy.clone()).await?;
    let told = told::policy("all", told::anyone(), &told::ANY);
    with_server.tells(letting_in(vec![told])).await?;
    w.delete(&policy).await?;
    with_server.tells(letting_in(vec![])).await?;
    without.is_silent().await
}

async fn s50_51_a_routes_policy_is_with_the_route(w: World) -> Result<()> {
    w.apply_all([web(), srv()]).await?;
    w.apply(at_path("r", &on_server("srv"), "/a")).await?;
    let told = |authorizations| {
        let mut route = told::http_route("r", "/a");
        route.authorizations = authorizations;
        told::by_server("srv", told::http1(vec![route]), vec![])
    };
    let mut stream = w.web(80, told(vec![])).await?;
    let gateway = json!({
        "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "r",
    });
    w.apply(authorization_policy("p", &gateway, &json!([])))
        .await?;
    stream.is_silent().await?;
    // Its kind may be spelt in other letters.
    w.apply(authorization_policy(
        "p",
        &refers("HttpRoute", "r"),
        &json!([]),
    ))
    .await?;
    let authorization = told::policy("p", told::anyone(), &told::ANY);
    stream.tells(told(vec![authorization])).await
}

async fn s52_53_networks_are_told_with_their_exceptions(w: World) -> Result<()> {
    w.apply_all([web(), srv()]).await?;
    w.apply(requiring(&json!([refers("NetworkAuthentication", "n")])))
        .await?;
    let mut stream = w.web(80, letting_in(vec![])).await?;
    for (networks, told) in [
        (
            json!([{"cidr": "172.16.0.0/12", "except": ["172.17.0.0/16", "172.18.3.4"]}]),
            &["172.16.0.0/12-172.17.0.0/16-172.18.3.4/32"][..],
        ),
        (
            json!([{"cidr": "fc00::/8"}, {"cidr": "::1"}]),
            &["fc00::/8", "::1/128"],
        ),
    ] {
        w.apply(network("n", &networks)).await?;
        let told = told::policy("p", told::anyone(), told);
        stream.tells(letting_in(vec![told])).await?;
    }
    Ok(())
}

async fn s54_56_57_a_server_authorization_is_about_the_clusters_networks(w: World) -> Result<()> {
    w.apply_all([web(), srv()]).await?;
    let mut stream = w.web(80, letting_in(vec![])).await?;
    // 56: neither says who may call.
    for client in [json!({}), json!({"meshTLS": {}})] {
        w.apply(server_authorization("saz", &client)).await?;
        stream.is_silent().await?;
    }
    let sa = told::account("sa.$ns");
    for (client, permit, networks) in [
        (
            json!({"unauthenticated": true}),
            told::anyone(),
            &told::CLUSTER[..],
        ),
        (
            json!({"meshTLS": {"unauthenticatedTLS": true}}),
            told::any_tls(),
            &told::CLUSTER,
        ),
        (
            json!({
                "meshTLS": {"identities": ["*.a.b"], "serviceAccounts": [{"name": "sa"}]},
                "networks": [{"cidr": "192.168.1.0/24"}],
            }),
            told::identities(&[&w.fill(&sa)], &["a.b"]),
            &["192.168.1.0/24"],
        ),
    ] {
        w.apply(server_authorization("saz", &client)).await?;
        let told = told::authz("serverauthorization", "saz", permit, networks);
        stream.tells(letting_in(vec![told])).await?;
    }
    Ok(())
}

async fn s55_a_server_authorization_follows_the_labels_of_servers(w: World) -> Result<()> {
    w.apply_all([web(), srv()]).await?;
    let mut stream = w.web(80, letting_in(vec![])).await?;
    let selector = json!({"name": null, "selector": {"matchLabels": {"tier": "front"}}});
    let saz = with(
        server_authorization("saz", &json!({"unauthenticated": true})),
        json!({"spec": {"server": selector}}),
    );
    w.apply(saz).await?;
    stream.is_silent().await?;
    w.apply(labelled(srv(), "tier", "front")).await?;
    let told = told::authz("serverauthorization", "saz", told::anyone(), &told::CLUSTER);
    stream.tells(letting_in(vec![told])).await?;
    w.apply(labelled(srv(), "tier", "back")).await?;
    stream.tells(letting_in(vec![])).await
}

async fn s58_all_that_lets_in_is_told_together(w: World) -> Result<()> {
    w.apply_all([
        web(),
        open_server("srv", &json!(80), "HTTP/1", "audit"),
        server_authorization("saz", &json!({"unauthenticated": true})),
        requiring(&json!([])),
    ])
    .await?;
    let mut all = told::access("audit", &told::CLUSTER);
    all.push(told::policy("p", told::anyone(), &told::ANY));
    all.push(told::authz(
        "serverauthorization",
        "saz",
        told::anyone(),
        &told::CLUSTER,
    ));
    w.web(80, letting_in(all)).await.map(drop)
}
