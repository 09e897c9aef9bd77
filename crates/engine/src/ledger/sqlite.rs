//! The ledger in one SQLite file.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use amps_core::changeset::Changeset;
use amps_core::checkpoint::Checkpoint;
use amps_core::event::{Event, Fact};
use amps_core::id::{IdPrefix, LeaseId, ProjectId, SessionId};
use amps_core::iteration::Iteration;
use amps_core::path::RawPath;
use amps_core::run::Run;
use amps_core::session::{Session, Status};
use amps_core::time::Moment;
use amps_core::tool_call::ToolCall;
use amps_core::worktree::WorktreeSession;
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params, params_from_iter};
use tempfile::TempDir;

use super::log::log_of;
use super::rows::{
    append, is_known, pair, record, store_changeset, store_patch, store_run, store_session,
    store_tags, text,
};
use super::schema::UNFINISHED;
use super::{
    Ledger, LedgerError, OwedCheckpoint, PageQuery, PageRow, ProjectSighting, Resolved,
    StoredPatch, Transition, WorktreeTransition, checkpoints, page, schema, worktrees,
};
use crate::files::pause;

const PAIR: &str = "SELECT session.record, run.record FROM run JOIN session USING (session_id)";

/// How long a checkpoint by somebody else is waited for; then the log stays beside the database.
const CHECKPOINT: Duration = Duration::from_secs(2);

/// A ledger in one SQLite file.
#[derive(Debug)]
pub struct SqliteLedger {
    pub(super) connection: Connection,
    /// Where the file is a copy, which is removed when the connection is closed.
    _copy: Option<TempDir>,
}

impl SqliteLedger {
    /// Opens the database for writing, makes it when it is missing, and brings it to the current
    /// format. Its file can be read by its owner only.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let mut connection = Connection::open(path)?;
        drop(fs::set_permissions(path, fs::Permissions::from_mode(0o600)));
        schema::prepare(&mut connection)?;
        Ok(Self::over(connection))
    }

    /// Opens the database for reading, even where nothing can be written.
    pub fn open_read_only(path: &Path) -> Result<Self, LedgerError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        let readable = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
        if readable.is_ok() {
            return Self::reading(connection, None);
        }
        // WAL needs a file for shared memory beside the database. Where that cannot be made, the
        // database cannot change either, and a copy has what the log of a killed daemon holds.
        if log_of(path).metadata().is_ok_and(|data| data.len() > 0) {
            return Self::open_copy(path);
        }
        let immutable = format!("file:{}?immutable=1", uri_path(path));
        let flags = flags | OpenFlags::SQLITE_OPEN_URI;
        Self::reading(Connection::open_with_flags(immutable, flags)?, None)
    }

    fn open_copy(path: &Path) -> Result<Self, LedgerError> {
        let failed = |error: io::Error| {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
            let reason = format!("it cannot be copied to where its log can be read: {error}");
            rusqlite::Error::SqliteFailure(code, Some(reason))
        };
        let folder = tempfile::tempdir().map_err(failed)?;
        let copy = folder.path().join("sessions.db");
        fs::copy(path, &copy).map_err(failed)?;
        fs::copy(log_of(path), log_of(&copy)).map_err(failed)?;
        Self::reading(Connection::open(copy)?, Some(folder))
    }

    fn reading(connection: Connection, copy: Option<TempDir>) -> Result<Self, LedgerError> {
        schema::stand_in(&connection)?;
        Ok(Self {
            connection,
            _copy: copy,
        })
    }

    fn over(connection: Connection) -> Self {
        Self {
            connection,
            _copy: None,
        }
    }

    /// Makes a ledger that lives as long as the process.
    pub fn in_memory() -> Result<Self, LedgerError> {
        let mut connection = Connection::open_in_memory()?;
        schema::prepare(&mut connection)?;
        Ok(Self::over(connection))
    }

    fn find(&self, condition: &str, limit: u32, values: &[&str]) -> Result<Resolved, LedgerError> {
        let sql = format!("SELECT session_id FROM session WHERE {condition} LIMIT {limit}");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let found = statement
            .query_map(params_from_iter(values), |row| row.get::<_, String>(0))?
            .collect::<Result<Vec<_>, _>>()?;
        let mut ids = found
            .iter()
            .filter_map(|id| id.parse().ok())
            .collect::<Vec<SessionId>>();
        Ok(match (ids.pop(), ids.is_empty()) {
            (None, _) => Resolved::Nothing,
            (Some(id), true) => Resolved::One(id),
            (Some(id), false) => {
                ids.push(id);
                Resolved::Several(ids)
            }
        })
    }

    fn nth_newest(&self, n: u32) -> Result<Resolved, LedgerError> {
        let id: Option<String> = self
            .connection
            .prepare_cached(
                "SELECT session_id FROM session WHERE worktree_session_id IS NULL
                 ORDER BY created_ms DESC, rowid DESC LIMIT 1 OFFSET ?1",
            )?
            .query_row([n.saturating_sub(1)], |row| row.get(0))
            .optional()?;
        Ok(id
            .and_then(|id| id.parse().ok())
            .map_or(Resolved::Nothing, Resolved::One))
    }

    fn pairs(&self, condition: &str) -> Result<Vec<(Session, Run)>, LedgerError> {
        let mut statement = self
            .connection
            .prepare_cached(&format!("{PAIR} WHERE {condition}"))?;
        let found = statement.query_map([], pair)?.collect::<Result<_, _>>()?;
        Ok(found)
    }
}

