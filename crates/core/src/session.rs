//! A session and its one state machine.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::evidence::Evidence;
use crate::exit::Exit;
use crate::id::{LeaseId, ProjectId, RunId, SessionId};
use crate::path::RawPath;

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Opened; the agent has not been started yet.
    Created,
    /// The agent runs.
    Active,
    /// Of a worktree session: the last iteration passed, and the next may begin.
    Idle,
    /// Of a worktree session: a person is needed before it can go on.
    AwaitingInput,
    /// The agent exited by itself with 0; of a worktree session: its work is in the base. Final.
    Completed,
    /// The agent crashed, failed, was killed, or a person ended it. Final.
    Aborted,
    /// The owner vanished. Final.
    Disconnected,
    /// Of a worktree session: a person gave it up. Final.
    Abandoned,
}

impl Status {
    /// All statuses, in the order of life.
    pub const ALL: [Self; 8] = [
        Self::Created,
        Self::Active,
        Self::Idle,
        Self::AwaitingInput,
        Self::Completed,
        Self::Aborted,
        Self::Disconnected,
        Self::Abandoned,
    ];

    /// Returns whether the status never changes again.
    pub fn is_final(self) -> bool {
        match self {
            Self::Created | Self::Active | Self::Idle | Self::AwaitingInput => false,
            Self::Completed | Self::Aborted | Self::Disconnected | Self::Abandoned => true,
        }
    }

    /// Returns the name used on the command line, on the wire and in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Active => "active",
            Self::Idle => "idle",
            Self::AwaitingInput => "awaiting-input",
            Self::Completed => "completed",
            Self::Aborted => "aborted",
            Self::Disconnected => "disconnected",
            Self::Abandoned => "abandoned",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text names no status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a status; one of created, active, idle, awaiting-input, completed, aborted, disconnected, abandoned"
)]
pub struct InvalidStatus;

impl FromStr for Status {
    type Err = InvalidStatus;

    fn from_str(text: &str) -> Result<Self, InvalidStatus> {
        Self::ALL
            .into_iter()
            .find(|status| status.name() == text)
            .ok_or(InvalidStatus)
    }
}

/// Why a session has the status it has: of a final one always, of another where a person is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StatusReason {
    /// The agent exited with 0.
    Exited,
    /// The agent exited with another code.
    ExitedNonZero,
    /// A signal ended the agent.
    KilledBySignal,
    /// The agent could not be started.
    NotStarted,
    /// The terminal vanished under the launcher.
    TerminalClosed,
    /// The owner is gone without a word.
    OwnerVanished,
    /// The machine has been restarted.
    MachineRestarted,
    /// No sign of life until the end of the ttl.
    LeaseExpired,
    /// The shell that an attached session was bound to ended.
    ShellEnded,
    /// A person ended the session.
    EndedByUser,
    /// The process that was given a session ended, and nobody could tell how.
    ProcessEnded,
    /// The gate of a worktree session did not pass.
    GateFailed,
    /// The agent of a worktree session failed.
    AgentFailed,
    /// The agent of a worktree session, or its gate, took longer than it may.
    TimedOut,
    /// A person stopped the agent of a worktree session.
    Stopped,
    /// What an agent did in a worktree session could not be committed.
    NotCommitted,
    /// The work of a worktree session is in conflict with its base.
    Conflict,
    /// The work of a worktree session is in its base.
    Merged,
    /// A person gave a worktree session up.
    GivenUp,
}

impl fmt::Display for StatusReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exited => "exited",
            Self::ExitedNonZero => "exited-non-zero",
            Self::KilledBySignal => "killed-by-signal",
            Self::NotStarted => "not-started",
            Self::TerminalClosed => "terminal-closed",
            Self::OwnerVanished => "owner-vanished",
            Self::MachineRestarted => "machine-restarted",
            Self::LeaseExpired => "lease-expired",
            Self::ShellEnded => "shell-ended",
            Self::EndedByUser => "ended-by-user",
            Self::ProcessEnded => "process-ended",
            Self::GateFailed => "gate-failed",
            Self::AgentFailed => "agent-failed",
            Self::TimedOut => "timed-out",
            Self::Stopped => "stopped",
            Self::NotCommitted => "not-committed",
            Self::Conflict => "conflict",
            Self::Merged => "merged",
            Self::GivenUp => "given-up",
        })
    }
}

