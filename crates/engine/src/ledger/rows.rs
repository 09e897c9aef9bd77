//! Records to rows and back.

use amps_core::capture::CaptureState;
use amps_core::run::Run;
use amps_core::session::Session;
use rusqlite::Row;
use rusqlite::types::Type;
use serde::Serialize;
use serde::de::DeserializeOwned;

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
