//! The one place where an error becomes text and an exit code.

use std::error::Error;
use std::io::ErrorKind;
use std::process::ExitCode;

use amps_core::error::ErrorCode;
use amps_engine::capture::CaptureError;
use amps_engine::git::GitError;
use amps_proto::exit_code;
use amps_proto::fault::Fault;

use crate::output;

/// Why a command ends without having done its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It could not be done.
    Fault(Box<Fault>),
    /// The reader of our output has left.
    BrokenPipe,
    /// The agent could not be launched; what happened has been said.
    Launch(u8),
}

impl Failure {
    /// Makes a failure of an error and its causes.
    pub(crate) fn of(code: ErrorCode, error: &dyn Error) -> Self {
        Fault::of(code, error).into()
    }

    /// Says first where it is that it could not be done.
    pub(crate) fn within(mut self, place: &str) -> Self {
        if let Self::Fault(fault) = &mut self {
            fault.message = format!("{place}: {}", fault.message);
        }
        self
    }

    /// Returns why, in one line.
    pub(crate) fn reason(self) -> String {
        match self {
            Self::Fault(fault) => {
                let Fault {
                    message, causes, ..
                } = *fault;
                [vec![message], causes].concat().join(": ")
            }
            Self::BrokenPipe => "the reader of the output has left".to_owned(),
            Self::Launch(code) => format!("it ended with code {code}"),
        }
    }

    /// Shows the failure and returns its exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::BrokenPipe => ExitCode::from(128 + 13),
            Self::Launch(code) => ExitCode::from(code),
            Self::Fault(fault) => {
                let code = exit_code::of(fault.code);
                output::complain(&fault);
                ExitCode::from(code)
            }
        }
    }
}

impl From<CaptureError> for Failure {
    fn from(error: CaptureError) -> Self {
        let (code, hint) = match &error {
            CaptureError::Git(GitError::NotFound { .. }) => (
                ErrorCode::GitFailed,
                "install git, or add its folder to PATH",
            ),
            CaptureError::Git(_) => (
                ErrorCode::GitFailed,
                "run `git status` there: what git says of the repository may tell more",
            ),
            CaptureError::Io { source, .. }
                if matches!(
                    source.kind(),
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded
                ) =>
            {
                (ErrorCode::DiskFull, "free some space and try again")
            }
            CaptureError::Io { .. } => (
                ErrorCode::FileFailed,
                "check its permissions, and that its disk is there",
            ),
            CaptureError::Excluded { .. } | CaptureError::Refused { .. } => (
                ErrorCode::RepositoryInvalid,
                "`git status` there tells what is wrong with it",
            ),
            CaptureError::Taken { .. } | CaptureError::BadName { .. } => {
                (ErrorCode::Internal, "please report this")
            }
        };
        Fault::of(code, &error).hint(hint).into()
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe {
            return Self::BrokenPipe;
        }
        Self::of(ErrorCode::FileFailed, &error)
    }
}
