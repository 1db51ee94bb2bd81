//! The chart's values, as flags: Helm's own, and names for the common ones.

use super::{InstallError, helm::Renderer};
use crate::{domain, duration, log_filter, output, proxy_flags::ProxyFlags};
use clap::Args;
use serde_json::{Map, Value, json};
use std::{ffi::OsString, fs, path::PathBuf};

/// Values of the chart; docs/operations.md says where all of them are.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Values")]
pub(super) struct ValueFlags {
    /// A file of values, or - for standard input; of several the last wins
    #[arg(short = 'f', long = "values", value_name = "FILE")]
    files: Vec<String>,

    /// A value: proxy.logLevel=info
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,

    /// A value that is a text, whatever it looks like
    #[arg(long, value_name = "KEY=VALUE")]
    set_string: Vec<String>,

    /// A value that is the text of a file
    #[arg(long, value_name = "KEY=FILE")]
    set_file: Vec<String>,

    /// A value that is JSON
    #[arg(long, value_name = "KEY=JSON")]
    set_json: Vec<String>,
}

/// Values of the control plane's chart that have flags of their own.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Control plane")]
pub(super) struct ControlPlaneFlags {
    /// For a control plane that survives the loss of a node: the chart's values-ha.yaml
    #[arg(long)]
    ha: bool,

    /// How many replicas there are of each part
    #[arg(long, value_name = "COUNT")]
    controller_replicas: Option<u32>,

    /// What the control plane logs
    #[arg(long, value_name = "FILTER", value_parser = log_filter)]
    controller_log_level: Option<String>,

    /// The user that the control plane runs as
    #[arg(long, value_name = "UID")]
    controller_uid: Option<u32>,

    /// Its group
    #[arg(long, value_name = "GID")]
    controller_gid: Option<u32>,

    /// The suffix of Services' names
    #[arg(long, value_name = "DOMAIN", value_parser = domain)]
    cluster_domain: Option<String>,

    /// Leave HTTP/1 between proxies as it is
    #[arg(long)]
    disable_h2_upgrade: bool,

    /// The CNI plugin redirects traffic, not an init container
    #[arg(long)]
    linkerd_cni_enabled: bool,

    /// The suffix of workloads' identities
    #[arg(long, value_name = "DOMAIN", value_parser = domain)]
    identity_trust_domain: Option<String>,

    /// How long certificates of workloads last
    #[arg(long, value_name = "DURATION", value_parser = span)]
    identity_issuance_lifetime: Option<String>,

    /// How far clocks may be apart
    #[arg(long, value_name = "DURATION", value_parser = span)]
    identity_clock_skew_allowance: Option<String>,

    /// The trust anchors, PEM; with an issuer
    #[arg(
        long,
        value_name = "FILE",
        requires_all = ["identity_issuer_certificate_file", "identity_issuer_key_file"]
    )]
    identity_trust_anchors_file: Option<PathBuf>,

    /// The issuer's certificate, PEM
    #[arg(
        long,
        value_name = "FILE",
        requires_all = ["identity_trust_anchors_file", "identity_issuer_key_file"]
    )]
    identity_issuer_certificate_file: Option<PathBuf>,

    /// Its key, PEM
    #[arg(
        long,
        value_name = "FILE",
        requires_all = ["identity_trust_anchors_file", "identity_issuer_certificate_file"]
    )]
    identity_issuer_key_file: Option<PathBuf>,

    /// Somebody else makes the issuer's Secret, as cert-manager does
    #[arg(long, conflicts_with = "identity_issuer_certificate_file")]
    identity_external_issuer: bool,

    /// Somebody else makes the ConfigMap of the trust anchors, as trust-manager does
    #[arg(long, requires = "identity_external_issuer")]
    identity_external_ca: bool,

    /// Ignored: there is no heartbeat. Accepted from Linkerd's command
    #[arg(long)]
    disable_heartbeat: bool,

    /// Ignored: EndpointSlices are always what is watched. Accepted from Linkerd's command
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    enable_endpoint_slices: Option<bool>,

    #[command(flatten)]
    proxy: ProxyFlags,
}

