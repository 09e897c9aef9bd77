//! What travels between the host of a held session and its clients.
//!
//! The wire is a Unix socket of the session with one JSON object a line. Each side first sends a
//! [`Hello`](crate::version::Hello). Then the client sends [`HoldRequest`]s, and the host answers
//! each with a [`HoldAnswer`], in order. What is typed and shown does not travel here: with
//! [`HoldRequest::Attach`] a client hands over a descriptor of its terminal, which the host reads
//! and writes itself. To an attached client the host sends [`HoldAnswer::Detached`] or
//! [`HoldAnswer::Ended`] unasked, as the last line.

use amps_core::exit::Exit;
use amps_core::id::SessionId;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// How large a terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub cols: u16,
}

/// The modes of a terminal line that attaching changes: termios(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalModes {
    /// `c_iflag`.
    pub input: u32,
    /// `c_oflag`.
    pub output: u32,
    /// `c_cflag`.
    pub control: u32,
    /// `c_lflag`.
    pub local: u32,
    /// `VMIN`.
    pub min: u8,
    /// `VTIME`.
    pub time: u8,
}

/// What an attached client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// What is typed at its terminal goes to the agent. There is one at a time.
    Typist,
    /// It only sees what the agent shows.
    Watcher,
}

/// What a client asks of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum HoldRequest {
    /// Shows the agent on the terminal whose descriptor comes with this line, until the client
    /// leaves, is detached, or the agent ends.
    Attach {
        /// What the client may do.
        role: Role,
        /// Whether another typist has to leave for this one.
        #[serde(default)]
        takes_over: bool,
        /// How large the terminal is.
        size: TerminalSize,
        /// Its modes before it was attached. The host brings them back if the client dies;
        /// `None` for what is no terminal line.
        modes: Option<TerminalModes>,
        /// The keys that detach, such as `ctrl-\\ d`; `None` for none.
        #[serde(default)]
        chord: Option<String>,
    },
    /// Leaves; only from an attached client.
    Detach,
    /// Has every client leave.
    DetachAll,
    /// Does nothing on the terminal until told to go on: the client is being stopped.
    Pause,
    /// The terminal has another size.
    Resize {
        /// Its size.
        size: TerminalSize,
    },
    /// Goes on after a pause.
    Resume,
    /// What the agent shows.
    Screen {
        /// Whether colours and the like are wanted too.
        #[serde(default)]
        ansi: bool,
    },
    /// Passes a signal on to the agent.
    Signal {
        /// Its number.
        number: i32,
    },
    /// How the host is.
    Status,
    /// Types for a program.
    Type {
        /// The bytes, in Base64.
        base64: String,
        /// Whether they are text that is pasted: marked as such for an agent that asked for it.
        #[serde(default)]
        pasted: bool,
    },
    /// Waits until the agent has shown nothing new for a while.
    WaitIdle {
        /// For how long, in milliseconds.
        quiet_ms: u64,
        /// How long to wait for that, in milliseconds.
        wait_ms: u64,
    },
}

/// What a host answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum HoldAnswer {
    /// The terminal shows the agent.
    Attached,
    /// The client has been detached; the host does nothing more on its terminal.
    Detached {
        /// Why.
        reason: DetachReason,
        /// Whether the terminal has taken all that brings it back.
        #[serde(default)]
        is_tidy: bool,
    },
    /// It is done.
    Done,
    /// The agent has ended and the terminal has seen its last output.
    Ended {
        /// How the agent ended.
        exit: Exit,
        /// Whether the terminal has taken all that brings it back.
        #[serde(default)]
        is_tidy: bool,
    },
    /// It could not be done.
    Fault(Fault),
    /// Whether the agent became idle in time.
    Idle {
        /// Whether it did.
        reached: bool,
    },
    /// The host does nothing on the terminal until the client goes on.
    Paused,
    /// What the agent shows.
    Screen {
        /// The rows, without the blanks at their ends.
        text: String,
        /// The title that the agent gave its terminal.
        title: Option<String>,
    },
    /// How the host is.
    Status(HostView),
}

/// Why a client was detached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DetachReason {
    /// The chord was typed, or the client asked for it.
    Asked,
    /// Somebody asked for it from elsewhere.
    FromElsewhere,
    /// Another client types now.
    TakenOver,
    /// The terminal was closed.
    TerminalGone,
}

/// How a host is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostView {
    /// Its session.
    pub session_id: SessionId,
    /// Its process.
    pub pid: u32,
    /// Its program version.
    pub version: String,
    /// The size of the agent's terminal.
    pub size: TerminalSize,
    /// Whether somebody types.
    pub has_typist: bool,
    /// How many only see.
    pub watchers: u32,
    /// Milliseconds since the agent last showed something.
    pub quiet_ms: u64,
}
