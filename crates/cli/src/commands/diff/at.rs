//! `amps diff --at`: what had been changed at a checkpoint.

use std::process::ExitCode;

use amps_core::error::ErrorCode;
use amps_core::id::ChangesetId;
use amps_engine::capture::{self, Comparison};
use amps_engine::git::Git;
use amps_proto::fault::Fault;
use amps_proto::view::{RunView, SessionView};
use serde_json::json;
use uuid::Uuid;

use super::{PATIENCE, not_captured, only, paths, print_briefly, print_pairs, root_of};
use crate::args::{Between, DiffArgs};
use crate::commands::checkpoints;
use crate::context::Context;
use crate::error::Failure;
use crate::{Outcome, connect, output};

/// Shows the difference between the base and a checkpoint, or between two checkpoints.
pub(super) fn run(
    context: &Context,
    args: &DiffArgs,
    between: Between,
    (view, run): (&SessionView, &RunView),
) -> Outcome {
    let Some(base) = &run.base else {
        return Err(not_captured(view, run, "before"));
    };
    let checkpoints = checkpoints::fetch(context, view)?;
    let from = match between.from {
        Some(number) => checkpoints::find(view, &checkpoints, number)?,
        None => base,
    };
    let to = checkpoints::find(view, &checkpoints, between.to)?;
    let git = Git::find(context.git_environment()).map_err(capture::CaptureError::from)?;
    let git = git.with_deadline(PATIENCE);
    let workspace = run.workspace.as_ref().ok_or_else(connect::unexpected)?;
    let trees = [&from.tree, &to.tree];
    let workspace =
        capture::reach(&git, workspace, &trees).ok_or_else(|| gone(view, &workspace.root))?;
    let comparison = Comparison {
        base: from,
        end: to,
        started_at: view.session.started_at.unwrap_or(view.session.created_at),
        // Nothing of this is stored.
        changeset_id: ChangesetId::new(Uuid::nil()),
        run_id: run.run_id,
    };
    let mut changed = [capture::compare(&git, &workspace, &comparison)?];
    let paths = paths(&changed, root_of(run), args)?;
    for changeset in &mut changed {
        only(changeset, &paths);
    }
    if args.output.json {
        let [changed] = changed;
        output::print_json(&json!({
            "session_id": view.session.session_id,
            "from": between.from,
            "at": between.to,
            "partial": changed.partial,
            "files": changed.files,
            "additions": changed.additions,
            "deletions": changed.deletions,
            "commits": changed.commits,
        }))?;
    } else if !print_briefly(context, args, (&changed, &paths))? {
        print_pairs(context, (&git, &workspace), &[(trees[0], trees[1])], &paths)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn gone(view: &SessionView, root: &amps_core::path::RawPath) -> Failure {
    let id = view.session.session_id.short();
    let message = format!("the repository or the checkpoints of session {id} are gone");
    let mut fault = Fault::new(ErrorCode::RepositoryInvalid, message);
    fault.causes.push(format!("the files were in {root}"));
    fault
        .hint(format!(
            "`amps diff {id}` shows what the store kept of the whole session"
        ))
        .into()
}
