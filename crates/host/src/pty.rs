//! The agent on a terminal of its own.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use amps_core::exit::Exit;
use amps_engine::exec::{ExecError, Foreground};
use amps_proto::hold::TerminalSize;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid,
};

use crate::terminal;

/// An agent that leads a session on a terminal whose other end is ours.
#[derive(Debug)]
pub(crate) struct Agent {
    /// `None` once the agent was hung up on.
    master: Option<OwnedFd>,
    pid: Pid,
    /// Becomes readable when the agent ends, where the system has such handles.
    handle: Option<OwnedFd>,
    exit: Option<Exit>,
}

/// What is new of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Nothing.
    Runs,
    /// It has stopped, since it was asked last.
    Stopped,
    /// It has ended.
    Ended(Exit),
}

/// What reading the agent's output gave.
pub(crate) enum Output {
    /// As many bytes.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// Nobody can write any more.
    End,
}

impl Agent {
    /// Starts the agent.
    pub(crate) fn start(command: &Foreground, size: TerminalSize) -> Result<Self, ExecError> {
        let failed = |source: io::Error| ExecError::Start {
            path: command.program.clone(),
            source,
        };
        let (child, master) = command.start_on_terminal(|master| {
            terminal::set_size(master, size)?;
            let flags = fcntl_getfl(master)?;
            Ok(fcntl_setfl(master, flags | OFlags::NONBLOCK)?)
        })?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| failed(io::Error::from(io::ErrorKind::InvalidData)))?;
        Ok(Self {
            master: Some(master),
            pid,
            handle: pidfd_open(pid, PidfdFlags::empty()).ok(),
            exit: None,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        u32::try_from(self.pid.as_raw_nonzero().get()).unwrap_or_default()
    }

    /// Returns our end of its terminal, unless it was hung up on.
    pub(crate) fn terminal(&self) -> Option<BorrowedFd<'_>> {
        self.master.as_ref().map(|master| master.as_fd())
    }

    /// Closes its terminal: the kernel tells it by SIGHUP.
    pub(crate) fn hang_up(&mut self) {
        self.master = None;
    }

    pub(crate) fn handle(&self) -> Option<BorrowedFd<'_>> {
        self.handle
            .as_ref()
            .filter(|_| self.exit.is_none())
            .map(|handle| handle.as_fd())
    }

    /// Reads what the agent wrote.
    pub(crate) fn read(&self, into: &mut [u8]) -> Output {
        let Some(master) = &self.master else {
            return Output::End;
        };
        match rustix::io::read(master, into) {
            Ok(0) => Output::End,
            Ok(length) => Output::Bytes(length),
            Err(Errno::AGAIN | Errno::INTR) => Output::Nothing,
            // EIO: the last descriptor of the other end was closed, pty(7).
            Err(_) => Output::End,
        }
    }

    /// Returns whether the system tells of its end by a handle.
    pub(crate) fn tells_of_end(&self) -> bool {
        self.handle.is_some()
    }

    /// Returns what is known of it without asking.
    pub(crate) fn known(&self) -> Life {
        self.exit.map_or(Life::Runs, Life::Ended)
    }

    /// Asks for news of the agent.
    pub(crate) fn look(&mut self) -> Life {
        if let Some(exit) = self.exit {
            return Life::Ended(exit);
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
        let Ok(Some(status)) = waitid(WaitId::Pid(self.pid), options) else {
            return Life::Runs;
        };
        if status.stopped() {
            return Life::Stopped;
        }
        self.exit = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Some(Exit::Code(code)),
            (None, Some(signal)) => Some(Exit::Signal(signal)),
            (None, None) => None,
        };
        self.exit.map_or(Life::Runs, Life::Ended)
    }

    /// Gives its terminal another size.
    pub(crate) fn resize(&self, size: TerminalSize) {
        if let Some(master) = &self.master {
            // A terminal that nobody has open any more needs none.
            terminal::set_size(master, size).ok();
        }
    }

    /// Sends a signal to the agent and its group.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.exit.is_none() {
            // It may have ended meanwhile.
            kill_process_group(self.pid, signal).ok();
        }
    }
}
