//! Section 3.4 of identity-injector.md, and the scenarios of 11.2 about files;
//! numbers are theirs.

use crate::support::{HOUR, Log, Pair, Root, YEAR, eventually, fingerprint, scope, token_issuer};
use ferrule_identity::{
    Authenticator, CertificateAuthority, FilesStatus, IdentityFiles, IssuerScheme, Validity,
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The files of an identity pod, and an authority that follows them.
struct Pod {
    folder: TempDir,
    authority: Arc<CertificateAuthority>,
    status: Arc<FilesStatus>,
    _run: DropGuard,
}

impl Pod {
    /// With plain files.
    fn start(root: &Root, issuer: &Pair) -> Self {
        Self::start_with(root, issuer, write_issuer)
    }

    fn start_with(root: &Root, issuer: &Pair, write: fn(&Path, &Pair)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("issuer");
        fs::create_dir(&directory).unwrap();
        write(&directory, issuer);
        let anchors = folder.path().join("trust-roots/ca-bundle.crt");
        fs::create_dir(anchors.parent().unwrap()).unwrap();
        fs::write(&anchors, &root.pem).unwrap();
        Self::follow(folder, anchors, directory)
    }

    fn follow(folder: TempDir, anchors: PathBuf, directory: PathBuf) -> Self {
        let mut files = IdentityFiles::new(anchors, directory, IssuerScheme::LinkerdTls, scope());
        let authenticator = Authenticator::Local(token_issuer().verifier());
        let authority = CertificateAuthority::new(scope(), Validity::default(), authenticator);
        authority.install(files.load(SystemTime::now()).unwrap());
        let authority = Arc::new(authority);
        let status = files.status();
        let stop = CancellationToken::new();
        tokio::spawn(files.run(authority.clone(), stop.clone()));
        Self {
            folder,
            authority,
            status,
            _run: stop.drop_guard(),
        }
    }

    fn issuer(&self) -> PathBuf {
        self.folder.path().join("issuer")
    }

    fn write_anchors(&self, roots: &[&Root]) {
        let bundle: String = roots.iter().map(|root| &*root.pem).collect();
        self.write_bundle(&bundle);
    }

    fn write_bundle(&self, bundle: &str) {
        fs::write(self.folder.path().join("trust-roots/ca-bundle.crt"), bundle).unwrap();
    }

    /// The fingerprint of the issuer in force.
    fn live(&self) -> String {
        let credentials = self.authority.credentials().unwrap();
        credentials.issuer.certificate().fingerprint().to_owned()
    }

    /// How many trust anchors are in force.
    fn anchors(&self) -> usize {
        let credentials = self.authority.credentials().unwrap();
        credentials.anchors.certificates().len()
    }

    async fn until_live(&self, issuer: &Pair) {
        let expected = fingerprint(issuer);
        eventually("the new issuer is in force", || {
            (self.live() == expected).then_some(())
        })
        .await;
    }

    async fn until_failed(&self, failures: u64, text: &str) {
        eventually("the files are complained of", || {
            (self.status.failures() == failures).then_some(())
        })
        .await;
        let error = self.status.last_error().unwrap();
        assert!(error.contains(text), "{error}");
    }
}

fn write_issuer(directory: &Path, issuer: &Pair) {
    fs::write(directory.join("crt.pem"), &issuer.certificate).unwrap();
    fs::write(directory.join("key.pem"), &issuer.key).unwrap();
}

/// As a kubelet does: a directory of its own, the link `..data` swapped to it.
fn mount_issuer(directory: &Path, issuer: &Pair) {
    let contents = format!("..{}", fingerprint(issuer));
    fs::create_dir(directory.join(&contents)).unwrap();
    write_issuer(&directory.join(&contents), issuer);
    std::os::unix::fs::symlink(&contents, directory.join("..data_tmp")).unwrap();
    let data = directory.join("..data");
    let old = fs::read_link(&data).ok();
    fs::rename(directory.join("..data_tmp"), data).unwrap();
    match old {
        Some(old) => fs::remove_dir_all(directory.join(old)).unwrap(),
        None => {
            for name in ["crt.pem", "key.pem"] {
                let target = Path::new("..data").join(name);
                std::os::unix::fs::symlink(target, directory.join(name)).unwrap();
            }
        }
    }
}

#[test]
fn s39_a_scheme_names_the_files() {
    let root = Root::new("root");
    let issuer = root.issuer();
    for (scheme, certificate, key) in [
        ("linkerd.io/tls", "crt.pem", "key.pem"),
        ("kubernetes.io/tls", "tls.crt", "tls.key"),
        ("anything", "tls.crt", "tls.key"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let anchors = write("ca-bundle.crt", &root.pem);
        write(certificate, &issuer.certificate);
        write(key, &issuer.key);
        let mut files = IdentityFiles::new(anchors, folder.path(), scheme.into(), scope());
        let loaded = files.load(SystemTime::now()).unwrap();
        let loaded = loaded.issuer.certificate().fingerprint();
        assert_eq!(loaded, fingerprint(&issuer), "{scheme}");
    }
}

#[test]
fn a_start_with_bad_files_names_the_file() {
    let root = Root::new("root");
    let issuer = root.issuer();
    let other = Root::new("other");
    let expired = root.issuer_valid(SystemTime::now() - YEAR, SystemTime::now() - HOUR);
    let foreign = other.issuer();
    let leaf = root.leaf();
    let mixed = Pair {
        certificate: issuer.certificate.clone(),
        key: foreign.key.clone(),
    };
    for (what, anchors, issuer, file, text) in [
        (
            "no anchors",
            None,
            Some(&issuer),
            "ca-bundle.crt",
            "cannot read",
        ),
        (
            "empty",
            Some(""),
            Some(&issuer),
            "ca-bundle.crt",
            "the trust anchors in",
        ),
        (
            "no issuer",
            Some(&*root.pem),
            None,
            "crt.pem",
            "cannot read",
        ),
        (
            "44: no CA",
            Some(&*root.pem),
            Some(&leaf),
            "crt.pem",
            "must be an intermediate CA",
        ),
        (
            "45: expired",
            Some(&*root.pem),
            Some(&expired),
            "crt.pem",
            "not valid now",
        ),
        (
            "51: another key",
            Some(&*root.pem),
            Some(&mixed),
            "crt.pem",
            "do not match",
        ),
        (
            "of another root",
            Some(&*root.pem),
            Some(&foreign),
            "crt.pem",
            "unknown authority",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca-bundle.crt");
        if let Some(anchors) = anchors {
            fs::write(&path, anchors).unwrap();
        }
        if let Some(issuer) = issuer {
            write_issuer(folder.path(), issuer);
        }
        let scheme = IssuerScheme::LinkerdTls;
        let mut files = IdentityFiles::new(path, folder.path(), scheme, scope());
        let error = files.load(SystemTime::now()).unwrap_err().to_string();
        let named = folder.path().join(file).display().to_string();
        assert!(error.contains(&named), "{what}: {error}");
        assert!(error.contains(text), "{what}: {error}");
    }
}

/// Time is real here, and the next look 10 s away: it is told.
#[tokio::test]
async fn s54_an_issuer_that_a_kubelet_swaps_in_is_in_force_within_seconds() {
    let root = Root::new("root");
    let pod = Pod::start_with(&root, &root.issuer(), mount_issuer);
    // Until the watch is surely there.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let started = std::time::Instant::now();
    for number in 1..4 {
        let next = root.issuer();
        mount_issuer(&pod.issuer(), &next);
        pod.until_live(&next).await;
        assert_eq!(pod.status.reloads(), number);
    }
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "told, not found"
    );
    assert_eq!(pod.status.failures(), 0);
    assert_eq!(*pod.authority.subscribe().borrow(), 4);
}

/// A kubelet never replaces the directory; people do.
#[tokio::test]
async fn a_directory_that_is_replaced_is_watched_again() {
    let root = Root::new("root");
    let pod = Pod::start(&root, &root.issuer());
    tokio::time::sleep(Duration::from_millis(300)).await;
    let next = root.issuer();
    let new = pod.folder.path().join("new");
    fs::create_dir(&new).unwrap();
    write_issuer(&new, &next);
    fs::rename(pod.issuer(), pod.folder.path().join("old")).unwrap();
    fs::rename(&new, pod.issuer()).unwrap();
    pod.until_live(&next).await;

    tokio::time::sleep(Duration::from_millis(300)).await;
    let started = std::time::Instant::now();
    let next = root.issuer();
    write_issuer(&pod.issuer(), &next);
    pod.until_live(&next).await;
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "told, not found"
    );
}

/// The directory above it is another, which no event of the directory tells; it is
/// found by looking, up to 10 s later.
#[tokio::test]
async fn files_below_a_replaced_directory_are_found_and_watched() {
    let root = Root::new("root");
    let folder = tempfile::tempdir().unwrap();
    let make = |folder: &Path, parent: &str, issuer: &Pair| {
        let directory = folder.join(parent).join("issuer");
        fs::create_dir_all(&directory).unwrap();
        write_issuer(&directory, issuer);
        fs::write(directory.join("ca-bundle.crt"), &root.pem).unwrap();
        directory
    };
    let directory = make(folder.path(), "live", &root.issuer());
    let anchors = directory.join("ca-bundle.crt");
    let pod = Pod::follow(folder, anchors, directory.clone());
    let folder = pod.folder.path();
    let next = root.issuer();
    make(folder, "next", &next);
    tokio::time::sleep(Duration::from_millis(300)).await;
    fs::rename(folder.join("live"), folder.join("old")).unwrap();
    fs::rename(folder.join("next"), folder.join("live")).unwrap();
    pod.until_live(&next).await;

    tokio::time::sleep(Duration::from_millis(300)).await;
    let started = std::time::Instant::now();
    let last = root.issuer();
    write_issuer(&directory, &last);
    pod.until_live(&last).await;
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "told, not found"
    );
}

