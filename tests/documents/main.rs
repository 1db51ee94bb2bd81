//! The commands in the documents: those that can run here run, as they are printed; of
//! the others every flag exists.
//!
//! A fence of `sh` is a script; in one of `text` or `console` the lines after `$ ` are
//! commands and the others what they print. Words after the language say what a fence
//! needs that is not here:
//!
//! | word | the commands |
//! |---|---|
//! | `needs=X` | are not run: they need docker, kind, k3d, nodes that run pods, minutes, or something of the reader's |
//! | `background` | go on, once they have printed what follows `until=` with `_` for spaces |
//! | `for=5s` | go on until then |
//!
//! A comment `<!-- commands: ... -->` says what a page begins with: `cluster` a real API
//! server with the reader's rights, `crds` the custom resources, `control-plane` a replica
//! whose admin port is reached at localhost:9990, as by a port-forward.
//!
//! All of it is in a network of its own, where a system has that, since documents name
//! ports.

mod flags;
mod page;
mod session;

use anyhow::{Context as _, Result, ensure};
use flags::Programs;
use page::Page;
use session::Session;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

const ISOLATED: &str = "FERRULE_TEST_ISOLATED";

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("it is in a repository").to_owned()
}

/// All pages for users; those on the contract's other side are not ours to test.
fn pages() -> Result<Vec<Page>> {
    let root = root();
    let mut paths = vec![
        root.join("README.md"),
        root.join("CONTRIBUTING.md"),
        root.join("SECURITY.md"),
        root.join("charts/ferrule-crds/README.md"),
        root.join("charts/ferrule-control-plane/README.md"),
    ];
    for entry in std::fs::read_dir(root.join("docs"))? {
        paths.push(entry?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    paths.iter().map(|path| Page::read(&root, path)).collect()
}

/// Whether this is the process in the network of its own; starts that one if not.
fn is_isolated(test: &str) -> Result<bool> {
    if std::env::var_os(ISOLATED).is_some() {
        return Ok(true);
    }
    let script = "ip link set lo up && exec \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net", "sh", "-c", script]);
    let can = Command::new("unshare")
        .args(["--map-root-user", "--net", "ip", "link", "set", "lo", "up"])
        .output();
    if !can.is_ok_and(|output| output.status.success()) {
        return Ok(true);
    }
    command.arg(std::env::current_exe()?);
    let status = command
        .args(["--exact", test, "--nocapture"])
        .env(ISOLATED, "1")
        .status()?;
    ensure!(status.success(), "see above");
    Ok(false)
}

#[test]
fn commands_run_as_they_are_printed() -> Result<()> {
    // Outside: it may have to be built.
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(ferrule_tests::Ferrule::command(&["version"]))?;
    if !is_isolated("commands_run_as_they_are_printed")? {
        return Ok(());
    }
    let only = std::env::var("FERRULE_TEST_PAGE").ok();
    let mut count = 0;
    for page in pages()? {
        let is_meant = only.as_ref().is_none_or(|only| page.name.contains(only));
        if !is_meant || !page.blocks.iter().any(page::Block::runs) {
            continue;
        }
        let ran = runtime.block_on(async {
            let session = Session::begin(&page.begins_with).await?;
            session.run(&page).await
        });
        count += ran.with_context(|| page.name.clone())?;
    }
    ensure!(only.is_some() || count > 25, "only {count} blocks ran");
    Ok(())
}

#[tokio::test]
async fn every_flag_in_the_documents_exists() -> Result<()> {
    let programs = Programs::find().await?;
    let mut count = 0;
    for page in pages()? {
        for block in &page.blocks {
            for command in block.commands() {
                let checked = programs.check(&command).await;
                checked.with_context(|| format!("{}:{}: {command}", page.name, block.line))?;
                count += 1;
            }
        }
    }
    ensure!(count > 60, "only {count} commands");
    Ok(())
}

#[tokio::test]
async fn a_flag_that_does_not_exist_is_found() -> Result<()> {
    let programs = Programs::find().await?;
    for bad in [
        "ferrule check --prr",
        "ferrule chek",
        "helm install a b --name-space linkerd",
        "kubectl get pods --allnamespaces",
        "kind create cluster --nam x",
        "make everything",
        "unknown --flag",
        "ferrule check | kubectl apply --filenam=-",
    ] {
        assert!(programs.check(bad).await.is_err(), "{bad}");
    }
    for good in [
        "ferrule check --pre -o json # for programs",
        "kubectl get pods -A && helm list --namespace linkerd",
        "KEY=value ferrule version",
        "docker build --tag a .",
    ] {
        programs.check(good).await?;
    }
    Ok(())
}

/// A link that leads nowhere.
#[test]
fn links_between_the_documents_lead_somewhere() -> Result<()> {
    for page in pages()? {
        for link in &page.links {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path = root().join(&page.name);
            let folder = path.parent().context("a folder")?;
            let target = if file.is_empty() {
                path.clone()
            } else {
                folder.join(file)
            };
            let text = std::fs::read_to_string(&target);
            let text = text.with_context(|| format!("{}: {link}", page.name))?;
            ensure!(
                anchor.is_empty() || page::anchors(&text).contains(anchor),
                "{}: {link} has no such heading",
                page.name
            );
        }
    }
    Ok(())
}
