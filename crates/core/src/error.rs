//! The stable codes of errors that a person can meet. A code never changes its meaning.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $title:literal;)*) => {
        /// Names one error for ever, across versions, languages and processes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $number)] $name,)*
        }

        impl ErrorCode {
            /// All codes, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns the number, such as `E003`.
            pub fn number(self) -> &'static str {
                match self { $(Self::$name => $number,)* }
            }

            /// Returns the heading under which the error is shown.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    /// A folder or repository cannot be read as what it should be.
    RepositoryInvalid = "E001", "git repository not found or invalid";
    /// The database is damaged.
    StoreDamaged = "E003", "database damaged";
    /// A worktree could not be made.
    WorktreeFailed = "E004", "worktree creation failed";
    /// No record has this id or name.
    NotFound = "E010", "no such record";
    /// Several records begin with these characters or have this name.
    Ambiguous = "E011", "ambiguous id or name";
    /// The agent is in no folder of PATH.
    AgentNotFound = "E012", "agent not found";
    /// The agent's file cannot be executed.
    AgentNotExecutable = "E013", "agent not executable";
    /// The home of amps cannot be written to.
    HomeNotWritable = "E014", "home not writable";
    /// The disk or quota is full.
    DiskFull = "E015", "no space left";
    /// The daemon cannot be reached or started.
    DaemonUnreachable = "E016", "daemon unreachable";
    /// The daemon speaks another protocol.
    DaemonVersion = "E017", "daemon of another version";
    /// The record's state does not allow it.
    NotAllowed = "E018", "not allowed in this state";
    /// What was asked for has not been captured.
    NotCaptured = "E019", "not captured";
    /// It would overwrite newer work.
    WouldOverwrite = "E020", "would overwrite newer work";
    /// The configuration is wrong.
    ConfigInvalid = "E021", "configuration invalid";
    /// Git is missing, too old, or failed.
    GitFailed = "E022", "git failed";
    /// An argument is of the wrong form.
    BadArgument = "E023", "argument invalid";
    /// The store cannot be used.
    StoreFailed = "E024", "store failed";
    /// A file or folder cannot be read or written.
    FileFailed = "E025", "file not readable or writable";
    /// A process cannot be given a session.
    ProcessUnfit = "E026", "process cannot be attached";
    /// Another client types in the session.
    KeyboardTaken = "E027", "somebody else types";
    /// The host of a held session cannot be reached.
    HostUnreachable = "E028", "host unreachable";
    /// Another command works on the session.
    Held = "E029", "held by another command";
    /// Two sides changed the same in ways that do not go together.
    Conflict = "E030", "conflict";
    /// What is to be merged is not what the gate let pass.
    GateNotPassed = "E031", "gate not passed";
    /// A defect of amps.
    Internal = "E070", "internal error";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.number())
    }
}

/// The text is no error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such error code")]
pub struct UnknownCode;

impl FromStr for ErrorCode {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.number().eq_ignore_ascii_case(text))
            .ok_or(UnknownCode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_ordered_and_read_back() {
        assert!(
            ErrorCode::ALL
                .windows(2)
                .all(|pair| pair[0].number() < pair[1].number())
        );
        for code in ErrorCode::ALL {
            assert_eq!(code.number().parse(), Ok(*code));
        }
        assert_eq!("E999".parse::<ErrorCode>(), Err(UnknownCode));
    }
}
