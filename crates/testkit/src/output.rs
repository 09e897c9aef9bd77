//! What a command answered.

use std::sync::Arc;

use amps_core::exit::Exit;
use serde_json::Value;

use crate::redact::Redactor;

/// How a command ended and what it wrote.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub status: Exit,
    /// What it wrote to stdout.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr.
    pub stderr: Vec<u8>,
    pub(crate) command: String,
    pub(crate) redactor: Arc<Redactor>,
}

#[expect(
    clippy::return_self_not_must_use,
    reason = "an assertion is worth calling for its own sake"
)]
impl Output {
    /// Asserts that it ended with code 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.code(0)
    }

    /// Asserts that it ended with this code.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert!(
            self.status == Exit::Code(code),
            "{} should end with code {code}, but: {}\n{}",
            self.command,
            self.status,
            self.raw()
        );
        self
    }

    /// Asserts that it ended by this signal.
    #[track_caller]
    pub fn signal(self, signal: crate::Signal) -> Self {
        assert!(
            self.status == Exit::Signal(signal.as_raw()),
            "{} should end by {signal:?}, but: {}\n{}",
            self.command,
            self.status,
            self.raw()
        );
        self
    }

    /// Returns stdout as one JSON value. Panics if it is anything else.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!(
                "{}: stdout is not one JSON value: {error}\n{}",
                self.command,
                self.raw()
            ),
        }
    }

    /// Returns stdout as text.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Returns stderr as text.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Returns all of it in the form that snapshots keep, redacted: the exit, then what was
    /// written to stdout and stderr. A stream that stayed empty is not shown.
    pub fn text(&self) -> String {
        self.redactor.redact(&self.raw())
    }

    fn raw(&self) -> String {
        let mut text = match self.status {
            Exit::Code(code) => format!("exit {code}\n"),
            Exit::Signal(signal) => format!("signal {signal}\n"),
        };
        for (name, bytes) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !bytes.is_empty() {
                text.push_str("--- ");
                text.push_str(name);
                text.push('\n');
                text.push_str(&String::from_utf8_lossy(bytes));
                if !bytes.ends_with(b"\n") {
                    text.push_str("(no newline)\n");
                }
            }
        }
        text
    }
}
