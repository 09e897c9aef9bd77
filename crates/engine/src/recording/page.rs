//! The text of a stretch of output: without its escape sequences, and where each byte came from.

use std::collections::VecDeque;

use super::escape::{Parameters, Scanner, Step};
use super::journal::{Entry, Record};

/// A row that reaches into as many of the last columns is taken for full: programs that draw
/// themselves wrap before the edge.
const EDGE: u32 = 8;

/// What a terminal does with tabs.
const TAB: u32 = 8;

/// Where the next character goes: row and column from 0, as far as output tells. All characters
/// are taken to be one column wide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    row: u32,
    column: u32,
}

/// The size of a terminal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Rows.
    pub(super) rows: u16,
    /// Columns.
    pub(super) cols: u16,
}

/// A text whose bytes are known by where they came from.
#[derive(Debug, Default)]
pub(super) struct Text {
    text: String,
    /// For each byte of the text: which byte of output it is, and where the cursor was.
    origins: Vec<(usize, Cursor)>,
}

impl Text {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Returns which byte of output a byte of the text is.
    pub(super) fn byte_of(&self, at: usize) -> Option<usize> {
        self.origins.get(at).map(|(byte, _)| *byte)
    }

    /// Returns the byte of output and the cursor at which a character begins; `None` at the end.
    pub(super) fn start_of(&self, at: usize) -> Option<(usize, Cursor)> {
        self.origins.get(at).copied()
    }

    /// Returns where the character begins that a place is in.
    pub(super) fn boundary(&self, at: usize) -> usize {
        let places = (0..=at.min(self.len())).rev();
        let mut starts = places.filter(|at| self.text.is_char_boundary(*at));
        starts.next().unwrap_or_default()
    }
}

/// A text without some of the breaks of another.
#[derive(Debug)]
pub(super) struct Joined {
    text: String,
    /// For each byte: its place in the other text.
    origins: Vec<usize>,
}

impl Joined {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns where a byte stands in the other text.
    pub(super) fn origin(&self, at: usize) -> usize {
        self.origins.get(at).copied().unwrap_or_default()
    }

    /// Returns where a byte of the other text stands here, or the one behind it.
    pub(super) fn position(&self, origin: usize) -> usize {
        self.origins.partition_point(|here| *here < origin)
    }
}

/// A stretch of output as text.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// What is shown. Where the cursor moved there is a line feed.
    pub(super) main: Text,
    /// The strings in escape sequences, a line feed between them.
    pub(super) aside: Text,
    /// Where the cursor moved, and whether the text may go on there.
    breaks: Vec<(usize, bool)>,
}

impl Page {
    /// Reads the output in records, on a terminal of a size, from a cursor on.
    pub(super) fn of(records: &VecDeque<Record>, size: Size, cursor: Cursor) -> Self {
        let mut reader = Reader::new(size, cursor);
        for record in records {
            match &record.entry {
                Entry::Output(bytes) => bytes.iter().for_each(|byte| reader.read(*byte)),
                Entry::Resized { rows, cols } => {
                    (reader.rows, reader.cols) = (u32::from(*rows), u32::from(*cols));
                }
                _ => {}
            }
        }
        reader.page()
    }

    /// Returns whether the cursor moved at a place of the text.
    pub(super) fn is_break(&self, at: usize) -> bool {
        self.breaks.binary_search_by_key(&at, |(at, _)| *at).is_ok()
    }

    /// Returns all breaks behind which the text may go on.
    pub(super) fn joints(&self) -> impl Iterator<Item = usize> {
        self.breaks
            .iter()
            .filter(|(_, joins)| *joins)
            .map(|(at, _)| *at)
    }

    /// Returns the text without those breaks.
    pub(super) fn joined(&self) -> Joined {
        let mut joined = Joined {
            text: String::with_capacity(self.main.len()),
            origins: Vec::with_capacity(self.main.len()),
        };
        let mut from = 0;
        for upto in self.joints().chain([self.main.len()]) {
            joined
                .text
                .push_str(self.main.text.get(from..upto).unwrap_or_default());
            joined.origins.extend(from..upto);
            from = upto + 1;
        }
        joined
    }
}

/// Reads output byte by byte.
struct Reader {
    scanner: Scanner,
    rows: u32,
    cols: u32,
    cursor: Cursor,
    saved: Cursor,
    /// How many bytes were read.
    place: usize,
    /// Where the escape sequence begins that is being read.
    escape: usize,
    main: Vec<u8>,
    main_origins: Vec<(usize, Cursor)>,
    aside: Vec<u8>,
    aside_origins: Vec<(usize, Cursor)>,
    breaks: Vec<(usize, bool)>,
    /// The text ends with a break, of which it is not known yet whether the text goes on.
    is_open: bool,
}

impl Reader {
    fn new(size: Size, cursor: Cursor) -> Self {
        Self {
            scanner: Scanner::default(),
            rows: u32::from(size.rows),
            cols: u32::from(size.cols),
            cursor,
            saved: cursor,
            place: 0,
            escape: 0,
            main: Vec::new(),
            main_origins: Vec::new(),
            aside: Vec::new(),
            aside_origins: Vec::new(),
            breaks: Vec::new(),
            is_open: false,
        }
    }

    fn read(&mut self, byte: u8) {
        match self.scanner.step(byte) {
            Step::Text => self.show(byte),
            Step::Control => self.control(byte),
            Step::Aside => {
                self.aside.push(byte);
                self.aside_origins.push((self.place, self.cursor));
            }
            Step::Inside => {
                if byte == 0x1b {
                    self.escape = self.place;
                    self.end_aside();
                }
            }
            Step::Escape(byte) => self.escape(byte),
            Step::Sequence(byte, parameters) => self.sequence(byte, parameters),
        }
        self.place += 1;
    }

