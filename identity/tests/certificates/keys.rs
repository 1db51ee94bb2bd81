//! Private keys as files hold them (identity-injector.md 3.3, scenarios 50, 51
//! and 53).

use crate::support::{Authority, armour, p256, p384, public_key, rsa};
use aws_lc_rs::{encoding::AsDer, signature as algorithms, signature::EcdsaKeyPair};
use ferrule_identity::{KeyAlgorithm, KeyError, SigningKey};
use rcgen::{KeyPair, PKCS_ECDSA_P521_SHA512, PKCS_ED25519};

const EC_PARAMETERS: &str =
    "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";

/// A key in the form that `openssl ecparam -genkey` writes.
fn sec1(key: &KeyPair) -> String {
    let algorithm = if *key.algorithm() == rcgen::PKCS_ECDSA_P256_SHA256 {
        &algorithms::ECDSA_P256_SHA256_ASN1_SIGNING
    } else {
        &algorithms::ECDSA_P384_SHA384_ASN1_SIGNING
    };
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, key.serialized_der()).unwrap();
    armour(
        "EC PRIVATE KEY",
        pair.private_key().as_der().unwrap().as_ref(),
    )
}

#[test]
fn s53_the_first_private_key_counts() {
    let (p256, p384) = (p256(), p384());
    for (case, pem, expected) in [
        (
            "PKCS#8 P-256",
            p256.serialize_pem(),
            KeyAlgorithm::EcdsaP256,
        ),
        (
            "PKCS#8 P-384",
            p384.serialize_pem(),
            KeyAlgorithm::EcdsaP384,
        ),
        ("SEC1 P-256", sec1(&p256), KeyAlgorithm::EcdsaP256),
        ("SEC1 P-384", sec1(&p384), KeyAlgorithm::EcdsaP384),
        (
            "behind parameters",
            EC_PARAMETERS.to_owned() + &sec1(&p256),
            KeyAlgorithm::EcdsaP256,
        ),
        (
            "behind a certificate and some text",
            format!(
                "a key:\n{}\n{}\n# end",
                Authority::root("r").pem(),
                sec1(&p256)
            ),
            KeyAlgorithm::EcdsaP256,
        ),
        (
            "before another",
            sec1(&p384) + &p256.serialize_pem(),
            KeyAlgorithm::EcdsaP384,
        ),
        (
            "with Windows' line ends",
            sec1(&p256).replace('\n', "\r\n"),
            KeyAlgorithm::EcdsaP256,
        ),
    ] {
        let key = SigningKey::from_pem(pem.as_bytes()).unwrap_or_else(|e| panic!("{case}: {e}"));
        assert_eq!(key.public_key().algorithm(), &expected, "{case}");
    }
    let key = SigningKey::from_pem(sec1(&p256).as_bytes()).unwrap();
    assert_eq!(key.public_key().der(), public_key(&p256));
}

#[test]
fn s50_other_keys_are_refused_by_name() {
    let generated = |algorithm| KeyPair::generate_for(algorithm).unwrap().serialize_pem();
    let ed25519 = generated(&PKCS_ED25519);
    let p521 = generated(&PKCS_ECDSA_P521_SHA512);
    let p256 = p256();
    let der = p256.serialized_der();
    let cut = armour("PRIVATE KEY", &der[..der.len() - 1]);
    let as_sec1 = armour("EC PRIVATE KEY", b"\x30\x03\x02\x01\x01");
    let unsupported = |name: &str| KeyError::Unsupported(name.into());
    for (case, pem, expected) in [
        ("RSA in PKCS#8", rsa().serialize_pem(), unsupported("RSA")),
        (
            "RSA in PKCS#1",
            armour("RSA PRIVATE KEY", b"x"),
            unsupported("RSA"),
        ),
        ("Ed25519", ed25519, unsupported("Ed25519")),
        ("P-521", p521, unsupported("ECDSA P-521")),
        ("nothing", String::new(), KeyError::Missing),
        ("parameters", EC_PARAMETERS.into(), KeyError::Missing),
        (
            "a certificate",
            Authority::root("r").pem(),
            KeyError::Missing,
        ),
        (
            "encrypted",
            armour("ENCRYPTED PRIVATE KEY", b"x"),
            KeyError::Encrypted,
        ),
        (
            "encrypted the old way",
            "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n\
             -----END EC PRIVATE KEY-----\n"
                .into(),
            KeyError::Encrypted,
        ),
        ("cut", cut, KeyError::Malformed),
        ("no SEC1", as_sec1, KeyError::Malformed),
        (
            "without an end",
            p256.serialize_pem().replace("-----END", "----END"),
            KeyError::Malformed,
        ),
        (
            "on one line",
            p256.serialize_pem().replace('\n', ""),
            KeyError::Malformed,
        ),
    ] {
        let error = SigningKey::from_pem(pem.as_bytes()).unwrap_err();
        assert_eq!(error, expected, "{case}");
    }
}

#[test]
fn nothing_tells_a_key() {
    let key = p256();
    let pem = key.serialize_pem();
    let secret = pem.lines().nth(1).unwrap();
    let shown = format!("{:?}", SigningKey::from_pem(pem.as_bytes()).unwrap());
    assert_eq!(shown, "SigningKey(ECDSA P-256)");
    // Each way to break the file in which a parser might quote from it.
    for broken in [
        pem.replace('\n', ""),
        pem.replace("-----END", "!"),
        pem.replacen('\n', "\n\n", 3),
        pem.replacen(&secret[..8], "--------", 1),
        pem.replace(&secret[40..], ""),
    ] {
        if let Err(error) = SigningKey::from_pem(broken.as_bytes()) {
            for text in [error.to_string(), format!("{error:?}")] {
                assert!(!text.contains(&secret[10..30]), "{text}");
            }
        }
        // The key in the certificate's file, by mistake.
        let file = format!("{}\n{broken}", Authority::root("r").pem());
        if let Err(error) = ferrule_identity::Certificate::chain_from_pem(file.as_bytes()) {
            for text in [error.to_string(), format!("{error:?}")] {
                assert!(!text.contains(&secret[10..30]), "{text}");
            }
        }
    }
}
