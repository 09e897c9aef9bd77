//! The rows of worktree sessions: one among the sessions, and their iterations and tool calls.

use amps_core::event::Fact;
use amps_core::id::SessionId;
use amps_core::iteration::Iteration;
use amps_core::path::RawPath;
use amps_core::run::Run;
use amps_core::session::Session;
use amps_core::time::Moment;
use amps_core::tool_call::ToolCall;
use amps_core::worktree::WorktreeSession;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params, params_from_iter};

use super::LedgerError;
use super::page::enclosing;
use super::rows::{append, pair, record, text};

/// One transition of a worktree session: its next state and everything stored with it.
#[derive(Debug)]
pub struct WorktreeTransition<'a> {
    /// The session as it is from now on.
    pub session: &'a WorktreeSession,
    /// An iteration as it is from now on.
    pub iteration: Option<&'a Iteration>,
    /// The calls of that iteration.
    pub tool_calls: &'a [ToolCall],
    /// What happened.
    pub facts: Vec<Fact>,
    /// When it is recorded.
    pub at: Moment,
}

impl<'a> WorktreeTransition<'a> {
    /// Makes a transition that stores only state and facts.
    pub fn new(session: &'a WorktreeSession, facts: Vec<Fact>, at: Moment) -> Self {
        Self {
            session,
            iteration: None,
            tool_calls: &[],
            facts,
            at,
        }
    }
}

/// Stores the next state.
pub(super) fn store(
    transaction: &Transaction<'_>,
    step: &WorktreeTransition<'_>,
) -> Result<(), LedgerError> {
    let id = step.session.session_id;
    store_session(transaction, step.session)?;
    if let Some(iteration) = step.iteration {
        transaction
            .prepare_cached("INSERT OR REPLACE INTO iteration VALUES (?1, ?2, ?3)")?
            .execute(params![id.to_string(), iteration.number, text(iteration)])?;
        for (place, call) in (1_u32..).zip(step.tool_calls) {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO tool_call VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![id.to_string(), iteration.number, place, text(call)])?;
        }
    }
    append(transaction, id, &step.facts, step.at)
}

fn store_session(
    transaction: &Transaction<'_>,
    session: &WorktreeSession,
) -> Result<(), LedgerError> {
    transaction
        .prepare_cached(
            "INSERT INTO session
                 (session_id, created_ms, status, agent, name, project_id, project_root, kind, impact,
                  record)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'worktree', ?8, ?9)
             ON CONFLICT (session_id) DO UPDATE SET
                 status = excluded.status, agent = excluded.agent, name = excluded.name,
                 project_id = excluded.project_id, project_root = excluded.project_root,
                 impact = excluded.impact, record = excluded.record",
        )?
        .execute(params![
            session.session_id.to_string(),
            session.created_at.as_millisecond(),
            session.status.name(),
            session.agent,
            session.name,
            session.project_id.map(|id| id.to_string()),
            session.project_root.as_bytes(),
            session.changes.additions + session.changes.deletions,
            text(session),
        ])?;
    let is_live = !session.status.is_final() || session.operation.is_some();
    if is_live {
        transaction
            .prepare_cached("INSERT OR REPLACE INTO live_worktree VALUES (?1, ?2, ?3)")?
            .execute(params![
                session.session_id.to_string(),
                session.worktree.as_bytes(),
                session.common_dir.as_bytes(),
            ])?;
    } else {
        transaction
            .prepare_cached("DELETE FROM live_worktree WHERE session_id = ?1")?
            .execute([session.session_id.to_string()])?;
    }
    Ok(())
}

/// Returns one worktree session.
pub(super) fn session(
    connection: &Connection,
    id: SessionId,
) -> Result<Option<WorktreeSession>, LedgerError> {
    let mut statement = connection
        .prepare_cached("SELECT record FROM session WHERE session_id = ?1 AND kind = 'worktree'")?;
    Ok(statement
        .query_row([id.to_string()], |row| record(row, 0))
        .optional()?)
}

/// Returns those that are not final, or have something under way, oldest first.
pub(super) fn live(connection: &Connection) -> Result<Vec<WorktreeSession>, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT record FROM live_worktree JOIN session USING (session_id)
         ORDER BY created_ms, session.rowid",
    )?;
    let found = statement
        .query_map([], |row| record(row, 0))?
        .collect::<Result<_, _>>()?;
    Ok(found)
}

/// Returns those whose worktree has not been removed, oldest first.
pub(super) fn grounded(connection: &Connection) -> Result<Vec<WorktreeSession>, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT record FROM session
         WHERE kind = 'worktree' AND json_extract(record, '$.removed_at') IS NULL
         ORDER BY created_ms, rowid",
    )?;
    let found = statement
        .query_map([], |row| record(row, 0))?
        .collect::<Result<_, _>>()?;
    Ok(found)
}

/// Returns the worktree session in whose worktree a folder lies.
pub(super) fn around(
    connection: &Connection,
    folder: &RawPath,
) -> Result<Option<SessionId>, LedgerError> {
    let folders = enclosing(folder);
    let sql = format!(
        "SELECT session_id FROM live_worktree WHERE worktree IN ({})
         ORDER BY length(worktree) DESC LIMIT 1",
        vec!["?"; folders.len()].join(", ")
    );
    let values = params_from_iter(folders.into_iter().map(Value::Blob));
    let id: Option<String> = connection
        .prepare_cached(&sql)?
        .query_row(values, |row| row.get(0))
        .optional()?;
    Ok(id.and_then(|id| id.parse().ok()))
}

/// Returns the iterations of a worktree session, oldest first.
pub(super) fn iterations(
    connection: &Connection,
    id: SessionId,
) -> Result<Vec<Iteration>, LedgerError> {
    let mut statement = connection
        .prepare_cached("SELECT record FROM iteration WHERE session_id = ?1 ORDER BY number")?;
    let found = statement
        .query_map([id.to_string()], |row| record(row, 0))?
        .collect::<Result<_, _>>()?;
    Ok(found)
}

/// Returns the tool calls of a worktree session with the number of their iteration, oldest first.
pub(super) fn tool_calls(
    connection: &Connection,
    id: SessionId,
) -> Result<Vec<(u32, ToolCall)>, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT iteration, record FROM tool_call WHERE session_id = ?1 ORDER BY iteration, place",
    )?;
    let found = statement
        .query_map([id.to_string()], |row| Ok((row.get(0)?, record(row, 1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(found)
}

/// Returns the launched sessions that are runs of a worktree session, oldest first.
pub(super) fn runs(
    connection: &Connection,
    id: SessionId,
) -> Result<Vec<(Session, Run)>, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT session.record, run.record FROM session JOIN run USING (session_id)
         WHERE worktree_session_id = ?1 ORDER BY created_ms, session.rowid",
    )?;
    let found = statement
        .query_map([id.to_string()], pair)?
        .collect::<Result<_, _>>()?;
    Ok(found)
}
