//! `amps log`: the history of a session, event by event.

use std::process::ExitCode;

use amps_proto::request::Request;
use amps_proto::response::Response;

use crate::args::LogArgs;
use crate::context::Context;
use crate::output::FAINT;
use crate::text::{sentence, wrapped};
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
        let room = reader.width.map(|width| width.saturating_sub(at.len() + 2));
        let sentence = wrapped(&sentence::event(&event.fact), "", room);
        let mut lines = sentence.lines();
        let first = lines.next().unwrap_or_default();
        text.extend([format!("{FAINT}{at}{FAINT:#}  {first}\n")]);
        for line in lines {
            text.extend([format!("{:1$}  {line}\n", "", at.len())]);
        }
    }
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
