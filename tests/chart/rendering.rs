//! What Helm renders, without a cluster.

use crate::{
    cases::{Cases, authority, texts},
    helm::{NAMESPACE, find, objects, render},
};
use anyhow::{Context as _, Result};
use ferrule_proxy_injector::Values;
use ferrule_tests::Ferrule;
use serde_json::{Value, json};

#[tokio::test]
async fn two_renderings_are_the_same_bytes() -> Result<()> {
    for (name, args) in &Cases::new()?.all {
        let args = texts(args);
        assert_eq!(render(&args).await?, render(&args).await?, "{name}");
    }
    Ok(())
}

/// operations.md 1 and 5: addresses and identities are frozen into pods that run, and
/// selectors of Deployments cannot be changed.
#[tokio::test]
async fn what_proxies_and_tools_depend_on_keeps_its_name() -> Result<()> {
    let objects = objects(&[]).await?;
    for (name, headless, port, target) in [
        ("linkerd-dst", false, 8086, json!(8086)),
        ("linkerd-dst-headless", true, 8086, json!(8086)),
        ("linkerd-policy", true, 8090, json!(8090)),
        ("linkerd-identity", false, 8080, json!(8080)),
        ("linkerd-identity-headless", true, 8080, json!(8080)),
        ("linkerd-sp-validator", false, 443, json!(8443)),
        ("linkerd-policy-validator", false, 443, json!("webhooks")),
        (
            "linkerd-proxy-injector",
            false,
            443,
            json!("proxy-injector"),
        ),
    ] {
        let spec = &find(&objects, "Service", name)?["spec"];
        assert_eq!(spec["clusterIP"] == "None", headless, "{name}");
        assert_eq!(spec["ports"][0]["port"], port, "{name}");
        assert_eq!(spec["ports"][0]["targetPort"], target, "{name}");
    }
    for component in ["destination", "identity", "proxy-injector"] {
        let name = format!("linkerd-{component}");
        let deployment = &find(&objects, "Deployment", &name)?["spec"];
        let mut selector = json!({"linkerd.io/control-plane-component": component});
        if component != "proxy-injector" {
            selector["linkerd.io/control-plane-ns"] = NAMESPACE.into();
            selector["linkerd.io/proxy-deployment"] = name.clone().into();
        }
        assert_eq!(deployment["selector"]["matchLabels"], selector);
        let pod = &deployment["template"];
        assert_eq!(pod["spec"]["serviceAccountName"], *name);
        for (label, value) in selector.as_object().context("labels")? {
            assert_eq!(pod["metadata"]["labels"][label], *value);
        }
        find(&objects, "ServiceAccount", &name)?;
    }
    let config = find(&objects, "ConfigMap", "linkerd-config")?;
    let data = config["data"].as_object().context("data")?;
    let keys: Vec<_> = data.keys().map(String::as_str).collect();
    assert_eq!(keys, ["linkerd-crds-chart-version", "values"]);
    Ok(())
}

/// docs/takeover.md tells what Linkerd's viz and multicluster look for.
#[tokio::test]
async fn extensions_of_linkerd_find_what_they_look_for() -> Result<()> {
    let objects = objects(&[]).await?;
    // Their hooks bind it to themselves.
    let role = find(&objects, "Role", "ext-namespace-metadata-linkerd-config")?;
    assert_eq!(
        role["rules"],
        json!([{
            "apiGroups": [""], "resources": ["configmaps"],
            "resourceNames": ["linkerd-config"], "verbs": ["get"],
        }])
    );
    for component in ["destination", "identity", "proxy-injector"] {
        let deployment = find(&objects, "Deployment", &format!("linkerd-{component}"))?;
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["name"], component, "it is the label `component`");
        // Each that is called so is scraped.
        let ports = container["ports"].as_array().context("ports")?;
        let admin = ports.iter().filter(|port| {
            let name = port["name"].as_str().unwrap_or_default();
            name.ends_with("-admin") && name != "linkerd-admin"
        });
        let admin: Vec<_> = admin.map(|port| &port["containerPort"]).collect();
        assert_eq!(admin, [9990]);
    }
    // Webhooks are asked by the names of their configurations: tap's finds proxies there.
    let injector = "linkerd-proxy-injector-webhook-config";
    find(&objects, "MutatingWebhookConfiguration", injector)?;
    assert!(injector < "linkerd-tap-injector-webhook-config");
    Ok(())
}

#[tokio::test]
async fn a_pod_is_one_container_that_may_do_nothing_special() -> Result<()> {
    for (name, args) in &Cases::new()?.all {
        for object in objects(&texts(args)).await? {
            if object["kind"] != "Deployment" {
                continue;
            }
            let pod = &object["spec"]["template"]["spec"];
            assert!(pod["initContainers"].is_null(), "{name}");
            let containers = pod["containers"].as_array().context("containers")?;
            let [container] = &containers[..] else {
                panic!("{name}: {containers:?}");
            };
            let context = &container["securityContext"];
            assert_eq!(context["readOnlyRootFilesystem"], true);
            assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}));
            assert_eq!(context["allowPrivilegeEscalation"], false);
            assert_eq!(pod["automountServiceAccountToken"], false);
        }
    }
    Ok(())
}

