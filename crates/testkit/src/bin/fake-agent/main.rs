//! A program that does what a script says: the agent of the tests.
//!
//! `fake-agent LINE...` runs one verb per argument; an argument may hold several lines, and `@FILE`
//! stands for the lines of a file. [`script`] says how a line is read. Installed under another name (`claude`), it leaves its arguments
//! to the script and reads the script from `NAME.script` beside itself; only `--version` is answered. `--lead-terminal PROGRAM
//! ARGS...` makes it the leader of the terminal on its stdin and then becomes PROGRAM;
//! `--without-terminal` the same in a session that has none.
//!
//! | verbs | |
//! |---|---|
//! | `write FILE TEXT`, `append FILE TEXT`, `touch FILE`, `delete PATH`, `mkdir PATH`, `rename FROM TO`, `chmod OCTAL PATH`, `symlink TARGET LINK` | |
//! | `wait-for FILE` | until it exists, at most a minute |
//! | `chdir PATH`, `delete-cwd` | |
//! | `record-args FILE`, `record-env FILE [NAME...]`, `record-cwd FILE`, `record-ids FILE` | what it was given; the file is complete when it appears |
//! | `print TEXT`, `eprint TEXT`, `hex DIGITS`, `flood BYTES` | `print` adds a newline, `hex` does not |
//! | `raw`, `cooked`, `altscreen`, `mouse`, `paste`, `kitty`, `cursor` `on\|off` | the first two without a word |
//! | `query FILE [da1 osc10 osc11 kitty cpr]` | records what the terminal answers within two seconds each |
//! | `read-until TEXT [FILE]` | reads stdin until it has said this |
//! | `close-stdio` | lets go of stdin, stdout and stderr |
//! | `ignore SIGNAL`, `trap SIGNAL FILE` | `trap` appends the name of the signal each time |
//! | `winsize-on-winch FILE` | appends `ROWSxCOLS` at each SIGWINCH |
//! | `kill-self SIGNAL`, `stop-self`, `hang`, `exit CODE` | |
//! | `fork-child SCRIPT` | in our group, not waited for |
//! | `setsid-child SCRIPT` | in its own session, nobody's child, stdio on the null device |
//! | `run PROGRAM...`, `git ARGS...`, `exec PROGRAM...` | |
//!
//! It never lives longer than two minutes, so a test that fails leaves nothing behind for long.
//! A line that fails ends it with code 99, an unknown line with 98.

#![expect(
    clippy::disallowed_methods,
    reason = "an agent writes files and starts programs by itself"
)]

mod files;
mod script;
mod signals;
mod spawn;
mod tty;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use script::Line;

/// What is to be done after a line.
pub(crate) enum Next {
    /// Go on with the next line.
    Continue,
    /// End with this code.
    Exit(u8),
}

/// The result of one verb.
pub(crate) type Done = Result<Next, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    signals::limit_lifetime(Duration::from_secs(120));
    let mut args = std::env::args_os().skip(1);
    match args.next().as_deref().and_then(|first| first.to_str()) {
        Some("--lead-terminal") => return spawn::lead(true, args),
        Some("--without-terminal") => return spawn::lead(false, args),
        Some("--own-session") => {
            if let Err(error) = spawn::enter_own_session() {
                return fail("--own-session", &error);
            }
            return run(&args.collect::<Vec<_>>());
        }
        Some("--leave-behind") => return spawn::leave_behind(args),
        Some("--script") => return run(&args.collect::<Vec<_>>()),
        _ => {}
    }
    match script::beside_the_program() {
        Ok(Some(_)) if std::env::args_os().skip(1).eq(["--version"]) => say_version(),
        Ok(Some(text)) => run(&[text]),
        Ok(None) => run(&std::env::args_os().skip(1).collect::<Vec<_>>()),
        Err(error) => fail("the script", &*error),
    }
}

fn run(arguments: &[OsString]) -> ExitCode {
    let lines = match script::read(arguments) {
        Ok(lines) => lines,
        Err(error) => return fail("the script", &*error),
    };
    for line in &lines {
        match perform(line) {
            Ok(Next::Continue) => {}
            Ok(Next::Exit(code)) => return ExitCode::from(code),
            Err(error) => return fail(&line.text, &*error),
        }
    }
    ExitCode::SUCCESS
}

/// An installed agent is asked for its version by those who look for agents.
fn say_version() -> ExitCode {
    match writeln!(std::io::stdout(), "0.0.0 (fake agent)") {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail("--version", &error),
    }
}

fn fail(what: &str, error: &dyn std::error::Error) -> ExitCode {
    let told = writeln!(std::io::stderr(), "fake-agent: {what}: {error}");
    ExitCode::from(if told.is_ok() { 99 } else { 97 })
}

fn perform(line: &Line) -> Done {
    match line.verb.as_str() {
        "write" | "append" | "delete" | "mkdir" | "rename" | "chmod" | "symlink" | "touch"
        | "wait-for" | "chdir" | "delete-cwd" | "record-args" | "record-env" | "record-cwd" => {
            files::perform(line)
        }
        "print" | "eprint" | "hex" | "flood" | "raw" | "cooked" | "altscreen" | "mouse"
        | "paste" | "kitty" | "cursor" | "query" | "read-until" | "close-stdio" => {
            tty::perform(line)
        }
        "ignore" | "trap" | "winsize-on-winch" | "kill-self" | "stop-self" | "hang" => {
            signals::perform(line)
        }
        "fork-child" | "setsid-child" | "exec" | "run" | "git" | "record-ids" => {
            spawn::perform(line)
        }
        "exit" => Ok(Next::Exit(line.word(0)?.parse()?)),
        _ => {
            writeln!(std::io::stderr(), "fake-agent: unknown verb: {}", line.text)?;
            Ok(Next::Exit(98))
        }
    }
}
