//! The steps of a rotation, with real certificates.

use super::{tests::*, *};
use crate::{issuer::preflight, managed::rotation::Requests};
use std::sync::LazyLock;

/// Counts pods where that is wanted.
fn plan(rules: &Rules, state: &State, laggards: Laggards<'_>, now: SystemTime) -> Plan {
    let known = Known::NOTHING;
    match rules.plan(state, known, now) {
        Plan::Count => rules.plan(state, Known { laggards, ..known }, now),
        plan => plan,
    }
}

/// Somebody who does not trust the new anchor.
fn one() -> Laggards<'static> {
    static ONE: LazyLock<Waits> = LazyLock::new(|| Waits::new(WaitsFor::Pods, "one"));
    Laggards::Some(&ONE)
}

/// What a rotation waits for, or why none begins.
fn waits(rules: &Rules, state: &State, now: SystemTime) -> Option<WaitsFor> {
    match plan(rules, state, one(), now) {
        Plan::Done(_, waits) | Plan::Stuck(_, waits) => waits.map(|waits| waits.on),
        plan => panic!("{}", step(&plan)),
    }
}

/// Steps until there is nothing to do.
fn run(rules: &Rules, state: &mut State, laggards: Laggards<'_>, now: SystemTime) -> Vec<String> {
    let mut steps = Vec::new();
    for _ in 0..12 {
        let plan = plan(rules, state, laggards, now);
        steps.push(step(&plan));
        if matches!(plan, Plan::Done(..) | Plan::Stuck(..) | Plan::NotOurs) {
            return steps;
        }
        take(rules, state, plan, now);
    }
    panic!("it does not end: {steps:?}");
}

fn asked(now: SystemTime) -> State {
    let mut state = kept(now);
    anchors(&mut state).requests.rotate = true;
    state
}

fn anchors(state: &mut State) -> &mut Anchors {
    state.anchors.as_mut().unwrap()
}

fn bundle(state: &State) -> &[u8] {
    &state.bundle.as_ref().unwrap().pem
}

/// Whether a proxy that trusts `pem` verifies the leaves that the issuer signs.
fn verifies(state: &State, pem: &[u8], now: SystemTime) -> bool {
    let pair = state.issuer.as_ref().unwrap();
    let chain = Certificate::chain_from_pem(&pair.certificate).unwrap();
    let root = TrustAnchors::from_pem(bundle(state)).unwrap();
    let issuer = Issuer::load(&pair.certificate, &pair.key, &root, &scope(), now).unwrap();
    assert_eq!(issuer.chain().len(), chain.len());
    let anchors = TrustAnchors::from_pem(pem).unwrap();
    preflight::fly(&issuer, &anchors, &scope(), now).is_ok()
}

const DISTRIBUTED: [&str; 3] = [
    "Start(\"somebody has asked for it\")",
    "publish",
    "Begin(Distributing)",
];
const SWITCHED: [&str; 3] = [
    "Enter(Switched)",
    "issuer: Rotation(Switched)",
    "Begin(Switched)",
];
const LEAVES: &str = "waits: leaves that only the old anchor vouches for are valid until \
                      2024-10-10T00:00:00Z";
const RETIRED: [&str; 5] = [
    "Enter(Retiring)",
    "issuer: Rotation(Retiring)",
    "publish",
    "End(Retiring)",
    "done",
];

#[test]
fn one_anchor_follows_another_and_everybody_verifies_everybody_meanwhile() {
    let (rules, now) = (rules(), noon());
    let mut state = asked(now);
    let old = bundle(&state).to_vec();
    let some = one();
    let waits = "waits: one";
    assert_eq!(
        run(&rules, &mut state, some, now),
        [&DISTRIBUTED[..], &[waits]].concat()
    );
    let both = bundle(&state).to_vec();
    assert_eq!(fingerprints(&both).len(), 2);
    assert_eq!(fingerprints(&both)[0], fingerprints(&old)[0]);
    let new = Bundle::read(&both)
        .without(&fingerprints(&old)[0])
        .into_bytes();
    assert!(verifies(&state, &old, now) && verifies(&state, &both, now));
    assert!(!verifies(&state, &new, now));

    let now = now + 4 * DAY;
    assert_eq!(
        run(&rules, &mut state, Laggards::Gone, now),
        [&SWITCHED[..], &[LEAVES]].concat()
    );
    for trusted in [&old, &both, &new] {
        assert!(verifies(&state, trusted, now));
    }
    assert_eq!(bundle(&state), both);
    // An issuer that is asked for has both signatures, too.
    state.issuer.as_mut().unwrap().asked = true;
    let steps = run(&rules, &mut state, Laggards::Gone, now);
    assert_eq!(steps, ["issuer: Asked", LEAVES]);
    assert!(verifies(&state, &old, now) && verifies(&state, &new, now));

    let now = now + 2 * DAY;
    assert_eq!(run(&rules, &mut state, some, now), [waits]);
    assert_eq!(run(&rules, &mut state, Laggards::Gone, now), RETIRED);
    assert_eq!(bundle(&state), new);
    assert!(verifies(&state, &new, now) && verifies(&state, &both, now));
    assert!(!verifies(&state, &old, now));
    let held = anchors(&mut state);
    assert!(held.next.is_none() && held.previous.is_none() && held.rotation.is_none());
    assert_eq!(settle(&rules, &mut state, now + DAY), ["done"]);
    // And again.
    anchors(&mut state).requests.rotate = true;
    assert_eq!(run(&rules, &mut state, some, now)[..3], DISTRIBUTED);
}