/// What a person may declare when ending an attached session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Declared {
    /// The work is done.
    Completed,
    /// The work was given up.
    Aborted,
}

/// How a session came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The agent's exit is known: its launcher reported it, or the kernel showed it.
    Exited(Exit),
    /// The launcher's terminal vanished; the agent's exit as far as it was seen.
    TerminalClosed(Option<Exit>),
    /// The agent could not be started.
    NotStarted,
    /// The owner is proven dead.
    OwnerDead,
    /// The machine has been restarted since the owner was last seen.
    MachineRestarted,
    /// The ttl is over and nothing is known of the owner.
    LeaseExpired,
    /// The shell of an attached session ended without `session end`.
    ShellEnded,
    /// The process that was given a session ended, and only its parent was told how.
    ProcessEnded,
    /// A person ended it.
    Declared(Declared),
}

impl Ending {
    /// Returns the final status and its reason.
    pub fn outcome(self) -> (Status, StatusReason) {
        match self {
            Self::Exited(Exit::Code(0)) => (Status::Completed, StatusReason::Exited),
            Self::Exited(Exit::Code(_)) => (Status::Aborted, StatusReason::ExitedNonZero),
            Self::Exited(Exit::Signal(_)) => (Status::Aborted, StatusReason::KilledBySignal),
            Self::TerminalClosed(_) => (Status::Disconnected, StatusReason::TerminalClosed),
            Self::NotStarted => (Status::Aborted, StatusReason::NotStarted),
            Self::OwnerDead => (Status::Disconnected, StatusReason::OwnerVanished),
            Self::MachineRestarted => (Status::Disconnected, StatusReason::MachineRestarted),
            Self::LeaseExpired => (Status::Disconnected, StatusReason::LeaseExpired),
            Self::ShellEnded => (Status::Disconnected, StatusReason::ShellEnded),
            Self::ProcessEnded => (Status::Disconnected, StatusReason::ProcessEnded),
            Self::Declared(Declared::Completed) => (Status::Completed, StatusReason::EndedByUser),
            Self::Declared(Declared::Aborted) => (Status::Aborted, StatusReason::EndedByUser),
        }
    }

    /// Returns the agent's exit, as far as this ending tells it.
    pub fn exit(self) -> Option<Exit> {
        match self {
            Self::Exited(exit) => Some(exit),
            Self::TerminalClosed(exit) => exit,
            Self::NotStarted
            | Self::OwnerDead
            | Self::MachineRestarted
            | Self::LeaseExpired
            | Self::ShellEnded
            | Self::ProcessEnded
            | Self::Declared(_) => None,
        }
    }
}

/// What may happen to a launched session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The agent has been started.
    Started,
    /// The session came to its end.
    Ended(Ending),
}

/// The state does not allow the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A final session never changes status again.
    #[error("the session is already {0}")]
    Final(Status),
    /// The agent has been started before.
    #[error("the session is already active")]
    AlreadyActive,
}

/// Returns the status of a launched session that follows, and its reason once it is final.
pub fn step(status: Status, input: Input) -> Result<(Status, Option<StatusReason>), Refused> {
    match (status, input) {
        (status, _) if status.is_final() => Err(Refused::Final(status)),
        (Status::Created, Input::Started) => Ok((Status::Active, None)),
        (_, Input::Started) => Err(Refused::AlreadyActive),
        (_, Input::Ended(ending)) => {
            let (status, reason) = ending.outcome();
            Ok((status, Some(reason)))
        }
    }
}

/// How a session is bound to what it records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Binding {
    /// `amps <agent>`: the launcher holds the lease and reports the agent's exit.
    Launcher,
    /// `amps run --detach`: a host holds the lease and the agent's terminal, and reports its exit.
    Host,
    /// `amps session start`: the calling shell holds the lease and reports nothing.
    Shell,
    /// `amps attach-pid`: the agent, which ran before, holds the lease itself and reports nothing.
    Process,
}

impl Binding {
    /// Returns whether the owner of the lease stays connected and reports how the agent ended.
    pub fn reports_exit(self) -> bool {
        match self {
            Self::Launcher | Self::Host => true,
            Self::Process | Self::Shell => false,
        }
    }
}

