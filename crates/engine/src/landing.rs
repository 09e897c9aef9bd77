//! Landing the work of a worktree session: squash, rebase, merge, and what is known before.
//!
//! Everything that changes a reference has two halves. A `plan_…` function reads the repository and
//! writes objects, nothing else, and returns what is to move or a [`Refusal`]. Whoever asked stores
//! the plan, and [`carry_out`] moves the references and brings working trees along. It may be
//! killed anywhere and called again with the same plan.

mod authorship;
mod branch;
mod carry_out;
mod checkout;
mod conflicts;
mod export;
mod grip;
mod history;
mod hooks;
mod merge;
mod merging;
mod preflight;
mod rebase;
mod remote;
mod squash;
mod under_way;
mod writing;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use amps_core::id::SessionId;
use amps_core::landing::Refusal;
use amps_core::snapshot::Oid;

pub use authorship::origins;
pub use branch::{commit_of, content_of, last_backup, left_base_at};
pub use carry_out::{carry_out, take_back};
pub use checkout::checked_out_in;
pub use conflicts::conflicts;
pub use export::{Patches, Push, export_patch, push};
pub use merge::{FastForward, MergeRequest, Uncommitted, has_landed, plan_merge};
pub use preflight::preflight;
pub use rebase::plan_rebase;
pub use remote::{Remote, remote};
pub use squash::{SquashRequest, plan_squash};
pub use under_way::{Sight, abort, clashes, go_on, look, plan_start, start};

use crate::files::FileError;
use crate::git::{Call, GitError};

/// The plain facts of a worktree session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ground {
    /// The session; it names the backups.
    pub session: SessionId,
    /// The git directory that all working trees share.
    pub common_dir: PathBuf,
    /// The top of the session's worktree.
    pub worktree: PathBuf,
    /// The full name of its branch.
    pub branch: String,
    /// The full name of its base.
    pub base_ref: String,
    /// How the subjects of the agent's commits begin.
    pub prefix: String,
    /// Commits that the agent made itself, whatever their subjects.
    pub agent_commits: BTreeSet<Oid>,
}

/// Whether the hooks of the repository have a say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hooks {
    /// They run as git would run them.
    #[default]
    Run,
    /// They do not run, as with `--no-verify`.
    Skip,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum LandingError {
    /// It must not be done; that is an answer.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// Git failed.
    #[error("git could not be asked")]
    Git(#[from] GitError),
    /// A file could not be used.
    #[error("cannot use {path:?}")]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in the worktree could not be kept before it is given up.
    #[error("cannot keep what is in the worktree")]
    Keep(#[from] crate::capture::CaptureError),
}

impl From<Refusal> for LandingError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl From<FileError> for LandingError {
    fn from(error: FileError) -> Self {
        Self::Io {
            path: error.path,
            source: error.source,
        }
    }
}

impl LandingError {
    /// Returns the refusal, if it is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Git(_) | Self::Io { .. } | Self::Keep(_) => None,
        }
    }

    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

impl Ground {
    /// Asks about the repository: from the worktree, whose attributes decide how files are merged,
    /// or without one when it is gone.
    fn call(&self) -> Call<'static> {
        let folder = if self.worktree.is_dir() {
            &self.worktree
        } else {
            &self.common_dir
        };
        Call::alone_within(folder)
    }
}
