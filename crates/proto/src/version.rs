//! Which protocol each side speaks.

use serde::{Deserialize, Serialize};

/// The protocol of this program. Raised when an old reader could misread a new writer.
pub const PROTOCOL: u32 = 1;

/// The oldest protocol that this program still answers.
pub const OLDEST_PROTOCOL: u32 = 1;

/// The first line from each side. Its form never changes, so that any two versions can part in
/// peace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol that the sender speaks.
    pub amps: u32,
    /// The sender's program version.
    pub version: String,
    /// The sender's process.
    pub pid: u32,
}

impl Hello {
    /// Makes the greeting of this program.
    pub fn of_this_program(pid: u32) -> Self {
        Self {
            amps: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid,
        }
    }

    /// Returns whether this program understands the sender.
    pub fn is_understood(&self) -> bool {
        (OLDEST_PROTOCOL..=PROTOCOL).contains(&self.amps)
    }
}
