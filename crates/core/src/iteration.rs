//! One turn of a worktree session: the agent runs, its work is committed, the gate judges it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::id::SessionId;
use crate::process::ProcessIdentity;
use crate::session::StatusReason;
use crate::snapshot::Oid;
use crate::time::seconds;
use crate::turn::ThreadId;
use crate::usage::Usage;

/// The record of one iteration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Iteration {
    /// Its place in the worktree session, from 1.
    pub number: u32,
    /// The launched session that records its run; it belongs to the worktree session.
    pub run: SessionId,
    /// The process that runs it; when that is gone, nobody does.
    pub runner: ProcessIdentity,
    /// What the agent was asked, known secrets masked.
    pub prompt: String,
    /// What a person noted of it.
    #[serde(default)]
    pub notes: Option<String>,
    /// The agent's short name.
    pub agent: String,
    /// The model, as the agent named it; before that, as the agent was told.
    #[serde(default)]
    pub model: Option<String>,
    /// The conversation, as the agent named it.
    #[serde(default)]
    pub thread_id: Option<ThreadId>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was judged.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// What the branch named when it began.
    pub head: Oid,
    /// The commit of what a person had changed and not committed before the agent began.
    #[serde(default)]
    pub manual_commit: Option<Oid>,
    /// Commits that the agent made itself, newest first.
    #[serde(default)]
    pub agent_commits: Vec<Oid>,
    /// The commit of what the agent changed; `None` while it runs, and if it changed nothing.
    #[serde(default)]
    pub commit: Option<Oid>,
    /// How it ended; `None` while it is under way.
    #[serde(default)]
    pub verdict: Option<Verdict>,
    /// What the gate said, if there is one and it was asked.
    #[serde(default)]
    pub gate: Option<Gate>,
    /// Tokens and cost, as far as the agent told.
    #[serde(default)]
    pub usage: Usage,
    /// The agent's last words.
    #[serde(default)]
    pub answer: Option<String>,
    /// What went wrong.
    #[serde(default)]
    pub errors: Vec<String>,
}

/// How an iteration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The agent came to its end, and the gate, if there is one, passed.
    Passed,
    /// The gate did not pass.
    GateFailed,
    /// The agent failed.
    AgentFailed,
    /// The agent, or the gate, took longer than it may.
    TimedOut,
    /// A person stopped it.
    Stopped,
    /// Who ran it is gone without a word.
    Lost,
    /// What the agent did could not be committed; it is still in the worktree.
    NotCommitted,
}

impl Verdict {
    /// Returns why a person is needed; `None` if nobody is.
    pub fn reason(self) -> Option<StatusReason> {
        match self {
            Self::Passed => None,
            Self::GateFailed => Some(StatusReason::GateFailed),
            Self::AgentFailed => Some(StatusReason::AgentFailed),
            Self::TimedOut => Some(StatusReason::TimedOut),
            Self::Stopped => Some(StatusReason::Stopped),
            Self::Lost => Some(StatusReason::OwnerVanished),
            Self::NotCommitted => Some(StatusReason::NotCommitted),
        }
    }
}

/// What the test command of a worktree session said of one iteration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// The command, known secrets masked.
    pub command: String,
    /// How it ended; `None` if it could not be started, or was ended because it took too long.
    pub exit: Option<Exit>,
    /// How long it took.
    #[serde(with = "seconds")]
    pub duration: Duration,
    /// The end of what it printed, known secrets masked.
    pub log: String,
}

impl Gate {
    /// Returns whether the gate lets the iteration pass.
    pub fn has_passed(&self) -> bool {
        self.exit == Some(Exit::Code(0))
    }
}