#[test]
fn what_others_have_added_to_the_bundle_stays() {
    let (rules, now) = (rules(), noon());
    let mut state = asked(now);
    let theirs = kept(now);
    state.bundle.as_mut().unwrap().pem.extend(bundle(&theirs));
    run(&rules, &mut state, Laggards::Gone, now);
    run(&rules, &mut state, Laggards::Gone, now + 3 * DAY);
    let held = fingerprints(bundle(&state));
    assert_eq!(held.len(), 2);
    assert_eq!(held[0], fingerprints(bundle(&theirs))[0]);
}

#[test]
fn the_way_back_is_open_until_the_old_anchor_leaves() {
    let rules = rules();
    for (switched, expected) in [
        (
            false,
            &["Enter(Aborting)", "publish", "End(Aborting)", "done"][..],
        ),
        (
            true,
            &[
                "Enter(Aborting)",
                "issuer: Rotation(Aborting)",
                "publish",
                "End(Aborting)",
                "done",
            ],
        ),
    ] {
        let now = noon();
        let mut state = asked(now);
        let old = bundle(&state).to_vec();
        let key = anchors(&mut state).current.key.clone();
        let laggards = if switched { Laggards::Gone } else { one() };
        run(&rules, &mut state, laggards, now);
        anchors(&mut state).requests.abort = true;
        assert_eq!(run(&rules, &mut state, Laggards::Gone, now), expected);
        assert_eq!(bundle(&state), old);
        assert_eq!(anchors(&mut state).current.key, key);
        assert!(verifies(&state, &old, now));
        // It was answered, and does not answer the next rotation.
        assert!(!anchors(&mut state).requests.abort);
    }
}

#[test]
fn a_pause_stops_it_where_it_is_and_an_override_lets_it_go_on() {
    let (rules, now) = (rules(), noon());
    let some = one();
    let mut state = asked(now);
    anchors(&mut state).requests.paused = true;
    assert_eq!(run(&rules, &mut state, some, now), ["waits: it is paused"]);
    anchors(&mut state).requests.paused = false;
    run(&rules, &mut state, some, now);
    anchors(&mut state).requests.paused = true;
    let now = now + 250 * DAY;
    assert_eq!(
        run(&rules, &mut state, Laggards::Gone, now)[..],
        ["issuer: Due", "waits: it is paused"]
    );
    anchors(&mut state).requests.paused = false;
    // Of another phase it changes nothing.
    anchors(&mut state).requests.unless_waiting_in = Some(Phase::Switched);
    assert_eq!(run(&rules, &mut state, some, now), ["waits: one"]);
    anchors(&mut state).requests.unless_waiting_in = Some(Phase::Distributing);
    assert_eq!(run(&rules, &mut state, some, now)[..3], SWITCHED);
    assert_eq!(anchors(&mut state).requests, Requests::default());
    assert_eq!(run(&rules, &mut state, some, now + 3 * DAY), ["waits: one"]);
}

#[test]
fn it_begins_by_itself_with_a_third_of_the_anchors_life_left() {
    let (asked, automatic) = (
        rules(),
        Rules {
            rotates: true,
            ..rules()
        },
    );
    let mut state = kept(noon());
    for (day, begins) in [(2400, false), (2434, true)] {
        let now = noon() + day * DAY;
        let first = |rules: &Rules, state: &State| step(&plan(rules, state, Laggards::Gone, now));
        run(&asked, &mut state, Laggards::Gone, now);
        assert_eq!(first(&asked, &state), "done");
        assert_eq!(
            first(&automatic, &state).starts_with("Start"),
            begins,
            "day {day}"
        );
    }
}

