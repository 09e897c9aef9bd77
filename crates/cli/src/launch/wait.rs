//! Waiting for the agent: its exit, its stops, the signals in between and the beats of the lease.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use amps_core::exit::Exit;
use amps_core::process::{Activity, Sighting};
use amps_engine::process;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpid, getsid, kill_process, pidfd_open,
    waitid,
};
use rustix::termios::{isatty, tcgetattr};
use signal_hook::consts::signal as number;

use super::link::Link;
use super::signals::{self, Arrived, Sender, Signals};

/// After the launcher was continued, how long the agent may take to be continued by the same
/// signal to the group before it is continued by us.
const CONTINUED_TOGETHER: Duration = Duration::from_millis(50);

/// Waits for one agent.
pub(super) struct Waiter {
    child: Pid,
    /// Becomes readable when the agent ends, where the system has such handles.
    handle: Option<OwnedFd>,
    signals: Signals,
    /// Whether standard input, output or error was a terminal at the start.
    had_terminal: bool,
    /// Whether a terminal controls this process, so that somebody continues what stops.
    has_job_control: bool,
    /// Whether this process was told that its terminal vanished.
    heard_hangup: bool,
    /// Signals of the keyboard that reached this process together with the agent.
    from_keyboard: Vec<i32>,
    /// When to look whether the agent is still stopped although we were continued.
    look_at: Option<Instant>,
}

/// What was seen of the agent's end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observed {
    /// How it ended.
    pub(super) exit: Exit,
    /// Whether the terminal had vanished by then.
    pub(super) hung_up: bool,
    /// Whether it ended by a signal of the keyboard that this process got too.
    pub(super) killed_here: bool,
}

impl Waiter {
    /// Looks at the terminal before the agent can be told that it vanished.
    pub(super) fn prepare(signals: Signals) -> Self {
        Self {
            child: getpid(),
            handle: None,
            signals,
            had_terminal: standard_streams().iter().any(isatty),
            has_job_control: File::open("/dev/tty").is_ok(),
            heard_hangup: false,
            from_keyboard: Vec::new(),
            look_at: None,
        }
    }

    /// Does what a process does that listens to no signal, with those that arrived before there was
    /// an agent to pass them on to: returns one that ends it, and stops by one that stops it.
    pub(super) fn told_to_end(&mut self) -> Option<i32> {
        for Arrived { signal, .. } in self.signals.take() {
            match signal {
                number::SIGCHLD | number::SIGCONT | number::SIGWINCH => {}
                number::SIGTSTP | number::SIGTTIN | number::SIGTTOU => {
                    // Without a terminal there is no shell that would continue this process.
                    if self.has_job_control {
                        signals::stop_here();
                    }
                }
                signal => return Some(signal),
            }
        }
        None
    }

    /// Waits until the agent has ended, and gives the signs of life that are due meanwhile.
    pub(super) fn wait(mut self, child: u32, link: &mut Link<'_>) -> io::Result<Observed> {
        let mut next_beat = link.first_beat();
        let child = i32::try_from(child).ok().and_then(Pid::from_raw);
        self.child = child.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.handle = pidfd_open(self.child, PidfdFlags::empty()).ok();
        loop {
            if let Some(exit) = self.look()? {
                // What ended the agent from the keyboard has arrived here too by now.
                self.hear_all();
                let signal = exit.signal().unwrap_or_default();
                return Ok(Observed {
                    exit,
                    // An agent that finished by itself afterwards has not been cut off.
                    hung_up: (self.heard_hangup || exit != Exit::Code(0))
                        && self.had_terminal
                        && is_hung_up(),
                    killed_here: self.from_keyboard.contains(&signal),
                });
            }
            let now = Instant::now();
            if now >= next_beat {
                next_beat = link.beat();
            }
            if self.look_at.is_some_and(|at| now >= at) {
                self.look_at = None;
                self.continue_if_stopped();
            }
            let until = self.look_at.map_or(next_beat, |at| at.min(next_beat));
            let daemon_left = self.sleep(until.saturating_duration_since(now), link.socket())?;
            if daemon_left {
                // The beat finds that out too, and looks for the next daemon.
                next_beat = link.beat();
            }
            self.hear_all();
        }
    }

