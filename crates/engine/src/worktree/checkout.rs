//! The files of a worktree that is being made, as git checks them out.
//!
//! A creation that was killed leaves a folder that looks like any other, and a person may have
//! worked in it since. So whatever is there when it goes on is taken for somebody's work: only
//! what is missing is added, and nothing is taken back over it.

use std::fs;
use std::path::{Path, PathBuf};

use amps_core::ground::CreationPlan;

use super::repository::Ours;
use super::slots::Slots;
use super::survey::{self, Seat};
use super::{Refusal, SessionLock, WorktreeError, index_lock, refs};
use crate::capture::look::{is_missing, native, raw};
use crate::files::{self, FileError};
use crate::git::{Call, Git};
use crate::testing::point;

/// The name of an index that is being filled. Git writes `index` when all files are there, and so
/// do we: it tells that the checkout is complete.
const UNFINISHED: &str = "index.amps";

/// Checks out what `HEAD` names. What is in the folder already stays as it is.
pub(super) fn check_out(
    git: &Git,
    ours: &Ours,
    seat: Seat<'_>,
    lock: &SessionLock,
) -> Result<(), WorktreeError> {
    // The lock was free, so no git of an interrupted creation lives; one of somebody else's may.
    index_lock::require_none(seat.admin, seat.root)?;
    let slots = Slots::take(ours)?;
    if !is_bare(seat.root)? {
        return fill_in(git, seat, lock);
    }
    let workers = format!("checkout.workers={}", slots.workers());
    point("worktree-checkout");
    let call = seat
        .call()
        .args(["-c", &workers, "reset", "--hard", "--quiet"])
        .arg("--no-recurse-submodules")
        .input_file(lock.file());
    git.run(&call)?;
    Ok(())
}

/// Returns whether the checkout came to its end.
pub(super) fn is_complete(admin: &Path) -> bool {
    admin.join("index").exists()
}

/// Returns whether a folder has nothing in it but the file that leads git to its repository.
fn is_bare(root: &Path) -> Result<bool, FileError> {
    let failed = |source| FileError::new("read", root, source);
    for entry in fs::read_dir(root).map_err(failed)? {
        if entry.map_err(failed)?.file_name() != ".git" {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Adds the files that are missing.
fn fill_in(git: &Git, seat: Seat<'_>, lock: &SessionLock) -> Result<(), WorktreeError> {
    let index = read_head(git, seat, lock)?;
    let call = || on(seat, &index).input_file(lock.file());
    let sparse = call().args(["config", "--type=bool", "--get", "core.sparseCheckout"]);
    if git.output(&sparse)?.stdout == b"true\n" {
        git.run(&call().args(["sparse-checkout", "reapply"]))?;
    }
    git.run(&call().args(["update-index", "-q", "--refresh"]))?;
    let add = call().args(["checkout-index", "--all", "--index", "--quiet"]);
    let added = git.output(&add)?;
    // It fails for each file that stays as it is, too.
    let missing = git.run(&call().args(["ls-files", "-z", "--deleted"]))?;
    if let Some(status) = added.status.filter(|_| !missing.is_empty()) {
        return Err(added.into_error(&add, status).into());
    }
    let to = seat.admin.join("index");
    fs::rename(&index, &to).map_err(|source| FileError::new("create", &to, source))?;
    Ok(())
}

/// Makes an index of what `HEAD` names, beside the one that git looks for.
fn read_head(git: &Git, seat: Seat<'_>, lock: &SessionLock) -> Result<PathBuf, WorktreeError> {
    let index = seat.admin.join(UNFINISHED);
    files::remove(&index)?;
    files::remove(&seat.admin.join(format!("{UNFINISHED}.lock")))?;
    let call = on(seat, &index).args(["read-tree", "HEAD"]);
    git.run(&call.input_file(lock.file()))?;
    Ok(index)
}

fn on(seat: Seat<'_>, index: &Path) -> Call<'static> {
    seat.call().variable("GIT_INDEX_FILE", index)
}

/// Fails where the folder of a worktree that is not complete has something in it that is not from
/// its base, or has been at a commit that is nowhere else.
pub(super) fn require_unworked(
    git: &Git,
    plan: &CreationPlan,
    seat: Seat<'_>,
    lock: &SessionLock,
) -> Result<(), WorktreeError> {
    let is_there = match fs::symlink_metadata(seat.root) {
        Ok(_) => true,
        Err(error) if is_missing(&error) => false,
        Err(source) => return Err(FileError::new("read", seat.root, source).into()),
    };
    let is_registered = seat.admin.join("gitdir").exists();
    let has_files = is_there && !is_bare(seat.root)?;
    let is_worked_in = if is_registered {
        has_commits(git, plan, seat)? || (has_files && has_changes(git, seat, lock)?)
    } else {
        has_files
    };
    if is_worked_in {
        let path = raw(seat.root);
        return Err(Refusal::WorkedIn { path }.into());
    }
    Ok(())
}

fn has_commits(git: &Git, plan: &CreationPlan, seat: Seat<'_>) -> Result<bool, WorktreeError> {
    let tip = refs::read(git, &native(&plan.common_dir), &plan.branch)?;
    let unique = survey::commits(git, plan, tip.as_ref(), Some(seat.admin))?;
    Ok(unique.tips.iter().any(|tip| *tip != plan.base))
}

/// Returns whether there is a file that git did not check out. One that is missing is none.
fn has_changes(git: &Git, seat: Seat<'_>, lock: &SessionLock) -> Result<bool, WorktreeError> {
    let index = if is_complete(seat.admin) {
        seat.admin.join("index")
    } else {
        read_head(git, seat, lock)?
    };
    let status = on(seat, &index)
        .args(["status", "--porcelain", "-z", "--untracked-files=all"])
        .args(["--ignored=traditional", "--no-renames"])
        .arg("--ignore-submodules=none")
        .input_file(lock.file());
    let status = git.run(&status)?;
    let mut records = status.split(|byte| *byte == 0);
    Ok(records.any(|record| !record.is_empty() && !record.starts_with(b" D")))
}
