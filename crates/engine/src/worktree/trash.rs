//! The trash of a repository: one folder for each worktree in it, with a manifest.
//!
//! A manifest is written before anything is moved and removed after everything is gone, so that
//! what lies in the trash can always be named.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use amps_core::ground::{RemovalPlan, Tip, TrashEntry, TrashStage};
use amps_core::id::SessionId;

use super::create::{Place, remove_tree};
use super::refs::{self, Change};
use super::repository::Ours;
use super::{Refusal, SessionLock, WorktreeError};
use crate::capture::look::{is_missing, native, raw};
use crate::files::{self, FileError};
use crate::git::Git;
use crate::testing::point;

const MANIFEST: &str = "manifest.json";

/// Returns what git kept of the worktree of a session in the trash.
pub(super) fn admin(ours: &Ours, session: SessionId) -> PathBuf {
    ours.trash(session).join("admin")
}

fn folder_of_refs(session: SessionId) -> String {
    format!("refs/amps/trash/{session}/")
}

/// Returns the reference that keeps what was not committed.
pub(super) fn snapshot_name(session: SessionId) -> String {
    format!("{}files", folder_of_refs(session))
}

/// Returns the references that keep the commits of a removal: each named by what it names, so that
/// making it again changes nothing.
pub(super) fn tips(plan: &RemovalPlan) -> Vec<Tip> {
    let folder = folder_of_refs(plan.ground.session);
    let tips = plan.keep.iter().map(|commit| Tip {
        name: format!("{folder}{commit}"),
        commit: commit.clone(),
    });
    tips.collect()
}

/// Reads the entry of a session.
pub(super) fn load(ours: &Ours, session: SessionId) -> Result<Option<TrashEntry>, FileError> {
    let path = ours.trash(session).join(MANIFEST);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(source) => return Err(FileError::new("read", &path, source)),
    };
    let entry = serde_json::from_slice(&text);
    entry.map_err(|error| FileError::new("understand", &path, io::Error::from(error)))
}

/// Writes the entry of a session.
pub(super) fn save(ours: &Ours, entry: &TrashEntry) -> Result<(), FileError> {
    let folder = ours.trash(entry.plan.ground.session);
    files::create_private_folder(&folder)?;
    let path = folder.join(MANIFEST);
    let text = serde_json::to_vec_pretty(entry)
        .map_err(|error| FileError::new("write", &path, error.into()))?;
    files::replace(&path, &text, 0o600)
}

/// Returns what is in the trash of a repository, the oldest first.
pub fn list_trash(common_dir: &Path) -> Result<Vec<TrashEntry>, WorktreeError> {
    let ours = Ours::at(common_dir);
    let folder = ours.path("trash");
    let names = match fs::read_dir(&folder) {
        Ok(names) => names,
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        Err(source) => return Err(FileError::new("read", &folder, source).into()),
    };
    let mut entries = Vec::new();
    for name in names.flatten() {
        if let Some(session) = name.file_name().to_str().and_then(|it| it.parse().ok()) {
            entries.extend(load(&ours, session)?);
        }
    }
    entries.sort_by_key(|entry| (entry.trashed_at, entry.plan.ground.session));
    Ok(entries)
}

/// Brings a worktree back from the trash: its branch, its files and its place in git. Refused
/// where something is in the way. Done again it goes on where it was interrupted.
pub fn carry_out_restore(
    git: &Git,
    common_dir: &Path,
    lock: &SessionLock,
) -> Result<TrashEntry, WorktreeError> {
    let ours = Ours::at(common_dir);
    let mut entry = require(&ours, lock.session())?;
    let session = entry.plan.ground.session;
    let registered = ours.registered(&entry.plan.ground.admin);
    let root = native(
        entry
            .plan
            .worktree
            .as_ref()
            .unwrap_or(&entry.plan.ground.worktree),
    );
    if entry.stage == TrashStage::Kept {
        for path in [&registered, &root] {
            if fs::symlink_metadata(path).is_ok() {
                return Err(Refusal::InTheWay { path: raw(path) }.into());
            }
        }
        if let Some(branch) = &entry.plan.branch
            && refs::read(git, common_dir, &branch.name)?.is_some()
        {
            let name = branch.name.clone();
            return Err(Refusal::BranchTaken { name }.into());
        }
        entry.stage = TrashStage::Returning;
        save(&ours, &entry)?;
    }
    point("restore-begun");
    if let Some(Tip { name, commit }) = &entry.plan.branch {
        let message = "branch: Restored from the trash";
        let create = Change::Create { commit, message };
        if !refs::change(git, common_dir, name, create, lock.file())? {
            let name = name.clone();
            return Err(Refusal::BranchTaken { name }.into());
        }
    }
    point("restore-branch");
    // Git removes the folder above with the last worktree.
    make_parent(&registered)?;
    rename_if_there(&admin(&ours, session), &registered)?;
    point("restore-registered");
    let files = native(&entry.plan.trash);
    if fs::symlink_metadata(&files).is_ok() {
        make_parent(&root)?;
        rename_if_there(&files, &root)?;
    } else if entry.plan.registered && entry.plan.worktree.is_some() && !entry.plan.keeps_files() {
        // Only commits were kept, of which the files can be made.
        Place::at(&ours, &entry.plan.ground.admin, &root).make_again(git, lock)?;
    }
    point("restore-files");
    forget(git, &ours, &entry, lock)?;
    Ok(entry)
}