#[tokio::test]
async fn certificate_and_key_may_be_written_one_after_the_other() {
    let root = Root::new("root");
    let pod = Pod::start(&root, &root.issuer());
    tokio::time::sleep(Duration::from_millis(300)).await;
    let next = root.issuer();
    fs::write(pod.issuer().join("crt.pem"), &next.certificate).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    fs::write(pod.issuer().join("key.pem"), &next.key).unwrap();
    pod.until_live(&next).await;
    assert_eq!(pod.status.failures(), 0);
}

/// From here on time flies when there is nothing to do: the files are looked at
/// all the time, and what depends on being told is not shown.
#[tokio::test(start_paused = true)]
async fn s57_files_written_in_place_are_found_by_looking() {
    let root = Root::new("root");
    let pod = Pod::start(&root, &root.issuer());
    let next = root.issuer();
    write_issuer(&pod.issuer(), &next);
    pod.until_live(&next).await;
    assert_eq!(pod.status.reloads(), 1);
}

#[tokio::test(start_paused = true)]
async fn s44_s45_s51_s55_a_bad_issuer_is_said_once_and_the_last_good_one_stays() {
    let (log, _guard) = Log::begin();
    let root = Root::new("root");
    let issuer = root.issuer();
    let pod = Pod::start(&root, &issuer);
    let live = pod.live();
    let other = Root::new("other");
    let expired = root.issuer_valid(SystemTime::now() - YEAR, SystemTime::now() - HOUR);
    let mixed = Pair {
        certificate: root.issuer().certificate,
        key: root.issuer().key,
    };
    let garbage = Pair {
        certificate: "garbage".to_owned(),
        key: "garbage".to_owned(),
    };
    let bad = [
        (root.leaf(), "must be an intermediate CA"),
        (expired, "not valid now"),
        (mixed, "do not match"),
        (other.issuer(), "unknown authority"),
        (garbage, "issuer certificate"),
    ];
    let count = bad.len();
    for (number, (bad, text)) in (1..).zip(bad) {
        write_issuer(&pod.issuer(), &bad);
        pod.until_failed(number, text).await;
        // Looked at another hundred times.
        tokio::time::sleep(Duration::from_secs(1000)).await;
        assert_eq!(pod.status.failures(), number, "said again");
        assert_eq!(pod.live(), live);
    }
    let said = log.lines_with("identity issuer update skipped");
    assert_eq!(said.len(), count, "{said:#?}");
    assert!(said.iter().all(|line| line.contains("WARN")), "{said:#?}");

    fs::remove_file(pod.issuer().join("key.pem")).unwrap();
    fs::write(pod.issuer().join("crt.pem"), &issuer.certificate).unwrap();
    pod.until_failed(6, "key.pem").await;

    // What is in force already comes back: no update, and no complaint any more.
    write_issuer(&pod.issuer(), &issuer);
    eventually("it is good again", || {
        pod.status.last_error().is_none().then_some(())
    })
    .await;
    assert_eq!(pod.status.reloads(), 0);

    let next = root.issuer();
    write_issuer(&pod.issuer(), &next);
    pod.until_live(&next).await;
    assert_eq!((pod.status.reloads(), pod.status.failures()), (1, 6));
}

