//! How to bring a terminal back whose client and host both died: one file for each terminal, made
//! before the terminal is changed and removed when it is as before.

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use amps_core::process::ProcessIdentity;
use amps_engine::files::{self, FileError};
use amps_proto::hold::TerminalModes;
use rustix::fs::fstat;
use serde::{Deserialize, Serialize};

/// What is noted of a terminal that an agent is shown on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalNote {
    /// The client that shows the agent there.
    pub client: ProcessIdentity,
    /// The modes before.
    pub modes: TerminalModes,
}

/// Returns the file of a terminal: the number of its device names it as long as it is open.
fn path(folder: &Path, line: impl AsFd) -> Option<PathBuf> {
    let device = fstat(line).ok()?.st_rdev;
    (device != 0).then(|| folder.join(format!("{device:x}.json")))
}

/// Notes how to bring a terminal back.
pub fn write(folder: &Path, line: impl AsFd, note: &TerminalNote) -> Result<(), FileError> {
    let Some(path) = path(folder, line) else {
        return Ok(());
    };
    files::create_private_folder(folder)?;
    let text = serde_json::to_vec(note).expect("a note has string keys and no failing serialisers");
    files::write_private(&path, &text)
}

/// Returns what is noted of a terminal.
pub fn read(folder: &Path, line: impl AsFd) -> Option<TerminalNote> {
    serde_json::from_slice(&fs::read(path(folder, line)?).ok()?).ok()
}

/// Removes the note of a terminal that is as before.
pub fn remove(folder: &Path, line: impl AsFd) {
    if let Some(path) = path(folder, line) {
        // A note that stays is found to be out of date by its client.
        files::remove(&path).ok();
    }
}
