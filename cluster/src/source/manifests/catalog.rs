//! What the files say, with what they said before where they are broken now.

use super::{
    directory::{Entry, Listing, is_json},
    documents::{self, Document},
    endpoints::{self, Candidate, Workload},
    items::{Facts, Item, items},
};
use crate::{
    Interner,
    object::{Kind, Name, Object, ObjectKey},
    source::Problem,
};
use rustc_hash::FxHasher;
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{Hash, Hasher},
    io,
    path::{Path, PathBuf},
};

/// The files of a directory and their objects.
pub(super) struct Catalog {
    pub(super) directory: PathBuf,
    interner: Interner,
    files: BTreeMap<PathBuf, File>,
    /// As of the last reading.
    listing: Option<Listing>,
    directory_problems: Vec<Problem>,
    is_changed: bool,
}

/// A file's objects, one of each key, in effect whether the file says so now or
/// only did when it was last whole.
#[derive(Default)]
struct File {
    /// Of the text that the rest was read from; `None` if it could not be read.
    hash: Option<u64>,
    items: Vec<Item>,
    problems: Vec<Problem>,
}

/// All objects of the files, in the order of their keys, and what is wrong.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) objects: BTreeMap<Kind, BTreeMap<ObjectKey, Object>>,
    pub(super) problems: Vec<Problem>,
}

impl Catalog {
    pub(super) fn new(directory: PathBuf, interner: Interner) -> Self {
        Self {
            directory,
            interner,
            files: BTreeMap::new(),
            listing: None,
            directory_problems: Vec::new(),
            // For the first time.
            is_changed: true,
        }
    }

    /// Whether the contents have changed since this was asked last.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// Whether the directory could be read.
    pub(super) fn is_readable(&self) -> bool {
        self.listing.is_some()
    }

    /// Whether the directory looks other than when it was last read.
    pub(super) fn is_outdated(&self) -> bool {
        Listing::of(&self.directory).ok() != self.listing
    }

    /// Reads what has changed. If the directory cannot be read, what it held
    /// stays; so does what was under an unreadable part of it.
    ///
    /// # Errors
    /// If the directory cannot be read; this is a problem of the contents too.
    pub(super) fn read(&mut self) -> io::Result<()> {
        let listing = match Listing::of(&self.directory) {
            Ok(listing) => listing,
            Err(error) => {
                self.listing = None;
                let text = format!("the directory cannot be read, keeping what it held: {error}");
                let problem = error_at(&self.directory, None, text);
                replace(
                    &mut self.directory_problems,
                    vec![problem],
                    &mut self.is_changed,
                );
                return Err(error);
            }
        };
        let problems = listing
            .unreadable
            .iter()
            .map(|(path, error)| {
                let text = format!("cannot be read, keeping what it held: {error}");
                error_at(path, None, text)
            })
            .collect();
        replace(&mut self.directory_problems, problems, &mut self.is_changed);
        let count = self.files.len();
        let listed: BTreeSet<&Path> = listing.files.iter().map(|entry| &*entry.path).collect();
        self.files.retain(|path, _| {
            listed.contains(&**path)
                || listing
                    .unreadable
                    .iter()
                    .any(|(unreadable, _)| path.starts_with(unreadable))
        });
        self.is_changed |= self.files.len() != count;
        for entry in &listing.files {
            self.read_file(entry);
        }
        self.listing = Some(listing);
        Ok(())
    }

    fn read_file(&mut self, entry: &Entry) {
        let text = match entry.read() {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !entry.path.is_symlink() => {
                self.is_changed |= self.files.remove(&entry.path).is_some();
                return;
            }
            Err(error) => {
                let file = self.files.entry(entry.path.clone()).or_default();
                let text = format!("cannot be read, keeping what it held: {error}");
                let problem = error_at(&entry.path, None, text);
                replace(&mut file.problems, vec![problem], &mut self.is_changed);
                file.hash = None;
                return;
            }
        };
        let file = self.files.entry(entry.path.clone()).or_default();
        let hash = hash(&text);
        if file.hash != Some(hash) {
            file.update(&entry.path, &text, &self.interner);
            file.hash = Some(hash);
            self.is_changed = true;
        }
    }

    /// What all files come to.
    pub(super) fn contents(&self) -> Contents {
        let mut problems = self.directory_problems.clone();
        let mut winners = BTreeMap::<(Kind, &ObjectKey), (&Path, &Item)>::new();
        for (path, file) in &self.files {
            problems.extend_from_slice(&file.problems);
            for item in &file.items {
                if let Some((other, loser)) = winners.insert(item.id(), (path, item)) {
                    let text = format!(
                        "{} {} is also in {}:{}; the one here holds",
                        item.object.kind(),
                        item.key,
                        other.display(),
                        loser.line
                    );
                    problems.push(oddity_at(path, item.line, text));
                }
            }
        }
        let mut contents = Contents::default();
        for (&(kind, key), (path, item)) in &winners {
            problems.extend(
                item.problems
                    .iter()
                    .map(|text| oddity_at(path, item.line, format!("{kind} {key}: {text}"))),
            );
            let objects = contents.objects.entry(kind).or_default();
            objects.insert(key.clone(), item.object.clone());
        }
        let items: Vec<&Item> = winners.into_values().map(|(_, item)| item).collect();
        let derived = derive_slices(&items, &self.interner);
        let slices = contents.objects.entry(Kind::EndpointSlice).or_default();
        for (key, slice) in derived {
            // Should a file use the name of a derived one, the file holds.
            slices.entry(key).or_insert(slice);
        }
        contents.problems = problems;
        contents
    }
}

