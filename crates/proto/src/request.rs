//! What a client asks.

use std::time::Duration;

use amps_core::checkpoint::Cause;
use amps_core::facts::{EndFacts, OpenFacts, RecordFacts, StartFacts};
use amps_core::id::{LeaseId, SessionId};
use amps_core::path::RawPath;
use amps_core::process::ProcessIdentity;
use amps_core::session::Status;
use amps_core::time::Moment;
use amps_core::worktree::{Step, WorktreeSession};
use serde::{Deserialize, Serialize};

/// How long a launcher waits for the answer to [`Request::Open`] before it starts the agent. A
/// daemon that hears of it later knows that the agent may have acted.
pub const OPEN_DEADLINE: Duration = Duration::from_secs(2);

/// One line from a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Chosen by the client; the answer carries it back.
    pub id: u64,
    /// The request.
    #[serde(flatten)]
    pub request: Request,
}

/// What a client asks for. Facts may be told again: telling one twice changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Request {
    /// Takes a checkpoint of an open session. A turn is told by this too.
    Checkpoint {
        /// An id, a prefix of one, a name, or `@` for the newest.
        reference: String,
        /// Why it is taken.
        cause: Cause,
        /// What to call it.
        #[serde(default)]
        label: Option<String>,
        /// How long to wait until it is taken, in milliseconds. It is taken all the same.
        #[serde(default)]
        wait_ms: u64,
    },
    /// The checkpoints of a session.
    Checkpoints {
        /// An id, a prefix of one, a name, or `@` for the newest.
        reference: String,
    },
    /// Which session is bound to one of these processes, the nearest first.
    Current {
        /// The asking process's parents, nearest first.
        ancestors: Vec<ProcessIdentity>,
    },
    /// How the daemon is.
    DaemonStatus,
    /// Fact: a session has ended.
    End(EndFacts),
    /// The history of a session.
    Events {
        /// An id, a prefix of one, a name, or `@` for the newest.
        reference: String,
    },
    /// Sessions, newest first.
    List(Query),
    /// Adds a note to a session.
    Note {
        /// An id, a prefix of one, a name, or `@` for the newest.
        reference: String,
        /// The note.
        text: String,
    },
    /// Fact: a session is being opened. The answer comes once the base snapshot is taken, or
    /// after the configured hold.
    Open(Box<OpenFacts>),
    /// Fact: a worktree session is created.
    OpenWorktree {
        /// The session.
        session: Box<WorktreeSession>,
        /// When this was.
        at: Moment,
    },
    /// The patch of a session as the store keeps it.
    Patch {
        /// An id, a prefix of one, a name, or `@` for the newest.
        reference: String,
    },
    /// Fact: the terminal of an agent is recorded, or has been.
    Recorded(RecordFacts),
    /// A sign of life from the holder of a lease.
    Renew {
        /// The session.
        session_id: SessionId,
        /// Its lease.
        lease_id: LeaseId,
        /// The generation under which it is held.
        generation: u64,
        /// When this was.
        at: Moment,
    },
    /// Everything about one session.
    Show {
        /// An id, a prefix of one, a name, or `@` for the newest.
        reference: String,
        /// How long to wait for a capture that is under way, in milliseconds.
        #[serde(default)]
        wait_ms: u64,
    },
    /// Fact: the agent of a session has been started.
    Started(StartFacts),
    /// Ends the daemon. Sessions go on; their launchers deliver to the next daemon. This
    /// request is understood by every version.
    Stop,
    /// Fact: a worktree session takes a step.
    StepWorktree {
        /// The session.
        session_id: SessionId,
        /// The step.
        taken: Box<Step>,
        /// When this was.
        at: Moment,
    },
    /// Everything about one session, once it is final, or at the end of the wait as it is then.
    Wait {
        /// An id, a prefix of one, a name, or `@` for the newest.
        reference: String,
        /// How long to wait, in milliseconds.
        wait_ms: u64,
    },
    /// The worktree sessions that are not final, or that something is being done to.
    Worktrees,
    /// The worktree sessions whose worktree has not been removed, final or not.
    Grounds,
}

/// Which sessions to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// Only these statuses; empty for all.
    #[serde(default)]
    pub status: Vec<Status>,
    /// Only sessions of the project whose root, id prefix or folder name this is.
    #[serde(default)]
    pub project: Option<String>,
    /// Only sessions whose project root holds this path.
    #[serde(default)]
    pub within: Option<RawPath>,
    /// Only this agent.
    #[serde(default)]
    pub agent: Option<String>,
    /// Only sessions with this tag.
    #[serde(default)]
    pub tag: Option<String>,
    /// Only sessions created at or after this instant.
    #[serde(default)]
    pub since: Option<jiff::Timestamp>,
    /// Most changed lines first, instead of newest first.
    #[serde(default)]
    pub by_impact: bool,
    /// At most this many; 0 for all.
    #[serde(default)]
    pub limit: u32,
}
