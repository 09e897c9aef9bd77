//! `amps trash`: what was cleaned up and can be brought back.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use amps_core::error::ErrorCode;
use amps_core::ground::{TrashEntry, TrashStage};
use amps_core::id::SessionId;
use amps_core::path::visible;
use amps_engine::git::Git;
use amps_engine::worktree::{Repository, empty_trash, list_trash};
use amps_proto::fault::Fault;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::args::{TrashCommand, TrashEmptyArgs, TrashListArgs, TrashRestoreArgs};
use crate::commands::show;
use crate::context::Context;
use crate::error::Failure;
use crate::text::table::{Cell, Table};
use crate::text::worktree::short_branch;
use crate::worktree::operation;
use crate::worktree::removal;
use crate::{Outcome, env, output, progress, worktree};

/// Does what is asked of the trash.
pub(crate) fn run(context: &Context, command: &TrashCommand) -> Outcome {
    match command {
        TrashCommand::List(args) => list(context, args)?,
        TrashCommand::Restore(args) => restore(context, args)?,
        TrashCommand::Empty(args) => empty(context, args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// An entry as it is shown.
#[derive(Serialize)]
pub(super) struct Entry {
    session_id: SessionId,
    worktree: String,
    branch: String,
    trashed_at: Timestamp,
    /// When `amps trash empty` deletes it.
    kept_until: Option<Timestamp>,
    stage: TrashStage,
    /// What of it exists nowhere else.
    findings: Vec<String>,
    /// The commit of what was not committed.
    snapshot: Option<String>,
}

impl Entry {
    pub(super) fn of(entry: &TrashEntry, keep: Duration) -> Self {
        let plan = &entry.plan;
        let folder = plan.worktree.as_ref().unwrap_or(&plan.ground.worktree);
        let keep = SignedDuration::try_from(keep).ok();
        let snapshot = entry.snapshot.as_ref().and_then(|it| it.commit.as_ref());
        Self {
            session_id: plan.ground.session,
            worktree: folder.to_string(),
            branch: plan.ground.branch.clone(),
            trashed_at: entry.trashed_at,
            kept_until: keep.and_then(|keep| entry.trashed_at.checked_add(keep).ok()),
            stage: entry.stage,
            findings: plan.findings.iter().map(ToString::to_string).collect(),
            snapshot: snapshot.map(|commit| commit.as_str().to_owned()),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, findings) = (self.session_id.short(), self.findings.join(", "));
        write!(f, "{id} ({findings})")
    }
}

/// Finds the repository of a folder.
pub(super) fn repository(git: &Git, folder: &Path) -> Result<Repository, Failure> {
    let folder = env::current_folder().unwrap_or_default().join(folder);
    Ok(Repository::find(git, &folder)?)
}

fn list(context: &Context, args: &TrashListArgs) -> Result<(), Failure> {
    let (_, config) = context.configured()?;
    let git = worktree::git(context)?;
    let repository = repository(&git, &args.repo)?;
    let entries = list_trash(&repository.common_dir)?;
    let entries: Vec<Entry> = entries
        .iter()
        .map(|entry| Entry::of(entry, config.grounds.trash_keep))
        .collect();
    if args.output.json {
        return output::print_json(&entries);
    }
    if entries.is_empty() {
        output::say("the trash of this repository is empty");
        return Ok(());
    }
    let reader = output::reader(context);
    let mut table = Table::new(&["ID", "WHEN", "BRANCH", "ONLY HERE"]);
    for entry in &entries {
        table.row(vec![
            entry.session_id.short().into(),
            reader.times.ago(entry.trashed_at).into(),
            Cell::from(visible(short_branch(&entry.branch))),
            entry.findings.join(", ").into(),
        ]);
    }
    output::print(&table.text("", reader.width))
}

fn restore(context: &Context, args: &TrashRestoreArgs) -> Result<(), Failure> {
    let git = worktree::git(context)?;
    let mut locked = worktree::take(context, &args.session, "amps trash restore")?;
    let was_begun = locked.view.session.operation.is_some();
    removal::finish(context, &git, &mut locked)?;
    operation::finish(context, &git, &mut locked)?;
    // What was left by a command that was killed may have been just this.
    let is_back = was_begun && locked.view.session.removed_at.is_none();
    if !is_back {
        let entry = removal::entry(&locked)?;
        removal::restore(context, &git, &mut locked, &entry)?;
    }
    let session = &locked.view.session;
    if args.output.json {
        return output::print_json(&locked.view);
    }
    let branch = visible(short_branch(&session.branch));
    output::print(&format!(
        "Worktree: {}\nBranch: {branch}\n",
        session.worktree
    ))?;
    if session.status.is_final() {
        output::say(&format!(
            "the session stays {}; `amps new --base {branch}` goes on from its branch",
            session.status
        ));
    }
    Ok(())
}

fn empty(context: &Context, args: &TrashEmptyArgs) -> Result<(), Failure> {
    let (_, config) = context.configured()?;
    let keep = config.grounds.trash_keep;
    let git = worktree::git(context)?;
    let gone = if let Some(reference) = &args.session {
        vec![empty_one(context, &git, reference)?]
    } else {
        let common_dir = repository(&git, &args.repo)?.common_dir;
        let now = context.clock.now().at;
        let goes = |entry: &TrashEntry| args.all || entry.is_past(keep, now);
        progress::saying("emptying the trash", || {
            empty_trash(&git, &common_dir, goes)
        })?
    };
    let gone: Vec<Entry> = gone.iter().map(|entry| Entry::of(entry, keep)).collect();
    if args.output.json {
        return output::print_json(&gone);
    }
    if gone.is_empty() {
        output::say("nothing was kept for so long; `--all` deletes everything in the trash");
    }
    for entry in &gone {
        output::print(&format!("{entry}: deleted for good\n"))?;
    }
    Ok(())
}

fn empty_one(context: &Context, git: &Git, reference: &str) -> Result<TrashEntry, Failure> {
    let view = show::fetch_worktree(context, reference)?;
    let id = view.session.session_id;
    let common_dir = worktree::native(&view.session.common_dir);
    let entry = removal::entry_of(&common_dir, id)?;
    let gone = progress::saying("emptying the trash", || {
        empty_trash(git, &common_dir, |entry| entry.plan.ground.session == id)
    })?;
    if gone.iter().any(|gone| gone.plan.ground.session == id) {
        return Ok(entry);
    }
    let message = format!("somebody works on session {} in the trash", id.short());
    Err(Fault::new(ErrorCode::Held, message)
        .hint("wait for it and try again")
        .into())
}