    fn show(&mut self, byte: u8) {
        self.close();
        self.push(byte, self.place);
        // The bytes of a character behind its first one stand with it.
        if byte & 0xc0 != 0x80 {
            if self.cursor.column >= self.cols.max(1) {
                self.cursor.column = 0;
                self.down(1);
            }
            self.cursor.column += 1;
        }
    }

    fn push(&mut self, byte: u8, place: usize) {
        self.main.push(byte);
        self.main_origins.push((place, self.cursor));
    }

    /// Decides whether the text goes on behind a break: where the cursor is as before, or begins
    /// another row behind a full one.
    fn close(&mut self) {
        let last = self.breaks.last_mut().filter(|_| self.is_open);
        let start = self.main_origins.last().map(|(_, cursor)| *cursor);
        if let (Some((_, joins)), Some(start)) = (last, start) {
            let wraps = start.column + EDGE >= self.cols && self.cursor.column < EDGE;
            *joins = *joins && (start == self.cursor || wraps);
        }
        self.is_open = false;
    }

    /// Notes that the cursor is about to be moved by what begins at a place. Several moves without
    /// text between them are one break.
    fn break_at(&mut self, place: usize) {
        if !self.is_open {
            self.breaks.push((self.main.len(), true));
            self.push(b'\n', place);
            self.is_open = true;
        }
    }

    fn down(&mut self, rows: u32) {
        let last = self.rows.saturating_sub(1);
        self.cursor.row = (self.cursor.row + rows).min(last);
    }

    fn control(&mut self, byte: u8) {
        match byte {
            b'\r' => {
                self.unwrap_blank();
                self.break_at(self.place);
                self.cursor.column = 0;
            }
            b'\n' | 0x0b | 0x0c => {
                self.break_at(self.place);
                self.down(1);
            }
            0x08 => {
                self.break_at(self.place);
                self.cursor.column = self.cursor.column.saturating_sub(1);
            }
            b'\t' => {
                self.close();
                self.push(byte, self.place);
                self.cursor.column = (self.cursor.column / TAB + 1) * TAB;
            }
            _ => {}
        }
    }

    /// A shell that edits a long line writes a blank behind the last column and goes back, to have
    /// the cursor in the next row: that blank is no text.
    fn unwrap_blank(&mut self) {
        let blank = self.main_origins.last().copied();
        let is_blank = !self.is_open && self.main.last() == Some(&b' ');
        if let Some((place, cursor)) = blank
            && is_blank
            && cursor.column >= self.cols
        {
            self.main.pop();
            self.main_origins.pop();
            self.cursor = cursor;
            self.break_at(place);
        }
    }

    fn escape(&mut self, byte: u8) {
        match byte {
            b'7' => self.saved = self.cursor,
            b'8' => {
                self.break_at(self.escape);
                self.cursor = self.saved;
            }
            b'D' | b'E' | b'M' => {
                self.break_at(self.escape);
                match byte {
                    b'M' => self.cursor.row = self.cursor.row.saturating_sub(1),
                    _ => self.down(1),
                }
                if byte == b'E' {
                    self.cursor.column = 0;
                }
            }
            b'c' => self.part(),
            _ => {}
        }
    }

    fn sequence(&mut self, byte: u8, parameters: Parameters) {
        let (first, second) = (parameters.count(0), parameters.count(1));
        if parameters.is_private() {
            // The numbers that switch to the other screen and back.
            if matches!((byte, first), (b'h' | b'l', 47 | 1047 | 1049)) {
                self.part();
            }
            return;
        }
        let (count, second) = (u32::from(first), u32::from(second));
        if b"ABCDEFGHdefu`a".contains(&byte) {
            self.break_at(self.escape);
        }
        let Cursor { row, column } = self.cursor;
        match byte {
            b'A' | b'F' => self.cursor.row = row.saturating_sub(count),
            b'B' | b'E' | b'e' => self.down(count),
            b'C' | b'a' => self.cursor.column = column.saturating_add(count),
            b'D' => self.cursor.column = column.saturating_sub(count),
            b'G' | b'`' => self.cursor.column = count - 1,
            b'H' | b'f' => {
                let (row, column) = (count - 1, second - 1);
                self.cursor = Cursor { row, column };
            }
            b'd' => self.cursor.row = count - 1,
            b's' => self.saved = self.cursor,
            b'u' => self.cursor = self.saved,
            _ => {}
        }
        if matches!(byte, b'E' | b'F') {
            self.cursor.column = 0;
        }
    }

    /// Parts the text from what follows: it stands on another screen.
    fn part(&mut self) {
        self.break_at(self.escape);
        if let Some((_, joins)) = self.breaks.last_mut() {
            *joins = false;
        }
    }

    fn end_aside(&mut self) {
        if self.aside.last().is_some_and(|last| *last != b'\n') {
            self.aside.push(b'\n');
            self.aside_origins.push((self.place, self.cursor));
        }
    }

    fn page(mut self) -> Page {
        // What follows is not there to go on.
        self.close();
        Page {
            main: Text {
                text: as_text(&self.main),
                origins: self.main_origins,
            },
            aside: Text {
                text: as_text(&self.aside),
                origins: self.aside_origins,
            },
            breaks: self.breaks,
        }
    }
}

/// Returns bytes as text of the same length: what is no UTF-8 has no part in a secret.
fn as_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    text
}