impl File {
    fn update(&mut self, path: &Path, text: &str, interner: &Interner) {
        let documents = if is_json(path) {
            documents::json(text)
        } else {
            documents::yaml(text)
        };
        let mut items = Vec::new();
        let mut problems = Vec::new();
        for document in documents {
            read_document(document, path, interner, &mut items, &mut problems);
        }
        let is_broken = !problems.is_empty();
        items = without_duplicates(items, path, &mut problems);
        if is_broken {
            // What is missing may be what cannot be read.
            let mut kept = std::mem::take(&mut self.items);
            let said: BTreeSet<_> = items.iter().map(Item::id).collect();
            kept.retain(|old| !said.contains(&old.id()));
            items.extend(kept);
        }
        self.items = items;
        self.problems = problems;
    }
}

fn read_document(
    document: Document,
    path: &Path,
    interner: &Interner,
    found: &mut Vec<Item>,
    problems: &mut Vec<Problem>,
) {
    const KEPT: &str = "what the file said before and does not say now is kept";
    match document.content {
        Ok(value) => {
            for outcome in items(value, document.line, interner) {
                match outcome {
                    Ok(item) => found.push(item),
                    Err(text) => {
                        let text = format!("{text}; {KEPT}");
                        problems.push(error_at(path, Some(document.line), text));
                    }
                }
            }
        }
        Err(broken) => {
            let text = format!("{}; {KEPT}", broken.text);
            problems.push(error_at(path, Some(broken.line), text));
        }
    }
}

/// The last of each key; the others are told.
fn without_duplicates(items: Vec<Item>, path: &Path, problems: &mut Vec<Problem>) -> Vec<Item> {
    let mut last = BTreeMap::<(Kind, ObjectKey), Item>::new();
    for item in items {
        let (kind, key) = item.id();
        let line = item.line;
        if let Some(loser) = last.insert((kind, key.clone()), item.clone()) {
            let text = format!(
                "{kind} {key} is also in line {}; the one here holds",
                loser.line
            );
            problems.push(oddity_at(path, line, text));
        }
    }
    last.into_values().collect()
}

/// Slices for the Services that have none. `items` are in the order of kind and
/// key.
fn derive_slices(items: &[&Item], interner: &Interner) -> Vec<(ObjectKey, Object)> {
    let mut with_slices = BTreeSet::new();
    let mut zones = BTreeMap::new();
    let mut candidates = BTreeMap::<&Name, Vec<Candidate<'_>>>::new();
    for Item {
        key, object, facts, ..
    } in items
    {
        let workload = match (object, facts) {
            (Object::EndpointSlice(slice), _) => {
                with_slices.extend(slice.service.as_ref().map(|name| (&key.namespace, name)));
                continue;
            }
            (Object::Node(node), _) => {
                zones.extend(node.zone.as_ref().map(|zone| (&key.name, zone)));
                continue;
            }
            (Object::Pod(pod), Facts::Pod(facts)) => Workload::Pod(pod, facts),
            (Object::ExternalWorkload(workload), Facts::External(facts)) => {
                Workload::External(workload, facts)
            }
            _ => continue,
        };
        let candidates = candidates.entry(&key.namespace).or_default();
        candidates.push(Candidate { key, workload });
    }
    let zone_of = |node: &Name| zones.get(node).map(|zone| (*zone).clone());
    let mut slices = Vec::new();
    for Item {
        key, object, facts, ..
    } in items
    {
        let (Object::Service(service), Facts::Service(facts)) = (object, facts) else {
            continue;
        };
        if with_slices.contains(&(&key.namespace, &key.name)) {
            continue;
        }
        let candidates = candidates.get(&key.namespace).into_iter();
        let candidates = candidates.flatten().copied();
        let derived = endpoints::derive(key, service, facts, candidates, zone_of, interner);
        slices.extend(
            derived
                .into_iter()
                .map(|(key, slice)| (key, Object::EndpointSlice(slice))),
        );
    }
    slices
}

fn replace<T: PartialEq>(old: &mut T, new: T, is_changed: &mut bool) {
    *is_changed |= *old != new;
    *old = new;
}

fn hash(text: &str) -> u64 {
    let mut hasher = FxHasher::default();
    text.hash(&mut hasher);
    hasher.finish()
}

fn error_at(path: &Path, line: Option<usize>, text: String) -> Problem {
    Problem {
        path: path.to_owned(),
        line,
        text,
        is_error: true,
    }
}

fn oddity_at(path: &Path, line: usize, text: String) -> Problem {
    Problem {
        path: path.to_owned(),
        line: Some(line),
        text,
        is_error: false,
    }
}
