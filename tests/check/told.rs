//! What the command says.

use anyhow::{Context as _, Result, ensure};
use ferrule_tests::Printed;
use serde_json::Value;

/// What it printed as JSON.
pub(crate) struct Told {
    pub(crate) code: Option<i32>,
    pub(crate) json: Value,
    pub(crate) stderr: String,
}

impl Told {
    pub(crate) fn of(printed: Printed) -> Result<Self> {
        let json = serde_json::from_str(&printed.stdout);
        Ok(Self {
            code: printed.code,
            json: json.with_context(|| format!("{printed:?}"))?,
            stderr: printed.stderr,
        })
    }

    pub(crate) fn checks(&self) -> impl Iterator<Item = &Value> {
        let categories = self.json["categories"].as_array().into_iter().flatten();
        categories.flat_map(|category| category["checks"].as_array().into_iter().flatten())
    }

    fn check(&self, id: &str) -> Result<&Value> {
        let found = self.checks().find(|check| check["id"] == id);
        found.with_context(|| format!("{id} is not told; skipped: {}", self.json["skipped"]))
    }

    /// A check failed; why says all of this, and there is something to do.
    pub(crate) fn fails(&self, id: &str, why: &[&str]) -> Result<()> {
        self.found(id, "error", why)?;
        ensure!(self.json["success"] == false, "{}", self.json["success"]);
        ensure!(self.code == Some(1), "{:?}", self.code);
        Ok(())
    }

    /// A check warns, likewise.
    pub(crate) fn warns(&self, id: &str, why: &[&str]) -> Result<()> {
        self.found(id, "warning", why)
    }

    fn found(&self, id: &str, result: &str, why: &[&str]) -> Result<()> {
        let check = self.check(id)?;
        ensure!(check["result"] == result, "{check:#}");
        let error = check["error"].as_str().context("a cause")?;
        for part in why {
            ensure!(error.contains(part), "{part:?} is not in {error:?}");
        }
        ensure!(
            check["remedy"]
                .as_str()
                .is_some_and(|remedy| remedy.len() > 10),
            "{check:#}"
        );
        let hint = check["hint"].as_str().context("a hint")?;
        let (page, anchor) = hint.split_once('#').context("an anchor")?;
        let page = std::fs::read_to_string(format!("{}/../{page}", env!("CARGO_MANIFEST_DIR")))?;
        ensure!(
            page.contains(&format!("<a id=\"{anchor}\">")),
            "{hint} leads nowhere"
        );
        Ok(())
    }

    pub(crate) fn succeeds(&self, id: &str) -> Result<()> {
        let check = self.check(id)?;
        ensure!(check["result"] == "success", "{check:#}");
        Ok(())
    }

    /// It was not made because of another.
    pub(crate) fn was_stopped(&self, id: &str, by: &str) -> Result<()> {
        let mut skipped = self.json["skipped"].as_array().into_iter().flatten();
        let found = skipped.find(|skipped| skipped["id"] == id);
        let reason = found.map(|skipped| skipped["reason"].clone());
        ensure!(
            reason == Some(format!("it needs {by}").into()),
            "{id}: {reason:?}"
        );
        Ok(())
    }

    /// Nothing is wrong, but for these.
    pub(crate) fn is_well_but_for(&self, ids: &[&str]) -> Result<()> {
        let wrong = self.checks().filter(|check| check["result"] != "success");
        let wrong: Vec<_> = wrong
            .filter(|check| !ids.iter().any(|id| check["id"] == *id))
            .collect();
        ensure!(wrong.is_empty(), "{wrong:#?}");
        Ok(())
    }
}
