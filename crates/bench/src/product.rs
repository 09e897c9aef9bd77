//! All that the benchmarks assume about `amps` itself: its commands, its socket and its store. When
//! one of them changes, this is the only file to adapt.

mod wire;

use std::{
    fs::File,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use amps_core::capture::CaptureState;
use amps_proto::client::Client;
use amps_proto::request::{Query, Request};
use amps_proto::response::Response;
use amps_proto::view::SessionView;
use rusqlite::Connection;

use crate::{
    Outcome, clock, home::Home, leases::LeaseProtocol, terminal::PATIENCE, wrapper::owned,
};

/// How often a record is looked at while waiting for it. Looking costs the daemon about a tenth of
/// that.
const PAUSE: Duration = Duration::from_millis(2);

/// How an agent that is launched gets its terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// It has the one that it is launched on.
    Inherited,
    /// It has one of its own that is shown at once.
    Held,
    /// The same, recorded.
    Recorded,
    /// It has one of its own that nobody sees.
    Detached,
    /// The same, recorded.
    DetachedRecorded,
}

impl Way {
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Inherited => &[],
            Self::Held => &["--hold"],
            Self::Recorded => &["--record"],
            Self::Detached => &["--detach"],
            Self::DetachedRecorded => &["--detach", "--record"],
        }
    }
}

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
            let state = product.client().and_then(|mut client| {
                Ok(client.call(Request::DaemonStatus, Duration::from_nanos(PATIENCE))?)
            });
            if state.is_ok() {
                return Ok(product);
            }
            if clock::now() > deadline {
                return Err(format!("the daemon never answered: {state:?}").into());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Returns the daemon's process id.
    pub(crate) fn daemon_pid(&self) -> u32 {
        self.daemon.id()
    }

    /// Returns the words before a command that is to be launched.
    pub(crate) fn run_argv(&self, way: Way) -> Vec<String> {
        owned(&[&[&self.amps, "run"], way.options(), &["--"]].concat())
    }

    /// Returns the command that lists the newest 50 sessions.
    pub(crate) fn list_argv(&self) -> Vec<String> {
        owned(&[&self.amps, "list", "--limit", "50"])
    }

    /// Finds the session whose command holds a word that occurs in no other.
    pub(crate) fn find(&self, tag: &str) -> Outcome<String> {
        let newest = Request::List(Query {
            limit: 50,
            ..Query::default()
        });
        let (found, _) = self.ask_until(&newest, |response| match response {
            Response::Page { sessions } => sessions.into_iter().find_map(|row| {
                let mut words = row.agent_command.iter();
                words
                    .any(|word| word.contains(tag))
                    .then(|| row.session_id.to_string())
            }),
            _ => None,
        })?;
        Ok(found)
    }

    /// Waits until a record says what is asked for and returns the instant at which the answer
    /// was there.
    pub(crate) fn wait_until(&self, id: &str, said: impl Fn(&Record) -> bool) -> Outcome<u64> {
        let show = Request::Show {
            reference: id.to_owned(),
            wait_ms: 0,
        };
        let ((), at) = self.ask_until(&show, |response| match response {
            Response::Session(view) => said(&Record(view)).then_some(()),
            _ => None,
        })?;
        Ok(at)
    }

    /// Asks again and again over one connection until the answer holds what is wanted.
    fn ask_until<T>(
        &self,
        request: &Request,
        wanted: impl Fn(Response) -> Option<T>,
    ) -> Outcome<(T, u64)> {
        let patience = Duration::from_nanos(PATIENCE);
        let deadline = clock::now() + PATIENCE;
        let mut client = self.client()?;
        while clock::now() < deadline {
            let response = client.call(request.clone(), patience)?;
            let at = clock::now();
            if let Some(found) = wanted(response) {
                return Ok((found, at));
            }
            std::thread::sleep(PAUSE);
        }
        Err(format!("what was waited for never came: {request:?}").into())
    }

    /// Returns how many sessions the daemon has.
    pub(crate) fn sessions(&self) -> Outcome<u64> {
        let (count, _) = self.ask_until(&Request::DaemonStatus, |response| match response {
            Response::Daemon(daemon) => Some(daemon.sessions),
            _ => None,
        })?;
        Ok(count)
    }

    fn client(&self) -> Outcome<Client> {
        let stream = UnixStream::connect(self.home.join("ampd.sock"))?;
        Ok(Client::new(stream, std::process::id())?)
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

/// Everything about one session.
#[derive(Debug)]
pub(crate) struct Record(Box<SessionView>);

impl Record {
    /// Tells whether the status is one that never changes again.
    pub(crate) fn is_final(&self) -> bool {
        self.0.session.status.is_final()
    }

    /// Tells whether the end of the last run is captured.
    pub(crate) fn is_captured(&self) -> bool {
        let run = self.0.runs.last();
        run.is_some_and(|run| run.capture.end == CaptureState::Done)
    }

    /// Tells whether the state before the last run has been taken.
    pub(crate) fn has_base(&self) -> bool {
        let run = self.0.runs.last();
        run.is_some_and(|run| run.capture.base == CaptureState::Done)
    }

    /// Tells whether any changeset names a file.
    pub(crate) fn names_file(&self, name: &str) -> bool {
        let mut files = self.0.changesets.iter().flat_map(|changes| &changes.files);
        files.any(|file| file.path.as_bytes() == name.as_bytes())
    }
}

/// Statements that write one session; `?1` is its number, counted from 0 to the newest.
#[derive(Clone, Debug)]
pub(crate) struct Filler {
    /// The statements, in the order in which they are run.
    pub(crate) statements: Vec<String>,
}

/// Fills a store that nobody else has open with sessions, in one transaction.
pub(crate) fn fill(store: &mut Connection, filler: &Filler, sessions: u32) -> Outcome<()> {
    // Ids are scattered over the indexes: with a log and a small cache each page would be written
    // many times over.
    store.pragma_update(None, "journal_mode", "OFF")?;
    store.pragma_update(None, "cache_size", -1_000_000)?;
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
    transaction.commit()?;
    Ok(store.pragma_update(None, "journal_mode", "WAL")?)
}

#[cfg(test)]
mod tests {
    use super::*;

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
