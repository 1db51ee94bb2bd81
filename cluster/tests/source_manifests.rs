//! The manifests source against real files: what an index would have after each
//! change, and how soon.
// Helpers are part of the tests, too.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ferrule_cluster::{
    Interner,
    object::{Kind, Object, ObjectKey},
    source::{CHANNEL_CAPACITY, Event, Manifests, WatchStats},
};
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// Longer than any change may take; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running source and what its events add up to.
struct Mesh {
    events: mpsc::Receiver<Event>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
    stats: Arc<WatchStats>,
    objects: BTreeMap<String, Object>,
    listed: BTreeMap<Kind, BTreeMap<String, Object>>,
}

impl Mesh {
    fn start(directory: &Path) -> Self {
        let stats = Arc::new(WatchStats::new());
        let manifests = Manifests::load(directory, Interner::new(), stats.clone()).unwrap();
        let (sink, events) = mpsc::channel(CHANNEL_CAPACITY);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(manifests.run(sink, shutdown.clone()));
        Self {
            events,
            shutdown,
            task,
            stats,
            objects: BTreeMap::new(),
            listed: BTreeMap::new(),
        }
    }

    fn fold(&mut self, event: Event) {
        let place = |kind: Kind, key: &ObjectKey| format!("{kind} {key}");
        match event {
            Event::Relisting(kind) => {
                self.listed.insert(kind, BTreeMap::new());
            }
            Event::Applied {
                key,
                object,
                problems,
            } => {
                assert!(problems.is_empty(), "said by the source itself");
                let kind = object.kind();
                let list = self.listed.get_mut(&kind).expect("a list has begun");
                list.insert(place(kind, &key), object);
            }
            Event::Synced(kind) => {
                let list = self.listed.remove(&kind).expect("a list has begun");
                self.objects
                    .retain(|name, _| !name.starts_with(&format!("{kind} ")));
                self.objects.extend(list);
            }
            event => panic!("{event:?}"),
        }
    }

    /// The names of all objects, once they are as expected.
    async fn expect(&mut self, expected: &[&str]) {
        self.expect_that(&format!("{expected:?}"), |mesh| {
            mesh.objects.keys().eq(expected.iter().copied())
        })
        .await;
    }

