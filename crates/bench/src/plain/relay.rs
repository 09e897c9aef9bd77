//! `plain-relay -- CMD`: the yardstick of holding a terminal. Opens a second terminal, starts CMD
//! on it, and copies both ways with one `poll` and one buffer until CMD's side is closed.

use std::{os::unix::process::ExitStatusExt as _, process::Command};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::AsFd,
    io::Errno,
    stdio::{stdin, stdout},
    termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize},
};

use crate::{Outcome, terminal::open_pty};

/// Runs the subcommand.
pub(crate) fn run(words: &[String]) -> Outcome<u8> {
    let command = words.get(1..).unwrap_or_default();
    let (master, slave) = open_pty()?;
    let outer = tcgetattr(stdin())?;
    tcsetattr(&slave, OptionalActions::Now, &outer)?;
    tcsetwinsize(&slave, tcgetwinsize(stdin())?)?;
    let mut raw: Termios = outer.clone();
    raw.make_raw();
    tcsetattr(stdin(), OptionalActions::Now, &raw)?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(["stage", "--"])
        .args(command)
        .stdin(slave.try_clone()?)
        .stdout(slave.try_clone()?)
        .stderr(slave)
        .spawn()?;
    let copied = copy(&master);
    tcsetattr(stdin(), OptionalActions::Now, &outer)?;
    copied?;
    let status = child.wait()?;
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    Ok(u8::try_from(code.unwrap_or(125)).unwrap_or(125))
}

fn copy(master: &impl AsFd) -> Outcome<()> {
    let mut buffer = vec![0; 65536];
    let input = stdin();
    loop {
        let mut fds = [
            PollFd::new(&input, PollFlags::IN),
            PollFd::new(master, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [keys, output] = fds.map(|fd| !fd.revents().is_empty());
        if output && !forward(master, &stdout(), &mut buffer)? {
            return Ok(());
        }
        if keys && !forward(&input, master, &mut buffer)? {
            return Ok(());
        }
    }
}

/// Copies once; false when the source has ended.
fn forward(from: &impl AsFd, to: &impl AsFd, buffer: &mut [u8]) -> Outcome<bool> {
    let count = match rustix::io::read(from, &mut *buffer) {
        Ok(0) | Err(Errno::IO) => return Ok(false),
        Ok(count) => count,
        Err(error) => return Err(error.into()),
    };
    let mut rest = buffer.get(..count).unwrap_or_default();
    while !rest.is_empty() {
        let written = rustix::io::write(to, rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    Ok(true)
}
