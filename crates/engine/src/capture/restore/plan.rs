//! What a restore would write, and what is in its way.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use amps_core::path::RawPath;
use amps_core::snapshot::{Oid, Workspace};

use super::{RestoreReport, Selection};
use crate::capture::CaptureError;
use crate::capture::look::{Kind, Looker, Seen, changed_at, is_missing, kind, native, raw};
use crate::git::parse::{EXECUTABLE, GITLINK, REGULAR, SYMLINK, Version};
use crate::git::{Call, Git, GitError};

/// What a restore would do.
#[derive(Debug)]
pub(super) struct Plan {
    top: RawPath,
    root: PathBuf,
    /// Paths to bring back.
    wanted: BTreeMap<RawPath, Version>,
    unchanged: Vec<RawPath>,
    submodules: Vec<RawPath>,
    not_found: Vec<RawPath>,
    /// Things that would be overwritten or removed.
    pub(super) in_the_way: BTreeMap<RawPath, InTheWay>,
    /// Folders that would be removed once they are empty.
    pub(super) folders_in_the_way: Vec<RawPath>,
}

/// A thing that a restore would overwrite or remove.
#[derive(Clone, Debug)]
pub(super) struct InTheWay {
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) size: u64,
    seal: Seal,
}

/// What tells that a thing is still the same and unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seal {
    inode: u64,
    size: u64,
    changed: i128,
}

impl Seal {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            changed: changed_at(metadata),
        }
    }
}

impl Plan {
    /// Looks at everything that is selected; nothing is opened but folders.
    pub(super) fn make(
        workspace: &Workspace,
        target: &BTreeMap<RawPath, Version>,
        selection: &Selection,
    ) -> Result<Self, CaptureError> {
        let mut plan = Self {
            top: workspace.root.clone(),
            root: native(&workspace.root),
            wanted: BTreeMap::new(),
            unchanged: Vec::new(),
            submodules: Vec::new(),
            not_found: Vec::new(),
            in_the_way: BTreeMap::new(),
            folders_in_the_way: Vec::new(),
        };
        if let Selection::Paths(paths) = selection {
            let has_none = |wanted: &&RawPath| !target.keys().any(|path| path.is_within(wanted));
            plan.not_found = paths.iter().filter(has_none).cloned().collect();
        }
        let mut checked = HashSet::new();
        for (path, version) in target.iter().filter(|(path, _)| selection.has(path)) {
            if version.mode == GITLINK {
                plan.submodules.push(path.clone());
                continue;
            }
            plan.wanted.insert(path.clone(), version.clone());
            if plan.parents_are_folders(path, &mut checked)? {
                plan.look_at(path)?;
            }
        }
        Ok(plan)
    }

    pub(super) fn full(&self, path: &RawPath) -> PathBuf {
        self.root.join(std::ffi::OsStr::from_bytes(path.as_bytes()))
    }

    pub(super) fn has(&self, path: &RawPath) -> bool {
        self.wanted.contains_key(path) || self.unchanged.binary_search(path).is_ok()
    }

    pub(super) fn wanted(&self) -> impl Iterator<Item = &RawPath> {
        self.wanted.keys()
    }

    /// Returns whether the parents are folders or missing; one that is something else is in the
    /// way.
    fn parents_are_folders(
        &mut self,
        path: &RawPath,
        checked: &mut HashSet<PathBuf>,
    ) -> Result<bool, CaptureError> {
        let full = self.full(path);
        let parents = full.ancestors().skip(1);
        let mut parents: Vec<&Path> = parents.take_while(|parent| *parent != self.root).collect();
        parents.reverse();
        for parent in parents {
            if checked.contains(parent) {
                continue;
            }
            let Some(metadata) = metadata(parent)? else {
                return Ok(false);
            };
            if metadata.is_dir() {
                checked.insert(parent.to_owned());
                continue;
            }
            let relative = self.relative(parent);
            self.in_the_way.insert(relative, in_the_way(&metadata));
            return Ok(false);
        }
        Ok(true)
    }

