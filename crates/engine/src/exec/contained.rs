//! A shell command that is waited for: in a process group of its own, without a terminal, bounded
//! in time.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::{ExecError, unstarted};

const SHELL: &str = "/bin/sh";
/// How long a group that was asked to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// A command for the shell.
#[derive(Clone, Copy, Debug)]
pub struct Contained<'a> {
    /// The command line.
    pub command: &'a str,
    /// The folder it runs in.
    pub folder: &'a Path,
    /// All its variables: nothing is inherited.
    pub variables: &'a [(String, String)],
    /// The time it may take.
    pub limit: Duration,
}

/// How a contained command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainedEnd {
    /// It exited.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// It took longer than it may, and was ended with all it started.
    TooSlow,
}

impl fmt::Display for ContainedEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with {code}"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
            Self::TooSlow => f.write_str("took too long"),
        }
    }
}

impl Contained<'_> {
    /// Runs it; what it prints goes to the file.
    pub fn run(&self, output: &File) -> Result<ContainedEnd, ExecError> {
        let failed = |source| unstarted(Path::new(SHELL), source);
        let mut child = self.start(output).map_err(failed)?;
        let in_time = has_ended(&child, self.limit).map_err(failed)?;
        if !in_time {
            signal_group(&child, Signal::TERM);
            has_ended(&child, GRACE).map_err(failed)?;
            // The shell may have gone before what it started. It is not waited for yet, so the
            // number of the group is still its own.
            signal_group(&child, Signal::KILL);
        }
        let status = child.wait().map_err(failed)?;
        Ok(match status.code() {
            _ if !in_time => ContainedEnd::TooSlow,
            Some(code) => ContainedEnd::Code(code),
            None => ContainedEnd::Signal(status.signal().unwrap_or_default()),
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the room that starts programs"
    )]
    fn start(&self, output: &File) -> io::Result<Child> {
        Command::new(SHELL)
            .args(["-c", self.command])
            .current_dir(self.folder)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output.try_clone()?)
            .process_group(0)
            .spawn()
    }
}

fn pid_of(child: &Child) -> io::Result<Pid> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn signal_group(child: &Child, signal: Signal) {
    // A group that is gone already is as good.
    drop(pid_of(child).map(|pid| kill_process_group(pid, signal)));
}

/// Waits until the child has ended, at most this long, without taking its end.
fn has_ended(child: &Child, limit: Duration) -> io::Result<bool> {
    let handle = pidfd_open(pid_of(child)?, PidfdFlags::empty())?;
    let until = Instant::now() + limit;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut handles = [PollFd::new(&handle, PollFlags::IN)];
        match poll(&mut handles, Some(&left)) {
            Ok(ended) => return Ok(ended > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