fn require(ours: &Ours, session: SessionId) -> Result<TrashEntry, WorktreeError> {
    match load(ours, session)? {
        Some(entry) if matches!(entry.stage, TrashStage::Kept | TrashStage::Returning) => Ok(entry),
        _ => {
            let name = session.to_string();
            Err(Refusal::NotInTrash { name }.into())
        }
    }
}

fn make_parent(path: &Path) -> Result<(), FileError> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(|source| FileError::new("create", parent, source))
}

fn rename_if_there(from: &Path, to: &Path) -> Result<(), FileError> {
    match fs::rename(from, to) {
        Err(error) if !is_missing(&error) => Err(FileError::new("move", from, error)),
        Err(error) if fs::symlink_metadata(from).is_ok() => {
            Err(FileError::new("move", from, error))
        }
        _ => Ok(()),
    }
}

/// Deletes entries for good: those that are named, or all that were kept for long enough. Others
/// stay, also those that somebody works on. Returns those that are gone.
pub fn empty_trash(
    git: &Git,
    common_dir: &Path,
    goes: impl Fn(&TrashEntry) -> bool,
) -> Result<Vec<TrashEntry>, WorktreeError> {
    let ours = Ours::at(common_dir);
    let mut gone = Vec::new();
    for entry in list_trash(common_dir)? {
        let session = entry.plan.ground.session;
        let is_begun = entry.stage == TrashStage::Purging;
        if !is_begun && (entry.stage != TrashStage::Kept || !goes(&entry)) {
            continue;
        }
        let lock = match SessionLock::take(common_dir, session, "amps trash empty", Duration::ZERO)
        {
            Ok(lock) => lock,
            Err(WorktreeError::Refused(Refusal::Held { .. })) => continue,
            Err(error) => return Err(error),
        };
        // It may have been restored before the lock was taken.
        let Some(mut entry) = load(&ours, session)? else {
            continue;
        };
        if !matches!(entry.stage, TrashStage::Kept | TrashStage::Purging) {
            continue;
        }
        entry.stage = TrashStage::Purging;
        save(&ours, &entry)?;
        point("purge-begun");
        purge(git, &ours, &entry, &lock)?;
        lock.retire()?;
        gone.push(entry);
    }
    Ok(gone)
}

/// Deletes an entry whose stage says so.
pub(super) fn purge(
    git: &Git,
    ours: &Ours,
    entry: &TrashEntry,
    lock: &SessionLock,
) -> Result<(), WorktreeError> {
    debug_assert_eq!(entry.stage, TrashStage::Purging, "it was meant to stay");
    remove_tree(&native(&entry.plan.trash))?;
    point("purge-files");
    files::remove(&ours.furnished(entry.plan.ground.session))?;
    forget(git, ours, entry, lock)
}

/// Removes the references and the folder of an entry, the manifest last.
pub(super) fn forget(
    git: &Git,
    ours: &Ours,
    entry: &TrashEntry,
    lock: &SessionLock,
) -> Result<(), WorktreeError> {
    let session = entry.plan.ground.session;
    let mut tips = entry.refs.clone();
    if let Some(commit) = entry.snapshot.as_ref().and_then(|it| it.commit.clone()) {
        let name = snapshot_name(session);
        tips.push(Tip { name, commit });
    }
    for Tip { name, commit } in &tips {
        let delete = Change::Delete { commit };
        refs::change(git, ours.common_dir(), name, delete, lock.file())?;
    }
    point("trash-refs-deleted");
    let folder = ours.trash(session);
    remove_tree(&admin(ours, session))?;
    files::remove(&folder.join(MANIFEST))?;
    Ok(remove_tree(&folder)?)
}
