//! The JSON contract: what `--json` prints and what the HTTP API serves.

use std::time::Duration;

use amps_core::capture::Capture;
use amps_core::changeset::Changeset;
use amps_core::checkpoint::{Cause, Checkpoint};
use amps_core::id::{ChangesetId, ProjectId, RunId, SessionId};
use amps_core::iteration::Iteration;
use amps_core::lease::Lease;
use amps_core::path::RawPath;
use amps_core::process::ProcessIdentity;
use amps_core::recording::Recording;
use amps_core::run::Run;
use amps_core::session::{Session, SessionKind, Status, StatusReason};
use amps_core::snapshot::{Oid, Snapshot, Workspace};
use amps_core::time::as_seconds;
use amps_core::tool_call::ToolCall;
use amps_core::worktree::WorktreeSession;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Everything about one session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionView {
    /// The session.
    #[serde(flatten)]
    pub session: Session,
    /// Its runs; a launched session has exactly one.
    pub runs: Vec<RunView>,
    /// What its runs changed; empty when nothing differed.
    pub changesets: Vec<Changeset>,
    /// What people wrote about it.
    pub notes: Vec<NoteView>,
    /// Records it is connected with.
    pub links: Vec<LinkView>,
    /// How many checkpoints are kept of it.
    #[serde(default)]
    pub checkpoints: u64,
}

/// Everything about one worktree session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorktreeView {
    /// The session.
    #[serde(flatten)]
    pub session: WorktreeSession,
    /// The number of iterations is the number of these.
    pub iterations: Vec<IterationView>,
    /// Its runs: those of its iterations, and of agents that were launched in its worktree.
    pub runs: Vec<RunView>,
    /// What its runs changed.
    pub changesets: Vec<Changeset>,
    /// What people wrote about it.
    pub notes: Vec<NoteView>,
    /// Records it is connected with.
    pub links: Vec<LinkView>,
}

/// One iteration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IterationView {
    /// The iteration.
    #[serde(flatten)]
    pub iteration: Iteration,
    /// The calls that its agent made.
    pub tool_calls: Vec<ToolCall>,
}

/// A snapshot taken during a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointView {
    /// Its number in the session, from 1 and never given twice.
    pub number: u32,
    /// The instant that it stands for.
    pub taken_at: Timestamp,
    /// Why it was taken.
    pub cause: Cause,
    /// What somebody called it.
    pub label: Option<String>,
    /// Files that differ from the checkpoint before, or from the base; null where nobody looked.
    #[serde(default)]
    pub files: Option<u64>,
    /// The state of the working tree.
    pub snapshot: Snapshot,
}

impl From<Checkpoint> for CheckpointView {
    fn from(checkpoint: Checkpoint) -> Self {
        Self {
            number: checkpoint.number,
            taken_at: checkpoint.taken_at.at,
            cause: checkpoint.cause,
            label: checkpoint.label,
            files: None,
            snapshot: checkpoint.snapshot,
        }
    }
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    /// Names the run.
    pub run_id: RunId,
    /// Its place in the session, from 1.
    pub number: u32,
    /// Where it stands.
    pub status: Status,
    /// The agent's short name.
    pub agent: String,
    /// The command line, known secrets masked.
    pub agent_command: Vec<String>,
    /// When the agent was started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Seconds it ran, by a clock that cannot be set back.
    pub duration: Option<f64>,
    /// The agent's own exit code.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub exit_signal: Option<i32>,
    /// The agent's process, where one is known.
    #[serde(default)]
    pub agent_process: Option<ProcessIdentity>,
    /// The lease that keeps it open.
    pub lease: Lease,
    /// Where its files live.
    pub workspace: Option<Workspace>,
    /// The state before the agent.
    pub base: Option<Snapshot>,
    /// The state after it.
    pub end: Option<Snapshot>,
    /// What has been captured and what is still owed.
    pub capture: Capture,
    /// How much of the agent's terminal is recorded; null if it is not.
    #[serde(default)]
    pub recording: Option<RecordingView>,
    /// Its changeset.
    pub changeset_id: Option<ChangesetId>,
    /// The commit of an iteration; null for a launched session.
    pub commit: Option<Oid>,
    /// The verdict of an iteration's test command; null for a launched session.
    pub gate: Option<()>,
    /// Tokens and cost; null where the agent tells nothing.
    pub usage: Option<()>,
    /// What went wrong while recording.
    pub errors: Vec<String>,
    /// Records given to the agent as context.
    pub context_ids: Vec<String>,
}

