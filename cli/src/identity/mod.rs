//! `ferrule identity`.

mod anchor;
mod pods;
mod report;
mod rotate;
mod status;
mod workload;

pub(crate) use self::{
    anchor::rotation,
    pods::Comparison,
    report::{Certificate, Report, Validity},
    status::standings_on,
    workload::verify,
};

use self::{rotate::Rotate, status::Status, workload::Workload};
use crate::{
    Error, admin,
    api_addr::{ApiAddr, ServerFlags},
    output::{self, Format, span},
};
use clap::{Args, Subcommand};
use jiff::Timestamp;

/// The page that tells certificates.
const PATH: &str = "/debug/identity";
/// How much of a fingerprint is shown: enough to tell a few certificates apart.
const FINGERPRINT: usize = 12;

const HEADER: [&str; 7] = [
    "KIND",
    "SUBJECT",
    "ALGORITHM",
    "NOT AFTER",
    "LEFT",
    "SERIAL",
    "SHA-256",
];

/// Looks at certificates, and has others made.
#[derive(Debug, Args)]
pub struct Identity {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the trust anchors, the issuer and the certificates that are served
    #[command(after_help = EXAMPLES)]
    Show(Show),
    /// Show the mesh's certificates and which workloads do not trust what they should
    #[command(after_help = status::EXAMPLES)]
    Status(Status),
    /// Show the certificate that a workload shows to its peers
    #[command(after_help = workload::EXAMPLES)]
    Certificate(Workload),
    /// Have something replaced that is good still
    #[command(subcommand)]
    Rotate(Rotate),
}

const EXAMPLES: &str = "\
Examples:
  ferrule identity show
  ferrule identity show -o json --api-addr 127.0.0.1:9990";

#[derive(Debug, Args)]
struct Show {
    /// How to print the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,

    #[command(flatten)]
    server: ServerFlags,
}

impl Identity {
    /// Asks and prints to standard output; what is about to expire, and what has
    /// expired, is noted on standard error.
    ///
    /// # Errors
    /// When nobody answers, or there are no certificates.
    pub async fn run(self) -> Result<(), Error> {
        output::seen_enough(match self.action {
            Action::Show(show) => show.run().await,
            Action::Status(status) => status.run().await,
            Action::Certificate(workload) => workload.run().await,
            Action::Rotate(rotate) => rotate.run().await,
        })
    }
}

impl Show {
    async fn run(self) -> Result<(), Error> {
        let (report, all) = ask(&self.server).await?;
        let now = Timestamp::now();
        match self.output {
            Format::Json => output::print_json(&all)?,
            Format::Table => output::print(&text(&report, now))?,
        }
        for warning in report.warnings(now) {
            output::note(&format!("warning: {warning}"));
        }
        Ok(())
    }
}

/// What a Ferrule says of its certificates, read and as it came: there may be more in
/// it than this version knows.
async fn ask(server: &ServerFlags) -> Result<(Report, serde_json::Value), Error> {
    ask_at(&server.api_addr).await
}

/// The same of an address.
pub(crate) async fn ask_at(addr: &ApiAddr) -> Result<(Report, serde_json::Value), Error> {
    let body = admin::get(addr, PATH).await?;
    let unreadable = |error: serde_json::Error| Error::Admin {
        addr: addr.to_string(),
        path: PATH,
        reason: format!("its answer cannot be read: {error}"),
    };
    let report: Report = serde_json::from_slice(&body).map_err(unreadable)?;
    if report.is_empty() {
        return Err(Error::NoIdentity {
            addr: addr.to_string(),
        });
    }
    Ok((report, serde_json::from_slice(&body).map_err(unreadable)?))
}

