use super::{identity::timestamp, writer::Writer};
use crate::process::Process;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
};

/// TLS at the listeners that proxies dial, and the certificates served there.
#[derive(Debug)]
pub(super) struct MeshTls(pub(super) Arc<Process>);

impl Collector for MeshTls {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer::new(encoder);
        self.handshakes(&mut writer)?;
        self.certificates(&mut writer)
    }
}

impl MeshTls {
    fn handshakes(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let samples = self.0.handshakes.iter().flat_map(|(role, counts)| {
            [
                ("ok", &counts.done),
                ("failed", &counts.failed),
                ("timeout", &counts.timed_out),
            ]
            .map(|(result, count)| {
                let labels = [("listener", role.as_str()), ("result", result)];
                (labels, count.load(Relaxed))
            })
        });
        writer.counters(
            "tls_handshakes{listener,result}",
            "TLS handshakes that clients began: ok, failed, timeout",
            samples,
        )
    }

    fn certificates(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let certificates = &self.0.certificates;
        let shown = certificates.iter().flat_map(|certificate| {
            let clients = certificate.clients();
            [("valid", &clients.valid), ("invalid", &clients.invalid)].map(|(result, count)| {
                let labels = [
                    ("server", certificate.service_account()),
                    ("result", result),
                ];
                (labels, count.load(Relaxed))
            })
        });
        writer.counters(
            "tls_client_certificates{server,result}",
            "Certificates that clients showed: valid, invalid. Policy lets in who shows an \
             invalid one as if it had shown none",
            shown,
        )?;
        let expiry = certificates.iter().filter_map(|certificate| {
            let served = certificate.current()?;
            let labels = [("server", certificate.service_account())];
            Some((labels, timestamp(served.certificate.not_after())))
        });
        writer.gauges(
            "served_certificate_expiration_timestamp_seconds{server}",
            "When the certificate that listeners serve expires, in seconds since 1970; absent \
             before there is one",
            expiry,
        )
    }
}
