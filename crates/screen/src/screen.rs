//! The screen of a terminal that nobody may be looking at.

use std::fmt;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use alacritty_terminal::vte::ansi::{Processor, Timeout};

use crate::emulator::{Emulator, Outbox};
use crate::flood;
use crate::redraw::{Scrollback, redraw};
use crate::reset::reset;
use crate::size::Size;
use crate::unfinished::Unfinished;
use crate::view;

/// As many bytes at once are worth a look at how many of them are drawn in vain.
const FLOOD: usize = 16 * 1024;

/// What a terminal would have answered to a question of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// How many bytes the screen had been given by the end of the chunk that asked.
    pub asked_at: u64,
    /// The answer, for the program to read.
    pub bytes: Vec<u8>,
}

/// What a terminal shows, and everything else that its programs have changed of it.
pub struct Screen {
    parser: Processor<Immediate>,
    emulator: Emulator,
    unfinished: Unfinished,
    scrollback_lines: usize,
    advanced: u64,
    outbox: Receiver<String>,
    answers: Vec<Answer>,
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").finish_non_exhaustive()
    }
}

impl Screen {
    /// Makes the screen of a fresh terminal, which keeps so many lines that have scrolled out.
    pub fn new(size: Size, scrollback_lines: usize) -> Self {
        let (sender, outbox) = mpsc::channel();
        Self {
            parser: Processor::new(),
            emulator: Emulator::new(size.clamped(), scrollback_lines, Outbox(sender)),
            unfinished: Unfinished::default(),
            scrollback_lines,
            advanced: 0,
            outbox,
            answers: Vec::new(),
        }
    }

    /// Takes what a program wrote. The bytes may be split anywhere.
    pub fn advance(&mut self, bytes: &[u8]) {
        self.advanced += bytes.len() as u64;
        let mut begun = self.unfinished.take_character();
        if begun.is_empty() {
            self.parse(bytes);
        } else {
            begun.extend_from_slice(bytes);
            self.parse(&begun);
        }
        let asked_at = self.advanced;
        let answers = self.outbox.try_iter();
        self.answers.extend(answers.map(|answer| Answer {
            asked_at,
            bytes: answer.into_bytes(),
        }));
    }

    /// Passes over the part at the beginning of `bytes` that would leave nothing behind if all of
    /// them were taken. Returns how long that part is; what is left has to be taken next.
    pub fn pass_over(&mut self, bytes: &[u8]) -> usize {
        let length = self.without_effect(bytes);
        self.advanced += length as u64;
        length
    }

    /// Parses bytes that do not begin within a character, but for a character begun at their end.
    fn parse(&mut self, bytes: &[u8]) {
        let bytes = bytes.get(self.without_effect(bytes)..).unwrap_or_default();
        let start = self.unfinished.excess(bytes);
        self.unfinished.advance(bytes);
        let end = bytes.len() - self.unfinished.character_length();
        let whole = bytes.get(start..end).unwrap_or_default();
        self.parser.advance(&mut self.emulator, whole);
    }

    /// Returns how many bytes at the beginning leave nothing behind.
    fn without_effect(&self, bytes: &[u8]) -> usize {
        if bytes.len() < FLOOD || !self.unfinished.is_empty() || !self.emulator.scrolls_whole() {
            return 0;
        }
        let lines = usize::from(self.size().rows) + self.scrollback_lines + 1;
        flood::without_effect(bytes, lines)
    }

    /// Changes the size, as a terminal does that wraps its lines anew.
    pub fn resize(&mut self, size: Size) {
        self.emulator.resize(size.clamped());
    }

    /// Returns the size.
    pub fn size(&self) -> Size {
        self.emulator.size()
    }

    /// Takes what a terminal would have answered since the last time. Nobody can answer for a
    /// terminal that is not there what its colours or its clipboard are.
    pub fn take_answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.answers)
    }

    /// Returns the bytes that bring a terminal of the same size, whatever it shows, to the state
    /// that it would be in, had it been given all the bytes. What it showed goes to its scrollback.
    pub fn redraw(&mut self) -> Vec<u8> {
        self.redraw_from(Scrollback::Drawn)
    }

    /// Returns what [`redraw`](Self::redraw) does, for a terminal that has the lines that scrolled
    /// out already.
    pub fn redraw_without_scrollback(&mut self) -> Vec<u8> {
        self.redraw_from(Scrollback::Spared)
    }

    fn redraw_from(&mut self, scrollback: Scrollback) -> Vec<u8> {
        self.emulator.settle();
        let mut bytes = redraw(&self.emulator, scrollback);
        bytes.extend_from_slice(self.unfinished.bytes());
        bytes
    }

    /// Returns the bytes that give the terminal back to a shell, whose lines go below what is
    /// shown; none if the program has left it as a shell expects it.
    pub fn leave(&self) -> Vec<u8> {
        if self.unfinished.is_empty() && self.emulator.is_plain() {
            return Vec::new();
        }
        reset()
    }

    /// Returns the bytes that draw what is visible on a terminal of any size, cut to it so that the
    /// cursor can be seen. They set no mode by which that terminal would send anything.
    pub fn view(&self, size: Size) -> Vec<u8> {
        view::view(&self.emulator, size.clamped())
    }

    /// Returns what is visible, one line for each row, without blanks at the ends.
    pub fn text(&self) -> String {
        view::text(&self.emulator)
    }

    /// Returns what is visible as [`text`](Self::text) does, with colours and links.
    pub fn ansi(&self) -> String {
        view::ansi(&self.emulator)
    }

    /// Returns the title that the program has set.
    pub fn title(&self) -> Option<&str> {
        self.emulator.notes().title.as_deref()
    }

    /// Returns whether the program wants to know what is pasted.
    pub fn has_bracketed_paste(&self) -> bool {
        let modes = self.emulator.mode();
        modes.contains(alacritty_terminal::term::TermMode::BRACKETED_PASTE)
    }

    /// Returns whether the alternate screen is shown.
    pub fn is_alternate(&self) -> bool {
        self.emulator.is_alternate()
    }

    /// Returns whether the program is in the middle of an update and would rather not be looked at.
    pub fn is_updating(&self) -> bool {
        self.emulator.is_updating()
    }

    /// Gives back the memory that is kept ready for lines to come: for a program that is quiet.
    pub fn compact(&mut self) {
        self.emulator.compact();
    }
}

/// Takes the bytes of a synchronised update as they come. A terminal would hold them back until it
/// is over or takes too long; but nobody looks here, and there is no clock.
#[derive(Default)]
struct Immediate;

impl Timeout for Immediate {
    fn set_timeout(&mut self, _: Duration) {}

    fn clear_timeout(&mut self) {}

    fn pending_timeout(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
