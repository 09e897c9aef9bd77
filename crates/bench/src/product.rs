//! All that the benchmarks assume about `amps` itself: its commands, its JSON, its socket and its
//! store. When one of them changes, or when a part that is still missing is written, this is the
//! only file to adapt.

mod wire;

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use rusqlite::Connection;
use serde_json::Value;

use crate::{
    Outcome, clock, home::Home, leases::LeaseProtocol, terminal::PATIENCE, wrapper::owned,
};

/// How often a record is looked at while waiting for it.
const PAUSE: Duration = Duration::from_millis(2);

/// The product under test with a daemon of its own.
#[derive(Debug)]
pub(crate) struct Product {
    amps: String,
    daemon: Child,
    home: PathBuf,
}

impl Product {
    /// Starts the daemon of `home` in the foreground and waits until it answers.
    pub(crate) fn start(amps: &Path, home: &Home) -> Outcome<Self> {
        let amps = std::path::absolute(amps)?.display().to_string();
        let log = File::create(home.path().join("ampd.log"))?;
        let daemon = home
            .command(&amps)
            .args(["daemon", "run"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{amps}: {error}"))?;
        let home_folder = home.path().join(".ampsm");
        let mut product = Self {
            amps,
            daemon,
            home: home_folder,
        };
        let deadline = clock::now() + PATIENCE;
        loop {
            if let Some(status) = product.daemon.try_wait()? {
                let log = std::fs::read_to_string(home.path().join("ampd.log"))?;
                return Err(format!("`amps daemon run` ended at once: {status}: {log}").into());
            }
            let listed = product.list(home);
            if listed.is_ok() {
                return Ok(product);
            }
            if clock::now() > deadline {
                return Err(format!("`amps list --json` never worked: {listed:?}").into());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Returns the daemon's process id.
    pub(crate) fn daemon_pid(&self) -> u32 {
        self.daemon.id()
    }

    /// Returns the words before a command that is to be launched.
    pub(crate) fn run_argv(&self) -> Vec<String> {
        owned(&[&self.amps, "run", "--"])
    }

    /// Returns the command that lists the newest 50 sessions.
    pub(crate) fn list_argv(&self) -> Vec<String> {
        owned(&[&self.amps, "list", "--limit", "50"])
    }

    /// Lists the newest sessions.
    pub(crate) fn list(&self, home: &Home) -> Outcome<Vec<Value>> {
        let argv = [&self.amps, "list", "--limit", "50", "--json"];
        match serde_json::from_slice(&home.output(&argv, home.path())?)? {
            Value::Array(sessions) => Ok(sessions),
            Value::Object(mut page) => match page.remove("sessions") {
                Some(Value::Array(sessions)) => Ok(sessions),
                _ => Err("`amps list --json` has no sessions".into()),
            },
            other => Err(format!("`amps list --json` printed {other}").into()),
        }
    }

    /// Finds the session whose command holds a word that occurs in no other.
    pub(crate) fn find(&self, home: &Home, tag: &str) -> Outcome<String> {
        let deadline = clock::now() + PATIENCE;
        while clock::now() < deadline {
            for session in self.list(home)? {
                let command = session.get("agent_command").map(Value::to_string);
                if command.is_some_and(|command| command.contains(tag)) {
                    let id = session.get("session_id").and_then(Value::as_str);
                    return Ok(id.ok_or("a session without session_id")?.to_owned());
                }
            }
            std::thread::sleep(PAUSE);
        }
        Err(format!("no session with {tag} was recorded").into())
    }

    /// Reads one record.
    pub(crate) fn show(&self, home: &Home, id: &str) -> Outcome<Record> {
        let argv = [&self.amps, "show", id, "--json"];
        let record = serde_json::from_slice(&home.output(&argv, home.path())?)?;
        Ok(Record(record))
    }

    /// Waits until a record says what is asked for and returns the instant.
    pub(crate) fn wait_until(
        &self,
        home: &Home,
        id: &str,
        said: impl Fn(&Record) -> bool,
    ) -> Outcome<u64> {
        let deadline = clock::now() + PATIENCE;
        loop {
            let record = self.show(home, id)?;
            let at = clock::now();
            if said(&record) {
                return Ok(at);
            }
            if at > deadline {
                return Err(format!("the record never got there: {record:?}").into());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Returns the daemon's language.
    pub(crate) fn leases(&self) -> Option<Box<dyn LeaseProtocol>> {
        Some(Box::new(wire::Wire::new(&self.home)?))
    }

    /// Returns how to fill the store: each session is a copy of the one that was recorded last,
    /// under ids and a time of its own.
    pub(crate) fn filler() -> Filler {
        let id = |kind: u32| {
            format!("printf('%08x-0000-4000-800{kind}-%012x', (?1 * 2654435761) & 4294967295, ?1)")
        };
        let (session, run, lease) = (id(0), id(1), id(2));
        let template = "ORDER BY rowid LIMIT 1";
        Filler {
            statements: vec![
                format!(
                    "INSERT INTO session
                     SELECT {session}, 1700000000000 + 1000 * ?1, status, agent, name, project_id,
                            project_root, ?1 % 1000, replace(record, session_id, {session})
                     FROM session {template}"
                ),
                format!(
                    "INSERT INTO run
                     SELECT {run}, {session}, {lease}, 0, 0, root, 1700000000000 + 1000 * ?1,
                            replace(replace(record, run_id, {run}), session_id, {session})
                     FROM run {template}"
                ),
            ],
        }
    }

    /// Returns where the store is.
    pub(crate) fn store(home: &Home) -> PathBuf {
        home.path().join(".ampsm").join("sessions.db")
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        drop(self.daemon.kill());
        drop(self.daemon.wait());
    }
}

/// The JSON of `amps show ID --json`.
#[derive(Debug)]
pub(crate) struct Record(Value);

impl Record {
    /// Tells whether the status is one that never changes again.
    pub(crate) fn is_final(&self) -> bool {
        let status = self.0.get("status").and_then(Value::as_str);
        matches!(status, Some("completed" | "aborted" | "disconnected"))
    }

    /// Tells whether the end of the last run is captured; an error once it was given up.
    pub(crate) fn is_captured(&self) -> bool {
        let run = self.0.get("runs").and_then(Value::as_array);
        let capture = run.and_then(|runs| runs.last()?.get("capture"));
        let state = capture.map(|capture| capture.get("end").unwrap_or(capture));
        state.and_then(Value::as_str) == Some("done")
    }

    /// Tells whether any changeset names a file.
    pub(crate) fn names_file(&self, name: &str) -> bool {
        let changesets = self.0.get("changesets").map(Value::to_string);
        changesets.is_some_and(|text| text.contains(name))
    }
}

/// Statements that write one session; `?1` is its number, counted from 0 to the newest.
#[derive(Clone, Debug)]
pub(crate) struct Filler {
    /// The statements, in the order in which they are run.
    pub(crate) statements: Vec<String>,
}

/// Fills a store with sessions, in one transaction.
pub(crate) fn fill(store: &mut Connection, filler: &Filler, sessions: u32) -> Outcome<()> {
    let transaction = store.transaction()?;
    {
        let mut statements = Vec::new();
        for statement in &filler.statements {
            statements.push(transaction.prepare(statement)?);
        }
        for number in 0..sessions {
            for statement in &mut statements {
                statement.execute([number])?;
            }
        }
    }
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_done_when_its_last_run_says_so() {
        let record = |capture: Value| {
            Record(serde_json::json!({"status": "aborted", "runs": [{"capture": capture}]}))
        };
        assert!(record(serde_json::json!("done")).is_captured());
        assert!(record(serde_json::json!({"base": "owed", "end": "done"})).is_captured());
        assert!(!record(serde_json::json!({"base": "done", "end": "owed"})).is_captured());
        assert!(record(Value::Null).is_final());
    }

    #[test]
    fn a_store_is_filled_with_as_many_sessions_as_asked_for() {
        let mut store = Connection::open_in_memory().unwrap();
        store
            .execute_batch("CREATE TABLE sessions (id TEXT)")
            .unwrap();
        let statements = vec!["INSERT INTO sessions VALUES (printf('s%07d', ?1))".to_owned()];
        fill(&mut store, &Filler { statements }, 1000).unwrap();
        let last: String = store
            .query_row("SELECT max(id) FROM sessions", [], |row| row.get(0))
            .unwrap();
        assert_eq!(last, "s0000999");
    }
}
