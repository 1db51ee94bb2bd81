//! Where manifests are read from and what is printed of them.

use super::rewrite::rewrite;
use crate::{Error, output};
use ferrule_cluster::source::manifests::{
    Listing,
    documents::{self, Broken},
};
use serde_json::Value;
use std::{
    fs, io,
    io::Read as _,
    ops::Range,
    path::{Path, PathBuf},
};

/// How manifests are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// As they were written, but for what had to change
    #[default]
    Yaml,
    /// One document a line
    Json,
}

/// A file of manifests, or what came on standard input.
pub(crate) struct Input {
    name: String,
    text: String,
    documents: Vec<Document>,
}

struct Document {
    /// Where its text is.
    range: Range<usize>,
    value: Value,
}

/// A file's text, or what came on standard input.
pub(crate) struct Text {
    name: String,
    text: String,
    is_json: bool,
}

/// A document of a [`Text`].
pub(crate) struct Read<'a> {
    /// The line of its first byte, from 1.
    pub(crate) first_line: usize,
    /// The line in which it begins to say something.
    pub(crate) line: usize,
    /// Its text, where that is YAML.
    pub(crate) text: Option<&'a str>,
    pub(crate) content: Result<Value, Broken>,
}

/// Reads what the argument of a command names: `-`, a file, or a directory with all
/// `*.yaml`, `*.yml` and `*.json` files below it that are not hidden.
pub(crate) fn texts(argument: &Path) -> Result<Vec<Text>, Error> {
    let name = argument.to_string_lossy();
    if name.starts_with("http://") || name.starts_with("https://") {
        return Err(Error::Url(name.into_owned()));
    }
    if name == "-" {
        let mut text = String::new();
        let read = io::stdin().lock().read_to_string(&mut text);
        read.map_err(|error| unreadable("standard input", &error))?;
        return Ok(vec![Text::new("standard input".to_owned(), text)]);
    }
    let files = match argument.is_dir() {
        true => list(argument)?,
        false => vec![argument.to_owned()],
    };
    let read = |file: &PathBuf| {
        let name = file.display().to_string();
        let text = fs::read_to_string(file).map_err(|error| unreadable(&name, &error))?;
        Ok(Text::new(name, text))
    };
    files.iter().map(read).collect()
}

impl Text {
    pub(crate) fn new(name: String, text: String) -> Self {
        let is_json = Path::new(&name)
            .extension()
            .is_some_and(|it| it.eq_ignore_ascii_case("json"));
        Self {
            name,
            text,
            is_json,
        }
    }

    /// Its file.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The documents that say something, readable or not.
    pub(crate) fn documents(&self) -> Vec<Read<'_>> {
        if self.is_json {
            let values = documents::json(&self.text).into_iter();
            let read = values.map(|document| Read {
                first_line: document.line,
                line: document.line,
                text: None,
                content: document.content,
            });
            return read.collect();
        }
        let parts = documents::split(&self.text).into_iter();
        let read = parts.filter_map(|(first_line, range)| {
            let text = &self.text[range];
            let document = documents::parse_yaml(first_line, text)?;
            Some(Read {
                first_line,
                line: document.line,
                text: Some(text),
                content: document.content,
            })
        });
        read.collect()
    }
}

impl Input {
    /// Reads what the argument of a command names, as [`texts`] does.
    pub(crate) fn read(argument: &Path) -> Result<Vec<Self>, Error> {
        let texts = texts(argument)?.into_iter();
        texts
            .map(|text| Self::parse(text.name, text.text))
            .collect()
    }

    /// Reads a stream of documents.
    pub(crate) fn parse(name: String, text: String) -> Result<Self, Error> {
        let mut found = Vec::new();
        for (line, range) in documents::split(&text) {
            let Some(document) = documents::parse_yaml(line, &text[range.clone()]) else {
                continue;
            };
            let value = document.content.map_err(|broken| Error::Manifest {
                name: name.clone(),
                line: broken.line,
                reason: broken.text,
            })?;
            found.push(Document { range, value });
        }
        Ok(Self {
            name,
            text,
            documents: found,
        })
    }

    /// Its file.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What each of its documents says.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Value> {
        self.documents.iter().map(|document| &document.value)
    }

    /// The stream in which documents say `wanted`, one for each; and of how many the
    /// comments are lost.
    pub(crate) fn rewritten(&self, wanted: &[Value], output: Output) -> (String, usize) {
        if output == Output::Json {
            let lines = wanted.iter().map(|value| format!("{value}\n"));
            return (lines.collect(), 0);
        }
        let (mut text, mut copied, mut anew) = (String::new(), 0, 0);
        for (document, wanted) in self.documents.iter().zip(wanted) {
            let range = document.range.clone();
            let old = &self.text[range.clone()];
            let rewritten = rewrite(old, &document.value, wanted);
            text += &self.text[copied..range.start];
            text += &rewritten.text;
            copied = range.end;
            anew += usize::from(!rewritten.in_place);
        }
        text += &self.text[copied..];
        (text, anew)
    }
}

/// Prints streams one after the other, as one stream.
pub(crate) fn print(streams: &[String], output: Output) -> io::Result<()> {
    let mut all = String::new();
    for stream in streams.iter().filter(|stream| !stream.trim().is_empty()) {
        if !all.is_empty() && output == Output::Yaml {
            if !all.ends_with('\n') {
                all.push('\n');
            }
            if !stream.starts_with("---") {
                all += "---\n";
            }
        }
        all += stream;
    }
    output::print_as_it_is(&all)
}

/// What `serve --manifests` would read there.
fn list(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let listing = Listing::of(directory);
    let listing = listing.map_err(|error| unreadable(&directory.display().to_string(), &error))?;
    if let Some((path, reason)) = listing.unreadable.into_iter().next() {
        return Err(Error::Unreadable {
            name: path.display().to_string(),
            reason,
        });
    }
    Ok(listing.files.into_iter().map(|file| file.path).collect())
}

fn unreadable(name: &str, error: &io::Error) -> Error {
    Error::Unreadable {
        name: name.to_owned(),
        reason: error.to_string(),
    }
}
