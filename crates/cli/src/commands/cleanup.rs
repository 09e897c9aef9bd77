//! `amps cleanup`: removes the worktree and the branch of a session.

use std::process::ExitCode;

use amps_core::error::ErrorCode;
use amps_core::worktree::Step;
use amps_engine::testing::point;
use amps_proto::fault::Fault;
use amps_proto::view::WorktreeView;
use serde::Serialize;

use crate::args::CleanupArgs;
use crate::context::Context;
use crate::error::Failure;
use crate::output::FAINT;
use crate::text::worktree::short_branch;
use crate::worktree::operation;
use crate::worktree::removal::{self, Outcome as What, Removed};
use crate::worktree::{self, Locked};
use crate::{Outcome, output};

/// Cleans up one session.
pub(crate) fn run(context: &Context, args: &CleanupArgs) -> Outcome {
    let git = worktree::git(context)?;
    let mut locked = worktree::take(context, &args.session, "amps cleanup")?;
    let finished = removal::finish(context, &git, &mut locked)?;
    operation::finish(context, &git, &mut locked)?;
    let removed = match finished {
        Some(removed) => Some(removed),
        None if locked.view.session.removed_at.is_some() => None,
        None => {
            end(context, &git, &mut locked, args)?;
            let tears_down = !args.no_teardown;
            Some(removal::remove(context, &git, &mut locked, tears_down)?)
        }
    };
    if args.output.json {
        output::print_json(&Answer {
            view: &locked.view,
            removed: removed.as_ref(),
        })?;
    } else {
        tell(context, &locked.view, removed.as_ref())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The session, and what became of its worktree by this command.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    view: &'a WorktreeView,
    /// Null where there was nothing left to remove.
    removed: Option<&'a Removed>,
}

/// Gives the session up if that is asked for. Refused for one that is neither over nor given up.
fn end(
    context: &Context,
    git: &amps_engine::git::Git,
    locked: &mut Locked,
    args: &CleanupArgs,
) -> Result<(), Failure> {
    let session = &locked.view.session;
    if session.status.is_final() {
        return Ok(());
    }
    let id = session.session_id;
    // What stands in the way is heard of before anything is given up.
    removal::plan(context, git, &locked.view)?;
    let Some(reason) = &args.give_up else {
        let message = format!(
            "session {} is {}: neither merged nor given up",
            id.short(),
            session.status
        );
        return Err(Fault::new(ErrorCode::NotAllowed, message)
            .hint(format!(
                "merge it first, or give it up with `amps cleanup {} --give-up REASON`",
                id.short()
            ))
            .into());
    };
    let reason = Some(reason.trim().to_owned()).filter(|reason| !reason.is_empty());
    locked.view = worktree::tell(context, id, Step::GiveUp { reason })?;
    point("cleanup-given-up");
    Ok(())
}

fn tell(context: &Context, view: &WorktreeView, removed: Option<&Removed>) -> Result<(), Failure> {
    let session = &view.session;
    let id = session.session_id.short();
    let Some(removed) = removed else {
        let at = session.removed_at.map_or_else(String::new, |at| {
            format!(" {}", output::reader(context).times.ago(at))
        });
        return output::print(&format!("session {id} has been cleaned up already{at}\n"));
    };
    output::print(&sentence(removed))?;
    if removed.outcome == What::Trashed {
        output::say(&format!("`amps trash restore {id}` brings it back"));
    }
    Ok(())
}

/// Returns what became of a worktree.
pub(super) fn sentence(removed: &Removed) -> String {
    let id = removed.session_id.short();
    let branch = amps_core::path::visible(short_branch(&removed.branch));
    match removed.outcome {
        What::Removed => {
            format!("{id} removed  {FAINT}{branch}: all of it exists elsewhere{FAINT:#}\n")
        }
        What::Trashed => format!(
            "{id} moved to the trash  {FAINT}{branch}: {}{FAINT:#}\n",
            removed.findings.join(", ")
        ),
    }
}
