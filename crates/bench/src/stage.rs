//! `stage [--stamp] -- CMD`: becomes the leader of a session on the terminal it was given, says
//! when, and turns into CMD.
//!
//! A process cannot make a terminal its own before `exec` without unsafe code, so this step does
//! it afterwards. As the stamp is taken right before the last `exec`, neither the fork nor this
//! program's own start is part of any measure. The stamp goes to standard error, which is a pipe
//! until then and the terminal from then on.

use std::{io::Write as _, os::unix::process::CommandExt as _, process::Command};

use rustix::{
    process::{ioctl_tiocsctty, setsid},
    stdio::{dup2_stderr, stdin, stdout},
    termios::isatty,
};

use crate::{Outcome, clock};

/// Runs the subcommand; returns only on failure.
pub(crate) fn run(words: &[String]) -> Outcome<u8> {
    let stamp = words.first().is_some_and(|word| word == "--stamp");
    let at = words.iter().position(|word| word == "--");
    let command = at.and_then(|at| words.get(at + 1..)).unwrap_or_default();
    let (program, arguments) = command.split_first().ok_or("stage: no command")?;
    setsid()?;
    if isatty(stdin()) {
        ioctl_tiocsctty(stdin())?;
    }
    let mut command = Command::new(program);
    command.args(arguments);
    if stamp {
        std::io::stderr().write_all(&clock::now().to_le_bytes())?;
        dup2_stderr(stdout())?;
    }
    Err(format!("stage: {program}: {}", command.exec()).into())
}
