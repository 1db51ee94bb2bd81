//! A bundle of certificates as text, of which nothing good is lost.

use crate::Certificate;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The certificates in a bundle (PEM), each with its block as it was written.
pub struct Bundle {
    blocks: Vec<(Certificate, String)>,
    /// Whether there are blocks that hold none.
    damaged: bool,
}

impl Bundle {
    /// Reads block by block: one that is damaged does not hide the others.
    pub fn read(pem: &[u8]) -> Self {
        let text = String::from_utf8_lossy(pem);
        let mut bundle = Self {
            blocks: Vec::new(),
            damaged: false,
        };
        for part in text.split(BEGIN).skip(1) {
            let block = part.split_once(END).map(|(body, _)| body);
            let block = block.map(|body| format!("{BEGIN}{body}{END}\n"));
            let certificate = block.as_ref().and_then(|block| {
                let chain = Certificate::chain_from_pem(block.as_bytes()).ok()?;
                chain.into_iter().next()
            });
            match (certificate, block) {
                (Some(certificate), Some(block)) => bundle.blocks.push((certificate, block)),
                _ => bundle.damaged = true,
            }
        }
        bundle
    }

    /// Whether all that is in it can be read.
    pub(super) fn is_whole(&self) -> bool {
        !self.damaged
    }

    /// Those that can be read, in order.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.blocks.iter().map(|(certificate, _)| certificate)
    }

    /// Whether this certificate is in it.
    pub fn holds(&self, certificate: &Certificate) -> bool {
        self.certificates()
            .any(|held| held.der() == certificate.der())
    }

    /// What there is, and after it what there is in `other` only.
    #[must_use]
    pub fn with(&self, other: &Self) -> String {
        let missing = other
            .blocks
            .iter()
            .filter(|(certificate, _)| !self.holds(certificate));
        let blocks = self.blocks.iter().chain(missing);
        blocks.map(|(_, block)| &**block).collect()
    }

    /// All but the certificate with this SHA-256.
    pub(super) fn without(&self, fingerprint: &str) -> String {
        let others = self
            .blocks
            .iter()
            .filter(|(certificate, _)| certificate.fingerprint() != fingerprint);
        others.map(|(_, block)| &**block).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    fn pem() -> String {
        let key = KeyPair::generate().unwrap();
        CertificateParams::default()
            .self_signed(&key)
            .unwrap()
            .pem()
    }

    #[test]
    fn a_damaged_block_hides_no_other_and_is_left_out() {
        let (first, second, third) = (pem(), pem(), pem());
        let damaged = second.replacen("MI", "!!", 1);
        let text = format!("# ours\n{first}{damaged}\n# theirs\n{third}");
        let bundle = Bundle::read(text.as_bytes());
        assert!(!bundle.is_whole());
        assert_eq!(bundle.certificates().count(), 2);
        let mended = bundle.with(&Bundle::read(format!("{second}{first}").as_bytes()));
        let mended = Bundle::read(mended.as_bytes());
        assert!(mended.is_whole());
        assert_eq!(mended.certificates().count(), 3);
        for pem in [first, second, third] {
            let certificate = Bundle::read(pem.as_bytes());
            assert!(mended.holds(certificate.certificates().next().unwrap()));
        }
    }

    #[test]
    fn a_block_without_an_end_is_damage() {
        let pem = pem();
        let cut = &pem[..pem.len() / 2];
        for text in [cut, &format!("{cut}{pem}"), "-----BEGIN CERTIFICATE-----"] {
            assert!(!Bundle::read(text.as_bytes()).is_whole(), "{text}");
        }
        assert!(Bundle::read(b"").is_whole());
    }
}
