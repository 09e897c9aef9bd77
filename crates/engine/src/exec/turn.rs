//! Running one turn of an agent to its end, whatever the agent does.
//!
//! The agent leads a process group of its own, reads the prompt or nothing, and is heard line by line.
//! It ends by itself, at a limit of time, or when somebody asks for it: then its group is told to end,
//! and after a grace everything of it is killed. Agents start their tools in sessions of their own and
//! leave them behind, so whatever carries the variable of the session is looked for in the end, and
//! ended too: nothing writes into the folder any more when a turn is over. A process that keeps stdout
//! open is not waited for.

mod ending;
mod lines;

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use amps_core::exit::Exit;
use amps_core::process::{ProcessIdentity, Sighting};
use amps_core::time::Moment;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio, retry_on_intr};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use self::lines::{Lines, Tail};
use super::{ExecError, Foreground, unstarted};
use crate::agent::Invocation;
use crate::clock::Clock;
use crate::process::{self, SESSION_VARIABLE};

/// How long a process that was killed may take to be gone; the kernel has it waiting for a disk.
const KILLED: Duration = Duration::from_secs(5);
/// The most bytes that are still read of each stream when the agent is gone: a pipe holds less.
const STILL_READ: usize = 1 << 20;
/// Bytes read at a time.
const PIECE: usize = 64 * 1024;

/// One turn to be run.
#[derive(Clone, Copy, Debug)]
pub struct TurnCommand<'a> {
    /// The file to execute.
    pub program: &'a Path,
    /// The name under which it is called.
    pub name: &'a OsStr,
    /// Its arguments and what it reads.
    pub invocation: &'a Invocation,
    /// The folder in which it works.
    pub folder: &'a Path,
    /// All variables that it has, without those of the invocation and of the session.
    pub environment: &'a [(OsString, OsString)],
    /// The session, by which its processes are found.
    pub session: &'a str,
    /// How long it may take; `None` for as long as it wants.
    pub limit: Option<Duration>,
    /// How long it may take to end when it is told to, and those that outlive it.
    pub grace: Duration,
    /// Becomes readable, or is hung up, when the turn is to be stopped.
    pub stop: Option<BorrowedFd<'a>>,
}

/// Hears a turn while it runs.
pub trait TurnListener {
    /// Hears that the agent was started.
    fn started(&mut self, process: &ProcessIdentity);

    /// Hears a line that it wrote to stdout.
    fn line(&mut self, line: Line<'_>);
}

/// A line of stdout.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Its bytes, without the end of the line.
    pub bytes: &'a [u8],
    /// When it was read.
    pub at: Moment,
    /// Whether these are all of its bytes; of a line that is too long they are the first.
    pub is_whole: bool,
}

/// Why a turn was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnCause {
    /// The agent ended by itself.
    Itself,
    /// It took too long.
    TimeLimit,
    /// Somebody asked for it.
    Stopped,
}

/// How a turn ended.
#[derive(Clone, Debug)]
pub struct TurnEnding {
    /// How the agent's process ended; `None` if it could not be ended.
    pub exit: Option<Exit>,
    /// Why.
    pub cause: TurnCause,
    /// When the agent's process was gone.
    pub ended_at: Moment,
    /// The end of what it wrote to stderr, known secrets masked.
    pub stderr: String,
    /// Processes that outlived the agent, and were ended.
    pub survivors: Vec<ProcessIdentity>,
    /// Processes that could not be ended.
    pub unended: Vec<ProcessIdentity>,
}

/// Ends whatever carries the variable of a session: told to end, and killed after a grace. `leader` is
/// a process of it, or one that was started before all of it. Returns how many could not be ended.
pub fn end_session_processes(
    session: &str,
    leader: &ProcessIdentity,
    clock: &Clock,
    grace: Duration,
) -> usize {
    let look = || process::of_session(session, leader, clock);
    ending::end_all(&look, Instant::now() + grace).unended.len()
}

/// Runs a turn to its end.
///
/// It takes no longer than its limit, the grace, and some seconds for what the kernel keeps from ending,
/// as long as the listener does not block.
pub fn run_turn(
    command: &TurnCommand<'_>,
    clock: &Clock,
    listener: &mut dyn TurnListener,
) -> Result<TurnEnding, ExecError> {
    let started = Instant::now();
    let (mut running, leader) = Running::start(command, clock)?;
    listener.started(&leader);
    let limit = command.limit.and_then(|limit| started.checked_add(limit));
    let cause = running.wait(command, limit, clock, listener);
    let ended_at = clock.now();
    running.read_rest(clock, listener);
    let group = leader.pid;
    let look = || {
        let mut found = process::of_session(command.session, &leader, clock);
        found.extend(process::of_group(group, clock));
        found.sort_by_key(|process| process.pid);
        found.dedup();
        // Whoever was there before the agent is none of its own, whatever variables it has. Pids tell
        // the order within a tick.
        let age = |one: &ProcessIdentity| (one.start_ticks, one.pid);
        found.retain(|one| age(one) > age(&leader));
        found
    };
    let until = running
        .until
        .unwrap_or_else(|| Instant::now() + command.grace);
    let ended = ending::end_all(&look, until);
    running.read_rest(clock, listener);
    Ok(TurnEnding {
        exit: running.finish(clock, listener),
        cause,
        ended_at,
        stderr: running.stderr_tail.text(),
        survivors: ended.ended,
        unended: ended.unended,
    })
}

