//! A program on a pseudo-terminal of its own, watched without a thread: every instant that counts
//! is taken by the process that polls.

use std::{
    fs::File,
    io::Read as _,
    os::fd::OwnedFd,
    path::Path,
    process::{Child, ExitStatus, Stdio},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::{Outcome, clock, home::Home};

/// How long any single step may take before the sample counts as failed.
pub(crate) const PATIENCE: u64 = 30_000_000_000;

/// A pseudo-terminal: the end we hold and the end a program gets.
pub(crate) fn open_pty() -> Outcome<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let slave = ioctl_tiocgptpeer(&master, flags)?;
    tcsetwinsize(
        &slave,
        Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        },
    )?;
    Ok((master, slave))
}

/// A program that runs on a terminal of its own.
#[derive(Debug)]
pub(crate) struct Terminal {
    master: OwnedFd,
    child: Child,
    exited: OwnedFd,
    started: u64,
    seen: Vec<u8>,
    reaped: bool,
}

impl Terminal {
    /// Starts `argv` in `dir`; [`Terminal::started`] is the instant right before its `exec`.
    pub(crate) fn spawn(home: &Home, argv: &[String], dir: &Path) -> Outcome<Self> {
        let (master, slave) = open_pty()?;
        let mut command = home.staged(argv);
        command
            .current_dir(dir)
            .stdin(slave.try_clone()?)
            .stdout(slave)
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        drop(command);
        let started = read_stamp(&mut child)?;
        let exited = pidfd_open(pid_of(&child)?, PidfdFlags::empty())?;
        Ok(Self {
            master,
            child,
            exited,
            started,
            seen: Vec::new(),
            reaped: false,
        })
    }

    /// Returns the instant right before the program's `exec`.
    pub(crate) fn started(&self) -> u64 {
        self.started
    }

    /// Returns the process id of the program.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns all output read so far.
    pub(crate) fn seen(&self) -> &[u8] {
        &self.seen
    }

    /// Types bytes.
    pub(crate) fn send(&self, bytes: &[u8]) -> Outcome<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = rustix::io::write(&self.master, rest)?;
            rest = rest.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// Reads until the output holds `marker` and returns the instant it was there.
    pub(crate) fn wait_for(&mut self, marker: &[u8]) -> Outcome<u64> {
        let deadline = clock::now() + PATIENCE;
        let mut from = 0;
        loop {
            let tail = self.seen.get(from..).unwrap_or_default();
            if find(tail, marker).is_some() {
                return Ok(clock::now());
            }
            from = self.seen.len().saturating_sub(marker.len());
            let mut buffer = [0; 4096];
            let count = self.read(&mut buffer, deadline)?;
            if count == 0 {
                let seen = String::from_utf8_lossy(&self.seen);
                return Err(format!("ended before its output was seen: {seen:?}").into());
            }
            self.seen
                .extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
    }

    /// Reads once; 0 means that the last holder of the terminal is gone.
    pub(crate) fn read(&self, buffer: &mut [u8], deadline: u64) -> Outcome<usize> {
        let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
        loop {
            match poll(&mut fds, Some(&remaining(deadline))) {
                Ok(0) => return Err("nothing came before the deadline".into()),
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        match rustix::io::read(&self.master, &mut *buffer) {
            Ok(count) => Ok(count),
            Err(Errno::IO) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the program to exit, reading on, and returns its status and the instant.
    pub(crate) fn finish(&mut self) -> Outcome<(ExitStatus, u64)> {
        let deadline = clock::now() + PATIENCE;
        let mut hung_up = false;
        loop {
            let mut fds = [
                PollFd::new(&self.exited, PollFlags::IN),
                PollFd::new(&self.master, PollFlags::IN),
            ];
            let watched = if hung_up {
                fds.get_mut(..1)
            } else {
                fds.get_mut(..)
            };
            match poll(watched.unwrap_or_default(), Some(&remaining(deadline))) {
                Ok(0) => return Err("did not exit before the deadline".into()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let [exited, output] = &fds;
            let output = !hung_up && !output.revents().is_empty();
            if exited.revents().contains(PollFlags::IN) {
                let at = clock::now();
                let status = self.child.wait()?;
                self.reaped = true;
                return Ok((status, at));
            }
            if output {
                let mut buffer = [0; 8192];
                match rustix::io::read(&self.master, &mut buffer) {
                    Ok(count) => self.seen.extend(buffer.get(..count).unwrap_or_default()),
                    Err(_) => hung_up = true,
                }
            }
        }
    }

    /// Reads all that is left until the last holder of the terminal is gone.
    pub(crate) fn drain(&mut self) -> Outcome<()> {
        let deadline = clock::now() + PATIENCE;
        let mut buffer = [0; 8192];
        loop {
            let count = self.read(&mut buffer, deadline)?;
            if count == 0 {
                return Ok(());
            }
            self.seen.extend(buffer.get(..count).unwrap_or_default());
        }
    }

    /// Kills the program, as an out-of-memory killer would.
    pub(crate) fn kill(&mut self) -> Outcome<u64> {
        let at = clock::now();
        self.child.kill()?;
        self.child.wait()?;
        self.reaped = true;
        Ok(at)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if !self.reaped {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// Runs a program without a terminal, its output thrown away, and returns the milliseconds from
/// right before its `exec` to its exit.
pub(crate) fn time_quietly(home: &Home, argv: &[String], dir: &Path) -> Outcome<f64> {
    let mut command = home.staged(argv);
    command
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(File::options().write(true).open("/dev/null")?)
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let started = read_stamp(&mut child)?;
    let status = child.wait()?;
    let ended = clock::now();
    if status.success() {
        Ok(clock::milliseconds(started, ended))
    } else {
        Err(format!("{argv:?}: {status}").into())
    }
}

fn read_stamp(child: &mut Child) -> Outcome<u64> {
    let mut stamp = [0; 8];
    let mut pipe = child.stderr.take().ok_or("no pipe for the stamp")?;
    pipe.read_exact(&mut stamp)?;
    Ok(u64::from_le_bytes(stamp))
}

fn pid_of(child: &Child) -> Outcome<Pid> {
    let raw = i32::try_from(child.id())?;
    Ok(Pid::from_raw(raw).ok_or("process id 0")?)
}

/// Returns the time left until an instant, for `poll`.
pub(crate) fn remaining(deadline: u64) -> Timespec {
    let left = i64::try_from(deadline.saturating_sub(clock::now())).unwrap_or(i64::MAX);
    Timespec {
        tv_sec: left / 1_000_000_000,
        tv_nsec: left % 1_000_000_000,
    }
}

/// Returns where `needle` begins in `hay`.
pub(crate) fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len())
        .position(|window| window == needle)
}
