use crate::{
    control_plane::{Answer, ControlPlane, DESTINATION, HOUR, IDENTITY, WEB, WORKLOAD},
    policies,
};
use ferrule_proto::{
    destination::{DestinationProfile, Update, WeightedAddr, WeightedAddrSet, update},
    inbound::Server,
};
use ferrule_test_cluster::PATIENCE;
use std::{net::SocketAddr, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    time::timeout,
};
use tonic::Code;

const WEB80: &str = "web.shop.svc.cluster.local:80";

/// `test-proxy` with the variables that an injector gives, and nothing else.
fn test_proxy(mesh: &ControlPlane) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_test-proxy"));
    command
        .env_clear()
        .env(
            "LINKERD2_PROXY_IDENTITY_SVC_ADDR",
            mesh.identity.addr.to_string(),
        )
        .env("LINKERD2_PROXY_IDENTITY_SVC_NAME", IDENTITY)
        .env("LINKERD2_PROXY_IDENTITY_LOCAL_NAME", WEB)
        .env("LINKERD2_PROXY_IDENTITY_TOKEN_FILE", mesh.token_file())
        .env(
            "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS",
            mesh.authority.anchors_pem(),
        )
        .env(
            "LINKERD2_PROXY_DESTINATION_SVC_ADDR",
            mesh.control.addr.to_string(),
        )
        .env("LINKERD2_PROXY_DESTINATION_SVC_NAME", DESTINATION)
        .env(
            "LINKERD2_PROXY_POLICY_SVC_ADDR",
            mesh.control.addr.to_string(),
        )
        .env("LINKERD2_PROXY_POLICY_SVC_NAME", DESTINATION)
        .env("LINKERD2_PROXY_POLICY_WORKLOAD", WORKLOAD)
        .env("LINKERD2_PROXY_INBOUND_PORTS", "8080")
        .args(["--tls", "always"])
        .kill_on_drop(true);
    command
}

fn one_endpoint() -> Update {
    let addr = SocketAddr::from(([10, 1, 0, 5], 8080));
    let set = WeightedAddrSet {
        addrs: vec![WeightedAddr {
            addr: Some(addr.into()),
            metric_labels: [("pod".into(), "web-0".into())].into(),
            ..WeightedAddr::default()
        }],
        ..WeightedAddrSet::default()
    };
    Update {
        update: Some(update::Update::Add(set)),
    }
}

/// Standard output, standard error and exit code.
async fn run(mut command: Command) -> anyhow::Result<(Vec<String>, String, Option<i32>)> {
    let output = timeout(Duration::from_secs(30), command.output()).await??;
    let mut lines: Vec<_> = std::str::from_utf8(&output.stdout)?
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort();
    let errors = String::from_utf8(output.stderr)?;
    Ok((lines, errors, output.status.code()))
}

#[tokio::test]
async fn once_everything_is_told_it_exits() -> anyhow::Result<()> {
    let mesh = ControlPlane::start().await;
    mesh.issues(HOUR);
    mesh.script.ports([Answer::Tell(vec![policies::inbound()])]);
    mesh.script
        .targets([Answer::Tell(vec![policies::outbound(WEB80)])]);
    mesh.script.endpoints([Answer::Tell(vec![one_endpoint()])]);
    mesh.script.profiles([Answer::Tell(vec![DestinationProfile {
        fully_qualified_name: "web.shop.svc.cluster.local".into(),
        ..DestinationProfile::default()
    }])]);
    let mut command = test_proxy(&mesh);
    command.args(["--once", "--target", "10.96.0.10:80"]);
    let (lines, errors, code) = run(command).await?;
    assert_eq!((&*errors, code), ("", Some(0)), "{lines:?}");
    let (certificate, lines) = lines.split_first().expect("lines");
    assert!(
        certificate.starts_with("certificate: certified, serial "),
        "{certificate}"
    );
    assert_eq!(
        lines,
        [
            format!("endpoints of {WEB80}: + 10.1.0.5:8080 (web-0)"),
            format!("policy for 10.96.0.10:80: detect, core/Service shop/web:80, to {WEB80}"),
            "policy of port 8080: detect, default all-unauthenticated, 0 routes, \
             authorized by all-unauthenticated"
                .to_owned(),
            "profile of 10.96.0.10:80: web.shop.svc.cluster.local".to_owned(),
        ]
    );
    Ok(())
}

