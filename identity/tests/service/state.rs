//! The state directory of the embedded default.

use crate::support::{HOUR, Log, Proxy, YEAR, eventually, scope};
use ferrule_identity::{
    Authenticator, Certificate, CertificateAuthority, Credentials, IdentityScope, ServiceAccount,
    StateDirectory, Validity,
};
use ferrule_proto::identity::CertifyRequest;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A state directory that is not there yet.
fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/ferrule");
    (folder, path)
}

fn made(path: &Path) -> Credentials {
    made_at(path, SystemTime::now())
}

/// As if it were `now`.
fn made_at(path: &Path, now: SystemTime) -> Credentials {
    let state = StateDirectory::open(path).unwrap();
    state.token_issuer().unwrap();
    state.credentials(&scope(), now).unwrap()
}

fn fingerprint(credentials: &Credentials) -> &str {
    credentials.issuer.certificate().fingerprint()
}

fn contents(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(path).unwrap().map(Result::unwrap);
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read(entry.path()).unwrap())
    };
    entries.map(read).collect()
}

#[test]
fn everything_is_made_once_and_for_its_owner_only() {
    let (_folder, path) = place();
    let first = made(&path);
    let files = contents(&path);
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "ca.crt",
            "ca.key",
            "issuer.crt",
            "issuer.key",
            "lock",
            "token.key"
        ]
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for name in names {
        assert_eq!(mode(&path.join(name)), 0o600, "{name}");
    }
    let second = made(&path);
    assert_eq!(fingerprint(&first), fingerprint(&second));
    assert_eq!(first.anchors.pem(), second.anchors.pem());
    assert_eq!(contents(&path), files);
    let anchors = StateDirectory::open(&path).unwrap().trust_anchors_file();
    assert_eq!(fs::read(anchors).unwrap(), first.anchors.pem());
}

#[test]
fn what_others_could_get_at_is_said() {
    let (log, _guard) = Log::begin();
    let (_folder, path) = place();
    made(&path);
    assert_eq!(log.lines_with("chmod").len(), 0, "{}", log.text());
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    set(&path, 0o777).unwrap();
    set(&path.join("issuer.key"), 0o644).unwrap();
    made(&path);
    for said in ["chmod 700", "issuer.key: chmod 600"] {
        assert_eq!(log.lines_with(said).len(), 1, "{said}: {}", log.text());
    }
}

#[test]
fn an_anchor_lasts_ten_years_and_an_issuer_one() {
    let (_folder, path) = place();
    let credentials = made(&path);
    let life = |certificate: &Certificate| {
        let left = certificate.not_after().duration_since(SystemTime::now());
        left.unwrap().as_secs_f64() / YEAR.as_secs_f64()
    };
    let anchor = &credentials.anchors.certificates()[0];
    let issuer = credentials.issuer.certificate();
    assert_eq!(anchor.subject(), "CN=root.linkerd.cluster.local");
    assert_eq!(issuer.subject(), "CN=identity.linkerd.cluster.local");
    assert!((life(anchor) - 10.0).abs() < 0.01);
    assert!((life(issuer) - 1.0).abs() < 0.01);
    assert_eq!((anchor.is_ca(), anchor.path_length()), (true, Some(1)));
    assert_eq!((issuer.is_ca(), issuer.path_length()), (true, Some(0)));
    assert_eq!(anchor.public_key().algorithm().to_string(), "ECDSA P-256");
    assert_eq!(issuer.public_key().algorithm().to_string(), "ECDSA P-256");
}

#[tokio::test]
async fn a_token_made_from_the_same_directory_is_certified() {
    let (_folder, path) = place();
    let state = StateDirectory::open(&path).unwrap();
    let authenticator = Authenticator::Local(state.token_issuer().unwrap().verifier());
    let authority = CertificateAuthority::new(scope(), Validity::default(), authenticator);
    authority.install(state.credentials(&scope(), SystemTime::now()).unwrap());
    // `ferrule token create`, a process of its own.
    let tokens = StateDirectory::open(&path).unwrap().token_issuer().unwrap();
    let account = ServiceAccount::new("emojivoto", "web").unwrap();
    let token = tokens.issue(&account, HOUR, SystemTime::now()).unwrap();
    let answer = authority.certify(Proxy::new("web").request(&token)).await;
    assert_eq!(answer.unwrap().intermediate_certificates.len(), 1);
    let request = CertifyRequest {
        token: b"another".to_vec(),
        ..Proxy::new("web").request(&token)
    };
    authority.certify(request).await.unwrap_err();
}

