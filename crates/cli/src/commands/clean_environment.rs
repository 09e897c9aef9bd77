//! `amps clean-environment`: cleans up what is over in a repository, and reports what is left over.

use std::process::ExitCode;

use amps_core::ground::Orphan;
use amps_core::id::SessionId;
use amps_core::worktree::WorktreeSession;
use amps_engine::git::Git;
use amps_engine::worktree::{Repository, empty_trash, find_orphans, list_trash};
use amps_proto::exit_code;
use amps_proto::request::Request;
use amps_proto::response::Response;
use serde::Serialize;

use super::cleanup::sentence;
use super::trash::{Entry, repository};
use crate::args::CleanEnvironmentArgs;
use crate::commands::show;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{FAINT, HEADING, NOTABLE};
use crate::text::worktree::short_branch;
use crate::worktree::operation;
use crate::worktree::removal::{self, Removed};
use crate::{Outcome, connect, output, progress, worktree};

/// What was done, or would be.
#[derive(Serialize)]
struct Report {
    dry_run: bool,
    /// Sessions whose worktree and branch are removed.
    cleaned: Vec<Removed>,
    /// Sessions that are left alone, with the reason.
    left: Vec<Left>,
    /// What git has and nobody knows; nothing is done about it.
    orphans: Vec<Orphan>,
    /// What is deleted from the trash for good.
    emptied: Vec<Entry>,
}

#[derive(Serialize)]
struct Left {
    session_id: SessionId,
    reason: String,
    /// Whether it is only in use, and can be cleaned up later.
    in_use: bool,
}

/// Cleans up a repository.
pub(crate) fn run(context: &Context, args: &CleanEnvironmentArgs) -> Outcome {
    let git = worktree::git(context)?;
    let repository = repository(&git, &args.repo)?;
    let mut report = Report {
        dry_run: args.dry_run,
        cleaned: Vec::new(),
        left: Vec::new(),
        orphans: Vec::new(),
        emptied: Vec::new(),
    };
    for session in grounded(context, &repository)? {
        let id = session.session_id;
        match clean(context, &git, &session, args.dry_run) {
            Ok(cleaned) => report.cleaned.extend(cleaned),
            Err(failure) => {
                let in_use = removal::is_in_use(&failure);
                let reason = failure.reason();
                report.left.push(Left {
                    session_id: id,
                    reason,
                    in_use,
                });
            }
        }
    }
    report.orphans = orphans(context, &git, &repository)?;
    report.emptied = emptied(context, &git, &repository, args.dry_run)?;
    if args.output.json {
        output::print_json(&report)?;
    } else {
        output::print(&text(&report))?;
    }
    let has_failed = report.left.iter().any(|left| !left.in_use);
    Ok(if has_failed {
        ExitCode::from(exit_code::FAILED)
    } else {
        ExitCode::SUCCESS
    })
}

/// Returns the sessions of a repository whose worktree has not been removed.
fn grounded(context: &Context, repository: &Repository) -> Result<Vec<WorktreeSession>, Failure> {
    let Response::Worktrees { mut sessions } = connect::ask(context, Request::Grounds)? else {
        return Err(connect::unexpected());
    };
    let common_dir = worktree::raw(&repository.common_dir);
    sessions.retain(|session| session.common_dir == common_dir);
    Ok(sessions)
}

/// Cleans up one session if it is over, and brings to its end what a command left that was killed.
fn clean(
    context: &Context,
    git: &Git,
    session: &WorktreeSession,
    is_dry: bool,
) -> Result<Option<Removed>, Failure> {
    if !session.status.is_final() && session.operation.is_none() {
        return Ok(None);
    }
    let reference = session.session_id.to_string();
    if is_dry {
        let view = show::fetch_worktree(context, &reference)?;
        let plan = removal::plan(context, git, &view)?;
        return Ok(session.status.is_final().then(|| Removed::of(&view, &plan)));
    }
    let mut locked = worktree::take(context, &reference, "amps clean-environment")?;
    let finished = removal::finish(context, git, &mut locked)?;
    operation::finish(context, git, &mut locked)?;
    let now = &locked.view.session;
    if finished.is_some() || !now.status.is_final() || now.removed_at.is_some() {
        return Ok(finished);
    }
    removal::remove(context, git, &mut locked, true).map(Some)
}

/// Compares git with the sessions that are left.
fn orphans(context: &Context, git: &Git, repository: &Repository) -> Result<Vec<Orphan>, Failure> {
    let (_, config) = context.configured()?;
    let known = grounded(context, repository)?;
    let known: Vec<_> = known.into_iter().map(|session| session.ground).collect();
    let folder = repository.top.join(&config.grounds.worktree_dir);
    Ok(find_orphans(git, &repository.common_dir, &folder, &known)?)
}

/// Deletes what was kept in the trash for long enough.
fn emptied(
    context: &Context,
    git: &Git,
    repository: &Repository,
    is_dry: bool,
) -> Result<Vec<Entry>, Failure> {
    let (_, config) = context.configured()?;
    let keep = config.grounds.trash_keep;
    let now = context.clock.now().at;
    let gone = if is_dry {
        let mut entries = list_trash(&repository.common_dir)?;
        entries.retain(|entry| entry.is_past(keep, now));
        entries
    } else {
        progress::saying("emptying the trash", || {
            empty_trash(git, &repository.common_dir, |entry| {
                entry.is_past(keep, now)
            })
        })?
    };
    Ok(gone.iter().map(|entry| Entry::of(entry, keep)).collect())
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    let mut part = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            text.extend([format!("{HEADING}{title}{HEADING:#}\n")]);
            text.extend(lines.into_iter().map(|line| format!("  {line}")));
        }
    };
    let (cleaned, deleted) = if report.dry_run {
        ("would be cleaned up", "would be deleted from the trash")
    } else {
        ("cleaned up", "deleted from the trash")
    };
    part(cleaned, report.cleaned.iter().map(sentence).collect());
    let left = report.left.iter();
    part(
        "left alone",
        left.map(|left| format!("{} {}\n", left.session_id.short(), left.reason))
            .collect(),
    );
    let emptied = report.emptied.iter();
    part(deleted, emptied.map(|entry| format!("{entry}\n")).collect());
    let orphans = report.orphans.iter();
    part(
        "not as the record has it; nothing was done about it",
        orphans
            .map(|orphan| format!("{}\n", described(orphan)))
            .collect(),
    );
    if text.is_empty() {
        text = format!("{FAINT}nothing to clean up{FAINT:#}\n");
    }
    text
}

fn described(orphan: &Orphan) -> String {
    let on = |branch: &Option<String>| match branch {
        Some(branch) => format!("on {}", amps_core::path::visible(short_branch(branch))),
        None => "on no branch".to_owned(),
    };
    match orphan {
        Orphan::Worktree { path, branch } => {
            format!(
                "{NOTABLE}{path}{NOTABLE:#} {}: a worktree of no known session",
                on(branch)
            )
        }
        Orphan::Branch { tip } => format!(
            "{NOTABLE}{}{NOTABLE:#}: a branch of no known session",
            amps_core::path::visible(short_branch(&tip.name))
        ),
        Orphan::FolderGone { session } => format!("{}: its folder is gone", session.short()),
        Orphan::Unregistered { session } => {
            format!("{}: git does not know its worktree", session.short())
        }
        Orphan::Moved { session, path } => {
            format!("{}: its worktree is at {path} now", session.short())
        }
        Orphan::BranchGone { session } => format!("{}: its branch is gone", session.short()),
        Orphan::OtherBranch { session, branch } => {
            format!("{}: its worktree is {}", session.short(), on(branch))
        }
    }
}
