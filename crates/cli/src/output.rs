//! The only writer to the terminal. Standard output is the answer, standard error is talk.

use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;

use amps_core::error::ErrorCode;
use amps_core::path::visible;
use amps_proto::fault::Fault;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::context::Context;
use crate::error::Failure;
use crate::text::time::Times;

/// Bad news.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Good news.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Something to look at.
pub(crate) const NOTABLE: Style = AnsiColor::Yellow.on_default();
/// Lines that are gone.
pub(crate) const GONE: Style = AnsiColor::Red.on_default();
/// Under way.
pub(crate) const LIVE: Style = AnsiColor::Cyan.on_default();
/// Of less weight.
pub(crate) const FAINT: Style = Style::new().dimmed();
/// A heading.
pub(crate) const HEADING: Style = Style::new().bold();

/// Who reads the answer.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    /// How wide the terminal is; `None` where there is none and everything is shown in full.
    pub(crate) width: Option<usize>,
    /// How times are shown.
    pub(crate) times: Times,
}

/// Returns who reads the answer: a person at a terminal, or a program.
pub(crate) fn reader(context: &Context) -> Reader {
    let now = context.clock.now().at;
    if !io::stdout().is_terminal() {
        return Reader {
            width: None,
            times: Times::of_a_program(now),
        };
    }
    let size = rustix::termios::tcgetwinsize(io::stdout());
    let width = size.map_or(0, |size| usize::from(size.ws_col));
    Reader {
        width: Some(if width == 0 { 80 } else { width }),
        times: Times::of_a_person(now),
    }
}

/// Returns whether a person is there who can be asked.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Returns whether the answer is wanted in colour.
pub(crate) fn in_colour() -> bool {
    AutoStream::choice(&io::stdout()) != ColorChoice::Never
}

/// Returns standard output as it is, for bytes that are not ours.
pub(crate) fn raw_answer() -> impl Write {
    io::stdout().lock()
}

/// Returns standard output; colour disappears where it is not wanted.
pub(crate) fn answer() -> impl Write {
    AutoStream::auto(io::stdout())
}

/// Prints text as the answer.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = answer();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Prints one JSON value as the answer.
pub(crate) fn print_json<T: Serialize>(value: &T) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(value).expect("views have no failing serialisers");
    text.push('\n');
    print(&text)
}

/// Writes a line of talk.
pub(crate) fn say(text: &str) {
    // Nobody can be told that nobody listens.
    drop(writeln!(AutoStream::auto(io::stderr()), "{text}"));
}

/// Writes a question, whose answer stands behind it.
pub(crate) fn ask(text: &str) {
    drop(write!(AutoStream::auto(io::stderr()), "{text}"));
}

/// Shows a fault: heading, message, causes, next step.
pub(crate) fn complain(fault: &Fault) {
    let Fault {
        code,
        message,
        causes,
        hint,
    } = fault;
    let mut text = format!("{BAD}error[{code}]{BAD:#}: {}", visible(message));
    for cause in causes {
        text.push_str("\n  because: ");
        text.push_str(&visible(cause));
    }
    if let Some(hint) = hint {
        text.push_str("\n  next: ");
        text.push_str(hint);
    }
    say(&text);
}

/// Shows help, a version or a mistake in the command line, and returns the exit code.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    if error.kind() == clap::error::ErrorKind::InvalidUtf8 {
        let fault = Fault::new(ErrorCode::BadArgument, "an argument is not UTF-8 text")
            .hint("only paths and the command of an agent may be; `amps --help` shows which");
        complain(&fault);
        return ExitCode::from(amps_proto::exit_code::USAGE);
    }
    // A closed pipe under `--help` is not worth a word.
    drop(error.print());
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(amps_proto::exit_code::USAGE))
}

/// Returns a duration as people say it: the two largest units.
pub(crate) fn duration(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}
