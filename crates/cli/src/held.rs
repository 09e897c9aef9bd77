//! Finding the host of a session.

use std::fs::{self, DirEntry};
use std::time::{Duration, SystemTime};

use amps_core::error::ErrorCode;
use amps_core::exit::Exit;
use amps_core::id::{IdPrefix, SessionId};
use amps_core::session::Binding;
use amps_engine::home::Home;
use amps_engine::process::SESSION_VARIABLE;
use amps_host::{Connection, ConnectionError};
use amps_proto::fault::Fault;
use amps_proto::hold::{HoldAnswer, HoldRequest};
use amps_proto::view::SessionView;

use crate::commands::show;
use crate::context::Context;
use crate::error::Failure;

/// A session that is held, and the connection to its host.
pub(crate) struct Held {
    pub(crate) session_id: SessionId,
    pub(crate) connection: Connection,
}

/// The fewest characters of an id by which a host is found without the daemon. Fewer may be a name.
const FEWEST: usize = 4;

/// Finds the session that is meant, or the newest that is held if none is named, and connects to
/// its host. The daemon is asked only for what the sockets of the hosts do not tell, as a host can
/// be reached when no daemon can.
pub(crate) fn find(context: &Context, reference: Option<&str>) -> Result<Held, Failure> {
    let home = context.home()?;
    let Some(reference) = reference else {
        return newest(&home);
    };
    match by_socket(&home, reference) {
        Some(session_id) => reach(context, session_id),
        None => of(context, &show::fetch_now(context, reference)?),
    }
}

/// Returns the one session whose host has a socket and whose id begins so.
fn by_socket(home: &Home, reference: &str) -> Option<SessionId> {
    let prefix = IdPrefix::parse(reference).filter(|_| reference.len() >= FEWEST)?;
    let mut meant = hosts(home)
        .into_iter()
        .map(|(_, id)| id)
        .filter(|id| id.to_string().starts_with(prefix.as_str()));
    meant.next().filter(|_| meant.next().is_none())
}

/// Finds the newest session whose host listens.
fn newest(home: &Home) -> Result<Held, Failure> {
    let mut hosts = hosts(home);
    hosts.sort();
    for (_, session_id) in hosts.into_iter().rev() {
        match Connection::open(&home.host_socket(session_id)) {
            // Its host was killed.
            Err(ConnectionError::Absent(_)) => {}
            opened => return held(session_id, opened),
        }
    }
    Err(
        Fault::new(ErrorCode::NotFound, "no session is held at the moment")
            .hint("`amps --detach AGENT` starts one")
            .into(),
    )
}

/// Returns the sessions whose hosts have sockets, with when these were made.
fn hosts(home: &Home) -> Vec<(SystemTime, SessionId)> {
    let Ok(entries) = fs::read_dir(home.hosts()) else {
        return Vec::new();
    };
    let host = |entry: DirEntry| {
        let name = entry.file_name();
        let id = name.to_str()?.strip_suffix(".sock")?.parse().ok()?;
        Some((entry.metadata().ok()?.modified().ok()?, id))
    };
    entries.filter_map(|entry| host(entry.ok()?)).collect()
}

/// Connects to the host of a session.
fn of(context: &Context, view: &SessionView) -> Result<Held, Failure> {
    let session = &view.session;
    let id = session.session_id.short();
    if session.status.is_final() {
        return Err(has_ended(view));
    }
    if session.binding != Binding::Host {
        let message = format!("session {id} is not held: its agent has a terminal of its own");
        return Err(Fault::new(ErrorCode::NotAllowed, message)
            .hint("`amps --detach AGENT` starts a session that is held")
            .into());
    }
    reach(context, session.session_id)
}

/// Connects to the host of a session that was held just now.
fn reach(context: &Context, session_id: SessionId) -> Result<Held, Failure> {
    connect_to(context, session_id).map_err(|failure| {
        // It may have ended in this very moment.
        match show::fetch_now(context, &session_id.to_string()) {
            Ok(view) if view.session.status.is_final() => has_ended(&view),
            _ => failure,
        }
    })
}

fn has_ended(view: &SessionView) -> Failure {
    let session = &view.session;
    let id = session.session_id.short();
    let message = format!("session {id} has ended: it is {}", session.status);
    Fault::new(ErrorCode::NotAllowed, message)
        .hint(format!("`amps show {id}` tells what it did"))
        .into()
}

/// Returns how the agent of a session ended whose host has gone, if that host told it. A host tells
/// the record before it goes.
pub(crate) fn exit_of(context: &Context, session_id: SessionId) -> Option<Exit> {
    let view = show::fetch_now(context, &session_id.to_string()).ok()?;
    let run = view.runs.last()?;
    match (run.exit_code, run.exit_signal) {
        (Some(code), _) => Some(Exit::Code(code)),
        (None, signal) => signal.map(Exit::Signal),
    }
}

/// Connects to the host of a session that is held.
pub(crate) fn connect_to(context: &Context, session_id: SessionId) -> Result<Held, Failure> {
    let socket = context.home()?.host_socket(session_id);
    held(session_id, Connection::open(&socket))
}

fn held(
    session_id: SessionId,
    opened: Result<Connection, ConnectionError>,
) -> Result<Held, Failure> {
    match opened {
        Ok(connection) => Ok(Held {
            session_id,
            connection,
        }),
        Err(error) => Err(unreachable(session_id, &error)),
    }
}

/// Returns the failure of a host that could not be asked.
pub(crate) fn unreachable(session_id: SessionId, error: &ConnectionError) -> Failure {
    let id = session_id.short();
    let message = format!("the host of session {id} cannot be asked");
    let mut fault = Fault::of(ErrorCode::HostUnreachable, error);
    fault.causes.insert(0, fault.message);
    fault.message = message;
    fault
        .hint(format!(
            "`amps show {id}` tells whether its agent still runs"
        ))
        .into()
}

impl Held {
    /// Asks the host; `patience` is added to the time that the answer may take.
    pub(crate) fn ask(
        &mut self,
        request: &HoldRequest,
        patience: Duration,
    ) -> Result<HoldAnswer, Failure> {
        match self.connection.ask(request, patience) {
            Ok(HoldAnswer::Fault(fault)) => Err(fault.into()),
            Ok(answer) => Ok(answer),
            Err(error) => Err(unreachable(self.session_id, &error)),
        }
    }

    /// Fails if this process runs in the session itself: it would be shown within itself.
    pub(crate) fn refuse_own(&self, context: &Context) -> Result<(), Failure> {
        let own = context.environment.session();
        if own == Some(self.session_id.to_string()) {
            let message = "this terminal belongs to the session itself";
            return Err(Fault::new(ErrorCode::NotAllowed, message)
                .hint(format!(
                    "{SESSION_VARIABLE} is set; attach from another terminal"
                ))
                .into());
        }
        Ok(())
    }
}
