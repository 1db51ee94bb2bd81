//! Section 20.7: profiles of Services.

use super::{WEB, expected::opaque, objects::*, scenarios, world::World};
use anyhow::{Context as _, Result};
use ferrule_proto::{
    destination::{
        DestinationProfile, HttpStatusRange, PathMatch, RequestMatch, ResponseClass, ResponseMatch,
        Route, WeightedDst, request_match, response_match,
    },
    http_types::{HttpMethod, http_method},
};
use serde_json::json;
use tonic::Code;

scenarios! {
    s86_87_a_service_by_name_and_by_each_of_its_cluster_ips,
    s88_a_port_that_is_not_declared_has_an_empty_profile,
    s89_90_what_has_no_profile_is_refused,
    s92_93_the_clients_profile_comes_before_the_services,
    s94_a_profile_that_comes_is_told_and_one_that_reads_the_same_is_not,
    s95_96_a_services_opaque_ports,
    s97_98_104_nothing_but_the_service_makes_its_profile_opaque,
    s99_100_routes_and_response_classes_are_told_field_by_field,
    s101_overrides_have_weights_and_the_port_that_was_asked_for,
    s99_100_102_what_cannot_be_told_leaves_the_previous_profile,
    s103_a_service_that_goes_leaves_its_stream_open,
}

async fn s86_87_a_service_by_name_and_by_each_of_its_cluster_ips(w: World) -> Result<()> {
    let dual = json!({"spec": {"ipFamilyPolicy": "RequireDualStack"}});
    let applied = w.apply(with(service("web"), dual)).await?;
    w.profile(WEB, w.def()).await?.is_silent().await?;
    let ips = applied.data["spec"]["clusterIPs"].as_array();
    let ips = ips.context("cluster IPs")?;
    assert_eq!(ips.len(), 2, "{ips:?}");
    for ip in ips {
        let ip: std::net::IpAddr = ip.as_str().context("an IP")?.parse()?;
        let path = std::net::SocketAddr::new(ip, 80).to_string();
        w.profile(&path, w.def()).await?;
    }
    Ok(())
}

/// Ruling 1: and once it is declared, it is told.
async fn s88_a_port_that_is_not_declared_has_an_empty_profile(w: World) -> Result<()> {
    w.apply(service("web")).await?;
    let path = "web.$ns.svc.cluster.local:81";
    let mut stream = w.profile(path, DestinationProfile::default()).await?;
    let two = json!([{"name": "a", "port": 80}, {"name": "b", "port": 81}]);
    w.apply(ports("web", &two)).await?;
    stream.tells(w.def_of("web", 81)).await
}

async fn s89_90_what_has_no_profile_is_refused(w: World) -> Result<()> {
    w.apply(external_name()).await?;
    for (path, code, words) in [
        (
            "nope.$ns.svc.cluster.local:80",
            Code::Unknown,
            "service \"nope\" not found",
        ),
        (
            "nope.$ns:80",
            Code::InvalidArgument,
            "invalid service \"nope.$ns\": ",
        ),
        (
            "nope:http",
            Code::InvalidArgument,
            "invalid authority: \"nope:http\": ",
        ),
        (
            "ext.$ns.svc.cluster.local:80",
            Code::InvalidArgument,
            "Invalid authority: ext.$ns.svc.cluster.local:80",
        ),
    ] {
        w.profile_refused(path, code, words).await?;
    }
    let empty = DestinationProfile::default();
    w.profile("ext.$ns.svc.cluster.local:9", empty)
        .await
        .map(drop)
}

