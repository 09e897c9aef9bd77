//! Everything in a repository that belongs to the user, taken down byte for byte.
//!
//! Read from the files themselves and never through git, which may refresh an index.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The state of a repository and its working tree.
///
/// Of the working tree: each entry's kind, mode, time of change and bytes. Of the git folder: the
/// bytes of each file, so the index, HEAD, all refs, reflogs, the stash, the configuration and any
/// lock, except objects, `refs/amps` with their reflogs, and a folder `amps` of ours.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint {
    entries: BTreeMap<PathBuf, Entry>,
}

#[derive(Clone, PartialEq, Eq)]
struct Entry {
    mode: u32,
    /// Seconds and nanoseconds; `None` inside the git folder.
    modified: Option<(i64, i64)>,
    bytes: Vec<u8>,
}

impl Fingerprint {
    #[track_caller]
    pub(crate) fn of(worktree: &Path) -> Self {
        let metadata = fs::metadata(worktree).unwrap();
        let mut entries = BTreeMap::from([(PathBuf::from("."), Entry::of(worktree, &metadata))]);
        walk(worktree, Path::new(""), &mut entries);
        let git = worktree.join(".git");
        if let Some(own) = linked(&git) {
            git_folder(&own, Path::new("(git)"), &mut entries);
            if let Ok(common) = fs::read_to_string(own.join("commondir")) {
                let common = own.join(common.trim());
                git_folder(&common, Path::new("(common)"), &mut entries);
            }
        } else {
            git_folder(&git, Path::new(".git"), &mut entries);
        }
        Self { entries }
    }

    /// Returns a line for each difference; nothing if both are the same.
    pub fn differences(&self, later: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, before) in &self.entries {
            match later.entries.get(path) {
                None => lines.push(format!("gone: {}", path.display())),
                Some(after) if after != before => lines.push(before.compare(path, after)),
                Some(_) => {}
            }
        }
        for path in later.entries.keys() {
            if !self.entries.contains_key(path) {
                lines.push(format!("new: {}", path.display()));
            }
        }
        lines
    }

    /// Asserts that nothing differs.
    #[track_caller]
    pub fn assert_same(&self, later: &Self) {
        let lines = self.differences(later);
        assert!(
            lines.is_empty(),
            "the repository is not as it was left:\n{}",
            lines.join("\n")
        );
    }
}

impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fingerprint of {} entries", self.entries.len())
    }
}

impl Entry {
    fn of(path: &Path, metadata: &fs::Metadata) -> Self {
        Self {
            mode: metadata.mode(),
            modified: Some((metadata.mtime(), metadata.mtime_nsec())),
            bytes: content(path, metadata),
        }
    }

    fn compare(&self, path: &Path, after: &Self) -> String {
        let mut line = format!("changed: {}", path.display());
        let mut add = |what: std::fmt::Arguments<'_>| line.write_fmt(what).unwrap();
        if self.mode != after.mode {
            add(format_args!("; mode {:o} to {:o}", self.mode, after.mode));
        }
        if self.modified != after.modified {
            add(format_args!("; time of change"));
        }
        if self.bytes != after.bytes {
            let (before, after) = (self.bytes.escape_ascii(), after.bytes.escape_ascii());
            let (before, after) = (before.to_string(), after.to_string());
            add(format_args!("; bytes\n  - {before:.300}\n  + {after:.300}"));
        }
        line
    }
}

/// Returns the git folder of a linked worktree or submodule, whose `.git` is a file.
fn linked(git: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(git).ok()?;
    Some(git.parent()?.join(text.strip_prefix("gitdir: ")?.trim()))
}

fn children(folder: &Path) -> Vec<(PathBuf, fs::Metadata)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.path(), fs::symlink_metadata(entry.path()).ok()?)))
        .collect()
}

fn content(path: &Path, metadata: &fs::Metadata) -> Vec<u8> {
    if metadata.is_symlink() {
        let target = fs::read_link(path).unwrap_or_default();
        target.as_os_str().as_bytes().to_vec()
    } else if metadata.is_file() {
        fs::read(path).unwrap_or_else(|error| format!("unreadable: {error}").into_bytes())
    } else {
        Vec::new()
    }
}

fn walk(folder: &Path, shown: &Path, entries: &mut BTreeMap<PathBuf, Entry>) {
    for (path, metadata) in children(folder) {
        let name = path.file_name().unwrap();
        let shown = shown.join(name);
        if shown == Path::new(".git") && metadata.is_dir() {
            continue;
        }
        entries.insert(shown.clone(), Entry::of(&path, &metadata));
        if metadata.is_dir() {
            walk(&path, &shown, entries);
        }
    }
}

fn git_folder(folder: &Path, shown: &Path, entries: &mut BTreeMap<PathBuf, Entry>) {
    let ours = ["objects", "amps", "refs/amps", "logs/refs/amps"].map(|name| folder.join(name));
    let mut owed = vec![folder.to_owned()];
    while let Some(next) = owed.pop() {
        for (path, metadata) in children(&next) {
            if ours.contains(&path) {
                continue;
            }
            if metadata.is_dir() {
                owed.push(path);
                continue;
            }
            let inside = path.strip_prefix(folder).unwrap();
            let mut bytes = content(&path, &metadata);
            if inside == Path::new("packed-refs") {
                bytes = without_our_refs(&bytes);
            }
            let entry = Entry {
                mode: metadata.mode(),
                modified: None,
                bytes,
            };
            entries.insert(shown.join(inside), entry);
        }
    }
}

fn without_our_refs(packed: &[u8]) -> Vec<u8> {
    let lines = packed.split_inclusive(|byte| *byte == b'\n');
    let ours = |line: &&[u8]| line.windows(11).any(|part| part == b" refs/amps/");
    lines
        .filter(|line| !ours(line))
        .collect::<Vec<_>>()
        .concat()
}
