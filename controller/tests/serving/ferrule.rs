//! A running `ferrule`, and what to do with it.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
    sync::oneshot,
    time::timeout,
};

/// How long anything may take that is not measured: two cores may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) const WEB: &str = "web.shop.svc.cluster.local:80";

/// A Service with one Pod, and one with none.
pub(crate) const SHOP: &str = "\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.96.0.10
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: empty, namespace: shop}
spec:
  clusterIP: 10.96.0.11
  ports: [{port: 80}]
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, labels: {app: web}}
spec:
  containers: [{name: web, ports: [{containerPort: 8080}]}]
status:
  podIP: 10.42.0.10
  phase: Running
  conditions: [{type: Ready, status: 'True'}]
";

/// A directory with [`SHOP`] in it.
pub(crate) fn directory() -> TempDir {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("shop.yaml"), SHOP).unwrap();
    directory
}

/// The binary in an environment that knows no cluster.
pub(crate) fn ferrule(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferrule"));
    command
        .args(args)
        .env_clear()
        .env("HOME", "/no/such/home")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Exit code, standard output and standard error of a command that ends.
pub(crate) async fn output(mut command: Command) -> (Option<i32>, String, String) {
    let output = timeout(PATIENCE, command.output())
        .await
        .expect("it ends")
        .unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// A running `ferrule serve`; killed when dropped.
pub(crate) struct Ferrule {
    child: Child,
    pub(crate) destination: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) webhooks: Option<SocketAddr>,
    /// Where it keeps the issuer that it made.
    _state: TempDir,
}

impl Ferrule {
    /// Serves the directory on free ports unless `args` say otherwise.
    pub(crate) async fn serve(directory: &TempDir, args: &[&str]) -> Self {
        let state = TempDir::new().unwrap();
        let mut all = vec!["serve", "--manifests", directory.path().to_str().unwrap()];
        for (flag, value) in [
            ("--state-dir", state.path().to_str().unwrap()),
            ("--identity-addr", "127.0.0.1:0"),
            ("--destination-addr", "127.0.0.1:0"),
            ("--policy-addr", "127.0.0.1:0"),
            ("--webhook-addr", "127.0.0.1:0"),
            ("--admin-addr", "127.0.0.1:0"),
            ("--log-format", "json"),
        ] {
            if !args.contains(&flag) {
                all.extend([flag, value]);
            }
        }
        all.extend(args);
        let mut command = ferrule(&all);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::<Mutex<Vec<String>>>::default();
        let (found, addrs) = oneshot::channel();
        tokio::spawn(read_log(lines, log.clone(), found));
        let Ok(Ok(addrs)) = timeout(PATIENCE, addrs).await else {
            panic!("it does not serve: {:?}", log.lock().unwrap());
        };
        Self {
            child,
            destination: addrs.destination,
            admin: addrs.admin,
            webhooks: addrs.webhooks,
            _state: state,
        }
    }

    /// Runs `ferrule diagnostics` against it to the end.
    pub(crate) async fn diagnostics(&self, args: &[&str]) -> (Option<i32>, String, String) {
        output(self.diagnostics_command(args)).await
    }

    /// Starts a `ferrule diagnostics` that goes on.
    pub(crate) fn watch(&self, args: &[&str]) -> Watch {
        let mut command = self.diagnostics_command(args);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Watch {
            _child: child,
            lines,
        }
    }

    fn diagnostics_command(&self, args: &[&str]) -> Command {
        let addr = self.admin.to_string();
        let mut command = ferrule(&["diagnostics"]);
        command.args(args).args(["--api-addr", &addr]);
        command
    }

    pub(crate) async fn wait_until_ready(&self) {
        self.wait_for("/ready", 200).await;
    }

    /// Waits until the path answers with the status.
    pub(crate) async fn wait_for(&self, path: &str, status: u16) {
        let answered = async {
            while self.get(path).await.0 != status {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, answered)
            .await
            .unwrap_or_else(|_| panic!("{path} is never {status}"));
    }

    /// Status and body of a GET on the admin address.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        self.request("GET", path, "").await
    }

    pub(crate) async fn request(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: ferrule\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len(),
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut response))
            .await
            .unwrap()
            .unwrap();
        let (head, body) = response.split_once("\r\n\r\n").expect("an HTTP response");
        let status = head.split(' ').nth(1).expect("a status").parse().unwrap();
        (status, body.to_owned())
    }

    /// What it says on standard output until the first empty line after the
    /// commands.
    pub(crate) async fn banner(&mut self) -> String {
        let mut lines = BufReader::new(self.child.stdout.take().unwrap()).lines();
        let mut banner = String::new();
        while !banner.contains("Ctrl-C") {
            let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
            banner.push_str(&line.expect("a banner"));
            banner.push('\n');
        }
        banner
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.child.id().expect("it runs");
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Sends a signal and waits for the exit code.
    pub(crate) async fn stop(self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        self.exit().await
    }

    /// The exit code, once it ends.
    pub(crate) async fn exit(mut self) -> Option<i32> {
        timeout(PATIENCE, self.child.wait())
            .await
            .expect("it ends")
            .unwrap()
            .code()
    }
}

/// A `ferrule diagnostics --watch -o json`.
pub(crate) struct Watch {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watch {
    /// The next event.
    pub(crate) async fn event(&mut self) -> serde_json::Value {
        let line = timeout(PATIENCE, self.lines.next_line())
            .await
            .expect("an event")
            .unwrap();
        serde_json::from_str(&line.expect("the watch goes on")).unwrap()
    }
}

/// Where a process is reached.
struct Addrs {
    destination: SocketAddr,
    admin: SocketAddr,
    webhooks: Option<SocketAddr>,
}

/// Reads the log to its end, and tells the addresses as soon as they are in it:
/// the admin listener's comes last.
async fn read_log(
    mut lines: Lines<BufReader<tokio::process::ChildStderr>>,
    log: Arc<Mutex<Vec<String>>>,
    found: oneshot::Sender<Addrs>,
) {
    let (mut found, mut destination, mut webhooks) = (Some(found), None, None);
    while let Ok(Some(line)) = lines.next_line().await {
        destination = destination.or_else(|| serving(&line, "destination"));
        webhooks = webhooks.or_else(|| serving(&line, "webhooks"));
        let admin = serving(&line, "admin");
        log.lock().unwrap().push(line);
        if let (Some(destination), Some(admin)) = (destination, admin)
            && let Some(found) = found.take()
        {
            let _ = found.send(Addrs {
                destination,
                admin,
                webhooks,
            });
        }
    }
}

/// The address on a line that says where a role is served, JSON or plain.
fn serving(line: &str, role: &str) -> Option<SocketAddr> {
    if !line.contains("serving") || !line.contains(&format!("\"{role}\"")) {
        return None;
    }
    let (_, addr) = line.split_once("addr")?;
    let addr = addr.trim_start_matches(['"', ':', '=']);
    addr.split(['"', ' ']).next()?.parse().ok()
}
