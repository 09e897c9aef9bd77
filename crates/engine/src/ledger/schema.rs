//! The tables, and how an older database becomes a current one.
//!
//! Records are kept whole as JSON beside the columns that queries need, so a new field needs no
//! migration. `user_version` counts the formats.

use rusqlite::Connection;

use super::LedgerError;

/// The format that this program writes.
pub(super) const FORMAT: i64 = 4;

const TABLES: &str = "
    CREATE TABLE project (
        project_id   TEXT PRIMARY KEY,
        common_dir   BLOB NOT NULL UNIQUE,
        root_commits TEXT NOT NULL,
        first_seen   INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE session (
        session_id   TEXT PRIMARY KEY,
        created_ms   INTEGER NOT NULL,
        status       TEXT NOT NULL,
        agent        TEXT NOT NULL,
        name         TEXT,
        project_id   TEXT,
        project_root BLOB,
        impact       INTEGER NOT NULL DEFAULT 0,
        record       TEXT NOT NULL
    ) STRICT;
    CREATE TABLE run (
        run_id     TEXT NOT NULL,
        session_id TEXT NOT NULL,
        lease_id   TEXT NOT NULL,
        is_open    INTEGER NOT NULL,
        is_owing   INTEGER NOT NULL,
        root       BLOB,
        ended_ms   INTEGER,
        record     TEXT NOT NULL
    ) STRICT;

    CREATE TABLE event (
        session_id TEXT NOT NULL,
        sequence   INTEGER NOT NULL,
        record     TEXT NOT NULL,
        PRIMARY KEY (session_id, sequence)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE changeset (
        changeset_id TEXT PRIMARY KEY,
        session_id   TEXT NOT NULL,
        number       INTEGER NOT NULL,
        files        INTEGER NOT NULL,
        additions    INTEGER NOT NULL,
        deletions    INTEGER NOT NULL,
        record       TEXT NOT NULL,
        patch        BLOB,
        truncated    INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE overlap (
        session_id TEXT NOT NULL,
        other_id   TEXT NOT NULL,
        PRIMARY KEY (session_id, other_id)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE tag (
        tag        TEXT NOT NULL,
        session_id TEXT NOT NULL,
        PRIMARY KEY (tag, session_id)
    ) STRICT, WITHOUT ROWID;

";

/// Since the third format. Of a checkpoint whose reference git may not have yet, or may have still,
/// the state says so.
const CHECKPOINTS: &str = "
    CREATE TABLE checkpoint (
        session_id TEXT NOT NULL,
        number     INTEGER NOT NULL,
        state      TEXT NOT NULL CHECK (state IN ('intended', 'kept', 'thinned')),
        record     TEXT NOT NULL,
        PRIMARY KEY (session_id, number)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX checkpoint_owed ON checkpoint (session_id, number) WHERE state <> 'kept';
";

/// What stands for that table where it is missing and cannot be made.
const NO_CHECKPOINTS: &str = "
    CREATE TEMP VIEW checkpoint AS
        SELECT NULL AS session_id, NULL AS number, NULL AS state, NULL AS record WHERE FALSE;
";

/// Since the fourth format. The worktrees of sessions that are not final are kept apart, so that
/// a launch finds out at once in whose worktree it is.
const WORKTREES: &str = "
    ALTER TABLE session ADD COLUMN kind TEXT NOT NULL DEFAULT 'launched';
    ALTER TABLE session ADD COLUMN worktree_session_id TEXT;
    CREATE INDEX session_run ON session (worktree_session_id)
        WHERE worktree_session_id IS NOT NULL;

    CREATE TABLE live_worktree (
        session_id TEXT PRIMARY KEY,
        worktree   BLOB NOT NULL,
        common_dir BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX live_worktree_place ON live_worktree (worktree);

    CREATE TABLE iteration (
        session_id TEXT NOT NULL,
        number     INTEGER NOT NULL,
        record     TEXT NOT NULL,
        PRIMARY KEY (session_id, number)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE tool_call (
        session_id TEXT NOT NULL,
        iteration  INTEGER NOT NULL,
        place      INTEGER NOT NULL,
        record     TEXT NOT NULL,
        PRIMARY KEY (session_id, iteration, place)
    ) STRICT, WITHOUT ROWID;
";

/// For people with sqlite3 at hand; the names of columns are those that other tools have.
const VIEWS: &str = "
    DROP VIEW IF EXISTS sessions;
    CREATE VIEW sessions AS
        SELECT session_id AS id, name, kind, status, agent, project_id,
               CAST(project_root AS TEXT) AS repo_root,
               record ->> 'branch' AS branch_name,
               record ->> 'prompt' AS prompt,
               record ->> 'model' AS model,
               record ->> 'created_at' AS created_at,
               record ->> 'started_at' AS started_at,
               record ->> 'ended_at' AS ended_at,
               impact AS lines_changed
        FROM session WHERE worktree_session_id IS NULL;
    CREATE VIEW iterations AS
        SELECT session_id, number, record ->> 'run' AS run,
               record ->> 'agent' AS agent, record ->> 'model' AS model,
               record ->> 'thread_id' AS thread_id, record ->> 'prompt' AS prompt,
               record ->> 'started_at' AS started_at, record ->> 'ended_at' AS ended_at,
               record ->> 'commit' AS commit_sha, record ->> 'verdict' AS verdict,
               record ->> '$.usage.input_tokens' AS input_tokens,
               record ->> '$.usage.output_tokens' AS output_tokens,
               record ->> '$.usage.cache_read_tokens' AS cache_read_tokens,
               record ->> '$.usage.cache_write_tokens' AS cache_write_tokens,
               record ->> '$.usage.cost_usd' AS cost_usd
        FROM iteration;
    CREATE VIEW tool_calls AS
        SELECT session_id, iteration, place AS number, record ->> 'name' AS tool_name,
               record ->> 'arguments' AS arguments, record ->> 'outcome' AS outcome,
               record ->> 'started_at' AS started_at, record ->> 'duration' AS duration
        FROM tool_call;
    CREATE VIEW threads AS
        SELECT record ->> 'thread_id' AS id, session_id, min(number) AS first_iteration,
               max(number) AS last_iteration, min(record ->> 'started_at') AS created_at
        FROM iteration WHERE record ->> 'thread_id' IS NOT NULL
        GROUP BY session_id, record ->> 'thread_id';
";

/// What stands for these tables and columns where they are missing and cannot be made.
const NO_WORKTREES: &str = "
    CREATE TEMP VIEW session AS
        SELECT rowid, *, 'launched' AS kind, NULL AS worktree_session_id FROM main.session;
    CREATE TEMP VIEW live_worktree AS
        SELECT NULL AS session_id, NULL AS worktree, NULL AS common_dir WHERE FALSE;
    CREATE TEMP VIEW iteration AS
        SELECT NULL AS session_id, NULL AS number, NULL AS record WHERE FALSE;
    CREATE TEMP VIEW tool_call AS
        SELECT NULL AS session_id, NULL AS iteration, NULL AS place, NULL AS record WHERE FALSE;
";

/// A launch waits for each page that is written, so what a new session has not yet is left out.
const INDEXES: &str = "
    CREATE INDEX session_created ON session (created_ms DESC);
    CREATE INDEX session_status  ON session (status, created_ms DESC);
    CREATE INDEX session_project ON session (project_root, created_ms DESC)
        WHERE project_root IS NOT NULL;
    CREATE INDEX session_agent   ON session (agent, created_ms DESC);
    CREATE INDEX session_impact  ON session (impact DESC) WHERE impact > 0;
    CREATE INDEX session_name    ON session (name) WHERE name IS NOT NULL;
    CREATE UNIQUE INDEX run_session ON run (session_id, run_id);
    CREATE UNIQUE INDEX run_unfinished ON run (lease_id) WHERE is_open = 1 OR is_owing = 1;
    CREATE INDEX run_root ON run (root, ended_ms) WHERE root IS NOT NULL;
    CREATE INDEX changeset_session ON changeset (session_id, number);
";

/// The indexes of the first format; its columns are those of today.
const DROP_FIRST_INDEXES: &str = "
    DROP INDEX IF EXISTS session_created;
    DROP INDEX IF EXISTS session_status;
    DROP INDEX IF EXISTS session_project;
    DROP INDEX IF EXISTS session_agent;
    DROP INDEX IF EXISTS session_impact;
    DROP INDEX IF EXISTS session_name;
    DROP INDEX IF EXISTS run_session;
    DROP INDEX IF EXISTS run_open;
    DROP INDEX IF EXISTS run_owing;
    DROP INDEX IF EXISTS run_root;
    DROP INDEX IF EXISTS changeset_session;
";

/// Which runs the index of unfinished runs holds: SQLite uses it only for a query that says so in
/// the same words, sqlite.org/partialindex.html.
pub(super) const UNFINISHED: &str = "(is_open = 1 OR is_owing = 1)";

/// Sets the connection up and brings the database to the current format.
pub(super) fn prepare(connection: &mut Connection) -> Result<(), LedgerError> {
    // A commit appends to the log without waiting for the disk; the daemon brings the log to the
    // disk right behind. A crash of the program loses nothing either way.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    // Nor does a commit bring the log into the database: the keeper of the log does.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    // Begun anew, the log is cut: one that stays long would be brought in again at each commit.
    connection.pragma_update(None, "journal_size_limit", 0)?;
    connection.pragma_update(None, "cache_size", -1_024)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    migrate(connection)
}

/// Lets a database of an older format, which can only be read, be asked as one of this format.
pub(super) fn stand_in(connection: &Connection) -> Result<(), LedgerError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if (1..3).contains(&found) {
        connection.execute_batch(NO_CHECKPOINTS)?;
    }
    if (1..4).contains(&found) {
        connection.execute_batch(NO_WORKTREES)?;
    }
    Ok(())
}

fn migrate(connection: &mut Connection) -> Result<(), LedgerError> {
    let transaction = connection.transaction()?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let steps: &[&str] = match found {
        FORMAT => return Ok(()),
        0 => &[TABLES, INDEXES, CHECKPOINTS, WORKTREES, VIEWS],
        1 => &[DROP_FIRST_INDEXES, INDEXES, CHECKPOINTS, WORKTREES, VIEWS],
        2 => &[CHECKPOINTS, WORKTREES, VIEWS],
        3 => &[WORKTREES, VIEWS],
        _ => {
            return Err(LedgerError::Newer {
                found,
                known: FORMAT,
            });
        }
    };
    for step in steps {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(connection: &Connection) -> Vec<String> {
        let mut statement = connection
            .prepare("SELECT name FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
            .unwrap();
        let names = statement.query_map([], |row| row.get(0)).unwrap();
        names.collect::<Result<_, _>>().unwrap()
    }

    /// The tables of the first format whose constraints differ from those of today.
    const FIRST_RUN: &str = "
        DROP TABLE run;
        CREATE TABLE run (
            run_id     TEXT PRIMARY KEY,
            session_id TEXT NOT NULL,
            lease_id   TEXT NOT NULL UNIQUE,
            is_open    INTEGER NOT NULL,
            is_owing   INTEGER NOT NULL,
            root       BLOB,
            ended_ms   INTEGER,
            record     TEXT NOT NULL
        ) STRICT;
        CREATE INDEX run_session ON run (session_id);
        CREATE INDEX run_open    ON run (run_id) WHERE is_open = 1;
        CREATE INDEX run_owing   ON run (run_id) WHERE is_owing = 1;
        CREATE INDEX \"one of the person's\" ON run (ended_ms);
    ";

    #[test]
    fn a_database_of_the_first_format_gets_the_indexes_of_this_one() {
        let mut fresh = Connection::open_in_memory().unwrap();
        prepare(&mut fresh).unwrap();
        let mut old = Connection::open_in_memory().unwrap();
        old.execute_batch(TABLES).unwrap();
        old.execute_batch(FIRST_RUN).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        prepare(&mut old).unwrap();
        let mut expected = schema(&fresh);
        expected.insert(0, "one of the person's".to_owned());
        expected.sort();
        assert_eq!(schema(&old), expected);
    }

    #[test]
    fn a_database_of_the_second_format_keeps_its_rows_and_gets_the_new_table() {
        let mut fresh = Connection::open_in_memory().unwrap();
        prepare(&mut fresh).unwrap();
        let mut old = Connection::open_in_memory().unwrap();
        old.execute_batch(TABLES).unwrap();
        old.execute_batch(INDEXES).unwrap();
        old.execute("INSERT INTO tag VALUES ('one', 'session')", [])
            .unwrap();
        old.pragma_update(None, "user_version", 2).unwrap();
        prepare(&mut old).unwrap();
        assert_eq!(schema(&old), schema(&fresh));
        let tags: u64 = old
            .query_row("SELECT count(*) FROM tag", [], |row| row.get(0))
            .unwrap();
        assert_eq!(tags, 1);
    }
}