/// The agent while it runs.
struct Running {
    child: Child,
    group: Pid,
    /// Becomes readable when the agent ends.
    handle: OwnedFd,
    has_ended: bool,
    /// When everything is killed that was told to end.
    until: Option<Instant>,
    stdin: Option<ChildStdin>,
    /// What has not been read of the prompt.
    unread: Vec<u8>,
    stdout: Option<ChildStdout>,
    lines: Lines,
    stderr: Option<ChildStderr>,
    stderr_tail: Tail,
    /// Room for what is read.
    piece: Vec<u8>,
}

/// Why a wait was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Woken {
    /// The agent has ended.
    Ended,
    /// Somebody asks for the turn to be stopped.
    Stop,
    /// There may be bytes to move, or it is time.
    Other,
}

impl Running {
    fn start(
        command: &TurnCommand<'_>,
        clock: &Clock,
    ) -> Result<(Self, ProcessIdentity), ExecError> {
        let invocation = command.invocation;
        let foreground = Foreground {
            program: command.program.to_owned(),
            name: command.name.to_owned(),
            arguments: invocation.arguments.iter().map(OsString::from).collect(),
            variables: Vec::new(),
        };
        let reads = invocation.stdin.is_some();
        let mut child = foreground.start_by(|mut process| {
            process
                .env_clear()
                .envs(command.environment.iter().cloned())
                .envs(invocation.variables.iter().copied())
                .env(SESSION_VARIABLE, command.session)
                .current_dir(command.folder)
                .process_group(0)
                .stdin(if reads { Stdio::piped() } else { Stdio::null() })
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
        })?;
        let opened = open(&child);
        let (group, handle) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                child.kill().ok();
                child.wait().ok();
                return Err(unstarted(command.program, error));
            }
        };
        // Not its identity, which the dead have not: it may have ended already.
        let start_ticks = match process::sight(child.id()) {
            Sighting::Present { start_ticks, .. } => start_ticks,
            Sighting::Gone | Sighting::Unknown => 0,
        };
        let leader = ProcessIdentity {
            pid: child.id(),
            start_ticks,
            place: clock.place(),
        };
        let running = Self {
            group,
            handle,
            has_ended: false,
            until: None,
            stdin: child.stdin.take(),
            unread: invocation.stdin.clone().unwrap_or_default().into_bytes(),
            stdout: child.stdout.take(),
            lines: Lines::default(),
            stderr: child.stderr.take(),
            stderr_tail: Tail::default(),
            piece: vec![0; PIECE],
            child,
        };
        Ok((running, leader))
    }

    /// Waits until the agent has ended, and ends it if it has to be. Returns why it ended.
    fn wait(
        &mut self,
        command: &TurnCommand<'_>,
        limit: Option<Instant>,
        clock: &Clock,
        listener: &mut dyn TurnListener,
    ) -> TurnCause {
        let mut cause = None;
        let mut given_up = None;
        while !self.has_ended {
            let next = match cause {
                None => limit,
                Some(_) => given_up.or(self.until),
            };
            let woken = self.poll(command.stop.filter(|_| cause.is_none()), next);
            self.write_prompt();
            self.read_stdout(clock, listener);
            self.read_stderr();
            self.has_ended = woken == Woken::Ended;
            if self.has_ended {
                break;
            }
            let is_over = next.is_some_and(|next| Instant::now() >= next);
            match cause {
                None if woken == Woken::Stop || is_over => {
                    cause = Some(if woken == Woken::Stop {
                        TurnCause::Stopped
                    } else {
                        TurnCause::TimeLimit
                    });
                    self.signal(Signal::TERM);
                    self.until = Some(Instant::now() + command.grace);
                }
                Some(_) if is_over && given_up.is_none() => {
                    self.signal(Signal::KILL);
                    given_up = Some(Instant::now() + KILLED);
                }
                Some(_) if is_over => break,
                _ => {}
            }
        }
        cause.unwrap_or(TurnCause::Itself)
    }

    /// Waits for something to do.
    fn poll(&self, stop: Option<BorrowedFd<'_>>, next: Option<Instant>) -> Woken {
        let fds = [
            (Some(self.handle.as_fd()), PollFlags::IN),
            (stop, PollFlags::IN),
            (self.stdin.as_ref().map(AsFd::as_fd), PollFlags::OUT),
            (self.stdout.as_ref().map(AsFd::as_fd), PollFlags::IN),
            (self.stderr.as_ref().map(AsFd::as_fd), PollFlags::IN),
        ];
        let mut polled: Vec<PollFd<'_>> = (fds.into_iter())
            .filter_map(|(fd, flags)| Some(PollFd::from_borrowed_fd(fd?, flags)))
            .collect();
        let left = next.map(|next| next.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        // Interrupted, there is nothing to do but to look again.
        poll(&mut polled, left.as_ref()).ok();
        let mut polled = polled.iter().map(|fd| !fd.revents().is_empty());
        if polled.next() == Some(true) {
            Woken::Ended
        } else if stop.is_some() && polled.next() == Some(true) {
            Woken::Stop
        } else {
            Woken::Other
        }
    }

    fn write_prompt(&mut self) {
        let Some(stdin) = &mut self.stdin else {
            return;
        };
        match stdin.write(&self.unread) {
            Ok(count) => {
                self.unread.drain(..count);
            }
            Err(error) if is_early(&error) => return,
            // It does not want to read.
            Err(_) => self.unread.clear(),
        }
        if self.unread.is_empty() {
            self.stdin = None;
        }
    }

    /// Reads what is there of stdout, at most a piece. Returns how much that was.
    fn read_stdout(&mut self, clock: &Clock, listener: &mut dyn TurnListener) -> usize {
        let lines = &mut self.lines;
        read_piece(&mut self.stdout, &mut self.piece, |piece| {
            lines.take(piece, clock.now(), listener);
        })
    }

    /// Reads what is there of stderr, at most a piece. Returns how much that was.
    fn read_stderr(&mut self) -> usize {
        let tail = &mut self.stderr_tail;
        read_piece(&mut self.stderr, &mut self.piece, |piece| tail.take(piece))
    }

    /// Reads what is there and waits for nothing more.
    fn read_rest(&mut self, clock: &Clock, listener: &mut dyn TurnListener) {
        let (mut out, mut err) = (0, 0);
        loop {
            let read = if out < STILL_READ {
                self.read_stdout(clock, listener)
            } else {
                0
            };
            let complained = if err < STILL_READ {
                self.read_stderr()
            } else {
                0
            };
            out += read;
            err += complained;
            if read + complained == 0 {
                return;
            }
        }
    }

    /// Sends a signal to the whole group. As long as its leader has not been asked for its exit, no
    /// other group can have the number.
    fn signal(&self, signal: Signal) {
        kill_process_group(self.group, signal).ok();
    }

    fn finish(&mut self, clock: &Clock, listener: &mut dyn TurnListener) -> Option<Exit> {
        self.lines.finish(clock.now(), listener);
        // Told by the kernel, the end can be asked for without waiting.
        let status = if self.has_ended {
            self.child.wait().ok()
        } else {
            self.child.try_wait().ok().flatten()
        };
        status.and_then(exit_of)
    }
}

