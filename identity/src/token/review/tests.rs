//! Answers that a real API server cannot be made to give; tests/service has the
//! others.

use super::*;
use k8s_openapi::api::authentication::v1::UserInfo;

fn error(text: &str) -> TokenReviewStatus {
    TokenReviewStatus {
        error: Some(text.to_owned()),
        ..TokenReviewStatus::default()
    }
}

fn user(username: &str, audiences: &[&str]) -> TokenReviewStatus {
    TokenReviewStatus {
        authenticated: Some(true),
        audiences: Some(audiences.iter().map(ToString::to_string).collect()),
        user: Some(UserInfo {
            username: Some(username.to_owned()),
            ..UserInfo::default()
        }),
        error: None,
    }
}

const WEB: &str = "system:serviceaccount:ns:web";

#[test]
fn the_status_of_a_review_says_who_it_is_or_why_not() {
    let web = || ServiceAccount::from_username(WEB);
    let ours = Some(TOKEN_AUDIENCE);
    let rejected = |text: &str| Err(TokenError::Rejected(text.to_owned()));
    for (what, status, audience, expected) in [
        ("for us", user(WEB, &[TOKEN_AUDIENCE]), ours, web()),
        (
            "for us and others",
            user(WEB, &["vault", TOKEN_AUDIENCE]),
            ours,
            web(),
        ),
        (
            "for the API server",
            user(WEB, &["https://kubernetes"]),
            None,
            web(),
        ),
        (
            "an API server that does not say for whom",
            user(WEB, &[]),
            None,
            web(),
        ),
        (
            "an authenticator that knows no audiences",
            user(WEB, &[]),
            ours,
            Err(TokenError::Audience(Vec::new())),
        ),
        (
            "for others only",
            user(WEB, &["vault"]),
            ours,
            Err(TokenError::Audience(vec!["vault".to_owned()])),
        ),
        // Scenario 21.
        (
            "not authenticated",
            TokenReviewStatus {
                authenticated: Some(false),
                ..TokenReviewStatus::default()
            },
            ours,
            Err(TokenError::Unauthenticated),
        ),
        (
            "nothing at all",
            TokenReviewStatus::default(),
            ours,
            Err(TokenError::Unauthenticated),
        ),
        // Scenario 22.
        (
            "expired",
            error("[invalid bearer token, token has expired]"),
            ours,
            rejected("[invalid bearer token, token has expired]"),
        ),
        (
            "an error with an account",
            TokenReviewStatus {
                error: Some("half an answer".to_owned()),
                ..user(WEB, &[TOKEN_AUDIENCE])
            },
            ours,
            rejected("half an answer"),
        ),
        (
            "an empty error",
            TokenReviewStatus {
                error: Some(String::new()),
                ..user(WEB, &[TOKEN_AUDIENCE])
            },
            ours,
            web(),
        ),
        // Scenario 25.
        (
            "a node",
            user("system:node:n1", &[TOKEN_AUDIENCE]),
            ours,
            Err(TokenError::Username("system:node:n1".to_owned())),
        ),
    ] {
        assert_eq!(judge(status, audience), expected, "{what}");
    }
}

#[test]
fn only_an_error_about_audiences_leads_to_a_second_review() {
    for (text, expected) in [
        (
            "[invalid bearer token, token audiences [\"https://kubernetes\"] is invalid for the \
             target audiences [\"identity.l5d.io\"]]",
            true,
        ),
        ("[invalid bearer token, token has expired]", false),
        ("", false),
    ] {
        assert_eq!(is_of_another_audience(&error(text)), expected, "{text}");
    }
    assert!(!is_of_another_audience(&TokenReviewStatus::default()));
}
