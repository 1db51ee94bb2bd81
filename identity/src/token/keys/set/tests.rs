use super::*;
use aws_lc_rs::{
    encoding::AsDer as _,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::KeyPair as _,
};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// An API server: a key, and what it publishes of it.
struct Server {
    key: EncodingKey,
    keys: KeySet,
}

impl Server {
    fn new() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let pkcs8 = pem::encode(&pem::Pem::new("PRIVATE KEY", der.as_ref()));
        let public = pair.public_key();
        let part = |bytes: &[u8]| base64(bytes);
        let jwks = json!({"keys": [
            // Kinds that are not known are passed over.
            {"kty": "future", "kid": "k0"},
            {"use": "sig", "kty": "RSA", "kid": "k1", "alg": "RS256",
             "n": part(public.modulus().big_endian_without_leading_zero()),
             "e": part(public.exponent().big_endian_without_leading_zero())},
        ]});
        let discovery = json!({"issuer": ISSUER, "jwks_uri": "https://example.com/jwks"});
        let pkcs1 = rcgen_rsa(&pkcs8);
        Self {
            key: EncodingKey::from_rsa_der(&pkcs1),
            keys: KeySet::read(&discovery.to_string(), &jwks.to_string()).unwrap(),
        }
    }

    fn sign(&self, kid: &str, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(kid.into());
        encode(&header, claims, &self.key).unwrap()
    }
}

/// The PKCS#1 key inside of a PKCS#8 one.
fn rcgen_rsa(pkcs8: &str) -> Vec<u8> {
    let der = pem::parse(pkcs8).unwrap().into_contents();
    let mut info = crate::der::Reader::sequence(&der).unwrap();
    info.expect(crate::der::INTEGER).unwrap();
    info.expect(crate::der::SEQUENCE).unwrap();
    info.expect(crate::der::OCTET_STRING)
        .unwrap()
        .content
        .to_vec()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            let index = word >> (18 - 6 * digit) & 63;
            text.push(DIGITS[index as usize].into());
        }
    }
    text
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs().try_into().unwrap()
}

/// What a pod's token says.
fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "sub": "system:serviceaccount:shop:web",
        "aud": ["vault", TOKEN_AUDIENCE],
        "iat": now() - 10,
        "nbf": now() - 10,
        "exp": now() + 3600,
        "kubernetes.io": {
            "namespace": "shop",
            "serviceaccount": {"name": "web", "uid": "account"},
            "pod": {"name": "web-1", "uid": "pod"},
            "node": {"name": "n1", "uid": "node"},
            "warnafter": now() + 3000,
        },
    })
}

fn told(checked: &Checked) -> String {
    match checked {
        Checked::Verified(claims) => format!("{:?}", claims.bound_to()),
        Checked::Refused(error) => error.to_string(),
        Checked::Doubtful(doubt) => format!("{doubt:?}"),
    }
}