/// One unit of agent work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Names the session.
    pub session_id: SessionId,
    /// What a person called it.
    pub name: Option<String>,
    /// Always `launched`: of a worktree session, [`WorktreeSession`](crate::worktree::WorktreeSession)
    /// is the record.
    pub kind: SessionKind,
    /// The worktree session that it is a run of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worktree_session_id: Option<SessionId>,
    /// How it is bound to its agent.
    pub binding: Binding,
    /// Where it stands.
    pub status: Status,
    /// Why, once final.
    pub status_reason: Option<StatusReason>,
    /// What proved the end, once final.
    pub evidence: Option<Evidence>,
    /// The project, once the working folder has been looked at.
    pub project_id: Option<ProjectId>,
    /// The top of the working tree, or the folder itself outside any repository.
    pub project_root: Option<RawPath>,
    /// The folder in which the agent was started.
    pub cwd: RawPath,
    /// When the session was opened.
    pub created_at: Timestamp,
    /// When the agent was started.
    pub started_at: Option<Timestamp>,
    /// When the session ended.
    pub ended_at: Option<Timestamp>,
    /// The agent's short name.
    pub agent: String,
    /// The command line, one entry an argument, known secrets masked.
    pub agent_command: Vec<String>,
    /// Allowed variables of the environment, known secrets masked.
    pub environment_snapshot: BTreeMap<String, String>,
    /// The lease of its run.
    pub lease_id: LeaseId,
    /// Its run.
    pub run_id: RunId,
    /// Words to find it by.
    pub tags: Vec<String>,
}

/// The kinds of session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionKind {
    /// Opened by `amps <agent>`, `amps session start` or `amps attach-pid`; has exactly one run.
    Launched,
    /// Opened by `amps new`: has a worktree and a branch of its own.
    Worktree,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDINGS: [Ending; 14] = [
        Ending::Exited(Exit::Code(0)),
        Ending::Exited(Exit::Code(1)),
        Ending::Exited(Exit::Code(255)),
        Ending::Exited(Exit::Signal(9)),
        Ending::TerminalClosed(Some(Exit::Code(0))),
        Ending::TerminalClosed(None),
        Ending::NotStarted,
        Ending::OwnerDead,
        Ending::MachineRestarted,
        Ending::LeaseExpired,
        Ending::ShellEnded,
        Ending::ProcessEnded,
        Ending::Declared(Declared::Completed),
        Ending::Declared(Declared::Aborted),
    ];

    #[test]
    fn a_final_session_never_changes() {
        for status in Status::ALL.into_iter().filter(|status| status.is_final()) {
            assert_eq!(step(status, Input::Started), Err(Refused::Final(status)));
            for ending in ENDINGS {
                assert_eq!(
                    step(status, Input::Ended(ending)),
                    Err(Refused::Final(status))
                );
            }
        }
    }

    #[test]
    fn every_ending_of_an_open_session_is_final_and_has_a_reason() {
        for status in [Status::Created, Status::Active] {
            for ending in ENDINGS {
                let (next, reason) = step(status, Input::Ended(ending)).unwrap();
                assert!(next.is_final(), "{ending:?}");
                assert!(reason.is_some(), "{ending:?}");
            }
        }
    }

    #[test]
    fn only_a_zero_exit_or_a_word_of_the_user_completes() {
        for ending in ENDINGS {
            let completes = matches!(
                ending,
                Ending::Exited(Exit::Code(0)) | Ending::Declared(Declared::Completed)
            );
            assert_eq!(
                ending.outcome().0 == Status::Completed,
                completes,
                "{ending:?}"
            );
        }
    }

    #[test]
    fn the_agent_starts_once() {
        assert_eq!(
            step(Status::Created, Input::Started),
            Ok((Status::Active, None))
        );
        assert_eq!(
            step(Status::Active, Input::Started),
            Err(Refused::AlreadyActive)
        );
    }

    #[test]
    fn names_read_back() {
        for status in Status::ALL {
            assert_eq!(status.name().parse(), Ok(status));
        }
        assert_eq!("open".parse::<Status>(), Err(InvalidStatus));
    }
}
