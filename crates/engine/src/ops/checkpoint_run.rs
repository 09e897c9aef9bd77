//! Takes checkpoints of a run that is open, and lets go of those that are thinned.
//!
//! The work with git runs beside the store; [`super::store_checkpoint`] says before and after it what
//! is owed.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use amps_core::capture::Side;
use amps_core::checkpoint::Intent;
use amps_core::path::RawPath;
use amps_core::run::Run;
use amps_core::snapshot::{Snapshot, Workspace};

use super::capture_run::{FrozenSide, Tools, reference};
use crate::capture::{self, CaptureError, Cutoff};
use crate::git::Git;
use crate::testing::point;

/// Freezes the state of an open run at an instant that has just passed.
pub fn freeze_checkpoint(
    tools: &Tools,
    run: &Run,
    workspace: &Workspace,
    cutoff: &Cutoff,
) -> Result<FrozenSide, CaptureError> {
    let git = tools.git(&run.git_environment)?;
    FrozenSide::freeze(tools, (&git, workspace.clone()), Side::End, cutoff)
}

/// Makes the frozen state the snapshot of a checkpoint that is intended. Where it is known to be
/// the `same` as in a snapshot before, that one's commit gets one more name, and git no object.
pub fn keep_checkpoint(
    tools: &Tools,
    run: &Run,
    (frozen, same): (&FrozenSide, Option<&Snapshot>),
    intent: &Intent,
) -> Result<Snapshot, CaptureError> {
    let git = tools.git(&run.git_environment)?;
    let name = reference(run.session_id, &name_of(intent.number));
    let again = same.filter(|same| {
        // Somebody may have deleted what was kept: then it is kept anew.
        let commit = same.commit.as_ref();
        commit.is_some_and(|commit| {
            capture::keep_again(&git, frozen.workspace(), commit, &name).is_ok()
        })
    });
    let snapshot = match again {
        Some(same) => Snapshot {
            taken_at: intent.taken_at,
            uncertain: frozen.state.uncertain.clone(),
            ..same.clone()
        },
        None => capture::keep(&git, frozen.workspace(), &frozen.state, &name, None)?,
    };
    point("checkpoint-kept");
    Ok(snapshot)
}

/// Returns whether two snapshots hold the same.
pub fn is_same_state(one: &Snapshot, other: &Snapshot) -> bool {
    let left_out = |snapshot: &Snapshot| -> Vec<(RawPath, String)> {
        let left_out = snapshot.left_out.iter();
        left_out
            .map(|left| (left.path.clone(), left.stamp.clone()))
            .collect()
    };
    one.tree == other.tree && one.head == other.head && left_out(one) == left_out(other)
}

/// Returns the snapshot of an intended checkpoint, if it came to be before its taker was gone.
pub fn find_checkpoint(
    tools: &Tools,
    run: &Run,
    intent: &Intent,
) -> Result<Option<Snapshot>, CaptureError> {
    let name = reference(run.session_id, &name_of(intent.number));
    match reached(tools, run)? {
        Some((git, workspace)) => capture::adopt(&git, &workspace, &name, intent.taken_at),
        None => Ok(None),
    }
}

/// Deletes the reference of a checkpoint that was let go, or that holds nothing new. What is gone
/// with its repository is gone.
pub fn let_go_checkpoint(
    tools: &Tools,
    run: &Run,
    (number, snapshot): (u32, &Snapshot),
) -> Result<(), CaptureError> {
    let name = reference(run.session_id, &name_of(number));
    if let (Some((git, workspace)), Some(commit)) = (reached(tools, run)?, &snapshot.commit) {
        capture::let_go(&git, &workspace, commit, &name)?;
    }
    point("checkpoint-let-go");
    Ok(())
}

/// Returns how the reference of a checkpoint is called.
pub fn name_of(number: u32) -> String {
    format!("checkpoints/{number}")
}

/// Returns the repository of a run; `None` when it is gone. One that cannot be looked at is not.
fn reached(tools: &Tools, run: &Run) -> Result<Option<(Git, Workspace)>, CaptureError> {
    let Some(workspace) = &run.workspace else {
        return Ok(None);
    };
    let git = tools.git(&run.git_environment)?;
    if let Some(workspace) = capture::reach(&git, workspace, &[]) {
        return Ok(Some((git, workspace)));
    }
    let common_dir = Path::new(OsStr::from_bytes(workspace.common_dir.as_bytes()));
    match common_dir.try_exists() {
        Ok(false) => Ok(None),
        Ok(true) => Err(CaptureError::io(
            common_dir,
            io::ErrorKind::NotADirectory.into(),
        )),
        Err(error) => Err(CaptureError::io(common_dir, error)),
    }
}
