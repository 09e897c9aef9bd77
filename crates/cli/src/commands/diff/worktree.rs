//! `amps diff` of a worktree session: what its branch and its working tree changed of the base.

use std::process::ExitCode;

use amps_core::changeset::Changeset;
use amps_core::error::ErrorCode;
use amps_core::id::{ChangesetId, RunId};
use amps_core::session::Status;
use amps_core::snapshot::{Oid, Workspace, WorkspaceKind};
use amps_engine::capture;
use amps_engine::git::Git;
use amps_engine::iteration::{tree_of_files, tree_of_index};
use amps_engine::landing::{commit_of, last_backup, left_base_at};
use amps_proto::fault::Fault;
use amps_proto::view::WorktreeView;
use serde_json::json;
use uuid::Uuid;

use super::{PATIENCE, only, paths, print_briefly, print_pairs};
use crate::args::DiffArgs;
use crate::context::Context;
use crate::error::Failure;
use crate::worktree::{self, landing, native};
use crate::{Outcome, output};

/// Shows what a worktree session changed.
pub(super) fn run(context: &Context, args: &DiffArgs, view: &WorktreeView) -> Outcome {
    let id = view.session.session_id;
    if args.at.is_some() {
        let message = format!("session {} has no checkpoints: its runs have", id.short());
        return Err(Fault::new(ErrorCode::BadArgument, message)
            .hint("`--turn N` shows what one iteration changed")
            .into());
    }
    let git = worktree::git(context)?.with_deadline(PATIENCE);
    let (from, to) = ends(context, &git, args, view)?;
    let workspace = capture::reach(&git, &workspace(view), &[&from, &to]).ok_or_else(gone)?;
    let files = capture::changed_between(&git, &workspace, &from, &to)?;
    let mut changed = [Changeset {
        // Nothing of this is stored.
        changeset_id: ChangesetId::new(Uuid::nil()),
        run_id: RunId::new(Uuid::nil()),
        partial: false,
        amendment: false,
        additions: files.iter().filter_map(|file| file.additions).sum(),
        deletions: files.iter().filter_map(|file| file.deletions).sum(),
        files,
        commits: Vec::new(),
        symbols: Vec::new(),
    }];
    let paths = paths(&changed, Some(&view.session.worktree), args)?;
    for changeset in &mut changed {
        only(changeset, &paths);
    }
    if args.output.json {
        let [changed] = changed;
        output::print_json(&json!({
            "session_id": id,
            "from": from,
            "to": to,
            "files": changed.files,
            "additions": changed.additions,
            "deletions": changed.deletions,
        }))?;
    } else if !print_briefly(context, args, (&changed, &paths))? {
        print_pairs(context, (&git, &workspace), &[(&from, &to)], &paths)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn workspace(view: &WorktreeView) -> Workspace {
    let session = &view.session;
    let registered = native(&session.common_dir).join("worktrees");
    Workspace {
        kind: WorkspaceKind::Repository,
        root: session.worktree.clone(),
        git_dir: worktree::raw(&registered.join(&session.ground.admin)),
        common_dir: session.common_dir.clone(),
    }
}

/// Returns what is compared: commits or trees.
fn ends(
    context: &Context,
    git: &Git,
    args: &DiffArgs,
    view: &WorktreeView,
) -> Result<(Oid, Oid), Failure> {
    if let Some(number) = args.turn {
        return turn(view, number);
    }
    let session = &view.session;
    let folder = native(&session.worktree);
    let is_there = folder.is_dir();
    let place = worktree::ground(git, &folder, view);
    let ground = landing::ground(view);
    if args.staged {
        let head = place
            .head()
            .map_err(|error| worktree::not_committed(&error))?;
        let staged = tree_of_index(place).map_err(|error| worktree::not_committed(&error))?;
        return Ok((head, staged));
    }
    let base = match &args.base {
        Some(base) => base.clone(),
        // The base has the branch by now: what it named before is meant.
        None if session.status == Status::Completed => {
            let before = last_backup(git, &ground)?;
            before
                .unwrap_or_else(|| session.base.commit.clone())
                .to_string()
        }
        None => ground.base_ref.clone(),
    };
    let from = left_base_at(git, &ground, &ground.branch, &base)?;
    let to = if is_there {
        let (_, config) = context.configured()?;
        let agent = worktree::agent(&config, &session.agent)?;
        tree_of_files(place, agent.agent().leavings())
            .map_err(|error| worktree::not_committed(&error))?
    } else {
        commit_of(git, &ground, &ground.branch)?.ok_or_else(gone)?
    };
    Ok((from, to))
}

/// Returns the commits between which an iteration lies.
fn turn(view: &WorktreeView, number: u32) -> Result<(Oid, Oid), Failure> {
    let mut iterations = view.iterations.iter().map(|view| &view.iteration);
    let Some(found) = iterations.find(|iteration| iteration.number == number) else {
        let id = view.session.session_id.short();
        let message = format!("session {id} has no iteration {number}");
        return Err(Fault::new(ErrorCode::NotFound, message)
            .hint(format!("`amps status {id}` lists them"))
            .into());
    };
    let last = found.commit.as_ref().or(found.agent_commits.first());
    Ok((found.head.clone(), last.unwrap_or(&found.head).clone()))
}

fn gone() -> Failure {
    Fault::new(
        ErrorCode::NotCaptured,
        "the commits or their repository are gone",
    )
    .hint("`amps show` lists what is in the record")
    .into()
}
