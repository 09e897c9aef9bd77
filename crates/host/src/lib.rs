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

use amps_proto::hold::TerminalSize;
use amps_screen::Size;

pub use self::attach::{Attach, AttachError, Attached, attach, has_terminal};
pub use self::chord::{Chord, InvalidChord};
pub use self::connection::{Connection, ConnectionError};
pub use self::host::{AgentEnd, Hold, Host, HostError, Listener};
pub use amps_screen::reset;

fn screen_size(size: TerminalSize) -> Size {
    Size {
        rows: size.rows,
        cols: size.cols,
    }
}
