//! `amps checkpoint`: the state of the working tree as it is now, asked for or told as the end of a
//! turn.

use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use amps_core::checkpoint::Cause;
use amps_core::path::RawPath;
use amps_core::session::Status;
use amps_engine::clock::Clock;
use amps_engine::home::Home;
use amps_engine::process;
use amps_proto::request::{Query, Request};
use amps_proto::response::Response;

use crate::args::CheckpointArgs;
use crate::commands::session;
use crate::context::Context;
use crate::error::Failure;
use crate::{Outcome, connect, env, output};

/// How long to wait until it is taken, in milliseconds.
const WAIT_MS: u64 = 10_000;

/// How long a hook of the agent may be held up, whatever the daemon does.
const HOOK: Duration = Duration::from_millis(150);

/// Takes a checkpoint.
pub(crate) fn run(context: &Context, args: CheckpointArgs) -> Outcome {
    let CheckpointArgs {
        session,
        turn,
        label,
        output: form,
    } = args;
    if turn {
        tell_turn(context, session, label);
        return Ok(ExitCode::SUCCESS);
    }
    let request = Request::Checkpoint {
        reference: meant(context, session)?,
        cause: Cause::Asked,
        label,
        wait_ms: WAIT_MS,
    };
    let taken = match connect::ask(context, request)? {
        Response::Checkpoint(taken) => Some(taken),
        Response::Done | Response::None => None,
        _ => return Err(connect::unexpected()),
    };
    match taken {
        taken if form.json => output::print_json(&taken)?,
        Some(taken) => output::print(&format!("checkpoint {}\n", taken.number))?,
        None => output::say("it is being taken; `amps checkpoints` shows it when it is there"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the session that is meant.
fn meant(context: &Context, named: Option<String>) -> Result<String, Failure> {
    if let Some(named) = named.or_else(|| context.environment.session()) {
        return Ok(named);
    }
    if let Some(open) = session::current(context)? {
        return Ok(open.session.session_id.to_string());
    }
    Ok(open_in_tree(context)?.unwrap_or_else(|| "@".to_owned()))
}

/// Returns the session that is open in this working tree, if there is just one.
fn open_in_tree(context: &Context) -> Result<Option<String>, Failure> {
    let folder = env::current_folder().unwrap_or_default();
    let query = Query {
        status: vec![Status::Active],
        within: Some(RawPath::new(folder.as_os_str().as_bytes())),
        limit: 2,
        ..Query::default()
    };
    let Response::Page { sessions } = connect::ask(context, Request::List(query))? else {
        return Err(connect::unexpected());
    };
    let mut open = sessions.into_iter();
    let first = open.next().filter(|_| open.next().is_none());
    Ok(first.map(|row| row.session_id.to_string()))
}

/// Tells that the agent has ended a turn. A hook tells it, whose output and exit code the agent may
/// read: it is not held up, and what goes wrong here is not the agent's concern.
fn tell_turn(context: &Context, named: Option<String>, label: Option<String>) {
    let Ok(home) = context.home() else { return };
    let named = named.or_else(|| context.environment.session());
    let clock = context.clock.clone();
    let (told, wait) = mpsc::channel();
    // Connecting, sending and the answer each have a patience of their own: this one is for all.
    thread::spawn(move || {
        let reference = named.or_else(|| open_here(&home, &clock));
        if let Some(reference) = reference {
            let request = Request::Checkpoint {
                reference,
                cause: Cause::Turn,
                label,
                wait_ms: 0,
            };
            drop(connect::ask_running(&home, &request));
        }
        told.send(()).unwrap_or_default();
    });
    wait.recv_timeout(HOOK).ok();
}

/// Returns the session that is open in a shell around this process. The agent of a hook that is in
/// no session is nobody's: its turns must not be taken for those of another one.
fn open_here(home: &Home, clock: &Clock) -> Option<String> {
    let ancestors = process::lineage(clock);
    match connect::ask_running(home, &Request::Current { ancestors }) {
        Ok(Some(Response::Session(view))) => Some(view.session.session_id.to_string()),
        _ => None,
    }
}
