//! Snapshots of a working tree, the difference between two, and the way back.
//!
//! A capture goes in steps, so that a person need not wait for all of them: [`discover`] finds the
//! repository, [`freeze`] stores the contents that differ from HEAD, [`keep`] makes them one commit
//! under `refs/amps/`. Then [`compare`] and [`patch`] tell what a run changed, and [`restore`]
//! brings paths back. Index, HEAD, stash, reflogs and files of the person are only read; only
//! [`restore`] writes files, and never over newer work.

mod adopt;
mod bulk;
mod commits;
mod compare;
mod cutoff;
mod diff;
mod discover;
mod eol;
mod freeze;
mod hash;
mod head;
mod keep;
pub(crate) mod look;
mod memory;
mod patch;
mod project;
mod restore;
mod tree;

use std::io;
use std::path::PathBuf;

use amps_core::capture::Failure;
use amps_core::snapshot::Oid;

pub use adopt::adopt;
pub use compare::{Comparison, changed_between, compare, count_changes};
pub use cutoff::{Cutoff, LONGEST_LAG_MS, TICK};
pub use diff::{Difference, DifferenceForm, diff, reach};
pub use discover::discover;
pub use freeze::{Frozen, freeze};
pub use keep::{keep, keep_again, let_go};
pub use memory::{Beginning, Memory};
pub use patch::{StoredPatch, patch};
pub use project::root_commits;
pub use restore::{
    RefusedPath, Restore, RestorePolicy, RestoreRefusal, RestoreReport, Selection, restore,
};

use crate::files::FileError;
use crate::git::GitError;

/// A capture that could not be done.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Git failed.
    #[error("the repository could not be asked")]
    Git(#[from] GitError),
    /// A file or folder could not be used.
    #[error("cannot use {path:?}")]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder is one that is never captured.
    #[error("{path:?} is not captured: {reason}")]
    Excluded {
        /// The folder.
        path: PathBuf,
        /// Why not.
        reason: Exclusion,
    },
    /// Git refuses or does not understand the repository.
    #[error("git refuses the repository at {path:?}: {words}")]
    Refused {
        /// The folder.
        path: PathBuf,
        /// What git said.
        words: String,
    },
    /// The reference already names another snapshot than expected.
    #[error("{name} already names {}", holds.as_ref().map_or("something else", Oid::as_str))]
    Taken {
        /// The reference.
        name: String,
        /// What it names.
        holds: Option<Oid>,
    },
    /// A snapshot is to be kept under a name that is not ours.
    #[error("{text:?} is not a name for a reference of ours")]
    BadName {
        /// What was given.
        text: String,
    },
}

/// Why a folder is never captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exclusion {
    /// The root of the file system.
    #[error("it is the root of the file system")]
    FileSystemRoot,
    /// The person's home folder itself.
    #[error("it is the home folder")]
    Home,
    /// More files than `capture.max_folder_files` outside of any repository.
    #[error("it is in no repository and holds more than {0} files")]
    TooManyFiles(usize),
    /// The inside of a git directory, or a repository without a working tree.
    #[error("it has no working tree")]
    NoWorkingTree,
}

impl From<FileError> for CaptureError {
    fn from(error: FileError) -> Self {
        Self::Io {
            path: error.path,
            source: error.source,
        }
    }
}

impl CaptureError {
    /// Returns whether trying again can help.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Git(error) => error.failure(),
            Self::Io { .. } => Failure::Transient,
            Self::Excluded { .. }
            | Self::Refused { .. }
            | Self::Taken { .. }
            | Self::BadName { .. } => Failure::Permanent,
        }
    }

    pub(crate) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }
}
