//! What commands on worktree sessions share: finding one, locking it, telling of it.

pub(crate) mod answer;
pub(crate) mod conflict;
pub(crate) mod gate;
pub(crate) mod landing;
pub(crate) mod neighbours;
pub(crate) mod operation;
pub(crate) mod removal;
pub(crate) mod resolve;
pub(crate) mod setup;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use amps_core::error::ErrorCode;
use amps_core::id::SessionId;
use amps_core::path::RawPath;
use amps_core::worktree::{OperationKind, Step, WorktreeSession};
use amps_engine::agent;
use amps_engine::config::{Config, Configured};
use amps_engine::exec::find_program;
use amps_engine::files;
use amps_engine::git::Git;
use amps_engine::home::Home;
use amps_engine::iteration::{CommitError, Ground};
use amps_engine::worktree::{Refusal, Repository, SessionLock, WorktreeError};
use amps_proto::codec;
use amps_proto::fault::Fault;
use amps_proto::request::Request;
use amps_proto::response::Response;
use amps_proto::view::WorktreeView;
use serde::Serialize;

use crate::commands::show;
use crate::context::Context;
use crate::error::Failure;
use crate::{connect, env, output};

/// How long a command waits for another one on the same session.
const PATIENCE: Duration = Duration::from_secs(5);

/// Returns git, as the person has it.
pub(crate) fn git(context: &Context) -> Result<Git, Failure> {
    Git::find(context.git_environment()).map_err(|error| {
        Fault::of(ErrorCode::GitFailed, &error)
            .hint("install git, or add its folder to PATH")
            .into()
    })
}

/// Returns a path as the system has it.
pub(crate) fn native(path: &RawPath) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path.as_bytes()))
}

/// Returns a path as it is stored.
pub(crate) fn raw(path: &Path) -> RawPath {
    RawPath::new(path.as_os_str().as_bytes())
}

/// Returns a plan as it is stored.
pub(crate) fn written<T: Serialize>(plan: &T) -> String {
    serde_json::to_string(plan).expect("a plan has no failing serialisers")
}

/// Returns the git directory that the working trees of a folder's repository share; `None` outside
/// any repository.
pub(crate) fn common_dir(context: &Context, folder: &Path) -> Option<RawPath> {
    let repository = Repository::find(&git(context).ok()?, folder).ok()?;
    Some(raw(&repository.common_dir))
}

/// A worktree session that nobody else changes for as long as this lives.
pub(crate) struct Locked {
    pub(crate) lock: SessionLock,
    pub(crate) view: WorktreeView,
    /// What an earlier command had left undone, and is at its end now.
    pub(crate) finished: Option<OperationKind>,
}

/// Finds a worktree session and takes its lock. What a command that was killed left undone is
/// brought to its end first.
pub(crate) fn lock(context: &Context, reference: &str, purpose: &str) -> Result<Locked, Failure> {
    let mut locked = take(context, reference, purpose)?;
    if locked.view.session.operation.is_some() {
        operation::finish(context, &git(context)?, &mut locked)?;
    }
    Ok(locked)
}

/// Finds a worktree session and takes its lock. What was left undone is still so.
pub(crate) fn take(context: &Context, reference: &str, purpose: &str) -> Result<Locked, Failure> {
    let view = show::fetch_worktree(context, reference)?;
    let id = view.session.session_id;
    let common_dir = native(&view.session.common_dir);
    let lock = SessionLock::take(&common_dir, id, purpose, PATIENCE)?;
    // It may have changed while it was waited for.
    let view = show::fetch_worktree(context, &id.to_string())?;
    Ok(Locked {
        lock,
        view,
        finished: None,
    })
}

/// Returns the live worktree sessions.
pub(crate) fn live(context: &Context) -> Result<Vec<WorktreeSession>, Failure> {
    match connect::ask(context, Request::Worktrees)? {
        Response::Worktrees { sessions } => Ok(sessions),
        _ => Err(connect::unexpected()),
    }
}

/// Returns what names the base of a session: its branch, or else the commit that it began from.
pub(crate) fn base_name(view: &WorktreeView) -> &str {
    let base = &view.session.base;
    base.reference.as_deref().unwrap_or(base.commit.as_str())
}

/// Fails for a session that is over, or whose worktree has been removed.
pub(crate) fn refuse_final(view: &WorktreeView) -> Result<(), Failure> {
    let session = &view.session;
    let id = session.session_id.short();
    if session.status.is_final() {
        let message = format!("session {id} is {}", session.status);
        return Err(Fault::new(ErrorCode::NotAllowed, message)
            .hint("`amps new` begins another one")
            .into());
    }
    Ok(())
}

/// Returns where a session works.
pub(crate) fn ground<'a>(git: &'a Git, worktree: &'a Path, view: &'a WorktreeView) -> Ground<'a> {
    Ground {
        git,
        worktree,
        branch: &view.session.branch,
    }
}

/// Returns an agent as it is configured.
pub(crate) fn agent(config: &Config, name: &str) -> Result<Configured, Failure> {
    config.agents.named(name).ok_or_else(|| {
        let known: Vec<&str> = agent::names().collect();
        let message = format!("`{name}` is no agent that is known here");
        Fault::new(ErrorCode::AgentNotFound, message)
            .hint(format!(
                "one of {}, or one with a `command` under `agents` in the configuration",
                known.join(", ")
            ))
            .into()
    })
}