fn text(report: &Report, now: Timestamp) -> String {
    let facts = [
        ["trust domain", &report.trust_domain],
        ["control plane", &report.control_plane_namespace],
    ]
    .map(|fact| fact.map(ToOwned::to_owned));
    let anchors = report.trust_anchors.iter();
    let anchors = anchors.map(|anchor| row("anchor", &anchor.subject, Some(anchor), now));
    let chain = report.issuer.iter().flat_map(|issuer| &issuer.chain);
    let chain = chain.map(|issuer| row("issuer", &issuer.subject, Some(issuer), now));
    let served = report.served.iter();
    let served = served.map(|one| row("served", &one.identity, one.certificate.as_ref(), now));
    format!(
        "{}\n\n{}",
        output::table(None, facts),
        output::table(Some(&HEADER), anchors.chain(chain).chain(served)),
    )
}

fn row(
    kind: &str,
    subject: &str,
    certificate: Option<&Certificate>,
    now: Timestamp,
) -> [String; 7] {
    let cell = |read: fn(&Certificate) -> String| certificate.map_or("-".to_owned(), read);
    let left = certificate.map(|certificate| certificate.left(now));
    [
        kind.to_owned(),
        subject.to_owned(),
        cell(|certificate| certificate.algorithm.clone()),
        cell(|certificate| certificate.not_after.to_string()),
        match left {
            None => "-".to_owned(),
            Some(left) if left.is_negative() => "expired".to_owned(),
            Some(left) => span(left.as_secs()),
        },
        cell(|certificate| certificate.serial.clone()),
        cell(|certificate| certificate.sha256.chars().take(FINGERPRINT).collect()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn all_certificates_are_in_one_table() {
        let certificate = |subject: &str, not_after: &str| {
            json!({
                "subject": subject,
                "issuer": "CN=root.linkerd.cluster.local",
                "serial": "0a1b",
                "notBefore": "2026-01-01T00:00:00Z",
                "notAfter": not_after,
                "warnFrom": "2026-11-01T00:00:00Z",
                "algorithm": "ECDSA P-256",
                "isCa": true,
                "sha256": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            })
        };
        let report: Report = serde_json::from_value(json!({
            "trustDomain": "cluster.local",
            "controlPlaneNamespace": "linkerd",
            "trustAnchors": [
                certificate("CN=root.linkerd.cluster.local", "2036-01-01T00:00:00Z"),
            ],
            "issuer": {
                "chain": [
                    certificate("CN=identity.linkerd.cluster.local", "2026-06-01T00:00:00Z"),
                ],
                "lastError": null,
            },
            "served": [{"identity": "linkerd-destination", "certificate": null, "error": null}],
        }))
        .unwrap();
        let text = text(&report, "2026-07-01T00:00:00Z".parse().unwrap());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "trust domain    cluster.local");
        assert_eq!(lines[1], "control plane   linkerd");
        let cells = |line: &&str| -> Vec<String> {
            let cells = line.split("   ").map(str::trim);
            cells
                .filter(|cell| !cell.is_empty())
                .map(Into::into)
                .collect()
        };
        let rows: Vec<_> = lines[3..].iter().map(cells).collect();
        let fingerprint = "0123456789ab";
        assert_eq!(
            rows,
            [
                HEADER,
                [
                    "anchor",
                    "CN=root.linkerd.cluster.local",
                    "ECDSA P-256",
                    "2036-01-01T00:00:00Z",
                    "3471d",
                    "0a1b",
                    fingerprint,
                ],
                [
                    "issuer",
                    "CN=identity.linkerd.cluster.local",
                    "ECDSA P-256",
                    "2026-06-01T00:00:00Z",
                    "expired",
                    "0a1b",
                    fingerprint,
                ],
                ["served", "linkerd-destination", "-", "-", "-", "-", "-"],
            ]
        );
    }

    #[test]
    fn a_process_without_tls_has_nothing_to_show() {
        let report: Report = serde_json::from_value(json!({
            "trustDomain": "cluster.local",
            "controlPlaneNamespace": "linkerd",
            "trustAnchors": [],
            "issuer": null,
            "served": [],
        }))
        .unwrap();
        assert!(report.is_empty());
    }
}
