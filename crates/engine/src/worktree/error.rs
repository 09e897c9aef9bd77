//! Why a worktree could not be made, furnished, removed or brought back.

use std::path::PathBuf;

use amps_core::path::RawPath;

use super::lock::Holder;
use crate::capture::CaptureError;
use crate::exec::ExecError;
use crate::files::FileError;
use crate::git::GitError;

/// An operation on a worktree that did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum WorktreeError {
    /// It is refused, and nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Git failed.
    #[error("the repository could not be asked")]
    Git(#[from] GitError),
    /// A file or folder could not be used.
    #[error("a file of the worktree could not be used")]
    File(#[from] FileError),
    /// The snapshot could not be taken.
    #[error("what is in the worktree could not be kept")]
    Capture(#[from] CaptureError),
    /// A command could not be started.
    #[error("a command for the worktree could not be run")]
    Exec(#[from] ExecError),
}

/// Why something is not done to a worktree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody else works on it.
    #[error("{}", match holder {
        Some(holder) => format!("held by {holder}"),
        None => "held by another process".to_owned(),
    })]
    Held {
        /// Who, if that could be read.
        holder: Option<Holder>,
    },
    /// The repository has no commit to begin from.
    #[error("{name} names no commit")]
    NoCommit {
        /// What was to name it.
        name: String,
    },
    /// The folder is in no repository.
    #[error("{path:?} is in no git repository")]
    NoRepository {
        /// The folder.
        path: PathBuf,
    },
    /// Something that is not ours is in the way.
    #[error("{path} is in the way")]
    InTheWay {
        /// The path.
        path: RawPath,
    },
    /// The branch is there and names something else.
    #[error("the branch {name} belongs to somebody else")]
    BranchTaken {
        /// The full name.
        name: String,
    },
    /// No name could be found that is free.
    #[error("no free name was found for {name}")]
    NoFreeName {
        /// What was to be named.
        name: String,
    },
    /// The worktree was made; it is removed, not undone.
    #[error("the worktree has been made already")]
    Complete,
    /// It was not made completely, and somebody works in it all the same.
    #[error("somebody has worked in {path} already")]
    WorkedIn {
        /// The folder.
        path: RawPath,
    },
    /// It has another worktree in it, which would go with it.
    #[error("the worktree {path} lies in it")]
    Holds {
        /// The folder of the other one.
        path: RawPath,
    },
    /// It is locked by `git worktree lock`.
    #[error("the worktree is locked by git{}", if reason.is_empty() { String::new() } else { format!(": {reason}") })]
    LockedByGit {
        /// The reason that was given.
        reason: String,
    },
    /// A process works in it.
    #[error("{command} (pid {pid}) works in it")]
    Occupied {
        /// Its pid.
        pid: u32,
        /// Its command.
        command: String,
    },
    /// It cannot be told whether a process works in it.
    #[error("it cannot be told whether {command} (pid {pid}) works in it")]
    OccupantUnknown {
        /// Its pid.
        pid: u32,
        /// Its command.
        command: String,
    },
    /// Processes cannot be looked at here.
    #[error("it cannot be told whether a process works in it: /proc is not readable")]
    ProcessesUnknown,
    /// It is not as it was when this was planned.
    #[error("{what} changed since this was planned")]
    Changed {
        /// What changed.
        what: &'static str,
    },
    /// There is a lock on the index that a living git may hold.
    #[error("{path} may be held by a living git")]
    IndexLocked {
        /// The lock.
        path: RawPath,
    },
    /// The trash has no such entry.
    #[error("the trash has no {name}")]
    NotInTrash {
        /// What was asked for.
        name: String,
    },
    /// No range of ports is free.
    #[error("no {count} ports in a row are free")]
    NoPorts {
        /// How many were wanted.
        count: u16,
    },
    /// The commands of the repository were not approved.
    #[error("the commands in {file} were not approved")]
    NotApproved {
        /// The file that has them.
        file: &'static str,
    },
    /// The commands of the repository cannot be understood.
    #[error("{file}: {problem}")]
    Malformed {
        /// The file.
        file: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A command failed.
    #[error("`{command}` {ended}")]
    CommandFailed {
        /// The command.
        command: String,
        /// How it ended.
        ended: String,
    },
}