    /// Waits until a condition holds between two lists.
    async fn expect_that(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> Duration {
        let started = Instant::now();
        while !self.listed.is_empty() || !holds(self) {
            match timeout(PATIENCE, self.events.recv()).await {
                Ok(Some(event)) => self.fold(event),
                Ok(None) => panic!("the source has ended"),
                Err(_) => panic!("{what} did not come, there is {:?}", self.objects.keys()),
            }
        }
        started.elapsed()
    }

    /// Changes the port of `default/{name}` again and again until it is seen within a second:
    /// a machine that is busy may be late, but it is not by luck that somebody looks so soon.
    async fn sees_at_once(&mut self, name: &str, change: impl Fn(u16)) {
        let name = format!("default/{name}");
        let first = self.port_of(&name).unwrap_or_default() + 1;
        let mut all = Vec::new();
        for port in first..first + 10 {
            change(port);
            let seen = self.expect_that("a change", |mesh| mesh.port_of(&name) == Some(port));
            all.push(seen.await);
            if all.last() < Some(&Duration::from_secs(1)) {
                return;
            }
        }
        panic!("{all:?}");
    }

    /// The problems, once there are as many as expected.
    async fn problems(&self, count: usize) -> Vec<String> {
        let started = Instant::now();
        loop {
            let problems = self.stats.problems();
            if problems.len() == count || started.elapsed() > PATIENCE {
                let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
                assert_eq!(problems.len(), count, "{problems:?}");
                return problems;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn port_of(&self, service: &str) -> Option<u16> {
        match self.objects.get(&format!("Service {service}")) {
            Some(Object::Service(service)) => Some(service.ports.first()?.port),
            _ => None,
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

fn service(name: &str, port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\nspec:\n  ports:\n  - port: {port}\n"
    )
}

fn write(directory: &TempDir, name: &str, text: &str) {
    let path = directory.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[tokio::test]
async fn files_are_read_and_edits_are_seen_within_a_second() {
    let directory = TempDir::new().unwrap();
    write(
        &directory,
        "a.yaml",
        &format!("{}---\n{}", service("a", 80), service("b", 80)),
    );
    write(&directory, "deep/er/c.yml", &service("c", 80));
    write(&directory, ".hidden.yaml", &service("hidden", 80));
    write(&directory, ".hidden/d.yaml", &service("hidden", 80));
    write(&directory, "notes.txt", "no manifest");
    write(
        &directory,
        "list.json",
        r#"{"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}},
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}}]}"#,
    );
    let mut mesh = Mesh::start(directory.path());
    mesh.expect(&[
        "Node n1",
        "Service default/a",
        "Service default/b",
        "Service default/c",
    ])
    .await;
    assert_eq!(mesh.port_of("default/a"), Some(80));
    assert!(mesh.stats.kind(Kind::Service).is_connected());
    assert!(mesh.stats.kind(Kind::Job).last_event_millis() > 0);

    write(&directory, "a.yaml", &service("a", 81));
    mesh.expect_that("the edit", |mesh| {
        mesh.port_of("default/a") == Some(81) && mesh.port_of("default/b").is_none()
    })
    .await;
    mesh.sees_at_once("a", |port| write(&directory, "a.yaml", &service("a", port)))
        .await;

    write(&directory, "new/d.yaml", &service("d", 80));
    mesh.expect(&[
        "Node n1",
        "Service default/a",
        "Service default/c",
        "Service default/d",
    ])
    .await;
    fs::remove_file(directory.path().join("list.json")).unwrap();
    fs::remove_dir_all(directory.path().join("deep")).unwrap();
    mesh.expect(&["Service default/a", "Service default/d"])
        .await;
    // As most editors write: beside it, then renamed over it.
    write(&directory, "a.yaml.tmp", &service("a", 82));
    fs::rename(
        directory.path().join("a.yaml.tmp"),
        directory.path().join("a.yaml"),
    )
    .unwrap();
    mesh.expect_that("the renamed file", |mesh| {
        mesh.port_of("default/a") == Some(82)
    })
    .await;
    mesh.stop().await;
}

#[tokio::test]
async fn a_broken_document_keeps_what_the_file_said_and_the_others_go_on() {
    let directory = TempDir::new().unwrap();
    let file = |a: &str, b: &str, c: &str| [a, b, c].join("---\n");
    write(
        &directory,
        "web.yaml",
        &file(&service("a", 80), &service("b", 80), &service("c", 80)),
    );
    let mut mesh = Mesh::start(directory.path());
    mesh.expect(&[
        "Service default/a",
        "Service default/b",
        "Service default/c",
    ])
    .await;

    // b is broken, c is changed, a is gone: a and b stay as they were.
    let broken = "apiVersion: v1\nkind: Service\nmetadata: {name: b\n";
    write(&directory, "web.yaml", &file("", broken, &service("c", 81)));
    mesh.expect_that("the change of c", |mesh| {
        mesh.port_of("default/c") == Some(81)
    })
    .await;
    assert_eq!(mesh.port_of("default/a"), Some(80));
    assert_eq!(mesh.port_of("default/b"), Some(80));
    let problems = mesh.problems(1).await;
    assert!(problems[0].contains("web.yaml:"), "{problems:?}");
    assert!(problems[0].contains("this is not YAML"), "{problems:?}");

    // An object that cannot be one breaks its file the same way.
    write(
        &directory,
        "web.yaml",
        &file("", "kind: Pod\n", &service("c", 82)),
    );
    mesh.expect_that("the change of c", |mesh| {
        mesh.port_of("default/c") == Some(82)
    })
    .await;
    assert_eq!(mesh.objects.len(), 3);
    assert!(mesh.problems(1).await[0].contains("a Pod without apiVersion"));

    write(&directory, "web.yaml", &service("c", 83));
    mesh.expect(&["Service default/c"]).await;
    mesh.problems(0).await;
    mesh.stop().await;
}

#[tokio::test]
async fn an_unreadable_file_keeps_what_it_held() {
    let directory = TempDir::new().unwrap();
    write(&directory, "a.yaml", &service("a", 80));
    let mut mesh = Mesh::start(directory.path());
    mesh.expect(&["Service default/a"]).await;
    fs::write(directory.path().join("a.yaml"), b"\xff\xfe\x00").unwrap();
    let problems = mesh.problems(1).await;
    assert!(
        problems[0].contains("a.yaml: cannot be read"),
        "{problems:?}"
    );
    write(&directory, "b.yaml", &service("b", 80));
    mesh.expect(&["Service default/a", "Service default/b"])
        .await;
    fs::remove_file(directory.path().join("a.yaml")).unwrap();
    mesh.expect(&["Service default/b"]).await;
    mesh.problems(0).await;
    mesh.stop().await;
}

#[tokio::test]
async fn of_an_object_in_two_files_the_later_path_holds() {
    let directory = TempDir::new().unwrap();
    write(&directory, "a.yaml", &service("web", 1));
    write(
        &directory,
        "b.yaml",
        &format!("{}---\n{}", service("web", 2), service("web", 3)),
    );
    let mut mesh = Mesh::start(directory.path());
    mesh.expect(&["Service default/web"]).await;
    assert_eq!(mesh.port_of("default/web"), Some(3));
    let problems = mesh.problems(2).await;
    assert!(
        problems[0].contains("b.yaml:9: Service default/web is also in line 1"),
        "{problems:?}"
    );
    assert!(
        problems[1].contains("b.yaml:9: Service default/web is also in"),
        "{problems:?}"
    );
    assert!(
        problems[1].contains("a.yaml:1; the one here holds"),
        "{problems:?}"
    );
    fs::remove_file(directory.path().join("b.yaml")).unwrap();
    mesh.expect_that("the other one", |mesh| {
        mesh.port_of("default/web") == Some(1)
    })
    .await;
    mesh.problems(0).await;
    mesh.stop().await;
}

#[tokio::test]
async fn problems_of_an_object_are_told_with_their_place() {
    let directory = TempDir::new().unwrap();
    let text = "# a comment\n\napiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  annotations:\n    config.linkerd.io/opaque-ports: \"1,bad-\"\n";
    write(&directory, "a.yaml", text);
    let mut mesh = Mesh::start(directory.path());
    mesh.expect(&["Service default/web"]).await;
    let problems = mesh.problems(1).await;
    assert!(
        problems[0].contains(
            "a.yaml:3: Service default/web: annotation config.linkerd.io/opaque-ports: \"bad-\" is neither"
        ),
        "{problems:?}"
    );
    assert!(!mesh.stats.problems()[0].is_error);
    mesh.stop().await;
}

#[tokio::test]
async fn slices_are_derived_from_pods_until_the_files_have_one() {
    let directory = TempDir::new().unwrap();
    write(
        &directory,
        "web.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  selector: {app: web}\n  ports: [{port: 80}]\n\
         ---\napiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {app: web}}\nspec: {nodeName: n1}\nstatus: {podIP: 10.0.0.1}\n\
         ---\napiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {topology.kubernetes.io/zone: west}}\n",
    );
    let mut mesh = Mesh::start(directory.path());
    mesh.expect(&[
        "EndpointSlice default/web-derived-1",
        "Node n1",
        "Pod default/a",
        "Service default/web",
    ])
    .await;
    let Object::EndpointSlice(slice) = &mesh.objects["EndpointSlice default/web-derived-1"] else {
        unreachable!()
    };
    assert!(slice.endpoints[0].ready);
    assert_eq!(slice.endpoints[0].zone.as_deref(), Some("west"));

    write(
        &directory,
        "slice.yaml",
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n\
         metadata: {name: mine, labels: {kubernetes.io/service-name: web}}\n",
    );
    mesh.expect(&[
        "EndpointSlice default/mine",
        "Node n1",
        "Pod default/a",
        "Service default/web",
    ])
    .await;
    mesh.stop().await;
}

#[cfg(unix)]
mod links {
    use super::*;
    use std::os::unix::fs::symlink;

    /// As kubelet does with the files of a ConfigMap.
    #[tokio::test]
    async fn a_swapped_data_directory_is_seen() {
        let directory = TempDir::new().unwrap();
        let root = directory.path();
        write(&directory, "..1/web.yaml", &service("web", 1));
        symlink("..1", root.join("..data")).unwrap();
        symlink("..data/web.yaml", root.join("web.yaml")).unwrap();
        let mut mesh = Mesh::start(root);
        mesh.expect(&["Service default/web"]).await;
        assert_eq!(mesh.port_of("default/web"), Some(1));

        mesh.sees_at_once("web", |port| {
            let before = fs::read_link(root.join("..data")).unwrap();
            let next = format!("..{port}");
            write(
                &directory,
                &format!("{next}/web.yaml"),
                &service("web", port),
            );
            symlink(&next, root.join("..data_tmp")).unwrap();
            fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
            fs::remove_dir_all(root.join(before)).unwrap();
        })
        .await;
        // And what is edited in place after it.
        write(&directory, "..data/web.yaml", &service("web", 3));
        mesh.expect_that("an edit", |mesh| mesh.port_of("default/web") == Some(3))
            .await;
        mesh.stop().await;
    }

    #[tokio::test]
    async fn a_directory_that_is_a_swapped_link_is_followed() {
        let directory = TempDir::new().unwrap();
        let root = directory.path();
        write(&directory, "one/web.yaml", &service("web", 1));
        symlink("one", root.join("current")).unwrap();
        let mut mesh = Mesh::start(&root.join("current"));
        mesh.expect(&["Service default/web"]).await;

        mesh.sees_at_once("web", |port| {
            let next = port.to_string();
            write(
                &directory,
                &format!("{next}/web.yaml"),
                &service("web", port),
            );
            symlink(&next, root.join("next")).unwrap();
            fs::rename(root.join("next"), root.join("current")).unwrap();
        })
        .await;
        mesh.sees_at_once("web", |port| {
            write(&directory, "current/web.yaml", &service("web", port));
        })
        .await;
        mesh.stop().await;
    }

    #[tokio::test]
    async fn a_link_that_leads_nowhere_keeps_what_it_led_to() {
        let directory = TempDir::new().unwrap();
        let root = directory.path();
        write(&directory, ".real/web.yaml", &service("web", 1));
        symlink(".real/web.yaml", root.join("web.yaml")).unwrap();
        symlink(".", root.join("loop")).unwrap();
        let mut mesh = Mesh::start(root);
        mesh.expect(&["Service default/web"]).await;
        fs::remove_file(root.join(".real/web.yaml")).unwrap();
        let problems = mesh.problems(1).await;
        assert!(
            problems[0].contains("web.yaml: cannot be read"),
            "{problems:?}"
        );
        write(&directory, "other.yaml", &service("other", 1));
        mesh.expect(&["Service default/other", "Service default/web"])
            .await;
        mesh.stop().await;
    }
}

#[tokio::test]
async fn a_directory_that_vanishes_keeps_its_state_until_it_is_back() {
    let above = TempDir::new().unwrap();
    write(&above, "mesh/web.yaml", &service("web", 1));
    let directory = above.path().join("mesh");
    let mut mesh = Mesh::start(&directory);
    mesh.expect(&["Service default/web"]).await;
    fs::remove_dir_all(&directory).unwrap();
    let problems = mesh.problems(1).await;
    assert!(
        problems[0].contains("the directory cannot be read"),
        "{problems:?}"
    );
    mesh.expect(&["Service default/web"]).await;
    assert!(!mesh.stats.kind(Kind::Service).is_connected());

    write(&above, "mesh/web.yaml", &service("web", 2));
    mesh.expect_that("the directory's return", |mesh| {
        mesh.port_of("default/web") == Some(2)
    })
    .await;
    write(&above, "mesh/web.yaml", &service("web", 3));
    mesh.expect_that("an edit", |mesh| mesh.port_of("default/web") == Some(3))
        .await;
    mesh.problems(0).await;
    mesh.stop().await;
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_an_error_and_an_empty_one_is_not() {
    let directory = TempDir::new().unwrap();
    let missing = directory.path().join("missing");
    let stats = Arc::new(WatchStats::new());
    let error = Manifests::load(&missing, Interner::new(), stats)
        .err()
        .unwrap();
    assert!(
        error.to_string().starts_with(&format!(
            "cannot read the manifests in {}",
            missing.display()
        )),
        "{error}"
    );
    let mut mesh = Mesh::start(directory.path());
    write(&directory, "a.yaml", &service("a", 1));
    mesh.expect(&["Service default/a"]).await;
    mesh.stop().await;
}

#[tokio::test]
async fn the_source_ends_with_its_sink() {
    let directory = TempDir::new().unwrap();
    let mut mesh = Mesh::start(directory.path());
    mesh.events.close();
    timeout(PATIENCE, mesh.task).await.unwrap().unwrap();
}