    fn relative(&self, full: &Path) -> RawPath {
        raw(full.strip_prefix(&self.root).unwrap_or(full))
    }

    fn look_at(&mut self, path: &RawPath) -> Result<(), CaptureError> {
        let Some(metadata) = metadata(&self.full(path))? else {
            return Ok(());
        };
        if metadata.is_dir() {
            return self.look_into(path, &metadata);
        }
        self.in_the_way.insert(path.clone(), in_the_way(&metadata));
        Ok(())
    }

    /// A folder stands where a file is to be: everything in it is in the way.
    fn look_into(&mut self, folder: &RawPath, metadata: &Metadata) -> Result<(), CaptureError> {
        let full = self.full(folder);
        if full.join(".git").exists() {
            self.in_the_way.insert(folder.clone(), in_the_way(metadata));
            return Ok(());
        }
        let entries = fs::read_dir(&full).map_err(|source| CaptureError::io(&full, source))?;
        for entry in entries {
            let entry = entry.map_err(|source| CaptureError::io(&full, source))?;
            self.look_at(&self.relative(&entry.path()))?;
        }
        self.folders_in_the_way.push(folder.clone());
        Ok(())
    }

    /// Takes out what is already as it is to be.
    pub(super) fn settle(&mut self, present: &HashMap<RawPath, Version>) {
        let same: Vec<RawPath> = self
            .wanted
            .iter()
            .filter(|(path, version)| present.get(*path) == Some(*version))
            .map(|(path, _)| path.clone())
            .collect();
        for path in &same {
            self.wanted.remove(path);
            self.in_the_way.remove(path);
        }
        self.unchanged = same;
    }

    pub(super) fn report(&self) -> RestoreReport {
        RestoreReport {
            written: self.wanted.keys().cloned().collect(),
            unchanged: self.unchanged.clone(),
            submodules: self.submodules.clone(),
            not_found: self.not_found.clone(),
            ..RestoreReport::default()
        }
    }

    /// Returns whether the thing at a path is still what was planned for: unchanged, or absent.
    pub(super) fn still_holds(&self, path: &RawPath) -> bool {
        match (
            self.in_the_way.get(path),
            Looker::below(&self.top).look(path),
        ) {
            (Some(thing), Seen::There(metadata)) => thing.seal == Seal::of(&metadata),
            (None, Seen::There(metadata)) => metadata.is_dir(),
            (_, Seen::Missing) => true,
            (_, Seen::Unknown) => false,
        }
    }
}

fn metadata(full: &Path) -> Result<Option<Metadata>, CaptureError> {
    match fs::symlink_metadata(full) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(CaptureError::io(full, error)),
    }
}

fn in_the_way(metadata: &Metadata) -> InTheWay {
    let kind = kind(metadata.file_type());
    InTheWay {
        kind,
        mode: match kind {
            Kind::Link => SYMLINK,
            _ if metadata.permissions().mode() & 0o100 != 0 => EXECUTABLE,
            _ => REGULAR,
        },
        size: metadata.size(),
        seal: Seal::of(metadata),
    }
}

/// Returns the name that git gives to the target of a symbolic link.
pub(super) fn link_name(
    git: &Git,
    workspace: &Workspace,
    full: &Path,
) -> Result<Oid, CaptureError> {
    let target = fs::read_link(full).map_err(|source| CaptureError::io(full, source))?;
    let call = Call::at(workspace)
        .args(["hash-object", "--stdin"])
        .input(target.as_os_str().as_bytes());
    let answer = git.run(&call)?;
    let name = String::from_utf8_lossy(&answer);
    Oid::parse(name.trim_end()).ok_or_else(|| {
        CaptureError::Git(GitError::Unexpected {
            arguments: call.shown(),
            found: name.into_owned(),
        })
    })
}