async fn s92_93_the_clients_profile_comes_before_the_services(w: World) -> Result<()> {
    let clients = w.other_namespace().await?;
    let token = format!(r#"{{"ns":"{clients}"}}"#);
    let ours = w.namespace();
    w.apply_all([service("web"), routed("ours")]).await?;
    let mut stream = w.profile_as(&token, WEB, w.routed(ours, "ours")).await?;
    let theirs = with(
        routed("theirs"),
        json!({"metadata": {"namespace": clients}}),
    );
    w.apply(theirs.clone()).await?;
    stream.tells(w.routed(&clients, "theirs")).await?;
    w.apply(routed("edited")).await?;
    stream.is_silent().await?;
    w.delete(&theirs).await?;
    stream.tells(w.routed(ours, "edited")).await?;
    w.delete(&routed("edited")).await?;
    stream.tells(w.def()).await
}

async fn s94_a_profile_that_comes_is_told_and_one_that_reads_the_same_is_not(
    w: World,
) -> Result<()> {
    w.apply(service("web")).await?;
    let mut stream = w.profile(WEB, w.def()).await?;
    w.apply(routed("one")).await?;
    stream.tells(w.routed(w.namespace(), "one")).await?;
    w.apply(labelled(routed("one"), "any", "thing")).await?;
    stream.is_silent().await
}

async fn s95_96_a_services_opaque_ports(w: World) -> Result<()> {
    let annotated = annotated(service("web"), OPAQUE_PORTS, "80");
    w.apply_all([annotated.clone(), routed("one")]).await?;
    let with_profile = || w.routed(w.namespace(), "one");
    // Whoever leaves and returns is told the same.
    w.profile(WEB, opaque(with_profile())).await?;
    let mut stream = w.profile(WEB, opaque(with_profile())).await?;
    w.delete(&routed("one")).await?;
    stream.tells(opaque(w.def())).await?;
    w.apply(service("web")).await?;
    stream.tells(w.def()).await?;

    let mysql = ports("db", &json!([{"port": 3306}]));
    let path = "db.$ns.svc.cluster.local:3306";
    w.apply(mysql.clone()).await?;
    let def = || w.def_of("db", 3306);
    let mut stream = w.profile(path, opaque(def())).await?;
    w.apply(super::objects::annotated(mysql, OPAQUE_PORTS, ""))
        .await?;
    stream.tells(def()).await
}

async fn s97_98_104_nothing_but_the_service_makes_its_profile_opaque(w: World) -> Result<()> {
    w.apply_all(web(&["a"])).await?;
    let mut stream = w.profile(WEB, w.def()).await?;
    let pod = labelled(meshed("a", 1), "app", "web");
    w.apply(annotated(pod, OPAQUE_PORTS, "80,8080")).await?;
    w.apply(server("web", &json!(8080), "opaque")).await?;
    // They have been seen.
    let endpoint = w.w("a", "10.0.0.1:8080").opaque().transport(4143);
    w.get(WEB, w.add([endpoint])).await?;
    stream.is_silent().await?;
    w.apply(service_profile(
        &json!({"routes": [], "opaquePorts": ["80"]}),
    ))
    .await?;
    stream.tells(w.profiled(w.namespace())).await
}

fn request(kind: request_match::Match) -> RequestMatch {
    RequestMatch {
        r#match: Some(kind),
    }
}

fn response(kind: response_match::Match) -> ResponseMatch {
    ResponseMatch {
        r#match: Some(kind),
    }
}

async fn s99_100_routes_and_response_classes_are_told_field_by_field(w: World) -> Result<()> {
    let route = |name: &str, timeout: &str| {
        json!({
            "name": name, "timeout": timeout, "isRetryable": true,
            "condition": {"method": "GET", "pathRegex": "/p"},
            "responseClasses": [{
                "condition": {
                    "status": {"min": 400, "max": 499}, "not": {"status": {"min": 404}},
                },
                "isFailure": true,
            }],
        })
    };
    let routes = [route("timed", "200ms"), route("untimed", "soon")];
    w.apply_all([service("web"), service_profile(&json!({"routes": routes}))])
        .await?;
    let get = HttpMethod {
        r#type: Some(http_method::Type::Registered(0)),
    };
    let path = PathMatch { regex: "/p".into() };
    let both = request_match::Seq {
        matches: vec![
            request(request_match::Match::Method(get)),
            request(request_match::Match::Path(path)),
        ],
    };
    let status = |min, max| response(response_match::Match::Status(HttpStatusRange { min, max }));
    let not = response_match::Match::Not(Box::new(status(404, 0)));
    let class = response_match::Seq {
        matches: vec![status(400, 499), response(not)],
    };
    let told = |name: &str, timeout| Route {
        condition: Some(request(request_match::Match::All(both.clone()))),
        response_classes: vec![ResponseClass {
            condition: Some(response(response_match::Match::All(class.clone()))),
            is_failure: true,
        }],
        metrics_labels: super::expected::labels(&[("route", name)]),
        is_retryable: true,
        timeout,
    };
    let fifth = prost_types::Duration {
        seconds: 0,
        nanos: 200_000_000,
    };
    let profile = DestinationProfile {
        routes: vec![told("timed", Some(fifth)), told("untimed", None)],
        ..w.profiled(w.namespace())
    };
    w.profile(WEB, profile).await.map(drop)
}

async fn s101_overrides_have_weights_and_the_port_that_was_asked_for(w: World) -> Result<()> {
    let overrides = json!([
        {"authority": "a.ns.svc.cluster.local", "weight": "500m"},
        {"authority": "b.ns.svc.cluster.local:9000", "weight": 1},
    ]);
    w.apply_all([
        service("web"),
        service_profile(&json!({"routes": [], "dstOverrides": overrides})),
    ])
    .await?;
    let to = |authority: &str, weight| WeightedDst {
        authority: authority.into(),
        weight,
        backend_ref: None,
    };
    let profile = DestinationProfile {
        dst_overrides: vec![
            to("a.ns.svc.cluster.local:80", 5_000),
            to("b.ns.svc.cluster.local:9000", 10_000),
        ],
        ..w.profiled(w.namespace())
    };
    w.profile(WEB, profile).await.map(drop)
}

/// An empty condition (99), a range that ends before it begins (100): the CRD's
/// rules look at the outermost only.
async fn s99_100_102_what_cannot_be_told_leaves_the_previous_profile(w: World) -> Result<()> {
    w.apply_all([service("web"), routed("good")]).await?;
    let good = || w.routed(w.namespace(), "good");
    let mut stream = w.profile(WEB, good()).await?;
    let backwards = json!({"condition": {"all": [{"status": {"min": 201, "max": 200}}]}});
    for broken in [
        json!({"routes": [{"name": "broken", "condition": {"all": [{}]}}]}),
        json!({"routes": [{
            "name": "broken", "condition": {"method": "GET"}, "responseClasses": [backwards],
        }]}),
        json!({
            "routes": [],
            "retryBudget": {"retryRatio": 0.2, "minRetriesPerSecond": 10, "ttl": "foo"},
        }),
    ] {
        w.apply(service_profile(&broken)).await?;
        stream.is_silent().await?;
        w.profile(WEB, good()).await?;
    }
    w.apply(routed("mended")).await?;
    stream.tells(w.routed(w.namespace(), "mended")).await
}

async fn s103_a_service_that_goes_leaves_its_stream_open(w: World) -> Result<()> {
    let annotated = annotated(service("web"), OPAQUE_PORTS, "80");
    w.apply(annotated.clone()).await?;
    let mut stream = w.profile(WEB, opaque(w.def())).await?;
    w.delete(&annotated).await?;
    stream.tells(w.def()).await?;
    stream.is_silent().await?;
    w.apply(annotated).await?;
    stream.tells(opaque(w.def())).await
}
