//! What the daemon answers.

use std::time::Duration;

use amps_core::event::Event;
use amps_core::session::Status;
use amps_core::time::seconds;
use amps_core::worktree::WorktreeSession;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::view::{CheckpointView, SessionRow, SessionView, WorktreeView};

/// One line from the daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The id of the request.
    pub id: u64,
    /// The answer.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// An answer or a fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done.
    Ok(Response),
    /// It could not be done.
    Fault(Fault),
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Response {
    /// A checkpoint was taken.
    Checkpoint(Box<CheckpointView>),
    /// The checkpoints of a session.
    Checkpoints {
        /// Those that are kept, oldest first.
        checkpoints: Vec<CheckpointView>,
    },
    /// The daemon's state.
    Daemon(DaemonView),
    /// Nothing but that it is done.
    Done,
    /// The session's status after its end was told: what was stored, which is not what was told
    /// if the session had become final before.
    Ended {
        /// The status in force.
        status: Status,
    },
    /// A session's history.
    Events {
        /// The events, oldest first.
        events: Vec<Event>,
    },
    /// No session matches; only where that is an answer.
    None,
    /// A session was opened.
    Opened {
        /// The generation of its lease.
        generation: u64,
        /// How often to give a sign of life.
        #[serde(with = "seconds")]
        beat: Duration,
        /// Whether the base snapshot is complete.
        base_taken: bool,
    },
    /// Sessions.
    Page {
        /// One row a session.
        sessions: Vec<SessionRow>,
    },
    /// The patches of a session, oldest first.
    Patches {
        /// One for each changeset.
        patches: Vec<PatchView>,
    },
    /// One launched session.
    Session(Box<SessionView>),
    /// One worktree session.
    Worktree(Box<WorktreeView>),
    /// Worktree sessions.
    Worktrees {
        /// Their records, oldest first.
        sessions: Vec<WorktreeSession>,
    },
}

/// A patch as the store keeps it, known secrets masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchView {
    /// Base64 of zlib.
    pub zlib_base64: String,
    /// Whether it was cut at the limit.
    pub truncated: bool,
}

/// How the daemon is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DaemonView {
    /// Its process.
    pub pid: u32,
    /// Its program version.
    pub version: String,
    /// Its protocol.
    pub protocol: u32,
    /// Its home.
    pub home: String,
    /// How long it has been running.
    #[serde(with = "seconds")]
    pub uptime: Duration,
    /// Open leases.
    pub leases: u64,
    /// Captures that are owed or under way.
    pub captures_owed: u64,
    /// Sessions in the store.
    pub sessions: u64,
    /// What a person should know, such as a database that was damaged and recovered.
    pub warnings: Vec<String>,
}
