//! What goes wrong when git is asked something.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use amps_core::capture::Failure;

/// A call of git that gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// No git program was found on the search path.
    #[error("no git program on the search path {path:?}")]
    NotFound {
        /// The search path.
        path: OsString,
    },
    /// The program could not be started.
    #[error("cannot start {program:?} in {folder:?}")]
    Start {
        /// The program.
        program: PathBuf,
        /// The folder it was to run in.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Talking to the program failed.
    #[error("lost the conversation with git {arguments}")]
    Pipe {
        /// What it was asked.
        arguments: String,
        /// Why.
        source: io::Error,
    },
    /// It ended with a failure.
    #[error("git {arguments} failed ({status}): {stderr}")]
    Failed {
        /// What it was asked.
        arguments: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said, on one line.
        stderr: String,
    },
    /// It took longer than allowed and was killed.
    #[error("git {arguments} took longer than {} s", limit.as_secs())]
    TooSlow {
        /// What it was asked.
        arguments: String,
        /// The time it had.
        limit: Duration,
    },
    /// It answered in a form that is not understood.
    #[error("git {arguments} gave an answer that is not understood: {found}")]
    Unexpected {
        /// What it was asked.
        arguments: String,
        /// The part that is not understood.
        found: String,
    },
}

/// Words of git that no repetition changes.
const PERMANENT: [&str; 4] = [
    "detected dubious ownership",
    "unknown repository extension",
    "Expected git repo version",
    "cannot use bare repository",
];

impl GitError {
    /// Returns whether trying again can help.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Failed { stderr, .. } if PERMANENT.iter().any(|words| stderr.contains(words)) => {
                Failure::Permanent
            }
            _ => Failure::Transient,
        }
    }

    /// Returns what git said when it failed.
    pub(crate) fn stderr(&self) -> &str {
        match self {
            Self::Failed { stderr, .. } => stderr,
            _ => "",
        }
    }
}
