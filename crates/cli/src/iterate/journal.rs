//! What an iteration tells while it runs, one JSON object a line, in a file that anybody may follow.
//! It has no known secret in it, and is bounded.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use amps_core::id::SessionId;
use amps_core::iteration::{Gate, Iteration};
use amps_core::turn::AgentEvent;
use amps_engine::files;
use amps_engine::home::Home;
use amps_proto::fault::Fault;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// As much is written, in bytes. The record of the iteration is kept apart.
const MOST: u64 = 64 << 20;

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// When.
    pub(crate) at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub(crate) told: Told,
}

/// What is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "told", rename_all = "kebab-case")]
pub(crate) enum Told {
    /// The agent was started.
    AgentStarted {
        /// Its command line.
        command: Vec<String>,
    },
    /// The agent told something.
    Agent {
        /// What.
        event: AgentEvent,
    },
    /// What the agent changed was committed.
    Committed {
        /// The iteration as it is known by then.
        iteration: Box<Iteration>,
    },
    /// The gate is asked.
    GateBegan {
        /// The command.
        command: String,
    },
    /// The gate has spoken.
    GateEnded {
        /// What it said.
        gate: Gate,
    },
    /// It cannot begin, although it was ordered.
    Refused {
        /// Why.
        fault: Box<Fault>,
    },
    /// It is over.
    Judged {
        /// The iteration.
        iteration: Box<Iteration>,
        /// Whether another one follows at once.
        goes_on: bool,
    },
}

/// Returns where an iteration tells.
pub(crate) fn path(home: &Home, session: SessionId, number: u32) -> PathBuf {
    home.iterations_of(session).join(format!("{number}.jsonl"))
}

/// Returns where the whole log of a gate is.
pub(crate) fn gate_log(home: &Home, session: SessionId, number: u32) -> PathBuf {
    home.iterations_of(session)
        .join(format!("{number}.gate.log"))
}

/// Writes a journal. What cannot be written is left out: the iteration goes on.
pub(crate) struct Journal {
    file: Option<File>,
    written: u64,
}

impl Journal {
    /// Begins a journal.
    pub(crate) fn begin(path: &Path) -> Self {
        let folder = path.parent().map(files::create_private_folder);
        let file = folder.and_then(|made| made.ok().and_then(|()| create(path).ok()));
        Self { file, written: 0 }
    }

    /// Writes one line.
    pub(crate) fn tell(&mut self, at: Timestamp, told: Told) {
        // The end is told however much there was.
        let is_end = matches!(told, Told::Judged { .. });
        let Some(file) = self.file.as_mut().filter(|_| is_end || self.written < MOST) else {
            return;
        };
        let mut line =
            serde_json::to_vec(&Entry { at, told }).expect("an entry has no failing serialisers");
        line.push(b'\n');
        self.written += u64::try_from(line.len()).unwrap_or(u64::MAX);
        if file.write_all(&line).is_err() {
            self.file = None;
        }
    }
}

/// Creates a file that only its owner can read.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}