/// Only then do pods that are injected differ from those of an injector without values
/// in nothing.
#[tokio::test]
async fn the_charts_defaults_are_the_injectors() -> Result<()> {
    let objects = objects(&[]).await?;
    let config = find(&objects, "ConfigMap", "linkerd-config")?;
    let text = config["data"]["values"].as_str().context("values")?;
    let (values, problems) = Values::parse(text)?;
    assert_eq!(problems, []);
    assert_eq!(values, Values::default());
    Ok(())
}

/// Whom the kubelet kills while it drains cuts all streams off at once.
#[tokio::test]
async fn pods_have_the_time_that_they_drain_for() -> Result<()> {
    let cases = Cases::new()?;
    for (drain, seconds) in [
        (json!({}), 45),
        (json!({"window": "2m"}), 145),
        (json!({"delay": "0", "window": "1.5s"}), 22),
        (json!({"delay": "1m0s", "gracePeriodSeconds": 85}), 85),
    ] {
        let args = cases.with("default", &json!({"drain": drain}))?;
        let objects = objects(&texts(&args)).await?;
        let deployment = find(&objects, "Deployment", "linkerd-destination")?;
        let grace = &deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"];
        assert_eq!(*grace, seconds, "{drain}");
    }
    Ok(())
}

#[tokio::test]
async fn keys_are_in_secrets_alone() -> Result<()> {
    let cases = Cases::new()?;
    let (_, args) = cases.all.last().context("there are some")?;
    let mut secrets = 0;
    for object in objects(&texts(args)).await? {
        if object["kind"] == "Secret" {
            secrets += 1;
        } else {
            assert!(!object.to_string().contains("PRIVATE KEY"), "{object}");
        }
    }
    assert_eq!(secrets, 3, "of the issuer and of webhooks");
    Ok(())
}

#[tokio::test]
async fn values_that_do_not_go_together_are_refused_by_their_names() -> Result<()> {
    let cases = Cases::new()?;
    let (anchor, _) = authority()?;
    for (values, told) in [
        (json!({"controllerReplica": 3}), "controllerReplica"),
        (
            json!({"proxy": {"logLevell": "x"}}),
            "/proxy': additional properties 'logLevell'",
        ),
        (
            json!({"proxy": {"defaultInboundPolicy": "allow"}}),
            "'all-unauthenticated'",
        ),
        (
            json!({"proxy": {"logHTTPHeaders": "on"}}),
            "'off', 'insecure'",
        ),
        (
            json!({"proxyInit": {"iptablesMode": "plain"}}),
            "'nft', 'legacy'",
        ),
        (
            json!({"clusterNetworks": "10.0.0.0/8, fd00::/8"}),
            "clusterNetworks: \" fd00::/8\"",
        ),
        (
            json!({"clusterNetworks": "10.0.0.0/33"}),
            "clusterNetworks: \"10.0.0.0/33\"",
        ),
        (
            json!({"controllerImage": "cr.l5d.io/linkerd/controller"}),
            "Linkerd's image",
        ),
        (
            json!({"identityTrustAnchorsPEM": anchor}),
            "identity.issuer.tls.crtPEM is needed",
        ),
        (
            json!({"identity": {"issuer": {"tls": {"crtPEM": "a", "keyPEM": "b"}}}}),
            "identityTrustAnchorsPEM is needed",
        ),
        (
            json!({"identity": {"issuer": {"scheme": "kubernetes.io/tls"}}}),
            "identityTrustAnchorsPEM is needed",
        ),
        (
            json!({"proxyInjector": {"crtPEM": "a"}}),
            "proxyInjector.crtPEM, proxyInjector.keyPEM and",
        ),
        (
            json!({"policyValidator": {"caBundle": "a"}}),
            "policyValidator.crtPEM, policyValidator.keyPEM and",
        ),
        // Scenario 128.
        (
            json!({"proxyInjector": {"injectCaFrom": "a/b"}}),
            "need proxyInjector.externalSecret",
        ),
        (
            json!({"proxyInjector": {"externalSecret": true}}),
            "needs one of proxyInjector.caBundle",
        ),
        (
            json!({"proxyInjector": {"injectCaFrom": "a/b", "injectCaFromSecret": "a/c"}}),
            "exclude each other",
        ),
        (
            json!({"proxyInjector": {"externalSecret": true, "injectCaFrom": "a/b", "caBundle": "c"}}),
            "proxyInjector.caBundle is what",
        ),
        (
            json!({"proxyInjector": {"externalSecret": true, "injectCaFrom": "a/b"}}),
            "proxyInjector and policyValidator",
        ),
        (
            json!({"drain": {"window": "2m", "gracePeriodSeconds": 129}}),
            "drain.gracePeriodSeconds: 129 is less than 130",
        ),
        (
            json!({"drain": {"delay": "5 s"}}),
            "drain.delay: \"5 s\" is no duration",
        ),
        (
            json!({"proxyInit": {"closeWaitTimeoutSecs": 1}}),
            "proxyInit.runAsRoot",
        ),
        (
            json!({"proxy": {"tracing": {"enabled": true}}}),
            "proxy.tracing.collector.endpoint",
        ),
        (
            json!({"identityResources": {"memory": {"request": "1Gi", "limit": "1000Mi"}}}),
            "identityResources.memory.limit: 1000Mi is less than the request, 1Gi",
        ),
        (
            json!({"proxy": {"resources": {"cpu": {"request": "a lot", "limit": 1}}}}),
            "\"a lot\" is no quantity",
        ),
    ] {
        let args = cases.with("default", &values)?;
        let error = render(&texts(&args)).await;
        let error = error.expect_err(&values.to_string()).to_string();
        assert!(error.contains(told), "{values}: {error}");
    }
    Ok(())
}

