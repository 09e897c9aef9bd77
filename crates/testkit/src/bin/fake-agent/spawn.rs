//! Verbs that start other processes, and the modes in which this program starts itself.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{getpgrp, getpid, getppid, getsid, ioctl_tiocsctty, setsid};
use rustix::stdio::stdin;
use rustix::termios::tcgetpgrp;

use super::script::Line;
use super::{Done, Next, fail, files};

/// Performs one of these verbs.
pub(crate) fn perform(line: &Line) -> Done {
    match line.verb.as_str() {
        // Not waited for: a child may outlive its agent.
        "fork-child" => {
            let child = ourselves("--script")?.args(line.rest(0)).spawn()?;
            drop(child);
        }
        "setsid-child" => {
            let mut between = ourselves("--leave-behind")?;
            between.args(line.rest(0)).stdin(Stdio::null());
            between.stdout(Stdio::null()).stderr(Stdio::null());
            if !between.status()?.success() {
                return Err("the child could not be left behind".into());
            }
        }
        "exec" => {
            return Err(Command::new(line.path(0)?).args(line.rest(1)).exec().into());
        }
        "run" => finish(Command::new(line.path(0)?).args(line.rest(1)))?,
        "git" => finish(Command::new("git").args(line.rest(0)))?,
        "record-ids" => files::record(&line.path(0)?, ids()?.as_bytes())?,
        verb => return Err(format!("no verb of processes: {verb}").into()),
    }
    Ok(Next::Continue)
}

/// Makes this process the leader of a new session, whose terminal is the one on stdin if it is to
/// have one, and becomes PROGRAM.
pub(crate) fn lead(terminal: bool, mut words: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(program) = words.next() else {
        return ExitCode::from(2);
    };
    let placed = setsid().and_then(|_| {
        if terminal {
            ioctl_tiocsctty(stdin())
        } else {
            Ok(())
        }
    });
    let error = match placed {
        Ok(()) => Command::new(&program).args(words).exec(),
        Err(error) => error.into(),
    };
    fail(&program.to_string_lossy(), &error);
    ExitCode::from(127)
}

/// Makes this process the leader of a session without a terminal.
pub(crate) fn enter_own_session() -> io::Result<()> {
    setsid()?;
    Ok(())
}

/// Starts a process of its own session and ends, so that nobody waits for it.
pub(crate) fn leave_behind(words: impl Iterator<Item = OsString>) -> ExitCode {
    let started = ourselves("--own-session").and_then(|mut command| command.args(words).spawn());
    match started {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => fail("--leave-behind", &error),
    }
}

fn ourselves(mode: &str) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(mode);
    Ok(command)
}

fn finish(command: &mut Command) -> Result<(), Box<dyn std::error::Error>> {
    let status = command.status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{status}").into())
    }
}

/// Tells where this process stands: itself, its parent, group, session and the group in front.
fn ids() -> io::Result<String> {
    let parent = getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
    let front = tcgetpgrp(stdin()).map_or(0, |pid| pid.as_raw_nonzero().get());
    Ok(format!(
        "pid {}\nppid {parent}\npgid {}\nsid {}\nfront {front}\n",
        getpid(),
        getpgrp(),
        getsid(None)?,
    ))
}
