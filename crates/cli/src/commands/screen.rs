//! `amps screen`: what the agent of a held session shows now.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use amps_proto::hold::{HoldAnswer, HoldRequest};
use serde_json::json;

use crate::args::ScreenArgs;
use crate::context::Context;
use crate::{Outcome, connect, held, output};

/// Prints what the agent shows.
pub(crate) fn run(context: &Context, args: &ScreenArgs) -> Outcome {
    let mut held = held::find(context, args.session.as_deref())?;
    let request = HoldRequest::Screen { ansi: args.ansi };
    let HoldAnswer::Screen { text, title } = held.ask(&request, Duration::ZERO)? else {
        return Err(connect::unexpected());
    };
    if args.output.json {
        let session_id = held.session_id;
        output::print_json(&json!({ "session_id": session_id, "title": title, "text": text }))?;
    } else {
        let mut out = output::raw_answer();
        writeln!(out, "{}", text.trim_end_matches('\n'))?;
    }
    Ok(ExitCode::SUCCESS)
}