impl ValueFlags {
    /// Whether one of the files is what comes on standard input.
    pub(super) fn reads_standard_input(&self) -> bool {
        self.files.iter().any(|file| file == "-")
    }

    /// As Helm has them.
    pub(super) fn args(&self) -> Vec<OsString> {
        let flags = [
            ("--values", &self.files),
            ("--set-json", &self.set_json),
            ("--set", &self.set),
            ("--set-string", &self.set_string),
            ("--set-file", &self.set_file),
        ];
        let pairs = flags
            .into_iter()
            .flat_map(|(flag, values)| values.iter().map(move |value| (flag, value)));
        pairs
            .flat_map(|(flag, value)| [OsString::from(flag), value.into()])
            .collect()
    }
}

impl ControlPlaneFlags {
    /// As files of values, which what the user writes in Helm's flags overrides.
    pub(super) fn args(&self, renderer: &Renderer) -> Result<Vec<OsString>, InstallError> {
        for ignored in self.ignored() {
            output::note(&format!("note: {ignored}"));
        }
        let mut args = Vec::new();
        if self.ha {
            args.extend(["--values".into(), renderer.high_availability().into()]);
        }
        let values = self.values()?;
        if values != json!({}) {
            let file = renderer.values("flags", &values)?;
            args.extend(["--values".into(), file.into()]);
        }
        Ok(args)
    }

    /// What is said and does nothing.
    fn ignored(&self) -> impl Iterator<Item = &'static str> {
        let heartbeat = "--disable-heartbeat does nothing: there is no heartbeat";
        let slices = "--enable-endpoint-slices does nothing: they are always what is watched";
        let all = [
            self.disable_heartbeat.then_some(heartbeat),
            self.enable_endpoint_slices.map(|_| slices),
        ];
        all.into_iter().flatten()
    }

    fn values(&self) -> Result<Value, InstallError> {
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        let number = |number: Option<u32>| number.map(Value::from);
        let yes = |flag: bool, value: Value| flag.then_some(value);
        let all = [
            ("controllerReplicas", number(self.controller_replicas)),
            ("controllerLogLevel", text(&self.controller_log_level)),
            ("controllerUID", number(self.controller_uid)),
            ("controllerGID", number(self.controller_gid)),
            ("clusterDomain", text(&self.cluster_domain)),
            (
                "enableH2Upgrade",
                yes(self.disable_h2_upgrade, false.into()),
            ),
            ("cniEnabled", yes(self.linkerd_cni_enabled, true.into())),
            ("identityTrustDomain", text(&self.identity_trust_domain)),
            (
                "identity.issuer.issuanceLifetime",
                text(&self.identity_issuance_lifetime),
            ),
            (
                "identity.issuer.clockSkewAllowance",
                text(&self.identity_clock_skew_allowance),
            ),
            (
                "identityTrustAnchorsPEM",
                file(
                    "--identity-trust-anchors-file",
                    self.identity_trust_anchors_file.as_ref(),
                )?,
            ),
            (
                "identity.issuer.tls.crtPEM",
                file(
                    "--identity-issuer-certificate-file",
                    self.identity_issuer_certificate_file.as_ref(),
                )?,
            ),
            (
                "identity.issuer.tls.keyPEM",
                file(
                    "--identity-issuer-key-file",
                    self.identity_issuer_key_file.as_ref(),
                )?,
            ),
            (
                "identity.issuer.scheme",
                yes(self.identity_external_issuer, "kubernetes.io/tls".into()),
            ),
            (
                "identity.externalCA",
                yes(self.identity_external_ca, true.into()),
            ),
        ];
        let mut values = json!({});
        for (path, value) in all.into_iter().chain(self.proxy.values()) {
            if let Some(value) = value {
                put(&mut values, path, value);
            }
        }
        Ok(values)
    }
}

/// A duration, as it is written.
fn span(text: &str) -> Result<String, &'static str> {
    duration(text).map(|_| text.to_owned())
}

fn file(flag: &'static str, path: Option<&PathBuf>) -> Result<Option<Value>, InstallError> {
    let Some(path) = path else { return Ok(None) };
    let read = fs::read_to_string(path);
    let text = read.map_err(|error| InstallError::File {
        flag,
        name: path.display().to_string(),
        reason: error.to_string(),
    })?;
    Ok(Some(text.into()))
}

