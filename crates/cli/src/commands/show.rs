//! `amps show`: everything about one session.

use std::process::ExitCode;

use amps_proto::request::Request;
use amps_proto::response::Response;
use amps_proto::view::SessionView;

use crate::args::ShowArgs;
use crate::context::Context;
use crate::error::Failure;
use crate::text::session;
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
    let view = fetch(context, reference, wait_ms)?;
    if json {
        output::print_json(&view)?;
    } else {
        output::print(&session::page(&view, &output::reader(context)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks for one session, once its captures have settled.
pub(crate) fn fetch_settled(context: &Context, reference: &str) -> Result<SessionView, Failure> {
    fetch(context, reference, WAIT_MS)
}

/// Asks for one session, once its captures have settled or `wait_ms` are over.
pub(crate) fn fetch(
    context: &Context,
    reference: &str,
    wait_ms: u64,
) -> Result<SessionView, Failure> {
    let request = Request::Show {
        reference: reference.to_owned(),
        wait_ms,
    };
    match connect::ask(context, request)? {
        Response::Session(view) => Ok(*view),
        _ => Err(connect::unexpected()),
    }
}
