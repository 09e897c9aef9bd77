//! A damaged database: kept aside as it is, what can be read of it carried over.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};

use super::{LedgerError, SqliteLedger};

/// Databases up to this size are checked whole when they are opened; damage in larger ones is
/// found when it is met.
const CHECKED_WHOLE: u64 = 64 * 1024 * 1024;

/// The tables of a ledger, in the order in which they are carried over.
const TABLES: [&str; 11] = [
    "project",
    "session",
    "run",
    "event",
    "changeset",
    "overlap",
    "tag",
    "checkpoint",
    "live_worktree",
    "iteration",
    "tool_call",
];

/// What became of a damaged database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where the damaged file is kept.
    pub kept: PathBuf,
    /// Sessions carried over into a new database.
    pub recovered: u64,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "E003: the database was damaged; it is kept as {}, {} sessions were recovered from it",
            self.kept.display(),
            self.recovered
        )
    }
}

/// Opens the database. A damaged one is moved aside, never deleted and never replaced in silence:
/// the report says where it is and how much was recovered.
pub fn open_or_recover(
    path: &Path,
    now: Timestamp,
) -> Result<(SqliteLedger, Option<Damage>), LedgerError> {
    if !is_emptied(path) && !is_damaged(path) {
        match SqliteLedger::open(path) {
            Ok(ledger) => return Ok((ledger, None)),
            Err(LedgerError::Damaged(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let kept = move_aside(path, now)?;
    let ledger = SqliteLedger::open(path)?;
    let recovered = salvage(&kept, &ledger.connection);
    Ok((ledger, Some(Damage { kept, recovered })))
}

/// SQLite takes an empty file for a new database; for us it is one that lost its content.
fn is_emptied(path: &Path) -> bool {
    path.metadata().is_ok_and(|data| data.len() == 0)
}

/// Looks without changing a byte: what is damaged is kept as it was found.
fn is_damaged(path: &Path) -> bool {
    matches!(
        look(path).map_err(LedgerError::from),
        Err(LedgerError::Damaged(_))
    )
}

fn look(path: &Path) -> rusqlite::Result<()> {
    let database = open_unchanging(path)?;
    if path.metadata().is_ok_and(|data| data.len() > CHECKED_WHOLE) {
        return database.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
    }
    let verdict: String = database.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(rusqlite::Error::SqliteFailure(code, Some(verdict)))
}

/// Opens a database for reading, together with its log, which stays as it is.
fn open_unchanging(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(path, flags)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(database)
}

fn move_aside(path: &Path, now: Timestamp) -> Result<PathBuf, LedgerError> {
    let stamp = now.strftime("%Y%m%dT%H%M%S%3fZ").to_string();
    let suffixed = |base: &Path, suffix: &str| {
        let mut name = OsString::from(base);
        name.push(suffix);
        PathBuf::from(name)
    };
    let kept = suffixed(path, &format!(".damaged-{stamp}"));
    for part in ["-wal", "-shm", ""] {
        let moved = fs::rename(suffixed(path, part), suffixed(&kept, part));
        if let (Err(error), "") = (moved, part) {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
            return Err(rusqlite::Error::SqliteFailure(code, Some(error.to_string())).into());
        }
    }
    Ok(kept)
}

/// Copies every row that can still be read, and returns how many sessions were among them.
fn salvage(damaged: &Path, into: &Connection) -> u64 {
    let Ok(from) = open_unchanging(damaged) else {
        return 0;
    };
    for table in TABLES {
        // Damage stops a scan where it is met: scanning from both ends reads around it.
        for order in ["", "ORDER BY 1 DESC", "ORDER BY rowid DESC"] {
            copy_until_damage(&from, into, table, order);
        }
    }
    into.query_row("SELECT count(*) FROM session", [], |row| row.get(0))
        .unwrap_or_default()
}

fn copy_until_damage(from: &Connection, into: &Connection, table: &str, order: &str) {
    let (Ok(mut columns), Ok(known)) = (column_names(into, table), column_names(from, table))
    else {
        return;
    };
    // One of an older format has fewer.
    columns.retain(|column| known.contains(column));
    let list = columns.join(", ");
    let Ok(mut scan) = from.prepare(&format!("SELECT {list} FROM {table} {order}")) else {
        return;
    };
    let places = vec!["?"; columns.len()].join(", ");
    let insert = format!("INSERT OR IGNORE INTO {table} ({list}) VALUES ({places})");
    let Ok(mut insert) = into.prepare(&insert) else {
        return;
    };
    let Ok(mut rows) = scan.query([]) else { return };
    while let Ok(Some(row)) = rows.next() {
        let values = (0..columns.len()).map(|place| row.get(place));
        let Ok(values) = values.collect::<Result<Vec<Value>, _>>() else {
            continue;
        };
        // A row that breaks a constraint is as lost as one that cannot be read.
        drop(insert.execute(params_from_iter(values)));
    }
}

fn column_names(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare(&format!("PRAGMA table_info({table})"))?
        .query_map([], |row| row.get(1))?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::conformance::{checkpoint, sample, transition};
    use super::super::{CheckpointStep, Ledger as _};
    use super::*;

    fn filled(path: &Path, sessions: u32) {
        let mut ledger = SqliteLedger::open(path).unwrap();
        for number in 0..sessions {
            let (session, run) = sample(number);
            ledger.open(&transition(&session, &run)).unwrap();
        }
        ledger
            .connection
            .pragma_update(None, "wal_checkpoint", "TRUNCATE")
            .unwrap();
    }

    #[test]
    fn a_sound_database_is_opened_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.db");
        filled(&path, 3);
        let (ledger, damage) = open_or_recover(&path, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(damage, None);
        assert_eq!(ledger.count().unwrap(), 3);
    }

    #[test]
    fn checkpoints_are_carried_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.db");
        let (session, run) = sample(0);
        let taken = checkpoint(1);
        let mut ledger = SqliteLedger::open(&path).unwrap();
        ledger.open(&transition(&session, &run)).unwrap();
        let mut step = transition(&session, &run);
        step.checkpoint = Some(CheckpointStep::Kept {
            checkpoint: &taken,
            thinned: &[],
        });
        ledger.advance(&step).unwrap();
        let recovered = SqliteLedger::open(&folder.path().join("new.db")).unwrap();
        assert_eq!(salvage(&path, &recovered.connection), 1);
        assert_eq!(recovered.checkpoints(session.session_id).unwrap(), [taken]);
    }

    #[test]
    fn an_overwritten_page_costs_only_what_was_on_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.db");
        filled(&path, 400);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..middle + 4096].fill(0xA5);
        crate::files::replace(&path, &bytes, 0o600).unwrap();
        let (ledger, damage) = open_or_recover(&path, Timestamp::UNIX_EPOCH).unwrap();
        let damage = damage.expect("the damage is reported");
        assert_eq!(
            fs::read(&damage.kept).unwrap().len(),
            bytes.len(),
            "the damaged file is kept"
        );
        assert!(damage.recovered > 300, "{damage}");
        assert_eq!(ledger.count().unwrap(), damage.recovered);
    }

    #[test]
    fn neither_rubbish_nor_an_emptied_file_is_replaced_in_silence() {
        for content in [
            b"this is no database, whatever its name says".as_slice(),
            b"",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("sessions.db");
            crate::files::replace(&path, content, 0o600).unwrap();
            let (ledger, damage) = open_or_recover(&path, Timestamp::UNIX_EPOCH).unwrap();
            let damage = damage.expect("the damage is reported");
            assert_eq!(fs::read(&damage.kept).unwrap(), content);
            assert_eq!(ledger.count().unwrap(), 0);
        }
    }

    #[test]
    fn what_is_kept_is_what_was_found() {
        let folder = tempfile::tempdir().unwrap();
        let live = folder.path().join("live.db");
        filled(&live, 400);
        let mut ledger = SqliteLedger::open(&live).unwrap();
        let (session, run) = sample(400);
        ledger.open(&transition(&session, &run)).unwrap();
        // As a killed daemon leaves them: the newest session is in the log alone.
        let path = folder.path().join("sessions.db");
        let suffixed = |path: &Path, suffix: &str| {
            let name = path.as_os_str().to_str().unwrap();
            PathBuf::from(format!("{name}{suffix}"))
        };
        let mut found = fs::read(&live).unwrap();
        let middle = found.len() / 2 / 4096 * 4096;
        found[middle..middle + 4096].fill(0xA5);
        crate::files::replace(&path, &found, 0o600).unwrap();
        let log = fs::read(suffixed(&live, "-wal")).unwrap();
        crate::files::replace(&suffixed(&path, "-wal"), &log, 0o600).unwrap();
        let (ledger, damage) = open_or_recover(&path, Timestamp::UNIX_EPOCH).unwrap();
        let kept = damage.expect("the damage is reported").kept;
        assert!(fs::read(&kept).unwrap() == found, "the database is changed");
        let kept_log = fs::read(suffixed(&kept, "-wal")).unwrap();
        assert!(kept_log == log, "its log is changed");
        assert!(ledger.session(session.session_id).unwrap().is_some());
    }
}
