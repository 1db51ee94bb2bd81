//! What a server is told to be.

use std::ffi::OsString;
use std::path::Path;

use crate::mesh::Mesh;

/// How proxies speak to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Plaintext,
    MeshTls,
}

/// Where the server's objects come from, and who vouches for tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    /// An API server.
    Cluster { kubeconfig: &'a Path },
    /// Files, and the server itself.
    Embedded {
        manifests: &'a Path,
        state: &'a Path,
    },
}

/// The roles of a server, and what they need.
#[derive(Clone, Copy)]
pub(crate) struct Setup<'a> {
    /// As `--roles` takes them.
    pub(crate) roles: &'static str,
    pub(crate) source: Source<'a>,
    pub(crate) transport: Transport,
    /// Whose issuer identity signs with; else it makes one, which takes [`Source::Embedded`].
    pub(crate) mesh: Option<&'a Mesh>,
    /// Tokens are checked by the API server's keys, and not by it.
    pub(crate) local_tokens: bool,
    /// What the injector goes by: `values`, and the webhooks' `tls.crt` and `tls.key`.
    pub(crate) injector: Option<&'a Path>,
}

impl Setup<'_> {
    /// The flags of `ferrule serve`.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let mut arguments = Vec::new();
        let mut flag = |name: &str, value: OsString| arguments.extend([name.into(), value]);
        flag("--roles", self.roles.into());
        let mesh_tls = match self.transport {
            Transport::Plaintext => "never",
            // On loopback, too.
            Transport::MeshTls => "always",
        };
        flag("--mesh-tls", mesh_tls.into());
        match self.source {
            Source::Cluster { kubeconfig } => flag("--kubeconfig", kubeconfig.into()),
            Source::Embedded { manifests, state } => {
                flag("--manifests", manifests.into());
                flag("--state-dir", state.into());
            }
        }
        if let Some(mesh) = self.mesh {
            flag("--trust-anchors", mesh.trust_anchors().into());
            flag("--issuer-dir", mesh.issuer_dir().into());
        }
        if self.local_tokens {
            flag("--token-review", "local".into());
        }
        if let Some(folder) = self.injector {
            flag("--values", folder.join("values").into());
            flag("--webhook-tls-dir", folder.into());
        }
        arguments
    }
}
