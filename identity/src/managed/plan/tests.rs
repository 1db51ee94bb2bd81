use super::*;

pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) fn scope() -> IdentityScope {
    IdentityScope::new("linkerd", "cluster.local").unwrap()
}

pub(super) fn rules() -> Rules {
    Rules {
        scope: scope(),
        lifetimes: Lifetimes::default(),
        rotates: false,
        leaves_last: 2 * DAY,
        names: Names {
            anchor: "ANCHOR".into(),
            issuer: "ISSUER".into(),
            bundle: "BUNDLE".into(),
        },
    }
}

pub(super) fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + 20_000 * DAY
}

/// The step, by name.
pub(super) fn step(plan: &Plan) -> String {
    match plan {
        Plan::NotOurs => "not ours".into(),
        Plan::Stuck(reason, _) => format!("stuck: {reason}"),
        Plan::MakeAnchor => "anchor".into(),
        Plan::Publish(_) => "publish".into(),
        Plan::MakeIssuer(_, Why::Unusable(_)) => "issuer: unusable".into(),
        Plan::MakeIssuer(_, why) => format!("issuer: {why:?}"),
        Plan::Rotate(_, turn) => format!("{turn:?}"),
        Plan::Count => "count".into(),
        Plan::Done(_, None) => "done".into(),
        Plan::Done(_, Some(waits)) => format!("waits: {waits}"),
    }
}

/// Takes the step, as a write into the cluster does.
pub(super) fn take(rules: &Rules, state: &mut State, plan: Plan, now: SystemTime) {
    match plan {
        Plan::MakeAnchor => {
            let (certificate, key) = rules.make_anchor(now).unwrap();
            state.anchors = Some(Anchors {
                current: AnchorPair {
                    certificates: certificate.into(),
                    key: Some(key.as_bytes().to_vec().into()),
                },
                ..Anchors::default()
            });
        }
        Plan::Publish(pem) => {
            state.bundle = Some(Published {
                ours: true,
                pem: pem.into(),
            });
        }
        Plan::MakeIssuer(successor, _) => {
            let made = rules.make_issuer(&successor, now).unwrap();
            state.issuer = Some(IssuerPair {
                ours: true,
                certificate: made.certificate.into(),
                key: made.key.as_bytes().to_vec().into(),
                asked: false,
            });
        }
        Plan::Rotate(anchors, _) => state.anchors = Some(*anchors),
        plan => panic!("{}", step(&plan)),
    }
}

/// Steps until there is nothing to do.
pub(super) fn settle(rules: &Rules, state: &mut State, now: SystemTime) -> Vec<String> {
    let mut steps = Vec::new();
    for _ in 0..10 {
        let plan = rules.plan(state, Known::NOTHING, now);
        let name = step(&plan);
        let ends = matches!(plan, Plan::Done(..) | Plan::NotOurs | Plan::Stuck(..));
        steps.push(name);
        if ends {
            return steps;
        }
        take(rules, state, plan, now);
    }
    panic!("it does not end: {steps:?}");
}

pub(super) fn kept(now: SystemTime) -> State {
    let mut state = State::default();
    settle(&rules(), &mut state, now);
    state
}

/// An authority of somebody else.
fn theirs() -> State {
    let mut state = kept(noon());
    state.anchors = None;
    state.issuer.as_mut().unwrap().ours = false;
    state.bundle.as_mut().unwrap().ours = false;
    state
}

pub(super) fn fingerprints(pem: &[u8]) -> Vec<String> {
    let bundle = Bundle::read(pem);
    let all = bundle.certificates();
    all.map(|one| one.fingerprint().to_owned()).collect()
}

#[test]
fn from_nothing_it_takes_three_steps_and_then_none() {
    let mut state = State::default();
    let steps = settle(&rules(), &mut state, noon());
    assert_eq!(steps, ["anchor", "publish", "issuer: Missing", "done"]);
    assert_eq!(settle(&rules(), &mut state, noon() + DAY), ["done"]);
}