/// Scenario 128, and where Ferrule writes it.
#[tokio::test]
async fn ca_bundle_is_left_to_whoever_writes_it() -> Result<()> {
    let cases = Cases::new()?;
    for (name, args) in &cases.all {
        let objects = objects(&texts(args)).await?;
        for (kind, configuration) in [
            (
                "MutatingWebhookConfiguration",
                "linkerd-proxy-injector-webhook-config",
            ),
            (
                "ValidatingWebhookConfiguration",
                "linkerd-sp-validator-webhook-config",
            ),
            (
                "ValidatingWebhookConfiguration",
                "linkerd-policy-validator-webhook-config",
            ),
        ] {
            let object = find(&objects, kind, configuration)?;
            let bundle = &object["webhooks"][0]["clientConfig"]["caBundle"];
            assert_eq!(
                bundle.is_string(),
                *name == "everything",
                "{name}: {configuration}"
            );
            let annotations = &object["metadata"]["annotations"];
            let from = |key: &str| {
                annotations[format!("cert-manager.io/inject-ca-{key}")]
                    .as_str()
                    .map(ToOwned::to_owned)
            };
            let expected = (*name == "external").then(|| "linkerd/webhook".to_owned());
            assert_eq!(from("from"), expected, "{name}: {configuration}");
            let expected = (*name == "external Secrets").then(|| "linkerd/ca".to_owned());
            assert_eq!(from("from-secret"), expected, "{name}: {configuration}");
        }
    }
    Ok(())
}

/// Whatever the failure policy: without its own pods there is no cluster to mend it in.
#[tokio::test]
async fn the_control_plane_and_kube_system_never_wait_for_the_injector() -> Result<()> {
    let cases = Cases::new()?;
    for mode in ["opt-out", "opt-in"] {
        let values = json!({
            "webhookFailurePolicy": "Fail", "proxyInjector": {"injectionMode": mode},
        });
        let args = cases.with("default", &values)?;
        let objects = objects(&texts(&args)).await?;
        let name = "linkerd-proxy-injector-webhook-config";
        let configuration = find(&objects, "MutatingWebhookConfiguration", name)?;
        let webhooks = configuration["webhooks"].as_array().context("webhooks")?;
        assert_eq!(webhooks.len(), if mode == "opt-in" { 2 } else { 1 });
        for webhook in webhooks {
            let namespaces = webhook["namespaceSelector"].to_string();
            for exempt in ["kube-system", NAMESPACE] {
                assert!(
                    namespaces.contains(&format!("\"{exempt}\"")),
                    "{namespaces}"
                );
            }
            let selected = webhook["objectSelector"].to_string();
            assert!(selected.contains("linkerd.io/control-plane-component"));
        }
    }
    Ok(())
}

/// The binary ends with 2 if it cannot read its flags, and with 1 for want of a cluster.
#[tokio::test]
async fn the_binary_takes_the_flags_of_every_case() -> Result<()> {
    for (name, args) in &Cases::new()?.all {
        for object in objects(&texts(args)).await? {
            if object["kind"] != "Deployment" {
                continue;
            }
            let container = &object["spec"]["template"]["spec"]["containers"][0];
            let flags = container["args"].as_array().context("flags")?;
            let mut flags: Vec<_> = flags.iter().filter_map(Value::as_str).collect();
            flags.push("--kubeconfig=/none");
            let printed = Ferrule::command(&flags).await?;
            assert_eq!(printed.code, Some(1), "{name}: {flags:?}: {printed:?}");
        }
    }
    Ok(())
}