impl Drop for Running {
    /// Whoever is not waited for to the end is not left running either.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::KILL);
        }
    }
}

/// Makes the ends that are ours give way instead of waiting.
fn open(child: &Child) -> io::Result<(Pid, OwnedFd)> {
    let raw = i32::try_from(child.id()).map_err(|_| Errno::SRCH)?;
    let pid = Pid::from_raw(raw).ok_or(Errno::SRCH)?;
    let streams = [
        child.stdin.as_ref().map(AsFd::as_fd),
        child.stdout.as_ref().map(AsFd::as_fd),
        child.stderr.as_ref().map(AsFd::as_fd),
    ];
    for stream in streams.into_iter().flatten() {
        ioctl_fionbio(stream, true)?;
    }
    Ok((pid, retry_on_intr(|| pidfd_open(pid, PidfdFlags::empty()))?))
}

/// Reads at most a piece; at its end the stream is let go.
fn read_piece(stream: &mut Option<impl Read>, piece: &mut [u8], take: impl FnOnce(&[u8])) -> usize {
    let Some(open) = stream else {
        return 0;
    };
    match open.read(piece) {
        Ok(count) if count > 0 => {
            take(piece.get(..count).unwrap_or_default());
            count
        }
        Err(error) if is_early(&error) => 0,
        Ok(_) | Err(_) => {
            *stream = None;
            0
        }
    }
}

fn is_early(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

fn exit_of(status: ExitStatus) -> Option<Exit> {
    let signal = || status.signal().map(Exit::Signal);
    status.code().map(Exit::Code).or_else(signal)
}
