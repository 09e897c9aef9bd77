//! Who else works where a landing is about to write: agents that run in the session, and sessions in
//! whose worktrees a branch is checked out that moves.

use amps_core::error::ErrorCode;
use amps_core::landing::Course;
use amps_core::worktree::WorktreeSession;
use amps_engine::landing::checked_out_in;
use amps_engine::worktree::SessionLock;
use amps_proto::fault::Fault;
use amps_proto::view::WorktreeView;

use super::operation::Work;
use super::{PATIENCE, landing, native};
use crate::commands::show;
use crate::error::Failure;
use crate::text::worktree::short_branch;

/// Fails while an agent runs in a session: its files may not change below it.
pub(crate) fn refuse_open_run(view: &WorktreeView) -> Result<(), Failure> {
    let mut runs = view.runs.iter();
    let Some(run) = runs.find(|run| !run.status.is_final()) else {
        return Ok(());
    };
    let id = view.session.session_id.short();
    let message = format!(
        "run {} of session {id} is {}: `{}` works in its worktree",
        run.number, run.status, run.agent
    );
    let hint = format!("`amps wait {id}` waits for it, `amps status {id}` shows how it stands");
    Err(Fault::new(ErrorCode::NotAllowed, message).hint(hint).into())
}

/// Takes the locks of the other sessions in whose worktrees a branch is checked out that moves, and
/// fails while anybody works in one. They are free again when what is returned is dropped.
pub(crate) fn lock(work: Work<'_>, course: &Course) -> Result<Vec<SessionLock>, Failure> {
    let own = &work.view.session;
    let mut locks = Vec::new();
    for moved in &course.moves {
        // The session's own branch: its lock is held.
        if moved.reference == own.branch {
            continue;
        }
        let mut others = super::live(work.context)?;
        others.retain(|one| one.session_id != own.session_id && one.common_dir == own.common_dir);
        if others.is_empty() {
            continue;
        }
        let roots = checked_out_in(work.git, &landing::ground(work.view), &moved.reference)?;
        for other in others {
            let worktree = native(&other.worktree).canonicalize();
            if worktree.is_ok_and(|worktree| roots.contains(&worktree)) {
                locks.push(lock_one(work, &other, &moved.reference)?);
            }
        }
    }
    Ok(locks)
}

fn lock_one(
    work: Work<'_>,
    other: &WorktreeSession,
    reference: &str,
) -> Result<SessionLock, Failure> {
    let id = other.session_id;
    let where_it_is = format!(
        "{} is checked out in session {}",
        short_branch(reference),
        id.short()
    );
    let common_dir = native(&other.common_dir);
    let lock = SessionLock::take(&common_dir, id, "amps merge", PATIENCE)
        .map_err(|error| Failure::from(error).within(&where_it_is))?;
    // It may have begun while its lock was waited for.
    let view = show::fetch_worktree(work.context, &id.to_string())?;
    refuse_open_run(&view).map_err(|failure| failure.within(&where_it_is))?;
    Ok(lock)
}
