//! `amps show`: everything about one session.

use std::process::ExitCode;

use amps_core::error::ErrorCode;
use amps_proto::fault::Fault;
use amps_proto::request::Request;
use amps_proto::response::Response;
use amps_proto::view::{SessionView, WorktreeView};

use crate::args::ShowArgs;
use crate::context::Context;
use crate::error::Failure;
use crate::text::{session, worktree};
use crate::{Outcome, connect, output};

/// How long to wait for a capture that is under way, in milliseconds.
const WAIT_MS: u64 = 10_000;

/// Shows one session.
pub(crate) fn run(context: &Context, args: &ShowArgs) -> Outcome {
    let wait_ms = if args.no_wait { 0 } else { WAIT_MS };
    print(context, &args.session, wait_ms, args.output.json)
}

/// Prints one session.
pub(crate) fn print(context: &Context, reference: &str, wait_ms: u64, json: bool) -> Outcome {
    match ask(context, reference, wait_ms)? {
        Response::Session(view) if json => output::print_json(&view)?,
        Response::Session(view) => {
            output::print(&session::page(&view, &output::reader(context)))?;
        }
        Response::Worktree(view) if json => output::print_json(&view)?,
        Response::Worktree(view) => {
            output::print(&worktree::page(&view, &output::reader(context)))?;
        }
        _ => return Err(connect::unexpected()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks for one worktree session.
pub(crate) fn fetch_worktree(context: &Context, reference: &str) -> Result<WorktreeView, Failure> {
    match ask(context, reference, 0)? {
        Response::Worktree(view) => Ok(*view),
        Response::Session(view) => {
            let id = view.session.session_id.short();
            let message = format!("session {id} has no worktree of its own");
            Err(Fault::new(ErrorCode::NotAllowed, message)
                .hint(format!(
                    "`amps show {id}` shows it; `amps new` makes one that has"
                ))
                .into())
        }
        _ => Err(connect::unexpected()),
    }
}

/// Asks for one session, once its captures have settled.
pub(crate) fn fetch_settled(context: &Context, reference: &str) -> Result<SessionView, Failure> {
    fetch(context, reference, WAIT_MS)
}

/// Asks for one session of either kind, once its captures have settled.
pub(crate) fn ask_settled(context: &Context, reference: &str) -> Result<Response, Failure> {
    ask(context, reference, WAIT_MS)
}

/// Asks for one session as it is.
pub(crate) fn fetch_now(context: &Context, reference: &str) -> Result<SessionView, Failure> {
    fetch(context, reference, 0)
}

/// Asks for one launched session, and waits so many milliseconds for a capture that is under way.
pub(crate) fn fetch(
    context: &Context,
    reference: &str,
    wait_ms: u64,
) -> Result<SessionView, Failure> {
    match ask(context, reference, wait_ms)? {
        Response::Session(view) => Ok(*view),
        Response::Worktree(view) => {
            let id = view.session.session_id.short();
            let message = format!("session {id} is a worktree session, which has many runs");
            Err(Fault::new(ErrorCode::NotAllowed, message)
                .hint(format!("`amps status {id}` shows it"))
                .into())
        }
        _ => Err(connect::unexpected()),
    }
}

/// Asks for one session, of either kind.
pub(crate) fn ask(context: &Context, reference: &str, wait_ms: u64) -> Result<Response, Failure> {
    let request = Request::Show {
        reference: reference.to_owned(),
        wait_ms,
    };
    connect::ask(context, request)
}
