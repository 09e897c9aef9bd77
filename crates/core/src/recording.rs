//! What a record says of a recording, and the bound that a recording is kept in.

use serde::{Deserialize, Serialize};

/// How much of an agent's output has been recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recording {
    /// Bytes of output that the journal holds and that have reached the disk.
    pub bytes: u64,
    /// Bytes of output that could not be recorded, mostly because the disk was full.
    pub lost: u64,
    /// Whether the beginning was dropped to keep the journal within its limit.
    pub cut: bool,
}

/// The bounds of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLimits {
    /// The most bytes that the files of one journal take together. Nothing exceeds it; the oldest
    /// part makes room.
    pub max_size: u64,
}

/// How many segments a full journal has.
const SEGMENTS: u64 = 8;

impl RecordLimits {
    /// Returns the size at which a segment is full.
    pub fn segment_size(self) -> u64 {
        self.max_size / SEGMENTS
    }
}

impl Default for RecordLimits {
    fn default() -> Self {
        Self { max_size: 64 << 20 }
    }
}
