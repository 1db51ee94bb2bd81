//! Scenarios 95 to 109: where rules lead, and what is done on the way.

use super::WEB;
use crate::{expected as told, objects::*, world::World};
use anyhow::Result;
use ferrule_proto::{
    http_route::{
        PathModifier, RequestHeaderModifier, RequestRedirect, ResponseHeaderModifier, path_modifier,
    },
    http_types::{Headers, Scheme, headers::Header, scheme},
    outbound::{OutboundPolicy, grpc_route, http_route},
};
use ferrule_tests::scenarios;
use serde_json::{Value, json};
use told::http_route as wire;

scenarios! {
    s95_97_98_backends_are_told_by_weight_and_none_is_the_parent,
    s96_a_route_without_rules_is_told,
    s99_100_a_backend_is_there_or_not_as_its_service_is,
    s101_a_backend_may_be_of_another_namespace,
    s103_104_109_what_is_no_backend_fails_alone,
    s105_a_filter_that_no_proxy_has_takes_its_backend_or_its_route,
    s106_107_filters_are_where_they_are_written,
    s108_of_calls_only_the_headers_of_requests_are_changed,
}

/// Route `r` of port 80 of `web`, with one rule of all requests.
fn to_backends(backends: &Value) -> Value {
    all_to("r", &on_port("web", 80), backends)
}

/// What is told of it.
fn leading(w: &World, kind: &str, to: Option<http_route::Distribution>) -> OutboundPolicy {
    let rule = told::http_rule(vec![told::prefix("/")], to);
    w.routed("web", 80, vec![w.route(kind, "r", vec![rule])])
}

async fn s95_97_98_backends_are_told_by_weight_and_none_is_the_parent(w: World) -> Result<()> {
    w.apply_all([service("web"), service("api")]).await?;
    w.apply(to_backends(&json!([]))).await?;
    let parent = wire::first(w.balancer("web", 80));
    let mut stream = w
        .target(WEB, leading(&w, told::POLICY_HTTP, parent))
        .await?;
    let api = || w.balancer("api", 80);
    w.apply(to_backends(&json!([to("api", 80)]))).await?;
    let one = wire::any([(1, api(), vec![])]);
    stream.tells(leading(&w, told::POLICY_HTTP, one)).await?;
    let weighted = |to: Value, weight| with(to, json!({"weight": weight}));
    let two = json!([weighted(to("api", 80), 90), weighted(to("web", 81), 0)]);
    w.apply(to_backends(&two)).await?;
    let two = wire::any([(90, api(), vec![]), (0, w.balancer("web", 81), vec![])]);
    stream.tells(leading(&w, told::POLICY_HTTP, two)).await
}

async fn s96_a_route_without_rules_is_told(w: World) -> Result<()> {
    w.apply(service("web")).await?;
    let none = http_route("r", &json!([on_port("web", 80)]), &json!([]));
    w.apply(none).await?;
    let route = w.route(told::POLICY_HTTP, "r", vec![]);
    w.target(WEB, w.routed("web", 80, vec![route]))
        .await
        .map(drop)
}

async fn s99_100_a_backend_is_there_or_not_as_its_service_is(w: World) -> Result<()> {
    w.apply(service("web")).await?;
    for parent in [on_port("web", 80), on_service("web")] {
        let route = all_to("r", &parent, &json!([to("x", 81)]));
        w.apply(route.clone()).await?;
        let x = w.balancer("x", 81);
        let (there, missing) = (x.clone(), told::failing(x.metadata, "Service not found x"));
        let missing = wire::any([(1, missing.0, missing.1)]);
        let missing = || leading(&w, told::POLICY_HTTP, missing.clone());
        let mut stream = w.target(WEB, missing()).await?;
        // Its ports do not matter.
        w.apply(service("x")).await?;
        let there = wire::any([(1, there, vec![])]);
        stream.tells(leading(&w, told::POLICY_HTTP, there)).await?;
        w.delete(&service("x")).await?;
        stream.tells(missing()).await?;
        w.delete(&route).await?;
        stream.tells(w.plain("web", 80)).await?;
    }
    Ok(())
}

async fn s101_a_backend_may_be_of_another_namespace(w: World) -> Result<()> {
    let other = w.other_namespace().await?;
    let there = json!({"metadata": {"namespace": other}});
    w.apply_all([service("web"), with(service("api"), there)])
        .await?;
    let api = with(to("api", 80), json!({"namespace": other}));
    w.apply(to_backends(&json!([api]))).await?;
    let api = wire::any([(1, w.balancer_of(&other, "api", 80), vec![])]);
    w.target(WEB, leading(&w, told::POLICY_HTTP, api))
        .await
        .map(drop)
}

async fn s103_104_109_what_is_no_backend_fails_alone(w: World) -> Result<()> {
    w.apply_all([
        service("web"),
        service("api"),
        egress_network("out", "Allow"),
    ])
    .await?;
    let invalid = || told::default("invalid");
    let out = told::object(told::EGRESS, w.namespace(), "out", 0);
    let mut stream = w.target(WEB, w.plain("web", 80)).await?;
    for (wrong, metadata, message) in [
        (
            json!({"kind": "ConfigMap", "name": "x"}),
            invalid(),
            // The definition's default group is the empty one.
            "unsupported backend type  ConfigMap",
        ),
        (
            json!({"name": "x"}),
            invalid(),
            "missing port for backend Service x",
        ),
        (
            refers("EgressNetwork", "out"),
            out,
            "EgressNetwork backends attach to EgressNetwork parents only",
        ),
        (
            refers("EgressNetwork", "no"),
            told::object(told::EGRESS, w.namespace(), "no", 0),
            "EgressNetwork not found no",
        ),
    ] {
        w.apply(to_backends(&json!([wrong, to("api", 80)]))).await?;
        let (nowhere, filters) = told::failing(metadata, message);
        let both = wire::any([(1, nowhere, filters), (1, w.balancer("api", 80), vec![])]);
        stream.tells(leading(&w, told::POLICY_HTTP, both)).await?;
    }
    Ok(())
}