#[test]
fn laggards_do_not_keep_it_from_switching_when_the_old_anchor_comes_to_its_end() {
    let rules = Rules {
        rotates: true,
        ..rules()
    };
    let some = one();
    let mut state = kept(noon());
    let old = bundle(&state).to_vec();
    let late = noon() + 3400 * DAY;
    run(&rules, &mut state, some, late);
    assert_eq!(
        run(&rules, &mut state, some, late + 100 * DAY),
        ["waits: one"]
    );
    let end = noon() + 3600 * DAY;
    assert_eq!(run(&rules, &mut state, some, end)[..3], SWITCHED);
    // They go on beyond it: proxies do not look at the dates of what they trust.
    let beyond = noon() + 3660 * DAY;
    assert_eq!(run(&rules, &mut state, some, beyond), ["waits: one"]);
    assert!(verifies(&state, &old, beyond));
}

#[test]
fn an_anchor_that_has_expired_is_followed_by_one_that_old_proxies_verify() {
    let rules = Rules {
        rotates: true,
        ..rules()
    };
    let mut state = kept(noon());
    let old = bundle(&state).to_vec();
    let now = noon() + 3700 * DAY;
    let steps = run(&rules, &mut state, one(), now);
    assert!(
        steps[0].starts_with("Start(\"it has expired at "),
        "{steps:?}"
    );
    assert_eq!(
        steps[1..4],
        ["publish", "issuer: unusable", "Begin(Switched)"]
    );
    assert!(verifies(&state, &old, now));
    let now = now + 3 * DAY;
    assert_eq!(run(&rules, &mut state, Laggards::Gone, now), RETIRED);
    assert!(!verifies(&state, &old, now));
}

#[test]
fn who_is_killed_before_any_write_is_gone_on_from_and_an_old_issuer_begins_the_wait_anew() {
    let (rules, now) = (rules(), noon());
    let mut state = asked(now);
    let before = IssuerPair {
        ours: true,
        certificate: state.issuer.as_ref().unwrap().certificate.clone(),
        key: state.issuer.as_ref().unwrap().key.clone(),
        asked: false,
    };
    run(&rules, &mut state, Laggards::Gone, now);
    // Somebody restores a backup.
    state.issuer = Some(before);
    let now = now + 2 * DAY;
    assert_eq!(
        run(&rules, &mut state, Laggards::Gone, now)[..3],
        [
            "BeginAgain(Switched)",
            "issuer: Rotation(Switched)",
            "Begin(Switched)"
        ]
    );
}

#[test]
fn what_keeps_it_from_beginning_or_going_on_is_said() {
    type Break = fn(&mut State);
    let cases: [(&str, Break, &str); 5] = [
        (
            "no key",
            |state| anchors(state).current.key = None,
            "waits: ANCHOR has no key",
        ),
        (
            "by hand",
            |state| anchors(state).next = Some(AnchorPair::default()),
            "waits: ANCHOR has next.crt or previous.crt",
        ),
        (
            "a record of nobody knows what",
            |state| anchors(state).unreadable = Some("the annotation".into()),
            "stuck: the annotation",
        ),
        (
            "a bundle of somebody else",
            |state| state.bundle.as_mut().unwrap().ours = false,
            "waits: BUNDLE is not kept by Ferrule, which cannot publish another",
        ),
        (
            "next.key gone",
            |state| {
                run(&rules(), state, one(), noon());
                anchors(state).next.as_mut().unwrap().key = None;
            },
            "waits: ANCHOR has no key",
        ),
    ];
    for (case, break_it, told) in cases {
        let mut state = asked(noon());
        break_it(&mut state);
        let steps = run(&rules(), &mut state, Laggards::Gone, noon());
        let last = steps.last().unwrap();
        assert!(last.starts_with(told), "{case}: {steps:?}");
    }
    // The other end, in a bundle of somebody else.
    let mut state = asked(noon());
    run(&rules(), &mut state, Laggards::Gone, noon());
    state.bundle.as_mut().unwrap().ours = false;
    let steps = run(&rules(), &mut state, Laggards::Gone, noon() + 3 * DAY);
    let told = "waits: BUNDLE is not kept by Ferrule and has a trust anchor that is not needed";
    assert!(steps.last().unwrap().starts_with(told), "{steps:?}");
}

/// What trust-manager makes of a bundle that it has taken over.
fn take_over(state: &mut State, pem: Vec<u8>) {
    state.bundle = Some(Published { ours: false, pem });
}

