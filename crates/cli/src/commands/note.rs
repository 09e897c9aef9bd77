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
use crate::error::Failure;
use crate::output;

/// The longest note that is read from standard input, in bytes.
const LONGEST: u64 = 1024 * 1024;

/// Adds a note.
pub(crate) fn run(context: &Context, args: NoteArgs) -> Outcome {
    let mut text = args.text.join(" ");
    if args.text.is_empty() || text == "-" {
        text = from_stdin()?;
    }
    let text = text.trim().to_owned();
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
    } else {
        output::say("noted");
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the note from standard input; nobody is there to type one without a terminal, so an end
/// without text is an empty note and not a wait.
fn from_stdin() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    std::io::stdin().take(LONGEST + 1).read_to_end(&mut bytes)?;
    let refused = |message: &str| Fault::new(ErrorCode::BadArgument, message);
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LONGEST) {
        return Err(refused("the note is longer than 1 MiB")
            .hint("keep it in a file and note where that is")
            .into());
    }
    String::from_utf8(bytes).map_err(|_| {
        refused("the note is not UTF-8 text")
            .hint("convert it first, as `iconv -t UTF-8` does")
            .into()
    })
}