/// How much of an agent's terminal is recorded. It is known when the run is over; until then all
/// is null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingView {
    /// Bytes of output that the journal holds.
    pub bytes: Option<u64>,
    /// Bytes of output that could not be recorded.
    pub lost: Option<u64>,
    /// Whether the beginning was dropped.
    pub cut: Option<bool>,
}

impl RecordingView {
    fn new(recording: Recording, is_known: bool) -> Self {
        let Recording { bytes, lost, cut } = recording;
        Self {
            bytes: is_known.then_some(bytes),
            lost: is_known.then_some(lost),
            cut: is_known.then_some(cut),
        }
    }

    /// Returns how much is recorded; `None` if that is not known yet.
    pub fn known(self) -> Option<Recording> {
        Some(Recording {
            bytes: self.bytes?,
            lost: self.lost?,
            cut: self.cut?,
        })
    }
}

impl From<Run> for RunView {
    fn from(run: Run) -> Self {
        let is_over = run.status.is_final();
        let recording = run
            .recording
            .map(|recording| RecordingView::new(recording, is_over));
        Self {
            run_id: run.run_id,
            number: run.number,
            status: run.status,
            agent: run.agent,
            agent_command: run.agent_command,
            started_at: run.started_at,
            ended_at: run.ended_at,
            duration: run.duration.map(as_seconds),
            exit_code: run.exit.and_then(amps_core::exit::Exit::code),
            exit_signal: run.exit.and_then(amps_core::exit::Exit::signal),
            agent_process: run.agent_process,
            lease: run.lease,
            workspace: run.workspace,
            base: run.base,
            end: run.end,
            capture: run.capture,
            recording,
            changeset_id: run.changeset_id,
            commit: None,
            gate: None,
            usage: None,
            errors: run.errors,
            context_ids: run.context_ids,
        }
    }
}

/// A note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteView {
    /// When it was written.
    pub at: Timestamp,
    /// What it says, known secrets masked.
    pub text: String,
}

/// A connection with another record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkView {
    /// What connects them.
    pub kind: LinkKind,
    /// The other session.
    pub session_id: SessionId,
}

/// What connects two sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkKind {
    /// Both had a run open in the same working tree at the same time.
    Overlaps,
    /// The other is the worktree session that this one is a run of.
    RunOf,
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionRow {
    /// Names the session.
    pub session_id: SessionId,
    /// What a person called it.
    pub name: Option<String>,
    /// The kind of session.
    pub kind: SessionKind,
    /// Where it stands.
    pub status: Status,
    /// Why, once final, and where a person is needed.
    pub status_reason: Option<StatusReason>,
    /// The agent's short name.
    pub agent: String,
    /// The command line, known secrets masked; of a worktree session the prompt.
    pub agent_command: Vec<String>,
    /// The project.
    pub project_id: Option<ProjectId>,
    /// The top of the working tree.
    pub project_root: Option<RawPath>,
    /// When the session was opened.
    pub created_at: Timestamp,
    /// When the agent was started.
    pub started_at: Option<Timestamp>,
    /// When the session ended.
    pub ended_at: Option<Timestamp>,
    /// Seconds it ran.
    pub duration: Option<f64>,
    /// The agent's own exit code.
    pub exit_code: Option<i32>,
    /// The signal that ended the agent.
    pub exit_signal: Option<i32>,
    /// Files changed; `None` while the capture is owed.
    pub files: Option<u64>,
    /// Lines added.
    pub additions: Option<u64>,
    /// Lines deleted.
    pub deletions: Option<u64>,
    /// Whether a host keeps it, so that it can be attached to.
    #[serde(default)]
    pub held: bool,
    /// Words to find it by.
    pub tags: Vec<String>,
}

impl SessionRow {
    /// Returns how long the session has run or ran, given the present.
    pub fn duration_at(&self, now: Timestamp) -> Option<Duration> {
        if let Some(seconds) = self.duration {
            return Duration::try_from_secs_f64(seconds).ok();
        }
        // A worktree session takes time only while somebody is at it.
        let rests = self.kind == SessionKind::Worktree && self.status != Status::Active;
        if self.status.is_final() || rests {
            return None;
        }
        Duration::try_from(now.duration_since(self.started_at.unwrap_or(self.created_at))).ok()
    }
}
