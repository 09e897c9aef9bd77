//! A recording as an asciicast, version 3: one JSON value a line, first the header, then events with
//! the seconds since the event before. Known secrets are masked.
//!
//! The data of an event is text: a character that is cut in two goes into the later event, and what
//! is no UTF-8 becomes U+FFFD. A cast always ends with an exit event, where nobody knows the exit
//! with `-1`, which players read as a number like any other.

use std::io::{self, Write};
use std::time::Duration;

use amps_core::exit::Exit;
use amps_core::mask::{mask, mask_command};
use serde::Serialize;

use super::journal::{Entry, Journal, Record};
use super::masker::{Masker, Window};
use super::page::Size;

/// The status of an exit that nobody knows.
const UNKNOWN_EXIT: i32 = -1;

/// What the record of a session knows beyond its journal.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// What a person called the session.
    pub title: Option<String>,
    /// The person's shell.
    pub shell: Option<String>,
    /// The exit, in case the journal is torn.
    pub exit: Option<Exit>,
    /// Marks, such as the ends of turns, in the order of their times since the recording began.
    pub marks: Vec<(Duration, String)>,
}

/// What came of an export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// How long the cast is.
    pub duration: Duration,
    /// How many secrets were masked.
    pub masked: u64,
    /// The exit, where anybody knows it.
    pub exit: Option<Exit>,
    /// Whether the journal tells how the recording ended.
    pub is_whole: bool,
    /// Bytes of output that were never recorded.
    pub lost: u64,
    /// The parts of the journal that were passed over: the file, and how many bytes if it is there.
    pub skipped: Vec<(String, Option<u64>)>,
}

#[derive(Serialize)]
struct CastHeader<'a> {
    version: u8,
    term: Term<'a>,
    timestamp: i64,
    command: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<Variables<'a>>,
}

#[derive(Serialize)]
struct Term<'a> {
    cols: u16,
    rows: u16,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
}

#[derive(Serialize)]
struct Variables<'a> {
    #[serde(rename = "SHELL")]
    shell: &'a str,
}

/// Writes a journal as an asciicast.
pub fn export(journal: &Journal, about: &About, out: &mut dyn Write) -> io::Result<Exported> {
    let header = journal.header();
    let mut records = journal.records().peekable();
    // Where the beginning was dropped, a player should not wait for as long as that was.
    let first = records.peek().filter(|_| journal.is_cut());
    let begin = first.map_or(Duration::ZERO, |first| first.at);
    let line = serde_json::to_string(&CastHeader {
        version: 3,
        term: Term {
            cols: header.cols,
            rows: header.rows,
            kind: header.term.as_deref(),
        },
        timestamp: header
            .started_at
            .as_second()
            .saturating_add_unsigned(begin.as_secs()),
        command: mask_command(&header.command).join(" "),
        title: about.title.as_deref().map(|title| mask(title).into_owned()),
        env: about.shell.as_deref().map(|shell| Variables { shell }),
    })?;
    writeln!(out, "{line}")?;
    let mut cast = Cast {
        out,
        last: begin,
        cut: Vec::new(),
    };
    let mut exported = Exported::default();
    let size = Size {
        rows: header.rows,
        cols: header.cols,
    };
    let mut masker = Masker::new(size, Window::default());
    let mut marks = about.marks.iter().peekable();
    for record in records {
        while let Some((at, label)) = marks.next_if(|(at, _)| *at <= record.at) {
            let entry = Entry::Marked(label.clone());
            cast.write_all(masker.push(Record { at: *at, entry }))?;
        }
        exported.note(&record);
        cast.write_all(masker.push(shown(record)))?;
    }
    let later = marks.map(|(at, label)| Record {
        at: *at,
        entry: Entry::Marked(label.clone()),
    });
    for record in later {
        exported.duration = exported.duration.max(record.at);
        cast.write_all(masker.push(record))?;
    }
    let (rest, masked) = masker.finish();
    cast.write_all(rest)?;
    exported.masked = masked;
    exported.exit = exported.exit.or(about.exit);
    cast.end(exported.duration, exported.exit)?;
    exported.duration = exported.duration.saturating_sub(begin);
    Ok(exported)
}

/// Returns a record with what draws the screen as output: it is searched and shown like that.
fn shown(record: Record) -> Record {
    let Record { at, entry } = record;
    let entry = match entry {
        Entry::Keyframe(bytes) => Entry::Output(bytes),
        entry => entry,
    };
    Record { at, entry }
}

impl Exported {
    fn note(&mut self, record: &Record) {
        self.duration = self.duration.max(record.at);
        match &record.entry {
            Entry::Lost(bytes) => self.lost += bytes,
            Entry::Skipped { segment, bytes } => self.skipped.push((segment.clone(), *bytes)),
            Entry::Ended(exit) => {
                self.is_whole = true;
                self.exit = *exit;
            }
            Entry::Output(_) | Entry::Keyframe(_) | Entry::Resized { .. } | Entry::Marked(_) => {}
        }
    }
}

/// Writes events.
struct Cast<'a> {
    out: &'a mut dyn Write,
    /// When the last event was.
    last: Duration,
    /// The beginning of a character whose rest has not come yet.
    cut: Vec<u8>,
}

impl Cast<'_> {
    fn write_all(&mut self, records: Vec<Record>) -> io::Result<()> {
        records
            .into_iter()
            .try_for_each(|record| self.write(record))
    }

    fn write(&mut self, Record { at, entry }: Record) -> io::Result<()> {
        match entry {
            Entry::Output(bytes) | Entry::Keyframe(bytes) => {
                let text = self.text(&bytes);
                if text.is_empty() {
                    return Ok(());
                }
                self.event(at, "o", &text)
            }
            Entry::Resized { rows, cols } => self.event(at, "r", &format!("{cols}x{rows}")),
            Entry::Marked(label) => self.event(at, "m", &mask(&label)),
            Entry::Lost(bytes) => self.event(at, "m", &format!("{bytes} bytes not recorded")),
            Entry::Skipped { segment, .. } => {
                self.event(at, "m", &format!("damaged recording: {segment}"))
            }
            Entry::Ended(_) => Ok(()),
        }
    }

    fn end(&mut self, at: Duration, exit: Option<Exit>) -> io::Result<()> {
        if !self.cut.is_empty() {
            self.cut.clear();
            self.event(at, "o", "\u{fffd}")?;
        }
        let status = exit.map_or(UNKNOWN_EXIT, Exit::shell_code);
        self.event(at, "x", &status.to_string())?;
        self.out.flush()
    }

    fn event(&mut self, at: Duration, code: &str, data: &str) -> io::Result<()> {
        let since = at.saturating_sub(self.last);
        self.last = self.last.max(at);
        let (seconds, micros) = (since.as_secs(), since.subsec_micros());
        let data = serde_json::to_string(data)?;
        writeln!(self.out, "[{seconds}.{micros:06}, \"{code}\", {data}]")
    }

    /// Returns the characters that are complete by now.
    fn text(&mut self, bytes: &[u8]) -> String {
        self.cut.extend_from_slice(bytes);
        let mut text = String::with_capacity(self.cut.len());
        let mut left = Vec::new();
        let mut chunks = self.cut.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            let is_last = chunks.peek().is_none();
            if is_last && is_begun(chunk.invalid()) {
                left = chunk.invalid().to_vec();
            } else if !chunk.invalid().is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        self.cut = left;
        text
    }
}

/// Returns whether bytes at the end, of which no character can be made, may become one.
fn is_begun(bytes: &[u8]) -> bool {
    let error = str::from_utf8(bytes).err();
    error.is_some_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests;
