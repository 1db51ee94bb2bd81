//! Whether the flags of a command exist.

use crate::root;
use anyhow::{Context as _, Result, bail, ensure};
use ferrule_test_cluster::Binary;
use regex::Regex;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};
use tokio::{process::Command, sync::Mutex};

/// Subcommands and flags of programs that are not here.
const ELSEWHERE: [(&str, &str); 10] = [
    ("kind create cluster", "--name --config --image --wait"),
    ("kind load docker-image", "--name"),
    ("kind delete cluster", "--name"),
    ("k3d cluster create", "--agents --servers --image"),
    ("k3d image import", "--cluster"),
    ("k3d cluster delete", ""),
    ("docker build", "--tag --platform --push"),
    ("curl", "-s --silent -f --fail"),
    ("git clone", "--depth"),
    ("cd", ""),
];
/// What every shell has; of their flags nothing is said.
const SHELL: [&str; 9] = [
    "base64", "grep", "cat", "echo", "true", "export", "ls", "mv", "sort",
];

/// The programs that are here, by what they say of themselves.
pub(crate) struct Programs {
    paths: BTreeMap<&'static str, PathBuf>,
    targets: BTreeSet<String>,
    help: Mutex<BTreeMap<String, String>>,
}

/// The binary of this build, which stands beside the tests'.
pub(crate) fn ferrule() -> PathBuf {
    let proxy = Path::new(env!("CARGO_BIN_EXE_test-proxy"));
    proxy.with_file_name(format!("ferrule{}", std::env::consts::EXE_SUFFIX))
}

impl Programs {
    pub(crate) async fn find() -> Result<Self> {
        ferrule_tests::Ferrule::command(&["version"]).await?;
        let paths = [
            ("ferrule", ferrule()),
            ("helm", Binary::Helm.path().await?),
            ("kubectl", Binary::Kubectl.path().await?),
            ("test-proxy", env!("CARGO_BIN_EXE_test-proxy").into()),
        ];
        let makefile = std::fs::read_to_string(root().join("Makefile"))?;
        let target = Regex::new(r"(?m)^([a-z-]+):")?;
        let targets = target
            .captures_iter(&makefile)
            .map(|found| found[1].to_owned());
        Ok(Self {
            paths: paths.into(),
            targets: targets.collect(),
            help: Mutex::default(),
        })
    }

    /// Whether everything in a line of a shell exists.
    pub(crate) async fn check(&self, line: &str) -> Result<()> {
        for command in commands(line) {
            self.command(&command)
                .await
                .with_context(|| command.join(" "))?;
        }
        Ok(())
    }

    async fn command(&self, words: &[String]) -> Result<()> {
        let Some((program, rest)) = words.split_first() else {
            return Ok(());
        };
        let program = program.rsplit('/').next().unwrap_or(program);
        match program {
            "make" => {
                let targets = rest.iter().filter(|word| !word.contains('='));
                for target in targets {
                    ensure!(self.targets.contains(target), "there is no target {target}");
                }
                Ok(())
            }
            "cargo" => {
                let own = rest.iter().position(|word| word == "--");
                match own.filter(|_| rest.iter().any(|word| word == "test-proxy")) {
                    Some(own) => self.flags("test-proxy", &rest[own + 1..]).await,
                    None => Ok(()),
                }
            }
            _ if SHELL.contains(&program) => Ok(()),
            _ if self.paths.contains_key(program) => self.flags(program, rest).await,
            "ferrule-bench" => Ok(()),
            _ => elsewhere(program, rest),
        }
    }

    /// Goes down the subcommands, and looks for the flags in what the last one says.
    async fn flags(&self, program: &str, words: &[String]) -> Result<()> {
        let mut path = vec![program];
        let mut help = self.help(&path).await?;
        for word in words {
            if word.starts_with('-') || !has_subcommand(&help, word) {
                break;
            }
            path.push(word);
            help = self.help(&path).await?;
        }
        ensure!(
            path.len() > 1 || program == "test-proxy" || words.is_empty(),
            "{program} has no {:?}",
            words[0]
        );
        if program == "kubectl" {
            help.push_str(&self.help(&["kubectl", "options"]).await?);
        }
        for flag in words.iter().take_while(|word| *word != "--") {
            let flag = flag.split('=').next().unwrap_or(flag);
            let is_flag = flag.len() > 1 && flag.starts_with('-');
            if is_flag && !has_flag(&help, flag) {
                bail!("{} has no {flag}", path.join(" "));
            }
        }
        Ok(())
    }

    async fn help(&self, path: &[&str]) -> Result<String> {
        let mut known = self.help.lock().await;
        let key = path.join(" ");
        if let Some(help) = known.get(&key) {
            return Ok(help.clone());
        }
        let mut command = Command::new(&self.paths[path[0]]);
        command.args(&path[1..]);
        if path != ["kubectl", "options"] {
            command.arg("--help");
        }
        let output = command.output().await?;
        let help = String::from_utf8(output.stdout)?;
        known.insert(key, help.clone());
        Ok(help)
    }
}

/// Listed at the beginning of a line, perhaps with aliases.
fn has_subcommand(help: &str, word: &str) -> bool {
    help.lines().any(|line| {
        let is_indented = line.starts_with("  ");
        let mut words = line.trim_start().split([' ', ',']);
        is_indented && words.next() == Some(word)
    }) || help.contains(&format!("[aliases: {word}]"))
}

fn has_flag(help: &str, flag: &str) -> bool {
    let mut rest = help;
    while let Some(at) = rest.find(flag) {
        let before = rest[..at].chars().next_back();
        let after = rest[at + flag.len()..].chars().next();
        let ends = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '-');
        if ends(before) && ends(after) {
            return true;
        }
        rest = &rest[at + flag.len()..];
    }
    false
}

fn elsewhere(program: &str, words: &[String]) -> Result<()> {
    let line = [&[program.to_owned()], words].concat().join(" ");
    let known = ELSEWHERE.iter().find(|(command, _)| {
        let rest = line.strip_prefix(command);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    });
    let (command, flags) = known.with_context(|| format!("{program} is not known here"))?;
    let flags: Vec<_> = flags.split(' ').collect();
    for flag in words.iter().filter(|word| word.starts_with('-')) {
        let flag = flag.split('=').next().unwrap_or(flag);
        ensure!(
            flags.contains(&flag),
            "{command} is not known to have {flag}"
        );
    }
    Ok(())
}

/// The words of each command of a line: split at pipes and so on, without redirections,
/// comments and variables.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word = String::new();
    let mut quote = None;
    let mut skips = false;
    for c in line.chars().chain([' ']) {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '#') if word.is_empty() => break,
            (None, ' ' | '|' | '&' | ';' | '>' | '<') => {
                let ended = std::mem::take(&mut word);
                let command = commands.last_mut().expect("there is one");
                let is_variable = command.is_empty() && ended.contains('=');
                if !ended.is_empty() && !std::mem::take(&mut skips) && !is_variable {
                    command.push(ended);
                }
                match c {
                    '|' | '&' | ';' => commands.push(Vec::new()),
                    '>' | '<' => skips = true,
                    _ => {}
                }
            }
            _ => word.push(c),
        }
    }
    commands.retain(|command| !command.is_empty());
    commands
}
