//! The page of all commands, `docs/commands.md`, made of what clap knows.

use clap::{Arg, ArgAction, Command};
use std::fmt::Write as _;

/// The page.
pub(crate) fn reference(mut command: Command) -> String {
    command.build();
    let mut page = INTRODUCTION.to_owned();
    let all = commands(&command, Vec::new());
    for (names, command) in &all {
        let about = command.get_about().map(ToString::to_string);
        let title = names.join(" ");
        let anchor = title.replace(' ', "-");
        let _ = writeln!(
            page,
            "| [`{title}`](#{anchor}) | {} |",
            about.unwrap_or_default()
        );
    }
    for (names, command) in &all {
        page += &section(&names.join(" "), command);
    }
    page
}

/// Every command that does something, with the names that lead there.
fn commands<'c>(command: &'c Command, before: Vec<&'c str>) -> Vec<(Vec<&'c str>, &'c Command)> {
    let mut names = before;
    names.push(command.get_name());
    let mut shown = command
        .get_subcommands()
        .filter(|one| !one.is_hide_set() && one.get_name() != "help")
        .peekable();
    if shown.peek().is_none() {
        return vec![(names, command)];
    }
    shown.flat_map(|one| commands(one, names.clone())).collect()
}

fn section(title: &str, command: &Command) -> String {
    let mut text = format!("\n## {title}\n\n");
    let about = command.get_about().map(ToString::to_string);
    let _ = writeln!(text, "{}.", about.unwrap_or_default());
    let aliases: Vec<_> = command.get_visible_aliases().collect();
    if !aliases.is_empty() {
        let _ = writeln!(text, "\nAlso called `{}`.", aliases.join("`, `"));
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let _ = writeln!(text, "\n```text\n{usage}\n```");
    let shown: Vec<_> = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str()))
        .collect();
    if !shown.is_empty() {
        text += "\n| | |\n|---|---|\n";
        for arg in shown {
            let _ = writeln!(text, "| {} | {} |", name(arg), meaning(arg));
        }
    }
    if let Some(help) = command.get_after_help() {
        let help = help.to_string();
        let (explanation, examples) = help.split_once("Examples:\n").unwrap_or((&help, ""));
        if !explanation.trim().is_empty() {
            let _ = writeln!(text, "\n{}", explanation.trim());
        }
        if !examples.is_empty() {
            let _ = writeln!(text, "\n```console\n{}\n```", examples.trim_end());
        }
    }
    text
}

/// As it is typed.
fn name(arg: &Arg) -> String {
    let values = match arg.get_action() {
        ArgAction::Set | ArgAction::Append => {
            let names = arg.get_value_names().unwrap_or_default();
            names.iter().map(ToString::to_string).collect()
        }
        _ => Vec::new(),
    };
    let values = values.join(" ");
    if arg.is_positional() {
        return format!("`{values}`");
    }
    let short = arg.get_short().map(|short| format!("`-{short}`, "));
    let long = arg.get_long().unwrap_or_default();
    let aliases = arg.get_visible_aliases().unwrap_or_default();
    let aliases: String = aliases
        .iter()
        .map(|alias| format!(", `--{alias}`"))
        .collect();
    let space = if values.is_empty() { "" } else { " " };
    format!(
        "{}`--{long}{space}{values}`{aliases}",
        short.unwrap_or_default()
    )
}

/// What it is for, what may stand there, and what holds without it.
fn meaning(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let mut parts = vec![help.replace('|', "\\|").replace('\n', " ")];
    let quoted = |texts: Vec<String>| format!("`{}`", texts.join("`, `"));
    let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let values: Vec<_> = arg
        .get_possible_values()
        .iter()
        .map(|value| value.get_name().to_owned())
        .collect();
    if takes_value && !values.is_empty() {
        parts.push(format!("one of {}", quoted(values)));
    }
    let defaults = arg.get_default_values().iter();
    let defaults: Vec<_> = defaults
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    if takes_value && !defaults.is_empty() && defaults != [""] {
        parts.push(format!("default {}", quoted(defaults)));
    }
    if let Some(variable) = arg.get_env() {
        parts.push(format!("or `{}`", variable.to_string_lossy()));
    }
    parts.join("; ")
}

const INTRODUCTION: &str = "\
# Commands

<!-- Written by `make docs` from the command line itself. -->

Every command and its flags, as `--help` has them. Answers go to standard output, and
nothing else does; progress and notes go to standard error, so that output can be piped
into kubectl. Tables and colours are for terminals: into a pipe tables are columns, and
`NO_COLOR` ends colours.

| exit code | |
|---|---|
| 0 | it is done, perhaps with warnings |
| 1 | it is not, and the last line says why: also what is wrong with the command line, and checks that failed |
| 2 | only of `check --fail-on-warning`: there are warnings, and no errors |

Commands that ask the API server find it as kubectl does: `--kubeconfig`, `--context`, the
files in `KUBECONFIG`, `~/.kube/config`, or the account of the pod that they run in.

| command | |
|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_page_in_docs_is_the_command_line() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/commands.md");
        let page = std::fs::read_to_string(page).unwrap_or_default();
        assert!(
            page == reference(crate::Ferrule::command()),
            "docs/commands.md is not what the command line says: run `make docs`"
        );
    }

    #[test]
    fn every_flag_says_what_it_is_for() {
        let mut command = crate::Ferrule::command();
        command.build();
        for (names, command) in commands(&command, Vec::new()) {
            for arg in command.get_arguments() {
                let has_help = arg
                    .get_help()
                    .is_some_and(|help| !help.to_string().is_empty());
                assert!(
                    has_help || arg.is_hide_set(),
                    "{}: {}",
                    names.join(" "),
                    arg.get_id()
                );
            }
        }
    }
}