impl Ledger for SqliteLedger {
    fn open(&mut self, opening: &Transition<'_>) -> Result<bool, LedgerError> {
        let transaction = self.connection.transaction()?;
        let id = opening.session.session_id.to_string();
        if is_known(&transaction, &id)? {
            return Ok(false);
        }
        store_session(&transaction, opening.session)?;
        store_run(&transaction, opening)?;
        store_tags(&transaction, &id, &opening.session.tags)?;
        append(
            &transaction,
            opening.session.session_id,
            &opening.facts,
            opening.at,
        )?;
        transaction.commit()?;
        Ok(true)
    }

    fn advance(&mut self, transition: &Transition<'_>) -> Result<(), LedgerError> {
        let transaction = self.connection.transaction()?;
        let id = transition.session.session_id;
        store_session(&transaction, transition.session)?;
        store_run(&transaction, transition)?;
        if let Some(changeset) = transition.changeset {
            store_changeset(&transaction, id, changeset)?;
        }
        if let Some((changeset, patch)) = transition.patch {
            store_patch(&transaction, changeset, patch)?;
        }
        if let Some(step) = transition.checkpoint {
            checkpoints::store(&transaction, id, step)?;
        }
        append(&transaction, id, &transition.facts, transition.at)?;
        for other in transition.overlaps {
            for (one, another) in [(id, *other), (*other, id)] {
                let added = transaction
                    .prepare_cached("INSERT OR IGNORE INTO overlap VALUES (?1, ?2)")?
                    .execute([one.to_string(), another.to_string()])?;
                if added == 1 {
                    append(
                        &transaction,
                        one,
                        &[Fact::Overlapped { with: another }],
                        transition.at,
                    )?;
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn save_heartbeats(&mut self, beats: &[(LeaseId, Moment)]) -> Result<(), LedgerError> {
        let transaction = self.connection.transaction()?;
        for (lease, moment) in beats {
            transaction
                .prepare_cached(&format!(
                    "UPDATE run SET record = json_set(record, '$.lease.last_heartbeat', json(?2))
                     WHERE lease_id = ?1 AND {UNFINISHED} AND is_open = 1"
                ))?
                .execute([lease.to_string(), text(moment)])?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn session(&self, id: SessionId) -> Result<Option<(Session, Run)>, LedgerError> {
        let sql = format!("{PAIR} WHERE session.session_id = ?1");
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement.query_row([id.to_string()], pair).optional()?)
    }

    fn resolve(&self, reference: &str) -> Result<Resolved, LedgerError> {
        if let Some(place) = reference.strip_prefix('@') {
            return match place.parse() {
                Ok(n) => self.nth_newest(n),
                Err(_) if place.is_empty() => self.nth_newest(1),
                Err(_) => Ok(Resolved::Nothing),
            };
        }
        let by_name = match self.find("name = ?1", 5, &[reference])? {
            // Of a name that was given again the open session is meant, if that is one.
            several @ Resolved::Several(_) => {
                let finals = Status::ALL.into_iter().filter(|status| status.is_final());
                let finals: Vec<String> = finals.map(|status| format!("'{status}'")).collect();
                let open = format!("name = ?1 AND status NOT IN ({})", finals.join(", "));
                match self.find(&open, 2, &[reference])? {
                    Resolved::One(id) => Resolved::One(id),
                    Resolved::Nothing | Resolved::Several(_) => several,
                }
            }
            found => found,
        };
        let Some(prefix) = IdPrefix::parse(reference) else {
            return Ok(by_name);
        };
        let end = format!("{}~", prefix.as_str());
        let by_id = self.find("session_id BETWEEN ?1 AND ?2", 5, &[prefix.as_str(), &end])?;
        Ok(match (by_name, by_id) {
            (Resolved::Nothing, by_id) => by_id,
            (by_name, Resolved::Nothing) => by_name,
            (Resolved::One(name), Resolved::One(id)) if name == id => Resolved::One(id),
            (Resolved::One(name), Resolved::One(id)) => Resolved::Several(vec![name, id]),
            (Resolved::Several(ids), _) | (_, Resolved::Several(ids)) => Resolved::Several(ids),
        })
    }

    fn events(&self, id: SessionId) -> Result<Vec<Event>, LedgerError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT record FROM event WHERE session_id = ?1 ORDER BY sequence")?;
        let found = statement
            .query_map([id.to_string()], |row| record(row, 0))?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    fn changesets(&self, id: SessionId) -> Result<Vec<Changeset>, LedgerError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT record FROM changeset WHERE session_id = ?1 ORDER BY number")?;
        let found = statement
            .query_map([id.to_string()], |row| record(row, 0))?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    fn overlaps(&self, id: SessionId) -> Result<Vec<SessionId>, LedgerError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT other_id FROM overlap WHERE session_id = ?1")?;
        let found = statement
            .query_map([id.to_string()], |row| row.get::<_, String>(0))?
            .collect::<Result<Vec<_>, _>>()?;
        Ok(found.iter().filter_map(|id| id.parse().ok()).collect())
    }

    fn patches(&self, id: SessionId) -> Result<Vec<StoredPatch>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT patch, truncated FROM changeset
             WHERE session_id = ?1 AND patch IS NOT NULL ORDER BY number",
        )?;
        let found = statement
            .query_map([id.to_string()], |row| {
                Ok(StoredPatch {
                    zlib: row.get(0)?,
                    truncated: row.get(1)?,
                })
            })?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    fn checkpoints(&self, id: SessionId) -> Result<Vec<Checkpoint>, LedgerError> {
        checkpoints::kept(&self.connection, id)
    }

    fn newest_checkpoint(&self, id: SessionId) -> Result<Option<Checkpoint>, LedgerError> {
        checkpoints::newest(&self.connection, id)
    }

    fn count_checkpoints(&self, id: SessionId) -> Result<u64, LedgerError> {
        checkpoints::count(&self.connection, id)
    }

    fn next_checkpoint(&self, id: SessionId) -> Result<u32, LedgerError> {
        checkpoints::next(&self.connection, id)
    }

    fn owed_checkpoints(&self) -> Result<Vec<(SessionId, OwedCheckpoint)>, LedgerError> {
        checkpoints::owed(&self.connection)
    }

    fn page(&self, query: &PageQuery) -> Result<Vec<PageRow>, LedgerError> {
        let (sql, values) = page::sql(query);
        let mut statement = self.connection.prepare_cached(&sql)?;
        let found = statement
            .query_map(params_from_iter(values), |row| {
                if row.get_ref(5)?.as_str()? == "worktree" {
                    return Ok(PageRow::Worktree(record(row, 0)?));
                }
                let (session, run) = pair(row)?;
                Ok(PageRow::Launched {
                    session: Box::new(session),
                    run: Box::new(run),
                    totals: (row.get(2)?, row.get(3)?, row.get(4)?),
                })
            })?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    fn open_worktree(&mut self, opening: &WorktreeTransition<'_>) -> Result<bool, LedgerError> {
        let transaction = self.connection.transaction()?;
        let id = opening.session.session_id.to_string();
        if is_known(&transaction, &id)? {
            return Ok(false);
        }
        worktrees::store(&transaction, opening)?;
        store_tags(&transaction, &id, &opening.session.tags)?;
        transaction.commit()?;
        Ok(true)
    }

    fn advance_worktree(&mut self, step: &WorktreeTransition<'_>) -> Result<(), LedgerError> {
        let transaction = self.connection.transaction()?;
        worktrees::store(&transaction, step)?;
        transaction.commit()?;
        Ok(())
    }

    fn worktree_session(&self, id: SessionId) -> Result<Option<WorktreeSession>, LedgerError> {
        worktrees::session(&self.connection, id)
    }

    fn live_worktree_sessions(&self) -> Result<Vec<WorktreeSession>, LedgerError> {
        worktrees::live(&self.connection)
    }

    fn grounded_worktree_sessions(&self) -> Result<Vec<WorktreeSession>, LedgerError> {
        worktrees::grounded(&self.connection)
    }

    fn worktree_session_around(&self, folder: &RawPath) -> Result<Option<SessionId>, LedgerError> {
        worktrees::around(&self.connection, folder)
    }

    fn iterations(&self, id: SessionId) -> Result<Vec<Iteration>, LedgerError> {
        worktrees::iterations(&self.connection, id)
    }

    fn tool_calls(&self, id: SessionId) -> Result<Vec<(u32, ToolCall)>, LedgerError> {
        worktrees::tool_calls(&self.connection, id)
    }

    fn runs_of_worktree(&self, id: SessionId) -> Result<Vec<(Session, Run)>, LedgerError> {
        worktrees::runs(&self.connection, id)
    }

    fn open_runs(&self) -> Result<Vec<(Session, Run)>, LedgerError> {
        self.pairs(&format!("{UNFINISHED} AND is_open = 1"))
    }

    fn owing_runs(&self) -> Result<Vec<(Session, Run)>, LedgerError> {
        self.pairs(&format!("{UNFINISHED} AND is_owing = 1"))
    }

    fn runs_in(&self, root: &RawPath, since: Timestamp) -> Result<Vec<SessionId>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT session_id FROM run WHERE root = ?1 AND (ended_ms IS NULL OR ended_ms >= ?2)",
        )?;
        let found = statement
            .query_map(params![root.as_bytes(), since.as_millisecond()], |row| {
                row.get::<_, String>(0)
            })?
            .collect::<Result<Vec<_>, _>>()?;
        Ok(found.iter().filter_map(|id| id.parse().ok()).collect())
    }

    fn project_at(&self, common_dir: &RawPath) -> Result<Option<ProjectId>, LedgerError> {
        let id: Option<String> = self
            .connection
            .prepare_cached("SELECT project_id FROM project WHERE common_dir = ?1")?
            .query_row([common_dir.as_bytes()], |row| row.get(0))
            .optional()?;
        Ok(id.and_then(|id| id.parse().ok()))
    }

    fn project(
        &mut self,
        sighting: &ProjectSighting,
        is_gone: &dyn Fn(&RawPath) -> bool,
    ) -> Result<ProjectId, LedgerError> {
        if let Some(here) = self.project_at(&sighting.common_dir)? {
            return Ok(here);
        }
        let transaction = self.connection.transaction()?;
        let roots = text(&sighting.root_commits);
        let relatives = transaction
            .prepare_cached("SELECT project_id, common_dir FROM project WHERE root_commits = ?1")?
            .query_map([&roots], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?))
            })?
            .collect::<Result<Vec<_>, _>>()?;
        let moved = relatives
            .into_iter()
            .filter(|_| !sighting.root_commits.is_empty())
            .find(|(_, folder)| is_gone(&RawPath::new(folder.clone())))
            .and_then(|(id, _)| id.parse().ok());
        let id: ProjectId = moved.unwrap_or(sighting.fresh_id);
        transaction
            .prepare_cached(
                "INSERT INTO project VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (project_id) DO UPDATE SET common_dir = excluded.common_dir",
            )?
            .execute(params![
                id.to_string(),
                sighting.common_dir.as_bytes(),
                roots,
                sighting.at.as_millisecond()
            ])?;
        transaction.commit()?;
        Ok(id)
    }

    fn bring_together(&mut self) -> Result<(), LedgerError> {
        // The keeper of the log may be at it: SQLite answers that at once, and not by an error.
        let deadline = Instant::now() + CHECKPOINT;
        loop {
            let is_busy: bool =
                self.connection
                    .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            if !is_busy {
                return Ok(());
            }
            if Instant::now() > deadline {
                let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
                return Err(rusqlite::Error::SqliteFailure(busy, None).into());
            }
            pause(Duration::from_millis(5));
        }
    }

    fn count(&self) -> Result<u64, LedgerError> {
        Ok(self
            .connection
            .query_row("SELECT count(*) FROM session", [], |row| row.get(0))?)
    }
}

/// Escapes a path for a `file:` URI, RFC 3986.
fn uri_path(path: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;

    let mut uri = String::new();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            let written = write!(uri, "%{byte:02X}");
            debug_assert!(written.is_ok(), "writing into a string never fails");
        }
    }
    uri
}
