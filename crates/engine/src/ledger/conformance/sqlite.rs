//! The ledger in SQLite does what every ledger must, and opens older files.

use super::super::{Ledger as _, PageQuery, Resolved, SqliteLedger};
use super::{CASES, launched, opened, worktrees};

#[test]
fn sqlite_in_a_file_conforms() {
    for (name, case) in CASES.into_iter().chain(worktrees::CASES) {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = SqliteLedger::open(&folder.path().join(name)).unwrap();
        case(&mut ledger);
    }
}

#[test]
fn sqlite_in_memory_conforms() {
    for (_, case) in CASES.into_iter().chain(worktrees::CASES) {
        case(&mut SqliteLedger::in_memory().unwrap());
    }
}

#[test]
fn a_database_can_be_read_where_nothing_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a db?.db");
    let mut ledger = SqliteLedger::open(&path).unwrap();
    opened(&mut ledger, 7);
    let reader = SqliteLedger::open_read_only(&path).unwrap();
    assert_eq!(reader.count().unwrap(), 1);
}

#[test]
fn an_older_database_that_can_only_be_read_has_no_checkpoints_and_no_worktrees() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.db");
    let mut ledger = SqliteLedger::open(&path).unwrap();
    let (session, _) = opened(&mut ledger, 7);
    let older = "
        DROP VIEW sessions; DROP VIEW iterations; DROP VIEW tool_calls; DROP VIEW threads;
        DROP TABLE checkpoint; DROP TABLE iteration; DROP TABLE live_worktree;
        DROP TABLE tool_call; DROP INDEX session_run;
        ALTER TABLE session DROP COLUMN kind;
        ALTER TABLE session DROP COLUMN worktree_session_id;
        PRAGMA user_version = 2;";
    ledger.connection.execute_batch(older).unwrap();
    let reader = SqliteLedger::open_read_only(&path).unwrap();
    assert_eq!(reader.checkpoints(session.session_id).unwrap(), []);
    assert_eq!(reader.count_checkpoints(session.session_id).unwrap(), 0);
    assert_eq!(reader.count().unwrap(), 1);
    let rows = reader.page(&PageQuery::default()).unwrap();
    assert_eq!(launched(&rows[0]).0, &session);
    assert_eq!(
        reader.resolve("@").unwrap(),
        Resolved::One(session.session_id)
    );
}
