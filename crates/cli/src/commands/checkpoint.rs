//! `amps checkpoint`: the state of the working tree as it is now, asked for or told as the end of a
//! turn.

use std::process::ExitCode;

use amps_core::checkpoint::Cause;
use amps_proto::request::Request;
use amps_proto::response::Response;

use crate::args::CheckpointArgs;
use crate::commands::session;
use crate::context::Context;
use crate::error::Failure;
use crate::{Outcome, connect, output};

/// How long to wait until it is taken, in milliseconds.
const WAIT_MS: u64 = 10_000;

/// Takes a checkpoint.
pub(crate) fn run(context: &Context, args: CheckpointArgs) -> Outcome {
    let CheckpointArgs {
        session,
        turn,
        label,
        output: form,
    } = args;
    let Some(reference) = meant(context, session, turn)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let request = Request::Checkpoint {
        reference,
        cause: if turn { Cause::Turn } else { Cause::Asked },
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
        // A hook's output may be read by the agent.
        _ if turn => {}
        Some(taken) => output::print(&format!("checkpoint {}\n", taken.number))?,
        None => output::say("it is being taken; `amps checkpoints` shows it when it is there"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the session that is meant. The agent of a hook that is in no session is nobody's: its
/// turns must not be taken for those of another one.
fn meant(context: &Context, named: Option<String>, turn: bool) -> Result<Option<String>, Failure> {
    if let Some(named) = named.or_else(|| context.environment.session()) {
        return Ok(Some(named));
    }
    if let Some(open) = session::current(context)? {
        return Ok(Some(open.session.session_id.to_string()));
    }
    Ok((!turn).then(|| "@".to_owned()))
}