/// Returns the agent that iterates if none is named: the configured one, or the first that is
/// installed of those that are known.
pub(crate) fn default_agent(context: &Context, config: &Config) -> Result<String, Failure> {
    if let Some(name) = &config.agents.default {
        return Ok(name.clone());
    }
    let path = context.environment.path();
    let own = env::own_program();
    let installed = agent::names().find(|name| {
        let program = agent::named(name).map_or(*name, |agent| agent.program());
        find_program(OsStr::new(program), &path, &own).is_ok()
    });
    installed.map(str::to_owned).ok_or_else(|| {
        Fault::new(
            ErrorCode::AgentNotFound,
            "no agent that is known is installed",
        )
        .hint("name one with --agent, or set `agent.default` in the configuration")
        .into()
    })
}

/// Tells a step, and returns the session as it is then.
pub(crate) fn tell(context: &Context, id: SessionId, step: Step) -> Result<WorktreeView, Failure> {
    let request = Request::StepWorktree {
        session_id: id,
        taken: Box::new(step),
        at: context.clock.now(),
    };
    match connect::ask(context, request)? {
        Response::Worktree(view) => Ok(*view),
        _ => Err(connect::unexpected()),
    }
}

/// Tells a step that has happened already. Where no daemon can be had it is kept for the next one.
pub(crate) fn tell_surely(context: &Context, home: &Home, id: SessionId, step: Step) {
    let request = Request::StepWorktree {
        session_id: id,
        taken: Box::new(step),
        at: context.clock.now(),
    };
    let Err(failure) = connect::ask(context, request.clone()) else {
        return;
    };
    let line = String::from_utf8_lossy(&codec::encode(&request)).into_owned();
    let spooled = files::create_private_folder(&home.spool())
        .and_then(|()| files::append_line(&home.spool_of(id), line.trim_end()));
    if let Err(error) = spooled {
        output::say(&format!(
            "amps: not recorded: {}: {error}",
            failure.reason()
        ));
    }
}

/// Returns the failure of changes that could not be committed.
pub(crate) fn not_committed(error: &CommitError) -> Failure {
    let (code, hint) = match error {
        CommitError::NoWorktree(_) => (
            ErrorCode::RepositoryInvalid,
            "`git worktree list` shows where it went; `amps cleanup` ends the session",
        ),
        CommitError::OtherHead { .. } => (
            ErrorCode::NotAllowed,
            "check the branch of the session out again in its worktree",
        ),
        CommitError::UnderWay { .. } => (
            ErrorCode::NotAllowed,
            "bring that to its end in the worktree, or abort it there",
        ),
        CommitError::NoCopy(_) => (ErrorCode::FileFailed, "free some space and try again"),
        CommitError::Git(_) => (
            ErrorCode::GitFailed,
            "run `git status` in the worktree: what git says of it may tell more",
        ),
    };
    Fault::of(code, error).hint(hint).into()
}

impl From<WorktreeError> for Failure {
    fn from(error: WorktreeError) -> Self {
        let (code, hint) = match &error {
            WorktreeError::Refused(refusal) => of_refusal(refusal),
            WorktreeError::Git(_) => (
                ErrorCode::GitFailed,
                "run `git status` there: what git says of the repository may tell more",
            ),
            WorktreeError::File(error) if error.is_full() => {
                (ErrorCode::DiskFull, "free some space and try again")
            }
            WorktreeError::File(_) => (ErrorCode::FileFailed, "make it writable and try again"),
            WorktreeError::Capture(_) => (
                ErrorCode::GitFailed,
                "nothing was removed; what keeps it from being captured is named above",
            ),
            WorktreeError::Exec(_) => (ErrorCode::FileFailed, "mend the command and try again"),
        };
        Fault::of(code, &error).hint(hint).into()
    }
}

fn of_refusal(refusal: &Refusal) -> (ErrorCode, &'static str) {
    match refusal {
        Refusal::Held { .. } => (ErrorCode::Held, "wait for it, or stop it, and try again"),
        Refusal::NoRepository { .. } => (
            ErrorCode::RepositoryInvalid,
            "name one with `--repo`, or make one with `git init`",
        ),
        Refusal::NoCommit { .. } => (
            ErrorCode::WorktreeFailed,
            "make a first commit, or name a branch that has one with `--base`",
        ),
        Refusal::InTheWay { .. } => (
            ErrorCode::WouldOverwrite,
            "move it away; nothing was changed",
        ),
        Refusal::BranchTaken { .. } | Refusal::NoFreeName { .. } => {
            (ErrorCode::WorktreeFailed, "choose another `--name`")
        }
        Refusal::LockedByGit { .. } => (ErrorCode::NotAllowed, "`git worktree unlock` unlocks it"),
        Refusal::Occupied { .. } | Refusal::OccupantUnknown { .. } | Refusal::ProcessesUnknown => (
            ErrorCode::NotAllowed,
            "leave its folder, or end what runs there, and try again",
        ),
        Refusal::IndexLocked { .. } => (
            ErrorCode::NotAllowed,
            "wait for that git, or remove the file if you know that it is dead",
        ),
        Refusal::NotInTrash { .. } => {
            (ErrorCode::NotFound, "`amps trash list` shows what there is")
        }
        Refusal::NoPorts { .. } => (
            ErrorCode::NotAllowed,
            "set `worktree.ports` lower, or `worktree.first_port` elsewhere",
        ),
        Refusal::NotApproved { .. } => (ErrorCode::NotAllowed, "read the file and approve it"),
        Refusal::Malformed { .. } => (ErrorCode::ConfigInvalid, "mend the file"),
        Refusal::CommandFailed { .. } => (ErrorCode::WorktreeFailed, "mend it and try again"),
        Refusal::Complete | Refusal::Changed { .. } => (ErrorCode::NotAllowed, "try again"),
    }
}