#[test]
fn an_issuer_is_renewed_when_a_third_of_its_life_is_left_under_the_same_anchor() {
    let mut state = kept(noon());
    let anchors = fingerprints(&state.bundle.as_ref().unwrap().pem);
    for (day, steps) in [
        (240, &["done"][..]),
        (245, &["issuer: Due", "done"]),
        (246, &["done"]),
        (500, &["issuer: Due", "done"]),
    ] {
        assert_eq!(
            settle(&rules(), &mut state, noon() + day * DAY),
            steps,
            "day {day}"
        );
        assert_eq!(fingerprints(&state.bundle.as_ref().unwrap().pem), anchors);
    }
}

#[test]
fn near_the_end_of_the_anchor_issuers_are_not_renewed_over_and_over() {
    let now = noon() + 3600 * DAY;
    let mut state = kept(noon());
    assert_eq!(
        settle(&rules(), &mut state, now),
        ["issuer: unusable", "done"]
    );
    for day in 1..49 {
        assert_eq!(
            settle(&rules(), &mut state, now + day * DAY),
            ["done"],
            "{day}"
        );
    }
    let over = settle(&rules(), &mut state, now + 51 * DAY);
    assert!(
        over[0].starts_with("stuck: the trust anchor in ANCHOR has expired"),
        "{over:?}"
    );
}

#[test]
fn what_somebody_else_keeps_is_never_written() {
    let rules = rules();
    let mut state = theirs();
    assert_eq!(settle(&rules, &mut state, noon()), ["not ours"]);
    // Expired, or not there yet: it is theirs all the same.
    assert_eq!(
        settle(&rules, &mut state, noon() + 4000 * DAY),
        ["not ours"]
    );
    state.issuer = None;
    assert_eq!(settle(&rules, &mut state, noon()), ["not ours"]);

    // Theirs in the objects that were ours.
    let mut mixed = kept(noon());
    let theirs = theirs();
    let issuer = theirs.issuer.unwrap();
    mixed.issuer = Some(IssuerPair {
        ours: true,
        ..issuer
    });
    mixed
        .bundle
        .as_mut()
        .unwrap()
        .pem
        .extend(theirs.bundle.unwrap().pem);
    assert_eq!(settle(&rules, &mut mixed, noon()), ["not ours"]);
}

#[test]
fn a_bundle_of_somebody_else_must_hold_the_anchor() {
    let rules = rules();
    let mut state = kept(noon());
    state.bundle.as_mut().unwrap().ours = false;
    assert_eq!(
        settle(&rules, &mut state, noon() + 245 * DAY),
        ["issuer: Due", "done"]
    );
    state.bundle = theirs().bundle;
    let stuck = |steps: &[String]| {
        let stuck = "stuck: BUNDLE is not kept by Ferrule and lacks a trust anchor";
        let last = steps.last().unwrap();
        assert!(last.starts_with(stuck), "{steps:?}");
    };
    stuck(&settle(&rules, &mut state, noon() + 246 * DAY));
    // Whoever trusts the issuer's anchor goes on to.
    let steps = settle(&rules, &mut state, noon() + 490 * DAY);
    assert_eq!(steps[0], "issuer: Due");
    stuck(&steps);
    // The first would be trusted by nobody.
    state.issuer = None;
    let steps = settle(&rules, &mut state, noon());
    assert_eq!(steps.len(), 1);
    stuck(&steps);
}

#[test]
fn a_bundle_never_loses_an_anchor() {
    let rules = rules();
    let mut state = kept(noon());
    let other = theirs().bundle.unwrap().pem;
    let own = state.bundle.as_ref().unwrap().pem.clone();
    let all = [fingerprints(&other), fingerprints(&own)].concat();
    for pem in [
        other.clone(),
        [
            &other[..],
            b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
        ]
        .concat(),
        [&other[..], &own, b"-----BEGIN CERTIFICATE-----\nMII"].concat(),
    ] {
        state.bundle.as_mut().unwrap().pem = pem;
        assert_eq!(settle(&rules, &mut state, noon()), ["publish", "done"]);
        assert_eq!(fingerprints(&state.bundle.as_ref().unwrap().pem), all);
    }
}

