//! A client that shows the agent on the terminal it was started on.
//!
//! It hands the terminal over to the host and waits: for the end, for a change of its size, and
//! for signals. Whatever happens, the terminal is as before when it returns.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use amps_core::exit::Exit;
use amps_core::process::ProcessIdentity;
use amps_proto::fault::Fault;
use amps_proto::hold::{DetachReason, HoldAnswer, HoldRequest, Role, TerminalModes, TerminalSize};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::isatty;
use signal_hook::consts::signal as number;

use crate::bridge::Bridge;
use crate::chord::Chord;
use crate::connection::{Connection, ConnectionError};
use crate::left_until;
use crate::notes::{self, TerminalNote};
use crate::signals::{PASSED_ON, Signals};
use crate::terminal;

/// Signals that end a client.
const ENDING: [i32; 4] = [
    number::SIGHUP,
    number::SIGINT,
    number::SIGQUIT,
    number::SIGTERM,
];

/// How long a host has to let go of the terminal when a signal ends its client.
const PATIENCE: Duration = Duration::from_secs(2);

/// How to attach.
#[derive(Clone, Debug)]
pub struct Attach {
    /// Whether what is typed goes to the agent.
    pub role: Role,
    /// Whether another typist has to leave.
    pub takes_over: bool,
    /// Whose the signals are that reach this process.
    pub signals: SignalsFor,
    /// The keys that detach.
    pub chord: Option<Chord>,
    /// Where it is noted how to bring the terminal back.
    pub notes: PathBuf,
    /// This process.
    pub client: ProcessIdentity,
}

/// Whose the signals are that reach a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalsFor {
    /// Its own: they end it, and the agent goes on.
    Client,
    /// The agent's, which was started by this very command, and ends with this terminal.
    Agent,
    /// The agent's, but for those that tell of the end of the terminal or of the login: the agent
    /// outlives them.
    LastingAgent,
}

