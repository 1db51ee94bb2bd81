//! A document, and the commands in it.

use anyhow::{Context as _, Result, ensure};
use regex::Regex;
use std::{collections::BTreeSet, path::Path, time::Duration};

pub(crate) struct Page {
    /// From the root of the repository.
    pub(crate) name: String,
    /// What there is before the first command.
    pub(crate) begins_with: BTreeSet<String>,
    pub(crate) blocks: Vec<Block>,
    /// Links to other documents.
    pub(crate) links: Vec<String>,
}

/// A fence with commands.
pub(crate) struct Block {
    pub(crate) line: usize,
    pub(crate) script: String,
    needs: Option<String>,
    /// It goes on once it has printed this.
    pub(crate) background: Option<String>,
    /// It goes on until it is ended after so long.
    pub(crate) lasts: Option<Duration>,
}

impl Page {
    pub(crate) fn read(root: &Path, path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)?;
        let name = path.strip_prefix(root)?.display().to_string();
        let page = Self::parse(name.clone(), &text);
        page.with_context(|| name)
    }

    fn parse(name: String, text: &str) -> Result<Self> {
        let mut blocks = Vec::new();
        let mut begins_with = BTreeSet::new();
        let mut prose = String::new();
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            if let Some(words) = line.strip_prefix("<!-- commands: ") {
                let words = words.trim_end_matches(" -->").split(' ');
                begins_with.extend(words.map(ToOwned::to_owned));
            }
            let Some(info) = line.trim_start().strip_prefix("```") else {
                prose.push_str(line);
                prose.push('\n');
                continue;
            };
            let inside = lines.by_ref().map(|(_, line)| line);
            let inside: Vec<_> = inside
                .take_while(|line| !line.trim_start().starts_with("```"))
                .collect();
            let (language, words) = info.split_once(' ').unwrap_or((info, ""));
            let script = match language {
                "sh" => inside.join("\n"),
                "text" | "console" => typed(&inside),
                _ => continue,
            };
            if !script.is_empty() {
                let block = Block::new(number + 1, script, words);
                blocks.push(block.with_context(|| format!("line {}", number + 1))?);
            }
        }
        let link = Regex::new(r"\]\(([^)\s]+)\)")?;
        let links = link.captures_iter(&prose).map(|link| link[1].to_owned());
        let links = links.filter(|link| !link.contains("://") && link.contains(".md"));
        Ok(Self {
            name,
            begins_with,
            blocks,
            links: links.collect(),
        })
    }
}

/// What is typed in a session: the lines after `$ `, with those that they go on in.
fn typed(lines: &[&str]) -> String {
    let mut typed = Vec::new();
    let mut goes_on = false;
    for line in lines {
        if let Some(command) = line.strip_prefix("$ ") {
            typed.push(command);
        } else if goes_on {
            typed.push(line);
        } else {
            continue;
        }
        goes_on = line.ends_with('\\');
    }
    typed.join("\n")
}

impl Block {
    fn new(line: usize, script: String, words: &str) -> Result<Self> {
        let mut block = Self {
            line,
            script,
            needs: None,
            background: None,
            lasts: None,
        };
        for word in words.split_whitespace() {
            match word.split_once('=') {
                Some(("needs", what)) => block.needs = Some(what.to_owned()),
                Some(("until", text)) => block.background = Some(text.replace('_', " ")),
                Some(("for", time)) => {
                    let seconds = time.strip_suffix('s').context("for=5s")?.parse()?;
                    block.lasts = Some(Duration::from_secs(seconds));
                }
                _ => ensure!(word == "background", "{word:?} means nothing here"),
            }
        }
        const NEEDS: [&str; 6] = ["docker", "kind", "k3d", "nodes", "minutes", "yours"];
        let is_known = block
            .needs
            .as_ref()
            .is_none_or(|what| NEEDS.contains(&what.as_str()));
        ensure!(is_known, "{:?} is none of {NEEDS:?}", block.needs);
        Ok(block)
    }

    /// Whether it can run here.
    pub(crate) fn runs(&self) -> bool {
        self.needs.is_none()
    }

    /// Its commands, one a line: without those of here-documents.
    pub(crate) fn commands(&self) -> Vec<String> {
        let mut commands = Vec::new();
        let mut command = String::new();
        let mut until: Option<String> = None;
        for line in self.script.lines() {
            if let Some(end) = &until {
                if line.trim() == end {
                    until = None;
                }
                continue;
            }
            let here = line.split_once("<<");
            until = here.map(|(_, word)| word.trim_matches(['\'', '"', ' ', '-']).to_owned());
            let line = here.map_or(line, |(before, _)| before);
            match line.strip_suffix('\\') {
                Some(begun) => command.push_str(begun),
                None => {
                    command.push_str(line);
                    let command = std::mem::take(&mut command);
                    let is_command = !command.trim().is_empty() && !command.trim().starts_with('#');
                    commands.extend(is_command.then_some(command));
                }
            }
        }
        commands
    }
}

/// What a heading is linked by.
pub(crate) fn anchors(text: &str) -> BTreeSet<String> {
    let mut is_fenced = false;
    let mut anchors = BTreeSet::new();
    for line in text.lines() {
        is_fenced ^= line.trim_start().starts_with("```");
        if is_fenced || !line.starts_with('#') {
            continue;
        }
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        anchors.insert(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
    }
    anchors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_what_is_typed() -> Result<()> {
        let text = "\
# A page
<!-- commands: cluster crds -->
```text background until=It_serves
$ make run
It serves.
```
```sh needs=kind
kind create cluster \\
  --name x   # a comment
kubectl apply --filename - <<'YAML'
kind: Pod
YAML
ls
```
```yaml
$ not: this
```
[a](b.md#c) [d](https://e/f.md)
";
        let page = Page::parse("page".to_owned(), text)?;
        assert_eq!(page.begins_with.len(), 2);
        let [run, create] = &page.blocks[..] else {
            panic!("{} blocks", page.blocks.len());
        };
        assert_eq!(run.background.as_deref(), Some("It serves"));
        assert_eq!((run.runs(), create.runs()), (true, false));
        assert_eq!(run.commands(), ["make run"]);
        assert_eq!(
            create.commands(),
            [
                "kind create cluster   --name x   # a comment",
                "kubectl apply --filename - ",
                "ls"
            ]
        );
        assert_eq!(page.links, ["b.md#c"]);
        assert!(anchors("## What `it` needs\n").contains("what-it-needs"));
        Ok(())
    }
}