/// With half of its life left nothing is said, with a quarter something is.
#[tokio::test(start_paused = true)]
async fn an_issuer_near_its_end_is_said_once() {
    let (log, _guard) = Log::begin();
    let root = Root::new("root");
    let issuer = |past: u32, left: u32| {
        let now = SystemTime::now();
        root.issuer_valid(now - past * HOUR, now + left * HOUR)
    };
    let pod = Pod::start(&root, &issuer(24, 24));
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(log.lines_with("expires at").len(), 0, "{}", log.text());
    let old = issuer(36, 12);
    write_issuer(&pod.issuer(), &old);
    pod.until_live(&old).await;
    tokio::time::sleep(Duration::from_secs(1000)).await;
    let said = log.lines_with("expires at");
    assert_eq!(said.len(), 1, "{}", log.text());
    assert!(
        said[0].contains("WARN") && said[0].contains("issuer CN=identity"),
        "{said:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_issuer_of_tomorrow_is_taken_tomorrow() {
    let root = Root::new("root");
    let pod = Pod::start(&root, &root.issuer());
    let soon = SystemTime::now() + Duration::from_secs(3);
    let next = root.issuer_valid(soon, soon + YEAR);
    write_issuer(&pod.issuer(), &next);
    pod.until_failed(1, "not valid now").await;
    tokio::time::resume();
    // The clock of certificates is the real one.
    tokio::time::sleep(Duration::from_secs(4)).await;
    tokio::time::pause();
    pod.until_live(&next).await;
    assert_eq!(pod.status.last_error(), None);
}

#[tokio::test(start_paused = true)]
async fn s56_a_new_root_and_its_issuer_may_come_in_any_order() {
    let (old, new) = (Root::new("old"), Root::new("new"));
    let next = new.issuer();

    let pod = Pod::start(&old, &old.issuer());
    write_issuer(&pod.issuer(), &next);
    pod.until_failed(1, "unknown authority").await;
    pod.write_anchors(&[&new, &old]);
    pod.until_live(&next).await;
    assert_eq!((pod.anchors(), pod.status.last_error()), (2, None));

    let pod = Pod::start(&old, &old.issuer());
    pod.write_anchors(&[&new, &old]);
    eventually("both roots", || (pod.anchors() == 2).then_some(())).await;
    write_issuer(&pod.issuer(), &next);
    pod.until_live(&next).await;
    pod.write_anchors(&[&new]);
    eventually("one root", || (pod.anchors() == 1).then_some(())).await;
    assert_eq!((pod.status.reloads(), pod.status.failures()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn the_anchor_of_the_issuer_is_given_up_only_with_the_issuer() {
    let (old, new) = (Root::new("old"), Root::new("new"));
    let pod = Pod::start(&old, &old.issuer());
    let live = pod.live();
    pod.write_anchors(&[&new]);
    pod.until_failed(1, "do not go with the issuer in use")
        .await;
    let credentials = pod.authority.credentials().unwrap();
    assert_eq!(credentials.anchors.pem(), old.pem.as_bytes());
    assert_eq!(pod.live(), live);

    let next = new.issuer();
    write_issuer(&pod.issuer(), &next);
    pod.until_live(&next).await;
    let credentials = pod.authority.credentials().unwrap();
    assert_eq!(credentials.anchors.pem(), new.pem.as_bytes());
    assert_eq!(pod.status.last_error(), None);
}

#[tokio::test(start_paused = true)]
async fn what_is_good_need_not_wait_for_what_is_bad() {
    let (old, new) = (Root::new("old"), Root::new("new"));
    let pod = Pod::start(&old, &old.issuer());

    // A bundle is broken, and an issuer comes that goes with the one in force.
    pod.write_bundle("nothing");
    pod.until_failed(1, "trust anchors").await;
    let next = old.issuer();
    write_issuer(&pod.issuer(), &next);
    pod.until_live(&next).await;
    assert!(pod.status.last_error().is_some(), "the bundle is still bad");

    // A bundle is there that is another mesh's, and an issuer comes likewise.
    let stranger = Root::new("stranger");
    pod.write_anchors(&[&stranger]);
    pod.until_failed(3, "do not go with the issuer in use")
        .await;
    let next = old.issuer();
    write_issuer(&pod.issuer(), &next);
    pod.until_live(&next).await;
    let error = pod.status.last_error().unwrap();
    assert!(error.contains("the trust anchors in"), "{error}");
    let credentials = pod.authority.credentials().unwrap();
    assert_eq!(credentials.anchors.pem(), old.pem.as_bytes());

    // An issuer is broken, and a bundle comes that goes with the one in force.
    fs::write(pod.issuer().join("crt.pem"), "nothing").unwrap();
    pod.write_anchors(&[&old, &new]);
    eventually("both roots", || (pod.anchors() == 2).then_some(())).await;
    assert_eq!(pod.live(), fingerprint(&next));
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(pod.status.reloads(), 3, "each once");
    assert!(pod.status.last_error().unwrap().contains("crt.pem"));
}
