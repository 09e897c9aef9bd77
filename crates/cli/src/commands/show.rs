//! `amps show`: everything about one session.

use std::process::ExitCode;

use amps_proto::request::Request;
use amps_proto::response::Response;

use crate::args::ShowArgs;
use crate::context::Context;
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
    let request = Request::Show {
        reference: reference.to_owned(),
        wait_ms,
    };
    let Response::Session(view) = connect::ask(context, request)? else {
        return Err(connect::unexpected());
    };
    if json {
        output::print_json(&view)?;
    }
    Ok(ExitCode::SUCCESS)
}
