//! The gate: the command that judges an iteration.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

use amps_core::iteration::Gate;
use amps_core::mask::mask;
use amps_core::process::ProcessIdentity;

use crate::agent::Invocation;
use crate::clock::Clock;
use crate::exec::{ExecError, Line, TurnCause, TurnCommand, TurnListener, run_turn};

/// As much of the end of a log is kept in the record, in bytes.
pub const LOG_KEPT: usize = 16 * 1024;

/// As much of a log is written to its file, in bytes: tests may print for ever.
const LOG_WRITTEN: u64 = 16 << 20;

/// The shell that runs it.
const SHELL: &str = "/bin/sh";

/// How a gate is run.
#[derive(Clone, Copy, Debug)]
pub struct GateCommand<'a> {
    /// The command, for a shell.
    pub script: &'a str,
    /// The folder in which it runs.
    pub folder: &'a Path,
    /// Its variables.
    pub environment: &'a [(OsString, OsString)],
    /// The session, by which its processes are found.
    pub session: &'a str,
    /// How long it may take.
    pub limit: Option<Duration>,
    /// How long it may take to end when it is told to.
    pub grace: Duration,
    /// Becomes readable when it is to be stopped.
    pub stop: Option<BorrowedFd<'a>>,
}

/// Runs the gate, and writes what it prints to a file. Returns what it said and why it was over.
pub fn judge(
    command: &GateCommand<'_>,
    log: Option<File>,
    clock: &Clock,
) -> Result<(Gate, TurnCause), ExecError> {
    let begun = clock.now();
    let invocation = Invocation {
        // Both streams in the order in which they were written.
        arguments: vec!["-c".to_owned(), format!("exec 2>&1\n{}", command.script)],
        ..Invocation::default()
    };
    let turn = TurnCommand {
        program: Path::new(SHELL),
        name: OsStr::new("sh"),
        invocation: &invocation,
        folder: command.folder,
        environment: command.environment,
        session: command.session,
        limit: command.limit,
        grace: command.grace,
        stop: command.stop,
    };
    let mut heard = Heard {
        log,
        written: 0,
        tail: Vec::new(),
    };
    let ending = run_turn(&turn, clock, &mut heard)?;
    let exit = ending.exit.filter(|_| ending.cause == TurnCause::Itself);
    let gate = Gate {
        command: mask(command.script).into_owned(),
        exit,
        duration: ending.ended_at.since(begun),
        log: heard.end_of_log(),
    };
    Ok((gate, ending.cause))
}

struct Heard {
    log: Option<File>,
    written: u64,
    tail: Vec<u8>,
}

impl Heard {
    fn end_of_log(&self) -> String {
        let from = self.tail.len().saturating_sub(LOG_KEPT);
        let kept = self.tail.get(from..).unwrap_or_default();
        // A character, and a line, may be cut at its beginning.
        let text = String::from_utf8_lossy(kept);
        let text = match text.split_once('\n') {
            Some((_, rest)) if from > 0 => rest,
            _ => &text,
        };
        mask(text).into_owned()
    }
}

impl TurnListener for Heard {
    fn started(&mut self, _process: &ProcessIdentity) {}

    fn line(&mut self, line: Line<'_>) {
        self.tail.extend_from_slice(line.bytes);
        self.tail.push(b'\n');
        if self.tail.len() > 4 * LOG_KEPT {
            let excess = self.tail.len() - 2 * LOG_KEPT;
            self.tail.drain(..excess);
        }
        let length = u64::try_from(line.bytes.len()).unwrap_or(u64::MAX) + 1;
        self.written = self.written.saturating_add(length);
        if self.written > LOG_WRITTEN {
            self.log = None;
        }
        if let Some(log) = &mut self.log {
            let masked = mask(&String::from_utf8_lossy(line.bytes)).into_owned();
            // A full disk costs the log, not the verdict.
            if writeln!(log, "{masked}").is_err() {
                self.log = None;
            }
        }
    }
}