async fn s105_a_filter_that_no_proxy_has_takes_its_backend_or_its_route(w: World) -> Result<()> {
    w.apply_all([service("web"), service("api")]).await?;
    let mut stream = w.target(WEB, w.plain("web", 80)).await?;
    let rewrite = json!([{"type": "URLRewrite", "urlRewrite": {"hostname": "h.example.com"}}]);
    let route = |filters: &Value, of_backend: &Value| {
        let matches = json!([{"path": {"type": "PathPrefix", "value": "/"}}]);
        let first = with(to("api", 80), json!({"filters": of_backend}));
        let rules = json!([{
            "matches": matches, "filters": filters, "backendRefs": [first, to("web", 80)],
        }]);
        gateway("HTTPRoute", "r", &on_port("web", 80), &rules)
    };
    w.apply(route(&rewrite, &json!([]))).await?;
    stream.is_silent().await?;
    w.apply(route(&json!([]), &rewrite)).await?;
    let message = "unsupported backend filter: URLRewrite";
    let (nowhere, filters) = told::failing(told::default("invalid"), message);
    let both = wire::any([(1, nowhere, filters), (1, w.balancer("web", 80), vec![])]);
    stream.tells(leading(&w, told::GATEWAY_HTTP, both)).await
}

async fn s106_107_filters_are_where_they_are_written(w: World) -> Result<()> {
    use http_route::filter::Kind;
    w.apply_all([service("web"), service("api")]).await?;
    let header = json!({"add": [{"name": "A", "value": "b"}], "remove": ["c"]});
    let redirect = json!({
        "scheme": "http", "hostname": "h", "port": 5555, "statusCode": 302,
        "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/p"},
    });
    let filters = json!([
        {"type": "RequestHeaderModifier", "requestHeaderModifier": header},
        {"type": "ResponseHeaderModifier", "responseHeaderModifier": header},
    ]);
    let of_rule = json!([{"type": "RequestRedirect", "requestRedirect": redirect}]);
    let first = with(to("api", 80), json!({"filters": filters}));
    let rules = json!([{"filters": of_rule, "backendRefs": [first]}]);
    let route = http_route("r", &json!([on_port("web", 80)]), &rules);
    w.apply(route).await?;

    let headers = Headers {
        headers: vec![Header {
            name: "a".into(),
            value: b"b".to_vec(),
        }],
    };
    let (add, set) = (Some(headers), Some(Headers::default()));
    let remove = vec!["c".to_owned()];
    let told_filters = [
        Kind::RequestHeaderModifier(RequestHeaderModifier {
            add: add.clone(),
            set: set.clone(),
            remove: remove.clone(),
        }),
        Kind::ResponseHeaderModifier(ResponseHeaderModifier { add, set, remove }),
    ];
    let filter = |kind| http_route::Filter { kind: Some(kind) };
    let filters = told_filters.into_iter().map(filter).collect();
    let redirect = Kind::Redirect(RequestRedirect {
        scheme: Some(Scheme {
            r#type: Some(scheme::Type::Registered(scheme::Registered::Http.into())),
        }),
        host: "h".into(),
        path: Some(PathModifier {
            replace: Some(path_modifier::Replace::Prefix("/p".into())),
        }),
        port: 5555,
        status: 302,
    });
    let to = wire::any([(1, w.balancer("api", 80), filters)]);
    let mut rule = told::http_rule(vec![told::prefix("/")], to);
    rule.filters = vec![filter(redirect)];
    let route = w.route(told::POLICY_HTTP, "r", vec![rule]);
    w.target(WEB, w.routed("web", 80, vec![route]))
        .await
        .map(drop)
}

async fn s108_of_calls_only_the_headers_of_requests_are_changed(w: World) -> Result<()> {
    use grpc_route::filter::Kind;
    w.apply_all([service("web"), service("api")]).await?;
    let header = json!({"remove": ["c"]});
    let filters = json!([
        {"type": "ResponseHeaderModifier", "responseHeaderModifier": header},
        {"type": "RequestHeaderModifier", "requestHeaderModifier": header},
    ]);
    let backend = with(to("api", 80), json!({"filters": filters}));
    let rules = json!([{"filters": filters, "backendRefs": [backend]}]);
    w.apply(gateway("GRPCRoute", "g", &on_port("web", 80), &rules))
        .await?;

    let filter = grpc_route::Filter {
        kind: Some(Kind::RequestHeaderModifier(RequestHeaderModifier {
            add: Some(Headers::default()),
            set: Some(Headers::default()),
            remove: vec!["c".to_owned()],
        })),
    };
    let mut route = w.grpc_route("g", w.balancer("api", 80));
    let rule = &mut route.rules[0];
    rule.filters = vec![filter.clone()];
    rule.backends = told::grpc_route::any([(1, w.balancer("api", 80), vec![filter])]);
    w.target(WEB, w.service("web", 80, told::grpc_only(vec![route])))
        .await
        .map(drop)
}
