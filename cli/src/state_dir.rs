use crate::Error;
use clap::Args;
use std::{env, ffi::OsString, path::PathBuf};

/// Where the embedded default keeps the issuer and the token key that it makes.
#[derive(Clone, Debug, Args)]
pub struct StateDir {
    /// Where an issuer and a token key that nobody else made are kept [default:
    /// $XDG_STATE_HOME/ferrule, else ~/.local/state/ferrule]
    #[arg(long, env = "FERRULE_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl StateDir {
    /// The directory; it need not exist.
    ///
    /// # Errors
    /// Where nothing says where it could be.
    pub fn path(&self) -> Result<PathBuf, Error> {
        let default = || default_path(|name| env::var_os(name));
        let path = self.state_dir.clone().or_else(default);
        path.ok_or(Error::NoStateDir)
    }
}

/// Where the XDG Base Directory Specification has state: it wants paths that are
/// not absolute to be ignored.
fn default_path(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let directory = |name| {
        let path = variable(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let state = directory("XDG_STATE_HOME")
        .or_else(|| Some(directory("HOME")?.join(".local").join("state")))?;
    Some(state.join("ferrule"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_beats_the_variables() {
        let given = StateDir {
            state_dir: Some("here".into()),
        };
        assert_eq!(given.path().unwrap(), PathBuf::from("here"));
    }

    #[test]
    fn state_is_where_the_desktop_has_it() {
        for (xdg, home, path) in [
            (Some("/state"), Some("/home/me"), Some("/state/ferrule")),
            (
                None,
                Some("/home/me"),
                Some("/home/me/.local/state/ferrule"),
            ),
            (
                Some(""),
                Some("/home/me"),
                Some("/home/me/.local/state/ferrule"),
            ),
            (
                Some("state"),
                Some("/home/me"),
                Some("/home/me/.local/state/ferrule"),
            ),
            (None, Some(""), None),
            (None, None, None),
        ] {
            let found = default_path(|name| match name {
                "XDG_STATE_HOME" => xdg.map(OsString::from),
                "HOME" => home.map(OsString::from),
                _ => None,
            });
            assert_eq!(found, path.map(PathBuf::from), "{xdg:?} {home:?}");
        }
    }
}