#[test]
fn processes_that_start_at_once_agree() {
    let (_folder, path) = place();
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let path = path.clone();
            std::thread::spawn(move || {
                let state = StateDirectory::open(path).unwrap();
                // Half of them make tokens first.
                if number % 2 == 0 {
                    state.token_issuer().unwrap();
                }
                let made = state.credentials(&scope(), SystemTime::now()).unwrap();
                state.token_issuer().unwrap();
                fingerprint(&made).to_owned()
            })
        })
        .collect();
    let made: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    assert!(made.iter().all(|issuer| *issuer == made[0]), "{made:?}");
}

#[test]
fn an_interrupted_start_is_gone_on_with() {
    let (_folder, path) = place();
    made(&path);
    let whole = contents(&path);
    // The order in which files are written; a start may end after each of them.
    let order = ["ca.key", "ca.crt", "issuer.key", "issuer.crt"];
    for written in 0..order.len() {
        let (_folder, path) = place();
        StateDirectory::open(&path).unwrap();
        for name in &order[..written] {
            fs::write(path.join(name), &whole[*name]).unwrap();
        }
        let half = path.join(format!(".{}.new", order[written]));
        fs::write(&half, "half a fi").unwrap();
        made(&path);
        assert!(!half.exists(), "left behind");
        for name in &order[..written] {
            assert_eq!(fs::read(path.join(name)).unwrap(), whole[*name], "{name}");
        }
    }
}

#[test]
fn a_broken_file_is_named_with_what_to_do_and_left_as_it_is() {
    let (_folder, path) = place();
    made(&path);
    let whole = contents(&path);
    let (_folder, path) = place();
    made(&path);
    let other = contents(&path);
    for (name, text, problem, fix) in [
        ("ca.crt", Some(&b"garbage"[..]), "ca.crt", "delete"),
        (
            "issuer.crt",
            Some(b"garbage"),
            "issuer.crt",
            "remove issuer.crt and issuer.key",
        ),
        (
            "issuer.key",
            Some(b""),
            "issuer.crt",
            "remove issuer.crt and issuer.key",
        ),
        (
            "issuer.key",
            None,
            "issuer.key",
            "remove issuer.crt and issuer.key",
        ),
        ("token.key", Some(b""), "token.key", "remove it"),
        // Another anchor's.
        (
            "ca.crt",
            Some(&other["ca.crt"]),
            "ca.key: it is not the key of ca.crt",
            "put back what was there",
        ),
        (
            "ca.key",
            Some(&other["ca.key"]),
            "ca.key: it is not the key of ca.crt",
            "put back what was there",
        ),
        ("ca.key", Some(b"garbage"), "ca.key", "put back"),
        (
            "issuer.key",
            Some(&other["issuer.key"]),
            "do not match",
            "remove issuer.crt",
        ),
    ] {
        let (_folder, path) = place();
        let state = StateDirectory::open(&path).unwrap();
        for (name, bytes) in &whole {
            fs::write(path.join(name), bytes).unwrap();
        }
        match text {
            Some(text) => fs::write(path.join(name), text).unwrap(),
            None => fs::remove_file(path.join(name)).unwrap(),
        }
        let before = contents(&path);
        let tokens = state.token_issuer().map(|_| ());
        let credentials = state.credentials(&scope(), SystemTime::now()).map(|_| ());
        let error = tokens.and(credentials).unwrap_err().to_string();
        let at = path.display().to_string();
        assert!(error.contains(&at), "{name}: {error}");
        assert!(error.contains(problem), "{name}: {error}");
        assert!(error.contains(fix), "{name}: {error}");
        assert_eq!(contents(&path), before, "{name} is left alone");
    }
}

