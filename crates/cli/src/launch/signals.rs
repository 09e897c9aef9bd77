//! Signals that reach the launcher, and the way out by one.
//!
//! Handlers, unlike ignoring, are not inherited across exec, so the agent starts with the fates
//! that a shell would give it. A signal that was ignored from the start, as under `nohup`, is left
//! alone for the agent to inherit. `SIGPIPE` alone is lost: the runtime ignores it before `main` and
//! gives its default to every child, and neither can be changed without unsafe.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use amps_engine::process::ignored_signals;
use rustix::process::{Pid, Resource, Rlimit, setrlimit};
use signal_hook::consts::signal as number;
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level;
use signal_hook::low_level::siginfo::{Cause, Origin};

/// The signals that are listened to. Those that stop are listened to so that the launcher stops
/// when the agent has stopped, not before: an agent may still be tidying up the screen.
const HEARD: [i32; 17] = [
    number::SIGABRT,
    number::SIGALRM,
    number::SIGCHLD,
    number::SIGCONT,
    number::SIGHUP,
    number::SIGINT,
    number::SIGIO,
    number::SIGPROF,
    number::SIGQUIT,
    number::SIGTERM,
    number::SIGTSTP,
    number::SIGTTIN,
    number::SIGTTOU,
    number::SIGUSR1,
    number::SIGUSR2,
    number::SIGVTALRM,
    number::SIGWINCH,
];

/// The signals that arrive.
pub(super) struct Signals {
    delivery: SignalDelivery<UnixStream, WithOrigin>,
}

/// A signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrived {
    pub(super) signal: i32,
    pub(super) from: Sender,
}

/// Who sent a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// The kernel, on behalf of the terminal: the whole foreground group has it.
    Kernel,
    /// A process, to this one or to the whole group.
    Process(Option<Pid>),
}

impl Signals {
    /// Begins to listen.
    pub(super) fn listen() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        let ignored = ignored_signals();
        let heard = HEARD.into_iter().filter(|signal| {
            // Without SIGCHLD's handler the agent's exit status would be lost.
            *signal == number::SIGCHLD || !ignored.contains(signal)
        });
        let delivery = SignalDelivery::with_pipe(read, write, WithOrigin::default(), heard)?;
        Ok(Self { delivery })
    }

    /// Returns what has arrived since the last call.
    pub(super) fn take(&mut self) -> Vec<Arrived> {
        self.delivery
            .pending()
            .map(|origin| arrived(&origin))
            .collect()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }
}

fn arrived(origin: &Origin) -> Arrived {
    let from = match origin.cause {
        Cause::Sent(_) => Sender::Process(
            origin
                .process
                .and_then(|process| Pid::from_raw(process.pid)),
        ),
        _ => Sender::Kernel,
    };
    Arrived {
        signal: origin.signal,
        from,
    }
}

/// Returns whether keys send this signal to end what is in front.
pub(super) fn is_of_keyboard(signal: i32) -> bool {
    matches!(signal, number::SIGINT | number::SIGQUIT)
}

/// Ends this process by a signal, without a core file of its own. Returns only when that fails.
pub(super) fn end_by(signal: i32) {
    // A core limit that cannot be lowered costs a file, nothing else.
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )
    .ok();
    low_level::emulate_default_handler(signal).ok();
}

/// Stops this process until somebody continues it.
pub(super) fn stop_here() {
    low_level::raise(number::SIGSTOP).ok();
}
