//! Finding the host of a session.

use std::time::Duration;

use amps_core::error::ErrorCode;
use amps_core::exit::Exit;
use amps_core::id::SessionId;
use amps_core::session::{Binding, Status};
use amps_engine::process::SESSION_VARIABLE;
use amps_host::{Connection, ConnectionError};
use amps_proto::fault::Fault;
use amps_proto::hold::{HoldAnswer, HoldRequest};
use amps_proto::request::{Query, Request};
use amps_proto::response::Response;
use amps_proto::view::SessionView;

use crate::commands::show;
use crate::connect;
use crate::context::Context;
use crate::error::Failure;

/// A session that is held, and the connection to its host.
pub(crate) struct Held {
    pub(crate) session_id: SessionId,
    pub(crate) connection: Connection,
}

/// Finds the session that is meant, or the newest that is held if none is named, and connects to
/// its host.
pub(crate) fn find(context: &Context, reference: Option<&str>) -> Result<Held, Failure> {
    match reference {
        Some(reference) => by_reference(context, reference),
        None => newest(context),
    }
}

fn by_reference(context: &Context, reference: &str) -> Result<Held, Failure> {
    of(context, &show::fetch_now(context, reference)?)
}

/// Connects to the host of a session.
pub(crate) fn of(context: &Context, view: &SessionView) -> Result<Held, Failure> {
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
    connect_to(context, session.session_id).map_err(|failure| {
        // It may have ended in this very moment.
        match show::fetch_now(context, &session.session_id.to_string()) {
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

/// Finds the newest session whose host listens.
fn newest(context: &Context) -> Result<Held, Failure> {
    let query = Query {
        status: vec![Status::Created, Status::Active],
        ..Query::default()
    };
    let Response::Page { sessions } = connect::ask(context, Request::List(query))? else {
        return Err(connect::unexpected());
    };
    let home = context.home()?;
    let held = sessions
        .iter()
        .map(|row| row.session_id)
        .find(|id| home.host_socket(*id).exists());
    match held {
        Some(id) => connect_to(context, id),
        None => Err(
            Fault::new(ErrorCode::NotFound, "no session is held at the moment")
                .hint("`amps --detach AGENT` starts one")
                .into(),
        ),
    }
}

/// Connects to the host of a session that is held.
pub(crate) fn connect_to(context: &Context, session_id: SessionId) -> Result<Held, Failure> {
    let socket = context.home()?.host_socket(session_id);
    match Connection::open(&socket) {
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