#[test]
fn what_cannot_be_made_again_is_not_made_again() {
    type Break = fn(&mut State);
    let cases: [(&str, Break, SystemTime, &str); 7] = [
        (
            "no anchor",
            |state| state.anchors = None,
            noon(),
            "ANCHOR is gone",
        ),
        (
            "neither anchor nor issuer",
            |state| (state.anchors, state.issuer) = (None, None),
            noon(),
            "ANCHOR is gone",
        ),
        (
            "a damaged anchor",
            |state| {
                state
                    .anchors
                    .as_mut()
                    .unwrap()
                    .current
                    .certificates
                    .truncate(200);
            },
            noon(),
            "ANCHOR does not hold a certificate",
        ),
        (
            "no key when one is needed",
            |state| state.anchors.as_mut().unwrap().current.key = None,
            noon() + 245 * DAY,
            "ANCHOR has no key",
        ),
        (
            "a damaged key when one is needed",
            |state| state.anchors.as_mut().unwrap().current.key = Some(b"garbage".to_vec().into()),
            noon() + 245 * DAY,
            "ANCHOR holds no private key",
        ),
        (
            "an expired anchor",
            |_| {},
            noon() + 3651 * DAY,
            "has expired",
        ),
        (
            "a clock of last year",
            |_| {},
            noon() - 365 * DAY,
            "a clock that is wrong",
        ),
    ];
    for (case, break_it, now, told) in cases {
        let mut state = kept(noon());
        break_it(&mut state);
        let steps = settle(&rules(), &mut state, now);
        assert!(
            steps[0].starts_with("stuck: ") && steps[0].contains(told),
            "{case}: {steps:?}"
        );
    }
}

#[test]
fn a_key_of_another_anchor_signs_nothing() {
    let mut state = kept(noon());
    state.anchors.as_mut().unwrap().current.key = kept(noon()).anchors.unwrap().current.key;
    assert_eq!(settle(&rules(), &mut state, noon()), ["done"]);
    let told = "stuck: ANCHOR holds a key that is not its certificate's: put back what was there";
    assert_eq!(settle(&rules(), &mut state, noon() + 300 * DAY), [told]);
}

#[test]
fn an_anchor_whose_key_is_elsewhere_serves_until_it_is_needed() {
    let mut state = kept(noon());
    state.anchors.as_mut().unwrap().current.key = None;
    assert_eq!(settle(&rules(), &mut state, noon() + 240 * DAY), ["done"]);
}

#[test]
fn an_issuer_that_cannot_be_used_or_is_asked_for_is_replaced() {
    for (case, expected) in [("asked", "issuer: Asked"), ("key", "issuer: unusable")] {
        let mut state = kept(noon());
        let issuer = state.issuer.as_mut().unwrap();
        match case {
            "asked" => issuer.asked = true,
            _ => issuer.key = b"garbage".to_vec().into(),
        }
        assert_eq!(settle(&rules(), &mut state, noon()), [expected, "done"]);
    }
}

/// Of every state that is ever left, whoever comes next makes the same.
#[test]
fn whoever_is_killed_after_any_step_leaves_what_the_next_goes_on_from() {
    let rules = rules();
    let mut killed = Vec::new();
    for most in 0..4 {
        let mut state = State::default();
        for _ in 0..most {
            match rules.plan(&state, Known::NOTHING, noon()) {
                Plan::Done(..) => break,
                plan => take(&rules, &mut state, plan, noon()),
            }
        }
        let anchor = state
            .anchors
            .as_ref()
            .map(|anchors| anchors.current.certificates.clone());
        let steps = settle(&rules, &mut state, noon() + DAY);
        assert_eq!(steps.last().unwrap(), "done");
        if let Some(anchor) = anchor {
            assert_eq!(
                state.anchors.unwrap().current.certificates,
                anchor,
                "it is made once"
            );
        }
        killed.push(steps.len());
    }
    assert_eq!(killed, [4, 3, 2, 1]);
}
