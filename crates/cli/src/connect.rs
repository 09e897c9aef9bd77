//! One request to the daemon of a home, starting it when there is none.

use std::time::Duration;

use amps_core::error::ErrorCode;
use amps_daemon::{Probe, StartError, Starter, answer_from_file, probe};
use amps_engine::home::Home;
use amps_proto::client::{Client, ClientError};
use amps_proto::codec::CodecError;
use amps_proto::fault::Fault;
use amps_proto::request::Request;
use amps_proto::response::Response;

use crate::context::Context;
use crate::env;
use crate::error::Failure;
use crate::output;

/// How long a daemon may take to start.
pub(crate) const START: Duration = Duration::from_secs(10);

/// How long an answer may take; captures that are waited for are bounded by the request.
const ANSWER: Duration = Duration::from_secs(90);

/// Returns what starts the daemon of a home.
pub(crate) fn starter<'a>(context: &Context, home: &'a Home, deadline: Duration) -> Starter<'a> {
    Starter {
        home,
        program: env::own_program(),
        variables: context.environment.for_daemon(),
        deadline,
    }
}

/// Asks the daemon. Where none can run, a request that only reads is answered from the file. A
/// daemon that ends before it answers is asked for once more, unless doing it twice would show or
/// take too long.
pub(crate) fn ask(context: &Context, request: Request) -> Result<Response, Failure> {
    let home = context.home()?;
    let starter = starter(context, &home, START);
    let repeats = !matches!(
        request,
        Request::Checkpoint { .. } | Request::Note { .. } | Request::Wait { .. }
    );
    let asked = match ask_once(&starter, &request) {
        Ok(Err(ClientError::Codec(CodecError::Io(_) | CodecError::Closed))) if repeats => {
            ask_once(&starter, &request)
        }
        asked => asked,
    };
    match asked {
        Ok(Err(ClientError::Foreign(foreign))) => {
            let stream = starter
                .replace(foreign)
                .map_err(|error| unreachable(&error))?;
            let mut client = Client::new(stream, std::process::id()).map_err(lost)?;
            client.call(request, ANSWER).map_err(lost)
        }
        Ok(asked) => asked.map_err(lost),
        Err(error) => without_daemon(context, &request, &error),
    }
}

/// Returns an error when there is no daemon to be had, otherwise what came of asking it.
fn ask_once(
    starter: &Starter<'_>,
    request: &Request,
) -> Result<Result<Response, ClientError>, StartError> {
    let stream = starter.connect_or_start()?;
    Ok(Client::new(stream, std::process::id())
        .and_then(|mut client| client.call(request.clone(), ANSWER)))
}

/// Asks the daemon only if it is running.
pub(crate) fn ask_running(home: &Home, request: &Request) -> Result<Option<Response>, Failure> {
    match probe(home) {
        Probe::Listening(stream) => {
            let mut client = Client::new(stream, std::process::id()).map_err(lost)?;
            match client.call(request.clone(), ANSWER) {
                // Every version understands this one, and has it when it greets.
                Err(ClientError::Foreign(_)) if *request == Request::Stop => {
                    Ok(Some(Response::Done))
                }
                answer => answer.map(Some).map_err(lost),
            }
        }
        Probe::Absent => Ok(None),
        Probe::Unreachable(error) => Err(unreachable(&StartError::Socket(error))),
    }
}

fn without_daemon(
    context: &Context,
    request: &Request,
    error: &StartError,
) -> Result<Response, Failure> {
    let (home, _) = context.configured()?;
    if !home.database().exists() {
        return Err(unreachable(error));
    }
    match answer_from_file(&home, request) {
        Err(fault) if fault.code == ErrorCode::DaemonUnreachable => Err(unreachable(error)),
        Ok(response) => {
            output::say(&format!(
                "amps: no daemon ({error}); this is what the database holds"
            ));
            Ok(response)
        }
        answer => answer.map_err(Failure::from),
    }
}

fn unreachable(error: &StartError) -> Failure {
    let (code, hint) = match error {
        StartError::Home(file) if file.is_full() => {
            (ErrorCode::DiskFull, "free some space and try again")
        }
        StartError::Home(_) => (
            ErrorCode::HomeNotWritable,
            "make the home writable, or set AMPSM_CONFIG_DIR to a folder that is",
        ),
        StartError::Foreign(_) => (
            ErrorCode::DaemonVersion,
            "end it with the version that started it, or by its pid",
        ),
        StartError::Exec(_)
        | StartError::Ended { .. }
        | StartError::Slow { .. }
        | StartError::Socket(_) => (
            ErrorCode::DaemonUnreachable,
            "`amps daemon run` shows what keeps it from starting",
        ),
    };
    Fault::of(code, error).hint(hint).into()
}

fn lost(error: ClientError) -> Failure {
    match error {
        ClientError::Fault(fault) => fault.into(),
        ClientError::Foreign(_) => Fault::of(ErrorCode::DaemonVersion, &error)
            .hint("`amps daemon restart` starts this version")
            .into(),
        ClientError::Codec(CodecError::Malformed(_) | CodecError::TooLong { .. }) => {
            Fault::of(ErrorCode::DaemonVersion, &error)
                .hint("`amps daemon restart` starts this version")
                .into()
        }
        ClientError::Codec(CodecError::Io(_) | CodecError::Closed) => {
            Fault::of(ErrorCode::DaemonUnreachable, &error)
                .hint("try again; nothing is lost when the daemon restarts")
                .into()
        }
    }
}

/// Returns the failure of an answer that does not fit its request.
pub(crate) fn unexpected() -> Failure {
    Fault::new(
        ErrorCode::DaemonVersion,
        "the daemon gave another answer than was asked for",
    )
    .hint("`amps daemon restart` starts this version")
    .into()
}