#[test]
fn an_issuer_is_renewed_with_a_third_of_its_life_left() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let (_folder, path) = place();
    let start = SystemTime::now();
    let first = made_at(&path, start);
    let files = contents(&path);
    assert_eq!(
        fingerprint(&made_at(&path, start + 240 * DAY)),
        fingerprint(&first)
    );
    let second = made_at(&path, start + 250 * DAY);
    assert_ne!(fingerprint(&second), fingerprint(&first));
    assert_ne!(
        second.issuer.certificate().serial(),
        first.issuer.certificate().serial()
    );
    // One that has expired long ago, too.
    let third = made_at(&path, start + 3000 * DAY);
    assert_ne!(fingerprint(&third), fingerprint(&second));
    for (name, bytes) in contents(&path) {
        assert_eq!(bytes == files[&name], name != "issuer.crt", "{name}");
    }
    // No issuer outlives its anchor.
    let last = made_at(&path, start + 3500 * DAY);
    assert_eq!(
        last.issuer.certificate().not_after(),
        last.anchors.not_after()
    );

    let state = StateDirectory::open(&path).unwrap();
    let expired = state.credentials(&scope(), start + 3651 * DAY).unwrap_err();
    let expired = expired.to_string();
    assert!(
        expired.contains("the trust anchor has expired at"),
        "{expired}"
    );
    let fix = format!("delete {} to start anew", path.display());
    assert!(expired.contains(&fix), "{expired}");
}

#[test]
fn the_key_of_the_anchor_may_be_kept_elsewhere() {
    let (_folder, path) = place();
    let start = SystemTime::now();
    let first = made(&path);
    let key = fs::read(path.join("ca.key")).unwrap();
    fs::remove_file(path.join("ca.key")).unwrap();
    let late = made_at(&path, start + YEAR - HOUR);
    assert_eq!(
        fingerprint(&late),
        fingerprint(&first),
        "as long as it lasts"
    );
    let state = StateDirectory::open(&path).unwrap();
    let expired = state
        .credentials(&scope(), start + YEAR + HOUR)
        .unwrap_err();
    assert!(expired.to_string().contains("not valid now"), "{expired}");
    fs::remove_file(path.join("issuer.crt")).unwrap();
    let missing = state.credentials(&scope(), start).unwrap_err().to_string();
    assert!(missing.contains("ca.key: it is missing"), "{missing}");
    fs::write(path.join("ca.key"), key).unwrap();
    assert_ne!(fingerprint(&made(&path)), fingerprint(&first));
}

#[test]
fn another_trust_domain_gets_an_issuer_of_its_own_under_the_same_anchor() {
    let (_folder, path) = place();
    let first = made(&path);
    let state = StateDirectory::open(&path).unwrap();
    let scope = IdentityScope::new("mesh", "example.org").unwrap();
    let second = state.credentials(&scope, SystemTime::now()).unwrap();
    let subject = second.issuer.certificate().subject();
    assert_eq!(subject, "CN=identity.mesh.example.org");
    assert_eq!(first.anchors.pem(), second.anchors.pem());
    let again = state.credentials(&scope, SystemTime::now()).unwrap();
    assert_eq!(fingerprint(&again), fingerprint(&second));
}

#[test]
fn a_path_that_is_no_directory_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "").unwrap();
    let error = StateDirectory::open(&path).unwrap_err().to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
    assert!(
        error.starts_with("cannot make the state directory"),
        "{error}"
    );
}

/// Hours fly: nothing else is to be done.
#[tokio::test(start_paused = true)]
async fn a_running_process_renews_its_issuer() {
    let (_folder, path) = place();
    let old = made_at(&path, SystemTime::now() - 300 * 24 * HOUR);
    let state = StateDirectory::open(&path).unwrap();
    let authenticator = Authenticator::Local(state.token_issuer().unwrap().verifier());
    let authority = CertificateAuthority::new(scope(), Validity::default(), authenticator);
    authority.install(old.clone());
    let authority = Arc::new(authority);
    let stop = CancellationToken::new();
    let run = tokio::spawn(state.run(authority.clone(), stop.clone()));
    eventually("another issuer", || {
        let live = authority.credentials().unwrap();
        (fingerprint(&live) != fingerprint(&old)).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(50 * 3600)).await;
    assert_eq!(*authority.subscribe().borrow(), 2, "renewed once");
    stop.cancel();
    run.await.unwrap();
}
