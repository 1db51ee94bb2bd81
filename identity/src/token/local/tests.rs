use super::*;
use serde_json::{Value, json};

fn issuer() -> TokenIssuer {
    TokenIssuer::from_pem(TokenIssuer::generate_key().unwrap().as_bytes()).unwrap()
}

fn web() -> ServiceAccount {
    ServiceAccount::new("emojivoto", "web").unwrap()
}

const HOUR: Duration = Duration::from_secs(3600);

fn seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs()
}

/// A token with some claims of its own.
fn token_with(issuer: &TokenIssuer, change: impl FnOnce(&mut Value)) -> String {
    let now = seconds();
    let mut claims = json!({
        "iss": "ferrule",
        "sub": "system:serviceaccount:emojivoto:web",
        "aud": ["identity.l5d.io"],
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
    });
    change(&mut claims);
    encode(&Header::new(Algorithm::ES256), &claims, &issuer.key).unwrap()
}

#[test]
fn a_token_speaks_for_the_account_it_was_issued_for() {
    let issuer = issuer();
    let token = issuer.issue(&web(), HOUR, SystemTime::now()).unwrap();
    assert_eq!(issuer.verifier().verify(&token), Ok(web()));
}

#[test]
fn a_key_read_again_knows_its_tokens() {
    let pem = TokenIssuer::generate_key().unwrap();
    let issuer = TokenIssuer::from_pem(pem.as_bytes()).unwrap();
    let token = issuer.issue(&web(), HOUR, SystemTime::now()).unwrap();
    let again = TokenIssuer::from_pem(pem.as_bytes()).unwrap();
    assert_eq!(again.verifier().verify(&token), Ok(web()));
}

#[test]
fn a_token_is_refused_for_what_is_wrong_with_it() {
    let ours = issuer();
    let rejected = |text: &str| Err(TokenError::Rejected(text.to_owned()));
    let now = SystemTime::now();
    let good = ours.issue(&web(), HOUR, now).unwrap();
    let (unsigned, _) = good.rsplit_once('.').unwrap();
    let unsigned = format!("{unsigned}.");
    let other = issuer().issue(&web(), HOUR, now).unwrap();
    let by_secret = encode(
        &Header::new(Algorithm::HS256),
        &json!({"sub": "system:serviceaccount:emojivoto:web", "exp": seconds() + 60}),
        &EncodingKey::from_secret(b"guessed"),
    )
    .unwrap();
    for (what, token, expected) in [
        (
            "expired",
            ours.issue(&web(), HOUR, now - 2 * HOUR).unwrap(),
            rejected("the token has expired"),
        ),
        (
            "of the future",
            ours.issue(&web(), HOUR, now + HOUR).unwrap(),
            rejected("the token is not valid yet"),
        ),
        (
            "for others",
            token_with(&ours, |claims| claims["aud"] = json!(["vault"])),
            rejected("the token is not for identity.l5d.io"),
        ),
        ("of another key", other, Err(TokenError::Unauthenticated)),
        ("unsigned", unsigned, Err(TokenError::Unauthenticated)),
        (
            "of another algorithm",
            by_secret,
            Err(TokenError::Unauthenticated),
        ),
        (
            "no token",
            "fake-data".to_owned(),
            Err(TokenError::Unauthenticated),
        ),
        (
            "of another issuer",
            token_with(&ours, |claims| claims["iss"] = json!("kubernetes")),
            Err(TokenError::Unauthenticated),
        ),
        (
            "for no audience",
            token_with(&ours, |claims| {
                claims.as_object_mut().unwrap().remove("aud");
            }),
            Err(TokenError::Unauthenticated),
        ),
        (
            "for ever",
            token_with(&ours, |claims| {
                claims.as_object_mut().unwrap().remove("exp");
            }),
            Err(TokenError::Unauthenticated),
        ),
        (
            "of a user",
            token_with(&ours, |claims| claims["sub"] = json!("bob")),
            Err(TokenError::Username("bob".to_owned())),
        ),
    ] {
        assert_eq!(ours.verifier().verify(&token), expected, "{what}");
    }
}

#[test]
fn only_a_p256_key_signs_tokens() {
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let certificate = Pem::new("CERTIFICATE", [1, 2, 3]);
    for (what, pem) in [
        ("nothing", String::new()),
        ("text", "not a key".to_owned()),
        (
            "a broken block",
            "-----BEGIN PRIVATE KEY-----\nxx".to_owned(),
        ),
        ("another block", pem::encode(&certificate)),
        ("another curve", p384.serialize_pem()),
    ] {
        let refused = TokenIssuer::from_pem(pem.as_bytes()).err();
        assert_eq!(refused, Some(TokenKeyError::NotAKey), "{what}");
    }
}

#[test]
fn a_key_is_not_printed() {
    assert_eq!(format!("{:?}", issuer()), "TokenIssuer { .. }");
}
