//! Records to rows and back.

use amps_core::capture::CaptureState;
use amps_core::changeset::Changeset;
use amps_core::event::{Event, Fact};
use amps_core::id::{ChangesetId, SessionId};
use amps_core::path::RawPath;
use amps_core::run::Run;
use amps_core::session::Session;
use amps_core::time::Moment;
use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Row, Transaction, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{LedgerError, StoredPatch, Transition};

/// Returns the record as JSON text.
pub(super) fn text<T: Serialize>(record: &T) -> String {
    serde_json::to_string(record).expect("records have string keys and no failing serialisers")
}

/// Reads the record in a column.
pub(super) fn record<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
    })
}

/// Reads a session and its run from the first two columns.
pub(super) fn pair(row: &Row<'_>) -> rusqlite::Result<(Session, Run)> {
    Ok((record(row, 0)?, record(row, 1)?))
}

/// Returns whether anything is owed: a capture, now or when the survivors have ended, or the
/// project of a repository that is known.
pub(super) fn is_owing(session: &Session, run: &Run) -> bool {
    !run.survivors.is_empty()
        || session.project_id.is_none() && run.workspace.is_some()
        || [run.capture.base, run.capture.end, run.capture.patch].contains(&CaptureState::Owed)
}

/// Returns whether a session is in the store.
pub(super) fn is_known(transaction: &Transaction<'_>, id: &str) -> Result<bool, LedgerError> {
    Ok(transaction
        .prepare_cached("SELECT 1 FROM session WHERE session_id = ?1")?
        .exists([id])?)
}

/// Stores the words to find a session by.
pub(super) fn store_tags(
    transaction: &Transaction<'_>,
    id: &str,
    tags: &[String],
) -> Result<(), LedgerError> {
    for tag in tags {
        transaction
            .prepare_cached("INSERT OR IGNORE INTO tag (tag, session_id) VALUES (?1, ?2)")?
            .execute([tag, id])?;
    }
    Ok(())
}

/// Stores a launched session.
pub(super) fn store_session(
    transaction: &Transaction<'_>,
    session: &Session,
) -> Result<(), LedgerError> {
    transaction
        .prepare_cached(
            "INSERT INTO session
                 (session_id, created_ms, status, agent, name, project_id, project_root, record,
                  worktree_session_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (session_id) DO UPDATE SET
                 status = excluded.status, name = excluded.name, project_id = excluded.project_id,
                 project_root = excluded.project_root, record = excluded.record",
        )?
        .execute(params![
            session.session_id.to_string(),
            session.created_at.as_millisecond(),
            session.status.name(),
            session.agent,
            session.name,
            session.project_id.map(|id| id.to_string()),
            session.project_root.as_ref().map(RawPath::as_bytes),
            text(session),
            session.worktree_session_id.map(|id| id.to_string()),
        ])?;
    Ok(())
}

/// Stores its run.
pub(super) fn store_run(
    transaction: &Transaction<'_>,
    Transition { session, run, .. }: &Transition<'_>,
) -> Result<(), LedgerError> {
    transaction
        .prepare_cached(
            "INSERT INTO run (run_id, session_id, lease_id, is_open, is_owing, root, ended_ms, record)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (session_id, run_id) DO UPDATE SET
                 is_open = excluded.is_open, is_owing = excluded.is_owing, root = excluded.root,
                 ended_ms = excluded.ended_ms, record = excluded.record",
        )?
        .execute(params![
            run.run_id.to_string(),
            run.session_id.to_string(),
            run.lease.lease_id.to_string(),
            !run.status.is_final(),
            is_owing(session, run),
            run.workspace.as_ref().map(|workspace| workspace.root.as_bytes()),
            run.ended_at.map(Timestamp::as_millisecond),
            text(run),
        ])?;
    Ok(())
}

/// Stores what it changed.
pub(super) fn store_changeset(
    transaction: &Transaction<'_>,
    session: SessionId,
    changeset: &Changeset,
) -> Result<(), LedgerError> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO changeset VALUES (?1, ?2,
                 (SELECT count(*) FROM changeset WHERE session_id = ?2 AND changeset_id <> ?1),
                 ?3, ?4, ?5, ?6, NULL, 0)",
        )?
        .execute(params![
            changeset.changeset_id.to_string(),
            session.to_string(),
            changeset.files.len(),
            changeset.additions,
            changeset.deletions,
            text(changeset),
        ])?;
    transaction
        .prepare_cached(
            "UPDATE session SET impact =
                 (SELECT sum(additions + deletions) FROM changeset WHERE session_id = ?1)
             WHERE session_id = ?1",
        )?
        .execute([session.to_string()])?;
    Ok(())
}

/// Stores the text of that.
pub(super) fn store_patch(
    transaction: &Transaction<'_>,
    changeset: ChangesetId,
    patch: &StoredPatch,
) -> Result<(), LedgerError> {
    transaction
        .prepare_cached("UPDATE changeset SET patch = ?2, truncated = ?3 WHERE changeset_id = ?1")?
        .execute(params![changeset.to_string(), patch.zlib, patch.truncated])?;
    Ok(())
}

/// Adds to the history of a session.
pub(super) fn append(
    transaction: &Transaction<'_>,
    session: SessionId,
    facts: &[Fact],
    at: Moment,
) -> Result<(), LedgerError> {
    let mut sequence: u64 = transaction
        .prepare_cached("SELECT coalesce(max(sequence), 0) FROM event WHERE session_id = ?1")?
        .query_row([session.to_string()], |row| row.get(0))?;
    for fact in facts {
        sequence += 1;
        let event = Event {
            sequence,
            at,
            fact: fact.clone(),
        };
        transaction
            .prepare_cached("INSERT INTO event VALUES (?1, ?2, ?3)")?
            .execute(params![session.to_string(), sequence, text(&event)])?;
    }
    Ok(())
}