#[test]
fn somebody_elses_bundle_keeps_no_issuer_from_its_renewal_and_no_rotation_from_its_way_back() {
    let rules = rules();
    for (switched, back) in [
        (false, &["Enter(Aborting)", "End(Aborting)", "done"][..]),
        (
            true,
            &[
                "Enter(Aborting)",
                "issuer: unusable",
                "End(Aborting)",
                "done",
            ],
        ),
    ] {
        let mut state = asked(noon());
        let old = bundle(&state).to_vec();
        let laggards = if switched { Laggards::Gone } else { one() };
        run(&rules, &mut state, laggards, noon());
        take_over(&mut state, old.clone());
        let lacks = "waits: BUNDLE is not kept by Ferrule and lacks a trust anchor that is in \
                     ANCHOR: add it";
        let now = noon() + DAY;
        assert_eq!(run(&rules, &mut state, Laggards::Gone, now), [lacks]);
        assert_eq!(waits(&rules, &state, now), Some(WaitsFor::Bundle));
        let now = noon() + 245 * DAY;
        let renewed = ["issuer: Due", lacks];
        assert_eq!(run(&rules, &mut state, Laggards::Gone, now), renewed);
        state.issuer.as_mut().unwrap().asked = true;
        let steps = run(&rules, &mut state, Laggards::Gone, now);
        assert_eq!(steps, ["issuer: Asked", lacks]);
        anchors(&mut state).requests.abort = true;
        assert_eq!(run(&rules, &mut state, Laggards::Gone, now), back);
        assert_eq!(bundle(&state), old);
        // Beside that bundle none begins, and it is said why.
        anchors(&mut state).requests.rotate = true;
        let now = noon() + 490 * DAY;
        let steps = run(&rules, &mut state, Laggards::Gone, now);
        assert_eq!(steps[0], "issuer: Due");
        assert_eq!(waits(&rules, &state, now), Some(WaitsFor::Bundle));
        // It is ours again.
        state.bundle.as_mut().unwrap().ours = true;
        assert_eq!(run(&rules, &mut state, one(), now)[..3], DISTRIBUTED);
    }
}

#[test]
fn a_step_that_is_refused_keeps_no_issuer_from_its_renewal() {
    let (rules, mut state) = (rules(), asked(noon()));
    let wrong = Waits::new(WaitsFor::Clock, "the clock");
    let known = Known {
        refused: Some(&wrong),
        ..Known::NOTHING
    };
    let refused = |state: &State, now| step(&rules.plan(state, known, now));
    assert_eq!(refused(&state, noon()), "waits: the clock");
    let now = noon() + 245 * DAY;
    assert_eq!(refused(&state, now), "issuer: Due");
    run(&rules, &mut state, one(), now);
    // Nor is the way back taken.
    anchors(&mut state).requests.abort = true;
    assert_eq!(refused(&state, now), "waits: the clock");
}

#[test]
fn it_is_said_in_time_that_a_pause_outlasts_the_old_anchor() {
    let automatic = Rules {
        rotates: true,
        ..rules()
    };
    // Issuers last for a year, and a third of one is left when they are renewed.
    let cases = [
        (2500, Some(WaitsFor::Paused)),
        (3160, Some(WaitsFor::Paused)),
        (3170, Some(WaitsFor::PausedAtEnd)),
        (3600, Some(WaitsFor::PausedAtEnd)),
    ];
    for begun in [false, true] {
        let mut state = kept(noon());
        if begun {
            run(&automatic, &mut state, one(), noon() + 2440 * DAY);
        }
        anchors(&mut state).requests.paused = true;
        for (day, expected) in cases {
            let now = noon() + day * DAY;
            run(&automatic, &mut state, one(), now);
            assert_eq!(waits(&automatic, &state, now), expected, "{day} {begun}");
        }
    }
    // Before one is due, it is nobody's concern.
    let mut state = kept(noon());
    anchors(&mut state).requests.paused = true;
    assert_eq!(waits(&automatic, &state, noon() + 10 * DAY), None);
    // While both sign there is no hurry.
    let mut state = asked(noon() + 3000 * DAY);
    run(&rules(), &mut state, Laggards::Gone, noon() + 3000 * DAY);
    anchors(&mut state).requests.paused = true;
    let now = noon() + 6000 * DAY;
    run(&rules(), &mut state, one(), now);
    assert_eq!(waits(&rules(), &state, now), Some(WaitsFor::Paused));
}