#[test]
fn a_token_is_good_in_doubt_or_refused() {
    let server = Server::new();
    let other = Server::new();
    let both = "Some([\"account\", \"pod\"])";
    type Edit = fn(&mut Value);
    let cases: [(&str, Edit, &str); 15] = [
        ("a pod's", |_| {}, both),
        (
            "one audience",
            |token| token["aud"] = json!(TOKEN_AUDIENCE),
            both,
        ),
        (
            "no pod",
            |token| {
                let bound = token["kubernetes.io"].as_object_mut().unwrap();
                bound.retain(|key, _| key == "namespace" || key == "serviceaccount");
            },
            "Some([\"account\"])",
        ),
        (
            "expired a while ago",
            |token| token["exp"] = json!(now() - 30),
            both,
        ),
        (
            "expired",
            |token| token["exp"] = json!(now() - 90),
            "the token has expired",
        ),
        ("of soon", |token| token["nbf"] = json!(now() + 30), both),
        (
            "of tomorrow",
            |token| token["nbf"] = json!(now() + 86400),
            "the token is not valid yet",
        ),
        (
            "for others",
            |token| token["aud"] = json!(["vault"]),
            "Audience",
        ),
        (
            "of another issuer",
            |token| token["iss"] = json!("https://old"),
            "Issuer",
        ),
        (
            "of a Secret",
            |token| token["kubernetes.io"]["secret"] = json!({"name": "s", "uid": "u"}),
            "None",
        ),
        (
            "of a node",
            |token| {
                token["kubernetes.io"]
                    .as_object_mut()
                    .unwrap()
                    .remove("pod");
            },
            "None",
        ),
        (
            "of nobody",
            |token| token["sub"] = json!("system:serviceaccount:shop:db"),
            "None",
        ),
        (
            "without a uid",
            |token| token["kubernetes.io"]["pod"] = json!({"name": "web-1"}),
            "None",
        ),
        (
            "without bounds",
            |token| {
                token.as_object_mut().unwrap().remove("kubernetes.io");
            },
            "None",
        ),
        (
            "without an end",
            |token| {
                token.as_object_mut().unwrap().remove("exp");
            },
            "the token does not say what a service account's says",
        ),
    ];
    for (case, edit, expected) in cases {
        let mut claims = claims();
        edit(&mut claims);
        let checked = server.keys.check(&server.sign("k1", &claims));
        assert_eq!(told(&checked), expected, "{case}");
    }

    let told = |token: &str| told(&server.keys.check(token));
    assert_eq!(told(&server.sign("k2", &claims())), "Key");
    assert_eq!(told(&server.sign("k0", &claims())), "Key");
    let forged = other.sign("k1", &claims());
    assert_eq!(told(&forged), "the token's signature is not its key's");
    assert!(told("garbage").starts_with("the token is no JSON Web Token"));
    assert!(told("").starts_with("the token is no JSON Web Token"));

    // Signed with what everybody knows, or with nothing.
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("k1".into());
    let secret = EncodingKey::from_secret(b"the public key");
    let confused = encode(&header, &claims(), &secret).unwrap();
    assert_eq!(told(&confused), "the token is not signed as its key signs");
    let none = base64(br#"{"alg":"none","kid":"k1"}"#);
    let body = base64(claims().to_string().as_bytes());
    assert!(told(&format!("{none}.{body}.")).starts_with("the token is no JSON Web Token"));
}

#[test]
fn keys_that_cannot_be_read_are_none() {
    let discovery = json!({"issuer": ISSUER}).to_string();
    for (discovery, keys) in [
        ("{}", "{\"keys\": []}"),
        (&*discovery, "{}"),
        (&discovery, "{\"keys\": []}"),
        (
            &discovery,
            "{\"keys\": [{\"kty\": \"oct\", \"kid\": \"a\", \"k\": \"AAAA\"}]}",
        ),
        (&discovery, "nothing"),
    ] {
        assert!(KeySet::read(discovery, keys).is_err(), "{keys}");
    }
}

proptest::proptest! {
    /// Nobody can have signed these; those that are in doubt are for the API server.
    #[test]
    fn fuzz_tokens(token in mutations::spoilt("tokens")) {
        static SERVER: std::sync::LazyLock<Server> = std::sync::LazyLock::new(Server::new);
        let checked = SERVER.keys.check(&String::from_utf8_lossy(&token));
        assert!(!matches!(checked, Checked::Verified(_)));
    }

    #[test]
    fn fuzz_published_keys(text in ".{0,200}", value in "[a-zA-Z0-9_=-]{0,40}") {
        let _ = KeySet::read(&text, &text);
        let jwk = json!({"kty": "RSA", "kid": "a", "n": value, "e": text});
        let keys = json!({"keys": [jwk]}).to_string();
        let _ = KeySet::read(&json!({"issuer": text}).to_string(), &keys);
    }
}

#[path = "../../../../tests/service/mutations.rs"]
mod mutations;