    fn hear_all(&mut self) {
        for arrived in self.signals.take() {
            self.hear(arrived);
        }
    }

    /// Waits for news. Returns whether the daemon has hung up.
    fn sleep(&self, time: Duration, daemon: Option<BorrowedFd<'_>>) -> io::Result<bool> {
        let timeout = Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(time.subsec_nanos()),
        };
        // Answers that nobody waits for lie in the socket: only its end is news.
        let hang_up = daemon.map(|daemon| PollFd::from_borrowed_fd(daemon, PollFlags::empty()));
        // The agent's end is seen here too: the signal that tells of it may be blocked.
        let end = self
            .handle
            .as_ref()
            .map(|handle| PollFd::new(handle, PollFlags::IN));
        let signals = PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN);
        let mut sources: Vec<_> = hang_up.into_iter().chain(end).chain([signals]).collect();
        match poll(&mut sources, Some(&timeout)) {
            Ok(_) => Ok(daemon.is_some() && sources.first().is_some_and(has_hung_up)),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks the kernel for news of the agent; mirrors its stops.
    fn look(&mut self) -> io::Result<Option<Exit>> {
        loop {
            let options = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
            let status = match waitid(WaitId::Pid(self.child), options) {
                Ok(Some(status)) => status,
                Ok(None) => return Ok(None),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            if status.stopped() {
                // The shell sees its job stopped only now that the agent has stopped. Without a
                // terminal there is no shell that would continue this process.
                if self.has_job_control {
                    signals::stop_here();
                    self.look_at = Some(Instant::now() + CONTINUED_TOGETHER);
                }
                continue;
            }
            let exit = match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Exit::Code(code),
                (None, Some(signal)) => Exit::Signal(signal),
                (None, None) => continue,
            };
            return Ok(Some(exit));
        }
    }

    /// Passes on what was meant for the agent. What the terminal sends the agent has already. What
    /// another process sends it may have too, if it was sent to the whole group; that cannot be
    /// told, and a signal that comes twice does less harm than one that never comes.
    fn hear(&mut self, Arrived { signal, from }: Arrived) {
        self.heard_hangup |= signal == number::SIGHUP;
        match (signal, from) {
            (number::SIGCHLD, _) => {}
            (number::SIGCONT, _) => self.look_at = Some(Instant::now() + CONTINUED_TOGETHER),
            // The end of a terminal is told to the leader of its session alone.
            (number::SIGHUP, Sender::Kernel) if leads_session() => {
                kill_process(self.child, Signal::HUP).ok();
            }
            (number::SIGINT | number::SIGQUIT, Sender::Kernel) => self.from_keyboard.push(signal),
            (_, Sender::Kernel) => {}
            // The agent sends to its group, which this process is of, what it has dealt with.
            (_, Sender::Process(sender)) if sender == Some(self.child) => {}
            (signal, Sender::Process(_)) => {
                if let Some(signal) = Signal::from_named_raw(signal) {
                    // It may have ended meanwhile.
                    kill_process(self.child, signal).ok();
                }
            }
        }
    }

    fn continue_if_stopped(&self) {
        let pid = u32::try_from(self.child.as_raw_nonzero().get()).unwrap_or_default();
        if let Sighting::Present {
            activity: Activity::Stopped,
            ..
        } = process::sight(pid)
        {
            kill_process(self.child, Signal::CONT).ok();
        }
    }
}

fn has_hung_up(source: &PollFd<'_>) -> bool {
    source.revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

fn leads_session() -> bool {
    getsid(None).is_ok_and(|session| session == getpid())
}

fn standard_streams() -> [BorrowedFd<'static>; 3] {
    [
        rustix::stdio::stdin(),
        rustix::stdio::stdout(),
        rustix::stdio::stderr(),
    ]
}

/// A terminal whose other side is gone answers with an input/output error, termios(3).
fn is_hung_up() -> bool {
    standard_streams()
        .iter()
        .any(|stream| matches!(tcgetattr(stream), Err(Errno::IO)))
}