/// What is at a path such as `identity.issuer.scheme`; null where nothing is.
pub(super) fn at<'v>(values: &'v Value, path: &str) -> &'v Value {
    path.split('.').fold(values, |values, step| &values[step])
}

/// Puts a value at such a path, whatever was in its way.
pub(super) fn put(values: &mut Value, path: &str, value: Value) {
    let mut place = values;
    for step in path.split('.') {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[step];
    }
    *place = value;
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        values: ValueFlags,
        #[command(flatten)]
        flags: ControlPlaneFlags,
    }

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Command::try_parse_from(["install"].into_iter().chain(line.split_whitespace()))
    }

    #[test]
    fn helms_flags_are_handed_on_in_the_order_in_which_they_win() {
        let command = parse("--set a=1 -f one.yaml --set-string b=2 --values - --set c=3").unwrap();
        assert_eq!(
            command.values.args(),
            [
                "--values",
                "one.yaml",
                "--values",
                "-",
                "--set",
                "a=1",
                "--set",
                "c=3",
                "--set-string",
                "b=2"
            ]
        );
    }

    #[test]
    fn flags_are_values() {
        let line = "--controller-replicas 2 --cluster-domain corp.test --disable-h2-upgrade \
                    --identity-external-issuer --identity-external-ca";
        let values = parse(line).unwrap().flags.values().unwrap();
        assert_eq!(
            values,
            json!({
                "controllerReplicas": 2, "clusterDomain": "corp.test", "enableH2Upgrade": false,
                "identity": {"externalCA": true, "issuer": {"scheme": "kubernetes.io/tls"}},
            })
        );
        assert_eq!(parse("").unwrap().flags.values().unwrap(), json!({}));
    }

    #[test]
    fn settings_of_proxies_are_values_too() {
        let line = "--admin-port 5191 --proxy-uid 3000 --registry r.test --image-pull-policy Never \
                    --proxy-memory-limit 250Mi --controller-uid 3001";
        let values = parse(line).unwrap().flags.values().unwrap();
        assert_eq!(
            values,
            json!({
                "controllerUID": 3001, "imagePullPolicy": "Never",
                "debugContainer": {"image": {"name": "r.test/debug"}},
                "proxy": {
                    "image": {"name": "r.test/proxy"}, "ports": {"admin": 5191}, "uid": 3000,
                    "resources": {"memory": {"limit": "250Mi"}},
                },
            })
        );
    }

    #[test]
    fn what_linkerds_command_had_is_accepted_and_told_to_do_nothing() {
        for line in [
            "--disable-heartbeat",
            "--enable-endpoint-slices",
            "--enable-endpoint-slices=false",
        ] {
            let flags = parse(line).unwrap().flags;
            assert_eq!(flags.values().unwrap(), json!({}), "{line}");
            let told: Vec<_> = flags.ignored().collect();
            let name = line.split('=').next().unwrap();
            assert!(told.len() == 1 && told[0].starts_with(name), "{told:?}");
        }
        assert_eq!(parse("").unwrap().flags.ignored().count(), 0);
    }

    #[test]
    fn a_flag_that_would_not_be_understood_is_refused_by_its_name() {
        for line in [
            "--controller-log-level=loud",
            "--cluster-domain=cluster.local.",
            "--identity-trust-domain=Corp",
            "--identity-issuance-lifetime=1d",
        ] {
            let error = parse(line).unwrap_err().to_string();
            let name = line.split('=').next().unwrap();
            assert!(
                error.contains(name) && error.contains("expected"),
                "{error}"
            );
        }
    }

    #[test]
    fn certificates_come_all_or_none() {
        for line in [
            "--identity-trust-anchors-file a",
            "--identity-issuer-certificate-file b --identity-issuer-key-file c",
            "--identity-external-ca",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
        let all = "--identity-trust-anchors-file /no/a --identity-issuer-certificate-file /no/b \
                   --identity-issuer-key-file /no/c";
        let error = parse(all).unwrap().flags.values().unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("--identity-trust-anchors-file /no/a: "),
            "{error}"
        );
    }
}
