//! The rows of checkpoints. A row is there from before its reference is made until after that is
//! deleted; its state says which of the two is owed.

use amps_core::checkpoint::Checkpoint;
use amps_core::id::SessionId;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::rows::{record, text};
use super::{CheckpointStep, LedgerError, OwedCheckpoint};

/// Stores one step.
pub(super) fn store(
    transaction: &Transaction<'_>,
    session: SessionId,
    step: CheckpointStep<'_>,
) -> Result<(), LedgerError> {
    let id = session.to_string();
    match step {
        CheckpointStep::Intended(intent) => {
            put(transaction, &id, intent.number, ("intended", text(intent)))?;
        }
        CheckpointStep::Kept {
            checkpoint,
            thinned,
        } => {
            put(
                transaction,
                &id,
                checkpoint.number,
                ("kept", text(checkpoint)),
            )?;
            for number in thinned {
                transaction
                    .prepare_cached(
                        "UPDATE checkpoint SET state = 'thinned'
                         WHERE session_id = ?1 AND number = ?2 AND state = 'kept'",
                    )?
                    .execute(params![id, number])?;
            }
        }
        CheckpointStep::Forgotten(number) => {
            transaction
                .prepare_cached(
                    "DELETE FROM checkpoint
                     WHERE session_id = ?1 AND number = ?2 AND state <> 'kept'",
                )?
                .execute(params![id, number])?;
        }
    }
    Ok(())
}

fn put(
    transaction: &Transaction<'_>,
    session: &str,
    number: u32,
    (state, record): (&str, String),
) -> Result<(), LedgerError> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO checkpoint VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![session, number, state, record])?;
    Ok(())
}

/// Returns those that are kept, oldest first.
pub(super) fn kept(
    connection: &Connection,
    session: SessionId,
) -> Result<Vec<Checkpoint>, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT record FROM checkpoint WHERE session_id = ?1 AND state = 'kept' ORDER BY number",
    )?;
    let found = statement
        .query_map([session.to_string()], |row| record(row, 0))?
        .collect::<Result<_, _>>()?;
    Ok(found)
}

/// Returns the newest that is kept.
pub(super) fn newest(
    connection: &Connection,
    session: SessionId,
) -> Result<Option<Checkpoint>, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT record FROM checkpoint WHERE session_id = ?1 AND state = 'kept'
         ORDER BY number DESC LIMIT 1",
    )?;
    let found = statement.query_row([session.to_string()], |row| record(row, 0));
    Ok(found.optional()?)
}

/// Returns how many are kept.
pub(super) fn count(connection: &Connection, session: SessionId) -> Result<u64, LedgerError> {
    Ok(connection
        .prepare_cached("SELECT count(*) FROM checkpoint WHERE session_id = ?1 AND state = 'kept'")?
        .query_row([session.to_string()], |row| row.get(0))?)
}

/// Returns the number after the highest: the newest is never let go, so none is given twice.
pub(super) fn next(connection: &Connection, session: SessionId) -> Result<u32, LedgerError> {
    Ok(connection
        .prepare_cached(
            "SELECT coalesce(max(number), 0) + 1 FROM checkpoint WHERE session_id = ?1",
        )?
        .query_row([session.to_string()], |row| row.get(0))?)
}

/// Returns those whose references may not be as they should.
pub(super) fn owed(
    connection: &Connection,
) -> Result<Vec<(SessionId, OwedCheckpoint)>, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT session_id, state, record FROM checkpoint WHERE state <> 'kept'
         ORDER BY session_id, number",
    )?;
    let found = statement
        .query_map([], |row| {
            let owed = match row.get_ref(1)?.as_str()? {
                "intended" => OwedCheckpoint::Intended(record(row, 2)?),
                _ => OwedCheckpoint::Thinned(record(row, 2)?),
            };
            Ok((row.get::<_, String>(0)?, owed))
        })?
        .collect::<Result<Vec<_>, _>>()?;
    let known = found.into_iter();
    Ok(known
        .filter_map(|(id, owed)| Some((id.parse().ok()?, owed)))
        .collect())
}
