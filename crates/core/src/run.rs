//! One contiguous execution of an agent under one lease.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::capture::Capture;
use crate::exit::Exit;
use crate::id::{ChangesetId, RunId, SessionId};
use crate::lease::Lease;
use crate::path::RawPath;
use crate::process::ProcessIdentity;
use crate::recording::Recording;
use crate::session::Status;
use crate::snapshot::{Snapshot, Workspace};
use crate::time::Moment;

/// The durable record of one execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Names the run.
    pub run_id: RunId,
    /// The session it belongs to.
    pub session_id: SessionId,
    /// Its place in the session, from 1.
    pub number: u32,
    /// Where it stands: for a launched session the same as the session's.
    pub status: Status,
    /// The agent's short name.
    pub agent: String,
    /// The command line, known secrets masked.
    pub agent_command: Vec<String>,
    /// When the run was opened.
    pub opened_at: Moment,
    /// When the agent was about to be started, on both clocks: what changed before is not its
    /// work.
    pub launched_at: Option<Moment>,
    /// When the agent was started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How long it ran, by the clock that cannot be set back.
    pub duration: Option<Duration>,
    /// How the agent ended, where that is known.
    pub exit: Option<Exit>,
    /// The agent's process.
    pub agent_process: Option<ProcessIdentity>,
    /// The folder in which the agent was started.
    pub cwd: RawPath,
    /// Variables that tell git where the repository is.
    #[serde(default)]
    pub git_environment: BTreeMap<String, String>,
    /// The lease that keeps it open.
    pub lease: Lease,
    /// Where its files live; `None` until looked at.
    pub workspace: Option<Workspace>,
    /// The state before the agent.
    pub base: Option<Snapshot>,
    /// The state after it.
    pub end: Option<Snapshot>,
    /// What has been captured and what is still owed.
    pub capture: Capture,
    /// Processes of the agent that outlived the run and are watched until they end.
    #[serde(default)]
    pub survivors: Vec<ProcessIdentity>,
    /// How much of the agent's terminal is recorded; `None` if it is not.
    #[serde(default)]
    pub recording: Option<Recording>,
    /// What it changed, if anything.
    pub changeset_id: Option<ChangesetId>,
    /// What went wrong while recording.
    pub errors: Vec<String>,
    /// Records that the agent was given as context.
    pub context_ids: Vec<String>,
    /// Where an agent that is known keeps its transcripts.
    #[serde(default)]
    pub transcripts: Option<RawPath>,
    /// Turns that the agent told of.
    #[serde(default)]
    pub turns: u32,
}
