//! Holding a session: the process that owns an agent's terminal, and its clients.
//!
//! A [`Host`] starts the agent on a terminal of its own and passes on what it writes. A client that
//! attaches hands over a descriptor of its own terminal: the host reads and writes that itself, so
//! that nothing stands between but one process, and a client that is killed takes nothing with it.

mod attach;
mod bridge;
mod chord;
mod client;
mod connection;
mod display;
mod host;
pub mod notes;
mod outbox;
mod pty;
mod signals;
pub mod terminal;

use std::time::Instant;

use amps_proto::hold::TerminalSize;
use amps_screen::Size;
use rustix::event::Timespec;

pub use self::attach::{Attach, AttachError, Attached, SignalsFor, attach, has_terminal};
pub use self::chord::{Chord, InvalidChord};
pub use self::connection::{Connection, ConnectionError};
pub use self::host::{AgentEnd, Hold, Host, HostError, Listener};
pub use amps_screen::reset;

/// Returns how long it is until an instant, for poll(2).
fn left_until(instant: Instant) -> Timespec {
    let left = instant.saturating_duration_since(Instant::now());
    Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(left.subsec_nanos()),
    }
}

fn screen_size(size: TerminalSize) -> Size {
    Size {
        rows: size.rows,
        cols: size.cols,
    }
}