#[tokio::test]
async fn what_is_not_told_is_the_exit_codes_reason() -> anyhow::Result<()> {
    let mesh = ControlPlane::start().await;
    mesh.issues(HOUR);
    mesh.script.ports([Answer::Tell(vec![Server::default()])]);
    mesh.script.targets([Answer::Refuse(Code::NotFound)]);
    mesh.script
        .profiles([Answer::Refuse(Code::InvalidArgument)]);
    mesh.script.endpoints([Answer::Tell(vec![])]);
    let mut command = test_proxy(&mesh);
    command.args([
        "--once",
        "--wait",
        "8s",
        "--get",
        WEB80,
        "--target",
        "10.0.0.1:80",
    ]);
    let (lines, errors, code) = run(command).await?;
    assert_eq!(code, Some(1), "{lines:?}");
    assert!(
        errors.contains("policy of port 8080: a proxy cannot use"),
        "{errors}"
    );
    assert!(
        errors.contains("endpoints of web.shop.svc.cluster.local:80: nothing"),
        "{errors}"
    );
    // A proxy does without these two.
    assert!(!errors.contains("10.0.0.1:80"), "{errors}");
    let policy = "policy for 10.0.0.1:80: NotFound: as scripted, and it is not asked again";
    assert!(lines.iter().any(|line| line == policy), "{lines:?}");
    Ok(())
}

#[tokio::test]
async fn without_once_it_goes_on_and_says_what_changes() -> anyhow::Result<()> {
    let mesh = ControlPlane::start().await;
    mesh.issues(Duration::from_secs(10));
    mesh.script.ports([Answer::Tell(vec![policies::inbound()])]);
    let mut command = test_proxy(&mesh);
    command
        .args(["--min-refresh", "100ms"])
        .stdout(Stdio::piped());
    let mut process = command.spawn()?;
    let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
    let mut expected = ["certificate: certified, ", "certificate: renewed, "].iter();
    let mut next = expected.next();
    while let Some(beginning) = next {
        let line = timeout(PATIENCE, lines.next_line()).await??;
        let line = line.expect("it goes on");
        if line.starts_with(beginning) {
            next = expected.next();
        }
    }
    process.kill().await?;
    Ok(())
}

#[tokio::test]
async fn flags_that_make_no_sense_are_exit_code_1() -> anyhow::Result<()> {
    let mesh = ControlPlane::start().await;
    for (args, reason) in [
        (
            &["--inbound-ports", "http"][..],
            "\"http\" is neither a port",
        ),
        (&["--wait", "10"], "is no duration"),
        (&["--target", "10.0.0.1"], "expected IP:PORT or NAME:PORT"),
        (
            &["--trust-anchors", "/nonexistent"],
            "trust anchors /nonexistent",
        ),
        (
            &["--policy-addr", "nowhere"],
            "the policy service: \"nowhere\" is no address",
        ),
    ] {
        let mut command = test_proxy(&mesh);
        command.args(args);
        let (_, errors, code) = run(command).await?;
        assert!(errors.contains(reason), "{errors}");
        assert_eq!(code, Some(1));
    }
    let mut bare = Command::new(env!("CARGO_BIN_EXE_test-proxy"));
    bare.env_clear();
    let (_, errors, code) = run(bare).await?;
    assert_eq!(
        (&*errors, code),
        ("error: nothing is asked for: see --help\n", Some(1))
    );
    Ok(())
}
