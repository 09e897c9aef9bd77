//! What a launcher tells about a run. Facts carry their own ids and times, so that telling one
//! twice, or late from the spool, changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{LeaseId, RunId, SessionId};
use crate::path::RawPath;
use crate::process::ProcessIdentity;
use crate::recording::Recording;
use crate::session::{Binding, Ending};
use crate::time::Moment;

/// A session is being opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenFacts {
    /// The session.
    pub session_id: SessionId,
    /// Its run.
    pub run_id: RunId,
    /// The lease of the run.
    pub lease_id: LeaseId,
    /// What a person calls the session.
    pub name: Option<String>,
    /// A first note.
    pub note: Option<String>,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Records given to the agent as context.
    #[serde(default)]
    pub context_ids: Vec<String>,
    /// How the session is bound to its agent.
    pub binding: Binding,
    /// The agent's short name.
    pub agent: String,
    /// The command line.
    pub agent_command: Vec<String>,
    /// The folder in which the agent starts.
    pub cwd: RawPath,
    /// Allowed variables of the environment.
    pub environment: BTreeMap<String, String>,
    /// Variables that tell git where the repository is.
    #[serde(default)]
    pub git_environment: BTreeMap<String, String>,
    /// The process that holds the lease.
    pub owner: ProcessIdentity,
    /// How long the lease holds without a sign of life; `None` for the configured time.
    #[serde(default)]
    pub ttl: Option<Duration>,
    /// Where an agent that is known keeps its transcripts.
    #[serde(default)]
    pub transcripts: Option<RawPath>,
    /// When this was.
    pub at: Moment,
}

/// The agent has been started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartFacts {
    /// The session.
    pub session_id: SessionId,
    /// The last instant before the agent could act.
    pub launched_at: Moment,
    /// The agent's process; `None` when it could not be looked at.
    pub agent: Option<ProcessIdentity>,
}

/// The terminal of an agent is recorded, or has been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordFacts {
    /// The session.
    pub session_id: SessionId,
    /// How far.
    pub recording: Recording,
    /// When this was.
    pub at: Moment,
}

/// The session has come to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndFacts {
    /// The session.
    pub session_id: SessionId,
    /// How.
    pub ending: Ending,
    /// When.
    pub at: Moment,
    /// The observation in one sentence.
    pub detail: String,
}
