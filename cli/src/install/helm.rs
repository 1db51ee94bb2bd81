//! The charts that are in the binary, rendered by the user's `helm`.

use super::{InstallError, rendered::Rendered};
use ferrule_charts::embedded::FILES;
use serde_json::Value;
use std::{ffi::OsString, fs, io, path::PathBuf, process::Output};
use tempfile::TempDir;

/// Runs `helm` with these arguments; standard input is the user's, for `--values -`. A
/// library starts no process, so whoever runs commands hands it in.
pub type Helm = fn(&[OsString]) -> io::Result<Output>;

/// What the API server is taken for where none is asked: the oldest that is supported.
const OLDEST: &str = "1.31.0";
/// What Helm calls what it renders for; no name that is printed depends on it.
const RELEASE: &str = "ferrule";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chart {
    Definitions,
    ControlPlane,
}

impl Chart {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Definitions => "ferrule-crds",
            Self::ControlPlane => "ferrule-control-plane",
        }
    }
}

/// The charts in a folder that goes with this, and files of values, which may hold keys:
/// nobody else can read it.
pub(super) struct Renderer {
    helm: Helm,
    folder: TempDir,
    namespace: String,
    kubernetes: String,
}

impl Renderer {
    /// For a namespace, and a version of Kubernetes, if it is known.
    pub(super) fn new(
        helm: Helm,
        namespace: &str,
        kubernetes: Option<String>,
    ) -> Result<Self, InstallError> {
        let folder = private_folder().map_err(InstallError::Folder)?;
        let renderer = Self {
            helm,
            folder,
            namespace: namespace.to_owned(),
            kubernetes: kubernetes.unwrap_or_else(|| OLDEST.to_owned()),
        };
        for (name, text) in FILES {
            renderer.write(name, text)?;
        }
        Ok(renderer)
    }

    /// A file of values, to be named to Helm.
    pub(super) fn values(&self, name: &str, values: &Value) -> Result<PathBuf, InstallError> {
        self.write(&format!("{name}.json"), &values.to_string())
    }

    /// The values file for high availability.
    pub(super) fn high_availability(&self) -> PathBuf {
        let chart = self.folder.path().join(Chart::ControlPlane.name());
        chart.join("values-ha.yaml")
    }

    /// What a chart is with these flags.
    pub(super) fn render(
        &self,
        chart: Chart,
        flags: &[OsString],
    ) -> Result<Rendered, InstallError> {
        let mut args: Vec<OsString> = ["template", RELEASE].map(OsString::from).into();
        args.push(self.folder.path().join(chart.name()).into());
        let settings = [
            "--namespace",
            &self.namespace,
            // A Helm that is not a release's own takes clusters for older ones.
            "--kube-version",
            &self.kubernetes,
        ];
        args.extend(settings.map(OsString::from));
        args.extend_from_slice(flags);
        let output = (self.helm)(&args).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => InstallError::NoHelm,
            _ => InstallError::Helm(error.to_string()),
        })?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr);
            return Err(InstallError::Helm(cause(&told)));
        }
        let text = String::from_utf8(output.stdout);
        let text = text.map_err(|error| InstallError::Helm(error.to_string()))?;
        Rendered::parse(text)
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, InstallError> {
        let path = self.folder.path().join(name);
        let folder = path.parent().unwrap_or(self.folder.path());
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, text));
        written.map_err(InstallError::Folder)?;
        Ok(path)
    }
}

/// A folder that nobody else can look into, removed when it is dropped.
fn private_folder() -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("ferrule-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(0o700));
    }
    builder.tempdir()
}

/// What Helm has to say, without what is said of itself: where in the chart it stood, and
/// a flag of its own.
fn cause(told: &str) -> String {
    let lines = told.lines().filter(|line| {
        let is_noise = line.starts_with("Use --debug flag") || line.starts_with("WARNING: ");
        !is_noise && !line.trim().is_empty()
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    let text = text.strip_prefix("Error: ").unwrap_or(&text);
    let place = text
        .strip_prefix("execution error at (")
        .and_then(|rest| rest.split_once("): "));
    place.map_or(text, |(_, cause)| cause).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_helm_says_is_told_without_what_is_helms_own() {
        for (told, expected) in [
            (
                "Error: execution error at (ferrule-control-plane/templates/webhooks.yaml:9:3): \
                 proxyInit.closeWaitTimeoutSecs needs proxyInit.runAsRoot: true\n\n\
                 Use --debug flag to render out invalid YAML\n",
                "proxyInit.closeWaitTimeoutSecs needs proxyInit.runAsRoot: true",
            ),
            (
                "Error: values don't meet the specifications of the schema(s) in the following \
                 chart(s):\nferrule-control-plane:\n- at '': additional properties 'a' not allowed\n",
                "values don't meet the specifications of the schema(s) in the following \
                 chart(s):\nferrule-control-plane:\n- at '': additional properties 'a' not allowed",
            ),
            (
                "Error: open a.yaml: no such file",
                "open a.yaml: no such file",
            ),
        ] {
            assert_eq!(cause(told), expected);
        }
    }

    #[test]
    fn a_missing_helm_is_said_with_where_to_get_it() {
        let missing: Helm = |_| Err(io::ErrorKind::NotFound.into());
        let renderer = Renderer::new(missing, "linkerd", None).unwrap();
        let error = renderer.render(Chart::Definitions, &[]).err().unwrap();
        assert!(matches!(error, InstallError::NoHelm), "{error}");
        assert!(error.to_string().contains("https://helm.sh"), "{error}");
    }

    #[test]
    fn helm_gets_the_chart_and_nobody_else_the_values() {
        let look: Helm = |args| {
            let args: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
            assert_eq!(args[..2], ["template", "ferrule"]);
            let chart = std::path::Path::new(&*args[2]);
            assert!(chart.join("templates/identity.yaml").is_file(), "{args:?}");
            assert_eq!(
                args[3..],
                [
                    "--namespace",
                    "mesh",
                    "--kube-version",
                    "v1.36.3",
                    "--set=a=b"
                ]
            );
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                let folder = chart.parent().unwrap().metadata().unwrap();
                assert_eq!(folder.permissions().mode() & 0o077, 0);
            }
            Ok(Output {
                status: std::process::ExitStatus::default(),
                stdout: b"---\nkind: A\nmetadata: {name: a}\n".to_vec(),
                stderr: Vec::new(),
            })
        };
        let renderer = Renderer::new(look, "mesh", Some("v1.36.3".to_owned())).unwrap();
        let rendered = renderer.render(Chart::ControlPlane, &["--set=a=b".into()]);
        assert_eq!(rendered.unwrap().objects().len(), 1);
    }
}
