//! `amps log`: the history of a session, event by event.

use std::process::ExitCode;

use amps_proto::request::Request;
use amps_proto::response::Response;

use crate::args::LogArgs;
use crate::context::Context;
use crate::output::FAINT;
use crate::text::sentence;
use crate::{Outcome, connect, output};

/// Shows the history of a session, oldest first.
pub(crate) fn run(context: &Context, args: &LogArgs) -> Outcome {
    let request = Request::Events {
        reference: args.session.clone(),
    };
    let Response::Events { events } = connect::ask(context, request)? else {
        return Err(connect::unexpected());
    };
    if args.output.json {
        output::print_json(&events)?;
        return Ok(ExitCode::SUCCESS);
    }
    let reader = output::reader(context);
    let mut text = String::new();
    for event in &events {
        let at = reader.times.precise(event.at.at);
        let sentence = sentence::event(&event.fact);
        text.extend([format!("{FAINT}{at}{FAINT:#}  {sentence}\n")]);
    }
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
