//! The append-only history of a session.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::capture::CaptureState;
use crate::checkpoint::Cause;
use crate::evidence::Evidence;
use crate::exit::Exit;
use crate::id::{ChangesetId, SessionId};
use crate::iteration::Verdict;
use crate::process::ProcessIdentity;
use crate::recording::Recording;
use crate::session::{Status, StatusReason};
use crate::snapshot::Oid;
use crate::time::Moment;
use crate::worktree::OperationKind;

/// One fact in a session's history, stored in the same transaction as the state it changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the history, from 1. Truth is ordered by this, never by a clock.
    pub sequence: u64,
    /// When it was recorded.
    pub at: Moment,
    /// What happened.
    #[serde(flatten)]
    pub fact: Fact,
}

/// What happened to a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Fact {
    /// The session was opened.
    Opened {
        /// The process that holds its lease.
        owner: ProcessIdentity,
    },
    /// The facts came from the spool: no daemon could be reached when they happened.
    DeliveredLate,
    /// The agent was started.
    Started {
        /// The agent's process, where one is known.
        agent: Option<ProcessIdentity>,
    },
    /// A process that ran already became the agent.
    Attached {
        /// The process.
        agent: ProcessIdentity,
        /// Since when it had been running.
        running_since: Timestamp,
    },
    /// A new daemon took the lease over and gave it one fresh ttl.
    LeaseRegranted {
        /// The generation from now on.
        generation: u64,
    },
    /// The base snapshot was taken.
    BaseCaptured {
        /// Its tree.
        tree: Oid,
        /// Paths whose content before the launch nobody can know.
        uncertain: usize,
    },
    /// The session reached its final status.
    Ended {
        /// The status.
        status: Status,
        /// Why.
        reason: StatusReason,
        /// What proved it.
        evidence: Evidence,
    },
    /// A fact about the end arrived after the session had become final.
    LateExit {
        /// The agent's exit.
        exit: Exit,
    },
    /// The end snapshot and the changeset were stored.
    EndCaptured {
        /// The tree of the end snapshot.
        tree: Oid,
        /// The changeset, unless nothing differed.
        changeset_id: Option<ChangesetId>,
    },
    /// A capture failed.
    CaptureFailed {
        /// Failed attempts in a row.
        attempts: u32,
        /// What went wrong.
        reason: String,
        /// Whether it stays owed or is given up.
        state: CaptureState,
    },
    /// A checkpoint was taken.
    CheckpointTaken {
        /// Its number.
        number: u32,
        /// Its tree.
        tree: Oid,
        /// Why it was taken.
        cause: Cause,
    },
    /// Another run was open in the same working tree at the same time.
    Overlapped {
        /// Whose run.
        with: SessionId,
    },
    /// Processes of the agent outlived the session.
    SurvivorsFound {
        /// Their pids.
        pids: Vec<u32>,
    },
    /// All survivors are gone; what they changed is in an amendment.
    SurvivorsGone {
        /// The amendment, unless they changed nothing.
        changeset_id: Option<ChangesetId>,
    },
    /// The agent's terminal is being recorded.
    RecordingBegun,
    /// The recording of the agent's terminal is complete.
    Recorded {
        /// How much there is of it.
        recording: Recording,
    },
    /// A person wrote a note.
    Noted {
        /// The note, known secrets masked.
        text: String,
    },
    /// A worktree session was created.
    WorktreeOpened {
        /// Its branch.
        branch: String,
        /// What it began from.
        base: Oid,
    },
    /// Something that takes several steps is about to be done to references and files.
    OperationBegun {
        /// What.
        operation: OperationKind,
    },
    /// It was done.
    OperationDone {
        /// What.
        operation: OperationKind,
        /// What came of it, in one sentence.
        detail: String,
    },
    /// It was not done, and all is as before.
    OperationUndone {
        /// What.
        operation: OperationKind,
        /// Why, in one sentence.
        detail: String,
    },
    /// An iteration began.
    IterationBegun {
        /// Which, from 1.
        number: u32,
        /// The launched session that records its run.
        run: SessionId,
    },
    /// An iteration ended.
    IterationJudged {
        /// Which.
        number: u32,
        /// How.
        verdict: Verdict,
        /// The commit of what the agent changed, if anything.
        commit: Option<Oid>,
    },
    /// The work of a worktree session met a conflict, or the conflict is no more.
    ConflictChanged {
        /// Whether there is one.
        is_open: bool,
        /// Where, in one sentence.
        detail: String,
    },
    /// The work of a worktree session is in its base.
    Merged {
        /// The reference that has it.
        into: String,
        /// What that names.
        commit: Oid,
    },
    /// A person gave a worktree session up.
    GivenUp {
        /// Why, known secrets masked.
        reason: Option<String>,
    },
    /// The agent told that it had done what it was asked.
    TurnEnded {
        /// Which of its turns, from 1.
        number: u32,
    },
}
