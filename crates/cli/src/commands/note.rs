//! `amps note`: a person's words in the history of a session.

use std::io::Read as _;
use std::process::ExitCode;

use amps_core::error::ErrorCode;
use amps_proto::fault::Fault;
use amps_proto::request::Request;
use serde_json::json;

use crate::Outcome;
use crate::args::NoteArgs;
use crate::connect;
use crate::context::Context;
use crate::output;

/// The longest note that is read from standard input, in bytes.
const LONGEST: u64 = 1024 * 1024;

/// Adds a note.
pub(crate) fn run(context: &Context, args: NoteArgs) -> Outcome {
    let mut text = args.text.join(" ");
    if text.is_empty() || text == "-" {
        text.clear();
        std::io::stdin().take(LONGEST).read_to_string(&mut text)?;
    }
    let text = text.trim_end().to_owned();
    if text.is_empty() {
        return Err(Fault::new(ErrorCode::BadArgument, "the note is empty")
            .hint("`amps note SESSION TEXT`, or the text on standard input")
            .into());
    }
    connect::ask(
        context,
        Request::Note {
            reference: args.session,
            text,
        },
    )?;
    if args.output.json {
        output::print_json(&json!({ "noted": true }))?;
    }
    Ok(ExitCode::SUCCESS)
}