impl SignalsFor {
    fn is_for_agent(self, signal: i32) -> bool {
        let tells_of_end = [number::SIGHUP, number::SIGTERM].contains(&signal);
        match self {
            Self::Client => false,
            Self::Agent => true,
            Self::LastingAgent => !tells_of_end,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Attached {
    /// The agent has ended.
    Ended(Exit),
    /// The client was detached.
    Detached(DetachReason),
    /// A signal ended the client.
    Signalled(i32),
    /// The host refused.
    Refused(Fault),
    /// The host ended without a word.
    Lost,
}

/// The agent cannot be shown here.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// There is no terminal to show it on.
    #[error("standard input and output are not a terminal")]
    NoTerminal,
    /// The terminal cannot be used.
    #[error("the terminal cannot be used")]
    Terminal(#[source] io::Error),
    /// The host could not be asked.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

/// Returns whether this process has a terminal to show an agent on.
pub fn has_terminal() -> bool {
    isatty(rustix::stdio::stdin()) && isatty(rustix::stdio::stdout())
}

/// Shows the agent of a host until it ends, or until the client is detached.
pub fn attach(connection: Connection, attach: &Attach) -> Result<Attached, AttachError> {
    if !has_terminal() {
        return Err(AttachError::NoTerminal);
    }
    let line = rustix::stdio::stdin();
    let modes = terminal::modes(line).map_err(AttachError::Terminal)?;
    let heard = [
        &PASSED_ON[..],
        &[number::SIGWINCH, number::SIGTSTP, number::SIGCONT],
    ];
    let signals = Signals::listen(&heard.concat()).map_err(AttachError::Terminal)?;
    let client = attach.client.clone();
    // A home that cannot be written to keeps nobody from working.
    notes::write(&attach.notes, line, &TerminalNote { client, modes }).ok();
    let mut session = Session {
        attach,
        connection,
        signals,
        line,
        modes,
        is_leaving: None,
        is_tidy: false,
        bridge: None,
    };
    let outcome = session.run();
    if let Some(bridge) = &session.bridge {
        bridge.finish();
    }
    if !session.is_tidy && !matches!(outcome, Ok(Attached::Refused(_))) {
        // A terminal that does not take it must not keep this process.
        let output = own_description(line).or_else(|_| line.try_clone_to_owned());
        output
            .map(|line| rustix::io::write(line, &amps_screen::reset()))
            .ok();
    }
    terminal::restore(line, &modes).ok();
    notes::remove(&attach.notes, line);
    outcome
}

struct Session<'a> {
    attach: &'a Attach,
    connection: Connection,
    signals: Signals,
    line: BorrowedFd<'static>,
    modes: TerminalModes,
    /// The signal that ends this client, once it has arrived, and until when the host has to let go.
    is_leaving: Option<(i32, Instant)>,
    /// Whether the host has brought the terminal back.
    is_tidy: bool,
    /// What copies where the terminal cannot be handed over.
    bridge: Option<Bridge>,
}

impl Session<'_> {
    fn run(&mut self) -> Result<Attached, AttachError> {
        terminal::make_raw(self.line).map_err(AttachError::Terminal)?;
        let shared = self.shared().map_err(AttachError::Terminal)?;
        let request = HoldRequest::Attach {
            role: self.attach.role,
            takes_over: self.attach.takes_over,
            size: terminal::size(self.line),
            modes: Some(self.modes),
            chord: self.attach.chord.as_ref().map(Chord::to_string),
        };
        let lost = |error: io::Error| AttachError::Connection(error.into());
        self.connection
            .hand_over(&request, shared.as_fd())
            .map_err(lost)?;
        drop(shared);
        loop {
            if let Some(outcome) = self.hear_host() {
                return Ok(outcome);
            }
            self.hear_signals();
            if let Some((signal, _)) = self
                .is_leaving
                .filter(|(_, until)| Instant::now() >= *until)
            {
                return Ok(Attached::Signalled(signal));
            }
            self.sleep().map_err(AttachError::Terminal)?;
        }
    }

    /// Returns what the host reads and writes for this terminal.
    fn shared(&mut self) -> io::Result<OwnedFd> {
        own_description(self.line).or_else(|_| {
            let (bridge, shared) = Bridge::to(self.line)?;
            self.bridge = Some(bridge);
            Ok(shared)
        })
    }

    /// Waits for news.
    fn sleep(&self) -> io::Result<()> {
        let mut sources = [
            PollFd::from_borrowed_fd(self.connection.socket(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
        ];
        let until = self.is_leaving.map(|(_, until)| left_until(until));
        match poll(&mut sources, until.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Hears what the host says, if it says something; returns what ends this client.
    fn hear_host(&mut self) -> Option<Attached> {
        loop {
            if !self.connection.has_next() && !is_readable(self.connection.socket()) {
                return None;
            }
            match self.connection.next() {
                Ok(HoldAnswer::Ended { exit, is_tidy }) => {
                    self.is_tidy = is_tidy;
                    return Some(Attached::Ended(exit));
                }
                Ok(HoldAnswer::Detached { reason, is_tidy }) => {
                    self.is_tidy = is_tidy;
                    return Some(match self.is_leaving {
                        Some((signal, _)) => Attached::Signalled(signal),
                        None => Attached::Detached(reason),
                    });
                }
                Ok(HoldAnswer::Fault(fault)) => return Some(Attached::Refused(fault)),
                Ok(HoldAnswer::Paused) => {
                    terminal::restore(self.line, &self.modes).ok();
                    signal_hook::low_level::raise(number::SIGSTOP).ok();
                }
                Ok(_) => {}
                Err(_) => return Some(Attached::Lost),
            }
        }
    }

    fn hear_signals(&mut self) {
        for signal in self.signals.take() {
            match signal {
                number::SIGWINCH => {
                    let size: TerminalSize = terminal::size(self.line);
                    self.tell(&HoldRequest::Resize { size });
                }
                // It stops once the host has let go of the terminal.
                number::SIGTSTP => self.tell(&HoldRequest::Pause),
                // The shell had the terminal meanwhile.
                number::SIGCONT => self.go_on(),
                signal if self.attach.signals.is_for_agent(signal) => {
                    self.tell(&HoldRequest::Signal { number: signal });
                }
                signal if ENDING.contains(&signal) => {
                    // Told twice, it leaves without the host.
                    let patience = if self.is_leaving.is_some() {
                        Duration::ZERO
                    } else {
                        PATIENCE
                    };
                    self.is_leaving = Some((signal, Instant::now() + patience));
                    self.tell(&HoldRequest::Detach);
                }
                _ => {}
            }
        }
    }

    fn go_on(&mut self) {
        terminal::make_raw(self.line).ok();
        let size = terminal::size(self.line);
        self.tell(&HoldRequest::Resize { size });
        self.tell(&HoldRequest::Resume);
    }

    /// A host that does not hear any more is noticed by the end of the connection.
    fn tell(&mut self, request: &HoldRequest) {
        self.connection.tell(request).ok();
    }
}

fn is_readable(socket: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
    let at_once = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut polled, Some(&at_once)).is_ok_and(|ready| ready > 0)
}

/// Opens the terminal once more: what the host sets on its descriptor, such as not to wait, must
/// not hold for the shell's.
fn own_description(line: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", line.as_raw_fd());
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}
