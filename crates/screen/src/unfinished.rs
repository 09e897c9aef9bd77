//! The bytes of a sequence or character that a program has begun and not finished.
//!
//! A redraw may fall between any two bytes. What follows it makes sense only after the bytes that
//! came before, so these are sent once more at its end. The parser does not tell where it is, so
//! this follows it; it looks at the bytes behind the last escape only.

use std::{mem, str};

use memchr::{memchr, memchr3, memchr3_iter, memrchr};

const ESCAPE: u8 = 0x1b;
const BELL: u8 = 0x07;
/// End any sequence, without effect.
const CANCEL: u8 = 0x18;
const SUBSTITUTE: u8 = 0x1a;

/// How much of a sequence is kept. Only strings are longer, such as pictures and files.
const MOST: usize = 64 * 1024;

/// Where the parser is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    Intermediate,
    Control,
    Command,
    /// A device control, application program, privacy or other string.
    Text,
}

/// Follows the parser.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Unfinished {
    state: State,
    bytes: Vec<u8>,
    /// The beginning of the sequence is not known any more.
    is_cut: bool,
}

impl Unfinished {
    /// Returns the bytes that bring a terminal to where the parser is.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns whether nothing has been begun.
    pub(crate) fn is_empty(&self) -> bool {
        self.state == State::Ground && self.bytes.is_empty()
    }

    /// Takes the bytes that begin a character, to be given again with its rest: the parser loses
    /// what follows a character that it was given in parts.
    pub(crate) fn take_character(&mut self) -> Vec<u8> {
        if self.state == State::Ground {
            mem::take(&mut self.bytes)
        } else {
            Vec::new()
        }
    }

    /// Returns how many bytes at the end begin a character.
    pub(crate) fn character_length(&self) -> usize {
        if self.state == State::Ground {
            self.bytes.len()
        } else {
            0
        }
    }

    /// Returns how many bytes at the beginning belong to a command that is too long for anybody to
    /// keep. The parser would.
    pub(crate) fn excess(&self, bytes: &[u8]) -> usize {
        if self.state != State::Command || !self.is_cut {
            return 0;
        }
        let end = memchr3(BELL, CANCEL, SUBSTITUTE, bytes).unwrap_or(bytes.len());
        let (command, _) = bytes.split_at(end);
        memchr(ESCAPE, command).unwrap_or(end)
    }

    /// Takes what a program wrote.
    pub(crate) fn advance(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if let Some(last) = memrchr(ESCAPE, bytes) {
            self.begin(State::Escape, &[ESCAPE]);
            rest = bytes.get(last + 1..).unwrap_or_default();
        }
        if self.state != State::Ground {
            let Some(end) = self.follow_sequence(rest) else {
                return self.keep(rest);
            };
            self.begin(State::Ground, &[]);
            rest = rest.get(end..).unwrap_or_default();
        }
        self.bytes.extend_from_slice(begun_character(rest));
    }

    fn begin(&mut self, state: State, bytes: &[u8]) {
        *self = Self {
            state,
            bytes: bytes.to_vec(),
            is_cut: false,
        };
    }

    /// Keeps more of a sequence, or what stands for its beginning if it is too long.
    fn keep(&mut self, bytes: &[u8]) {
        if self.is_cut {
            return;
        }
        self.is_cut = self.bytes.len() + bytes.len() > MOST;
        if !self.is_cut {
            self.bytes.extend_from_slice(bytes);
        } else if self.state == State::Command {
            // A command that there is not: the rest of it is passed over.
            self.bytes = b"\x1b]-".to_vec();
        } else if self.state == State::Text {
            // A string that means nothing, whatever the rest is.
            self.bytes = b"\x1bX".to_vec();
        } else {
            // Nobody cares for so many parameters.
            self.bytes.truncate(2);
        }
    }

    /// Returns where the sequence ends, if it does.
    fn follow_sequence(&mut self, bytes: &[u8]) -> Option<usize> {
        for (index, byte) in bytes.iter().copied().enumerate() {
            if matches!(byte, CANCEL | SUBSTITUTE) {
                return Some(index + 1);
            }
            match (self.state, byte) {
                (State::Escape, b'[') => self.state = State::Control,
                (State::Escape, b']') => self.state = State::Command,
                (State::Escape, b'P' | b'X' | b'^' | b'_') => self.state = State::Text,
                (State::Escape, b' '..=b'/') => self.state = State::Intermediate,
                (State::Escape | State::Intermediate, b'0'..=b'~')
                | (State::Control, b'@'..=b'~')
                | (State::Command, BELL) => return Some(index + 1),
                (State::Command | State::Text, _) => {
                    let is_command = self.state == State::Command;
                    let rest = bytes.get(index..).unwrap_or_default();
                    let mut ends = memchr3_iter(BELL, CANCEL, SUBSTITUTE, rest);
                    let end = ends.find(|end| is_command || rest.get(*end) != Some(&BELL));
                    return end.map(|end| index + end + 1);
                }
                _ => {}
            }
        }
        None
    }
}

/// Returns the bytes at the end that begin a character.
fn begun_character(bytes: &[u8]) -> &[u8] {
    let starts = bytes.len().saturating_sub(3)..bytes.len();
    let mut ends = starts.filter_map(|start| bytes.get(start..));
    ends.find(|end| is_begun(end)).unwrap_or_default()
}

/// Returns whether more bytes can make one character of these.
fn is_begun(bytes: &[u8]) -> bool {
    str::from_utf8(bytes)
        .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
}
