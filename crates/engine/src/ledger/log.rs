//! The write-ahead log of the database: where commits are until they are brought into it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::LedgerError;

/// A log longer than this, in bytes, is brought into the database.
const LONG: u64 = 4 * 1024 * 1024;

/// Returns where the log of a database is.
pub(super) fn log_of(database: &Path) -> PathBuf {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// Looks after the log, beside the one connection that writes. What it does may wait for the disk
/// for seconds; the writer never does.
#[derive(Clone, Debug)]
pub struct LogKeeper {
    database: PathBuf,
    log: PathBuf,
}

impl LogKeeper {
    /// Looks after the log of this database.
    pub fn of(database: &Path) -> Self {
        Self {
            database: database.to_owned(),
            log: log_of(database),
        }
    }

    /// Brings what has been committed to the disk.
    pub fn sync(&self) -> io::Result<()> {
        match File::open(&self.log).and_then(|log| log.sync_data()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            synced => synced,
        }
    }

    /// Brings a log that has grown long into the database, so that the writer begins it anew.
    pub fn bring_in(&self) -> Result<(), LedgerError> {
        let is_long = fs::metadata(&self.log).is_ok_and(|log| log.len() > LONG);
        if !is_long {
            return Ok(());
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.database, flags)?;
        // What somebody is still reading is left for the next time.
        let checkpoint = "PRAGMA wal_checkpoint(PASSIVE)";
        Ok(connection.query_row(checkpoint, [], |_| Ok(()))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::sqlite::SqliteLedger;

    #[test]
    fn a_long_log_is_brought_in_and_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.db");
        let ledger = SqliteLedger::open(&path).unwrap();
        let keeper = LogKeeper::of(&path);
        ledger
            .connection
            .execute_batch("CREATE TABLE filler (text TEXT)")
            .unwrap();
        let fill = |times: usize| {
            for _ in 0..times {
                ledger
                    .connection
                    .execute("INSERT INTO filler VALUES (?1)", ["x".repeat(64 * 1024)])
                    .unwrap();
            }
            fs::metadata(&keeper.log).unwrap().len()
        };
        assert!(fill(1) < LONG);
        let before = fs::metadata(&path).unwrap().len();
        keeper.sync().unwrap();
        keeper.bring_in().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), before, "too early");
        let long = fill(80);
        assert!(long > LONG, "the writer leaves the log alone");
        keeper.bring_in().unwrap();
        assert!(fs::metadata(&path).unwrap().len() > LONG);
        assert!(fill(8) < LONG, "begun anew, the log is short");
    }
}
