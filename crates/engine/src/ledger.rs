//! The store of records, cut at whole transitions: the next state of a session and the events
//! that tell of it are stored together or not at all.

mod checkpoints;
mod conformance;
pub mod damage;
mod failing;
pub mod log;
mod page;
mod rows;
mod schema;
pub mod sqlite;
mod worktrees;

use amps_core::changeset::Changeset;
use amps_core::checkpoint::{Checkpoint, Intent};
use amps_core::event::{Event, Fact};
use amps_core::id::{ChangesetId, LeaseId, ProjectId, SessionId};
use amps_core::iteration::Iteration;
use amps_core::path::RawPath;
use amps_core::run::Run;
use amps_core::session::{Session, Status};
use amps_core::snapshot::Oid;
use amps_core::time::Moment;
use amps_core::tool_call::ToolCall;
use amps_core::worktree::WorktreeSession;
use jiff::Timestamp;

pub use self::sqlite::SqliteLedger;
pub use self::worktrees::WorktreeTransition;

/// Keeps sessions for ever.
///
/// Every method is one transaction. Implementations must pass the conformance suite of this room.
pub trait Ledger: Send {
    /// Stores a new session with its run and first facts. Returns `false`, and changes nothing,
    /// when the session is known already.
    fn open(&mut self, opening: &Transition<'_>) -> Result<bool, LedgerError>;

    /// Stores the next state of a session and its run together with the facts that led there.
    fn advance(&mut self, transition: &Transition<'_>) -> Result<(), LedgerError>;

    /// Stores the last signs of life of leases, which are no events.
    fn save_heartbeats(&mut self, beats: &[(LeaseId, Moment)]) -> Result<(), LedgerError>;

    /// Returns the session and its run.
    fn session(&self, id: SessionId) -> Result<Option<(Session, Run)>, LedgerError>;

    /// Finds the session that a person means by an id, a prefix of one, a unique name, or `@N`
    /// for the N-th newest.
    fn resolve(&self, reference: &str) -> Result<Resolved, LedgerError>;

    /// Returns the history of a session, oldest first.
    fn events(&self, id: SessionId) -> Result<Vec<Event>, LedgerError>;

    /// Returns the changesets of a session, oldest first.
    fn changesets(&self, id: SessionId) -> Result<Vec<Changeset>, LedgerError>;

    /// Returns the sessions that overlapped with one.
    fn overlaps(&self, id: SessionId) -> Result<Vec<SessionId>, LedgerError>;

    /// Returns the patches kept of a session, oldest first.
    fn patches(&self, id: SessionId) -> Result<Vec<StoredPatch>, LedgerError>;

    /// Returns the checkpoints kept of a session, oldest first.
    fn checkpoints(&self, id: SessionId) -> Result<Vec<Checkpoint>, LedgerError>;

    /// Returns the newest checkpoint of a session.
    fn newest_checkpoint(&self, id: SessionId) -> Result<Option<Checkpoint>, LedgerError>;

    /// Returns how many checkpoints are kept of a session.
    fn count_checkpoints(&self, id: SessionId) -> Result<u64, LedgerError>;

    /// Returns the number for the next checkpoint of a session.
    fn next_checkpoint(&self, id: SessionId) -> Result<u32, LedgerError>;

    /// Returns what git may not have been told of checkpoints.
    fn owed_checkpoints(&self) -> Result<Vec<(SessionId, OwedCheckpoint)>, LedgerError>;

    /// Returns one page of sessions.
    fn page(&self, query: &PageQuery) -> Result<Vec<PageRow>, LedgerError>;

    /// Stores a new worktree session. Returns `false`, and changes nothing, when it is known already.
    fn open_worktree(&mut self, opening: &WorktreeTransition<'_>) -> Result<bool, LedgerError>;

    /// Stores the next state of a worktree session together with the facts that led there.
    fn advance_worktree(&mut self, step: &WorktreeTransition<'_>) -> Result<(), LedgerError>;

    /// Returns a worktree session.
    fn worktree_session(&self, id: SessionId) -> Result<Option<WorktreeSession>, LedgerError>;

    /// Returns the worktree sessions that are not final, or have an operation under way.
    fn live_worktree_sessions(&self) -> Result<Vec<WorktreeSession>, LedgerError>;

    /// Returns the worktree sessions whose worktree has not been removed, final or not.
    fn grounded_worktree_sessions(&self) -> Result<Vec<WorktreeSession>, LedgerError>;

    /// Returns the live worktree session in whose worktree a folder lies.
    fn worktree_session_around(&self, folder: &RawPath) -> Result<Option<SessionId>, LedgerError>;

    /// Returns the iterations of a worktree session, oldest first.
    fn iterations(&self, id: SessionId) -> Result<Vec<Iteration>, LedgerError>;

    /// Returns the tool calls of a worktree session with the numbers of their iterations, oldest
    /// first.
    fn tool_calls(&self, id: SessionId) -> Result<Vec<(u32, ToolCall)>, LedgerError>;

    /// Returns the launched sessions that are runs of a worktree session, oldest first.
    fn runs_of_worktree(&self, id: SessionId) -> Result<Vec<(Session, Run)>, LedgerError>;

    /// Returns every run whose session is not final.
    fn open_runs(&self) -> Result<Vec<(Session, Run)>, LedgerError>;

    /// Returns every run that owes a capture.
    fn owing_runs(&self) -> Result<Vec<(Session, Run)>, LedgerError>;

    /// Returns the sessions that had a run open below `root` at or after `since`, or still have.
    fn runs_in(&self, root: &RawPath, since: Timestamp) -> Result<Vec<SessionId>, LedgerError>;

    /// Returns the project that has this common git directory.
    fn project_at(&self, common_dir: &RawPath) -> Result<Option<ProjectId>, LedgerError>;

    /// Returns the project of a repository: the one that has this common git directory, else one
    /// of the same root commits whose own directory `is_gone`, else the new one.
    fn project(
        &mut self,
        sighting: &ProjectSighting,
        is_gone: &dyn Fn(&RawPath) -> bool,
    ) -> Result<ProjectId, LedgerError>;

    /// Leaves the store on the disk as one whole, fit to be copied, when nobody writes any more.
    fn bring_together(&mut self) -> Result<(), LedgerError>;

    /// Returns how many sessions there are.
    fn count(&self) -> Result<u64, LedgerError>;
}

/// One transition of a session: its next state and everything stored with it.
#[derive(Debug)]
pub struct Transition<'a> {
    /// The session as it is from now on.
    pub session: &'a Session,
    /// Its run as it is from now on.
    pub run: &'a Run,
    /// What happened.
    pub facts: Vec<Fact>,
    /// When it is recorded.
    pub at: Moment,
    /// A changeset that was made.
    pub changeset: Option<&'a Changeset>,
    /// A patch that was made, and of which changeset.
    pub patch: Option<(ChangesetId, &'a StoredPatch)>,
    /// What became of a checkpoint.
    pub checkpoint: Option<CheckpointStep<'a>>,
    /// Sessions that were found to overlap with this one; each gets the fact too.
    pub overlaps: &'a [SessionId],
}

/// One step of a checkpoint. What git is to be told stays stored until it has been.
#[derive(Clone, Copy, Debug)]
pub enum CheckpointStep<'a> {
    /// It is about to be taken: its reference may come to be.
    Intended(&'a Intent),
    /// It was taken; from now on these others are let go, and their references are to be deleted.
    Kept {
        /// The new one.
        checkpoint: &'a Checkpoint,
        /// The numbers of those that are let go.
        thinned: &'a [u32],
    },
    /// It has no reference, or none any more.
    Forgotten(u32),
}

/// A checkpoint of which git may not have been told everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwedCheckpoint {
    /// Its reference may be there, or may never have been made.
    Intended(Intent),
    /// It was let go; its reference may still be there.
    Thinned(Checkpoint),
}

impl<'a> Transition<'a> {
    /// Makes a transition that stores only state and facts.
    pub fn new(session: &'a Session, run: &'a Run, facts: Vec<Fact>, at: Moment) -> Self {
        Self {
            session,
            run,
            facts,
            at,
            changeset: None,
            patch: None,
            checkpoint: None,
            overlaps: &[],
        }
    }
}

/// A patch as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPatch {
    /// The patch, known secrets masked, compressed with zlib.
    pub zlib: Vec<u8>,
    /// Whether it was cut at the limit.
    pub truncated: bool,
}

/// What a reference means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// Exactly this session.
    One(SessionId),
    /// No session.
    Nothing,
    /// Several; some of them.
    Several(Vec<SessionId>),
}

/// Which sessions a page holds.
#[derive(Clone, Debug, Default)]
pub struct PageQuery {
    /// Only these statuses; empty for all.
    pub status: Vec<Status>,
    /// Only sessions of the project whose root, folder name or id prefix this is.
    pub project: Option<String>,
    /// Only sessions whose working tree holds this path.
    pub within: Option<RawPath>,
    /// Only this agent.
    pub agent: Option<String>,
    /// Only sessions with this tag.
    pub tag: Option<String>,
    /// Only sessions created at or after this instant.
    pub since: Option<Timestamp>,
    /// Most changed lines first, instead of newest first.
    pub by_impact: bool,
    /// At most this many; 0 for all.
    pub limit: u32,
}

/// One session of a page.
#[derive(Clone, Debug)]
pub enum PageRow {
    /// A launched session.
    Launched {
        /// The session.
        session: Box<Session>,
        /// Its run.
        run: Box<Run>,
        /// Files, additions and deletions over all changesets.
        totals: (u64, u64, u64),
    },
    /// A worktree session.
    Worktree(Box<WorktreeSession>),
}

/// A repository as it was looked at.
#[derive(Clone, Debug)]
pub struct ProjectSighting {
    /// The id to give when the project is new.
    pub fresh_id: ProjectId,
    /// The git directory that all its working trees share.
    pub common_dir: RawPath,
    /// The commits without a parent that HEAD descends from.
    pub root_commits: Vec<Oid>,
    /// When.
    pub at: Timestamp,
}

/// The store could not do its part.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database is damaged.
    #[error("the database is damaged")]
    Damaged(#[source] rusqlite::Error),
    /// The disk is full.
    #[error("no space left for the database")]
    Full(#[source] rusqlite::Error),
    /// Another process holds the database.
    #[error("the database is in use by another program")]
    Busy(#[source] rusqlite::Error),
    /// The database failed in another way.
    #[error("the database failed")]
    Sqlite(#[source] rusqlite::Error),
    /// The database was written by a newer program.
    #[error("the database has format {found}, this program knows formats up to {known}")]
    Newer {
        /// Its format.
        found: i64,
        /// The newest format that this program knows.
        known: i64,
    },
    /// A record cannot be read back.
    #[error("record {id} cannot be read")]
    Record {
        /// Whose record.
        id: String,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// The session is not in the store.
    #[error("session {0} is not in the store")]
    Unknown(SessionId),
}

impl From<rusqlite::Error> for LedgerError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error),
            Some(ErrorCode::DiskFull) => Self::Full(error),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(error),
            _ => Self::Sqlite(error),
        }
    }
}
