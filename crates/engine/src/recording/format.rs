//! The form of a journal on the disk, version 1.
//!
//! A segment begins with a line of text that names the version, then records follow. A record is a
//! head of 17 bytes, numbers in little-endian order, and its payload:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | CRC-32 of everything behind it |
//! | 1 | kind |
//! | 4 | length of the payload |
//! | 8 | microseconds since the record before; of a header, since the recording began |

use std::time::Duration;

use amps_core::exit::Exit;
use amps_core::time::Moment;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of the form; another one is not read.
pub(super) const VERSION: u32 = 1;

/// What the first line says before the version.
pub(super) const MAGIC: &str = "amps journal ";

/// The length of a record's head.
pub(super) const HEAD: usize = 17;

/// The longest payload; what is longer becomes several records.
pub(super) const LONGEST: usize = 1 << 20;

/// What a recording is of. Each segment has one, with the size at its beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Rows of the terminal.
    pub rows: u16,
    /// Columns of the terminal.
    pub cols: u16,
    /// The command line; known secrets are masked before it is written.
    pub command: Vec<String>,
    /// When the recording began.
    pub started_at: Timestamp,
    /// The same in milliseconds since boot; recordings of the first versions lack it.
    #[serde(default)]
    pub started_uptime_ms: Option<u64>,
    /// What `TERM` was for the agent.
    #[serde(default)]
    pub term: Option<String>,
}

impl Header {
    /// Returns how long after the beginning something happened, by the clock that cannot be set.
    /// Without one of the same boot it is told by wall time, and a clock that was set back puts it
    /// at the beginning.
    pub fn elapsed_at(&self, moment: Moment) -> Duration {
        let uptime_ms = self.started_uptime_ms;
        let since = uptime_ms.and_then(|began| moment.uptime_ms.checked_sub(began));
        since.map_or_else(
            || Duration::try_from(moment.at.duration_since(self.started_at)).unwrap_or_default(),
            Duration::from_millis,
        )
    }
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// The [`Header`] as JSON; the first of a segment.
    Header = b'h',
    /// The screen as it was where the segment begins.
    Keyframe = b'k',
    /// Bytes of the agent.
    Output = b'o',
    /// Another size: rows and columns.
    Resized = b'r',
    /// How many bytes of output are missing here.
    Lost = b'l',
    /// The end: the exit as JSON, null where nobody knows it.
    Ended = b'x',
}

impl Kind {
    fn byte(self) -> u8 {
        self as u8
    }

    /// Reads a kind. A later version of ours may know more of them.
    pub(super) fn of(byte: u8) -> Option<Self> {
        [
            Self::Header,
            Self::Keyframe,
            Self::Output,
            Self::Resized,
            Self::Lost,
            Self::Ended,
        ]
        .into_iter()
        .find(|kind| kind.byte() == byte)
    }
}

/// A record's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    crc: u32,
    pub(super) kind: u8,
    pub(super) length: usize,
    pub(super) since: Duration,
}

impl Head {
    /// Takes a head apart.
    pub(super) fn parse(bytes: &[u8; HEAD]) -> Self {
        let [c0, c1, c2, c3, kind, l0, l1, l2, l3, since @ ..] = *bytes;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        Self {
            crc: u32::from_le_bytes([c0, c1, c2, c3]),
            kind,
            length: usize::try_from(length).unwrap_or(usize::MAX),
            since: Duration::from_micros(u64::from_le_bytes(since)),
        }
    }

    /// Returns whether head and payload are what was written.
    pub(super) fn fits(self, bytes: &[u8; HEAD], payload: &[u8]) -> bool {
        let [_, _, _, _, behind @ ..] = bytes;
        checksum(behind, payload) == self.crc
    }
}

fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(payload);
    hasher.finalize()
}

/// Appends the line that a segment begins with.
pub(super) fn push_magic(to: &mut Vec<u8>) {
    to.extend_from_slice(format!("{MAGIC}{VERSION}\n").as_bytes());
}

/// Appends a record, or several where the payload is too long for one.
pub(super) fn push_record(to: &mut Vec<u8>, kind: Kind, since: Duration, payload: &[u8]) {
    let (first, rest) = payload.split_at(payload.len().min(LONGEST));
    push_one(to, kind, since, first);
    for part in rest.chunks(LONGEST) {
        push_one(to, kind, Duration::ZERO, part);
    }
}

fn push_one(to: &mut Vec<u8>, kind: Kind, since: Duration, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a part is at most LONGEST");
    let micros = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
    let mut behind = [0; HEAD - 4];
    behind[0] = kind.byte();
    behind[1..5].copy_from_slice(&length.to_le_bytes());
    behind[5..].copy_from_slice(&micros.to_le_bytes());
    to.extend_from_slice(&checksum(&behind, payload).to_le_bytes());
    to.extend_from_slice(&behind);
    to.extend_from_slice(payload);
}

/// Returns the payload of a size.
pub(super) fn size_payload(rows: u16, cols: u16) -> [u8; 4] {
    let ([r0, r1], [c0, c1]) = (rows.to_le_bytes(), cols.to_le_bytes());
    [r0, r1, c0, c1]
}

/// Reads the payload of a size: rows and columns.
pub(super) fn parse_size(payload: &[u8]) -> Option<(u16, u16)> {
    let [r0, r1, c0, c1] = *payload.first_chunk()?;
    Some((u16::from_le_bytes([r0, r1]), u16::from_le_bytes([c0, c1])))
}

/// Reads the payload of a loss.
pub(super) fn parse_lost(payload: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*payload.first_chunk()?))
}

/// Returns the payload of an end.
pub(super) fn end_payload(exit: Option<Exit>) -> Vec<u8> {
    serde_json::to_vec(&exit).expect("an exit has no failing serialiser")
}

/// Returns the name of a segment's file.
pub(super) fn segment_name(number: u32) -> String {
    format!("{number:06}.journal")
}

/// Reads the number of a segment from the name of its file.
pub(super) fn parse_segment_name(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".journal")?;
    let is_number = digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A moment, in seconds since the epoch and in milliseconds since boot.
    fn moment(at: i64, uptime_ms: u64) -> Moment {
        let at = Timestamp::from_second(at).unwrap();
        Moment { at, uptime_ms }
    }

    #[test]
    fn a_moment_is_placed_by_the_clock_that_cannot_be_set_where_it_can_be() {
        let header =
            r#"{"rows": 24, "cols": 80, "command": [], "started_at": "1970-01-01T01:00:00Z"}"#;
        let mut header: Header = serde_json::from_str(header).unwrap();
        assert_eq!(header.elapsed_at(moment(3_605, 1_000)).as_secs(), 5);
        assert_eq!(header.elapsed_at(moment(60, 1_000)), Duration::ZERO);
        header.started_uptime_ms = Some(500_000);
        for wall in [60, 3_605, 90_000] {
            let elapsed = header.elapsed_at(moment(wall, 502_500));
            assert_eq!(elapsed, Duration::from_millis(2_500), "at {wall}");
        }
        let after_a_restart = moment(3_605, 1_000);
        assert_eq!(header.elapsed_at(after_a_restart).as_secs(), 5);
    }
}
