//! What the commands share that land a worktree session: its ground, and why it cannot be landed.

use std::time::Duration;

use amps_core::error::ErrorCode;
use amps_core::landing::Refusal;
use amps_engine::landing::{Ground, Hooks, LandingError};
use amps_engine::worktree::SessionLock;
use amps_proto::fault::Fault;
use amps_proto::view::WorktreeView;

use super::{base_name, native, operation};
use crate::context::Context;
use crate::error::Failure;

/// How the subjects of the commits begin that are made of an agent's work.
const PREFIX: &str = "amp:";

/// Returns the plain facts of a session.
pub(crate) fn ground(view: &WorktreeView) -> Ground {
    let session = &view.session;
    let made = view.iterations.iter().flat_map(|view| {
        let by_agent = view.iteration.agent_commits.iter();
        by_agent.cloned()
    });
    Ground {
        session: session.session_id,
        common_dir: native(&session.common_dir),
        worktree: native(&session.worktree),
        branch: session.branch.clone(),
        base_ref: base_name(view).to_owned(),
        prefix: PREFIX.to_owned(),
        agent_commits: made.collect(),
    }
}

/// Returns the full name of a branch that a person named.
pub(crate) fn full_name(name: &str) -> String {
    if name.starts_with("refs/") {
        name.to_owned()
    } else {
        format!("refs/heads/{name}")
    }
}

/// Returns whether hooks run.
pub(crate) fn hooks(no_verify: bool) -> Hooks {
    if no_verify { Hooks::Skip } else { Hooks::Run }
}

/// Returns whether a refusal may come from what another session has left in a working tree.
pub(crate) fn may_be_left(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::Unfinished { .. }
            | Refusal::Dirty { .. }
            | Refusal::InTheWay { .. }
            | Refusal::Locked { .. }
    )
}

/// Brings to their ends what other sessions of the repository have left: they may hold a working tree
/// that this one needs. Whoever is at work on one is left alone. Returns whether there was any.
pub(crate) fn finish_others(context: &Context, view: &WorktreeView) -> Result<bool, Failure> {
    let git = super::git(context)?;
    let mut any = false;
    let own = &view.session;
    for session in super::live(context)? {
        let is_other = session.session_id != own.session_id && session.operation.is_some();
        if !is_other || session.common_dir != own.common_dir {
            continue;
        }
        let id = session.session_id;
        let common_dir = native(&session.common_dir);
        let taken = SessionLock::take(&common_dir, id, "amps merge", Duration::ZERO);
        let Ok(lock) = taken else { continue };
        let view = crate::commands::show::fetch_worktree(context, &id.to_string())?;
        let mut locked = super::Locked {
            lock,
            view,
            finished: None,
        };
        // What keeps that one from its end is told to whoever asks for it.
        any |= operation::finish(context, &git, &mut locked).is_ok();
    }
    Ok(any)
}

impl From<LandingError> for Failure {
    fn from(error: LandingError) -> Self {
        let (code, hint) = match &error {
            LandingError::Refused(refusal) => of_refusal(refusal),
            LandingError::Git(_) => (
                ErrorCode::GitFailed,
                "run `git status` in the worktree: what git says of it may tell more",
            ),
            LandingError::Io { source, .. }
                if matches!(
                    source.kind(),
                    std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
                ) =>
            {
                (ErrorCode::DiskFull, "free some space and try again")
            }
            LandingError::Io { .. } => (
                ErrorCode::FileFailed,
                "check its permissions, and that its disk is there",
            ),
            LandingError::Keep(_) => (
                ErrorCode::GitFailed,
                "nothing was given up; what keeps it from being kept is named above",
            ),
        };
        Fault::of(code, &error).hint(hint).into()
    }
}

fn of_refusal(refusal: &Refusal) -> (ErrorCode, &'static str) {
    match refusal {
        Refusal::Dirty { .. } => (
            ErrorCode::NotAllowed,
            "commit it there, or move it away; nothing was changed",
        ),
        Refusal::InTheWay { .. } => (
            ErrorCode::WouldOverwrite,
            "move them away; nothing was changed",
        ),
        Refusal::UnderWay { .. } => (
            ErrorCode::NotAllowed,
            "bring that to its end there, or abort it; nothing was changed",
        ),
        Refusal::Conflict { .. } => (
            ErrorCode::Conflict,
            "`amps explain E030` tells the ways on; nothing was changed",
        ),
        Refusal::Moved { .. } => (ErrorCode::Held, "look at it and try again"),
        Refusal::Missing { .. } => (
            ErrorCode::RepositoryInvalid,
            "`git branch --list` shows which there are; `--onto` names another base",
        ),
        Refusal::NotABranch { .. } => (
            ErrorCode::BadArgument,
            "name a local branch with `--onto`; nothing was changed",
        ),
        Refusal::CheckoutMissing { .. } => (
            ErrorCode::RepositoryInvalid,
            "bring that folder back, or have `git worktree prune` forget it",
        ),
        Refusal::NotCheckedOut { .. } => (
            ErrorCode::NotAllowed,
            "check the branch of the session out again in its worktree",
        ),
        Refusal::NoMergeBase | Refusal::SeveralMergeBases => (
            ErrorCode::NotAllowed,
            "`amps merge` can merge them all the same",
        ),
        Refusal::MergesAnother { .. } => (
            ErrorCode::NotAllowed,
            "`amps squash` makes one commit of it, or `amps merge` takes it as it is",
        ),
        Refusal::Hook { .. } => (
            ErrorCode::NotAllowed,
            "mend what it complains of, or pass it with `--no-verify`",
        ),
        Refusal::CannotSign { .. } | Refusal::NoIdentity { .. } => (
            ErrorCode::GitFailed,
            "`git config` sets it; nothing was changed",
        ),
        Refusal::EmptyMessage => (ErrorCode::BadArgument, "say something with `--message`"),
        Refusal::Locked { .. } => (
            ErrorCode::NotAllowed,
            "wait for that git, or remove the file if you know that it is dead",
        ),
        Refusal::Unfinished { .. } => (
            ErrorCode::NotAllowed,
            "`amps status` names the session; any command on it brings it to its end",
        ),
        Refusal::NotOurs { .. } => (
            ErrorCode::NotAllowed,
            "whoever started it ends it; it was left alone",
        ),
        Refusal::NothingToDo | Refusal::NotUnderWay { .. } => {
            (ErrorCode::NotAllowed, "`amps status` shows how it stands")
        }
        Refusal::Unresolved { .. } => (
            ErrorCode::Conflict,
            "edit them in the worktree, `git add` them there, and try again",
        ),
        Refusal::NoRemote { .. } => (
            ErrorCode::NotAllowed,
            "`git remote` shows which there are; `--remote` names one",
        ),
        Refusal::Rejected { .. } => (
            ErrorCode::GitFailed,
            "fetch what is there first; here nothing was taken back",
        ),
    }
}
