//! Masking secrets in a recording, although output is cut into chunks at any byte and escape
//! sequences stand inside.
//!
//! Shapes are looked for in the text that is left when escapes are taken away; what is found is
//! mapped back to the bytes. Where the cursor moved, the text has a break, and it is searched twice:
//! with the breaks, so that a secret is found that stands behind other text, and joined across those
//! where the text goes on: where the cursor is as before, or begins a row behind a full one. Strings inside of escapes, such
//! as titles and links, are a text of their own. Long recordings go through a window.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;

use amps_core::mask::{MASK, Secret, secret_at_start, secrets};

use super::journal::{Entry, Record};
use super::page::{Cursor, Page, Size, Text};

/// Masks output as it comes, in order.
#[derive(Debug)]
pub(super) struct Masker {
    /// The size and the cursor at the beginning of the output that is held.
    size: Size,
    cursor: Cursor,
    held: VecDeque<Record>,
    /// Bytes of output that are held, and how many of them are looked at.
    length: usize,
    look_at: usize,
    window: Window,
    masked: u64,
}

/// How much is looked at at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Bytes of output.
    pub(super) block: usize,
    /// The longest secret, in bytes of text; less than a block.
    pub(super) longest: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            block: 256 << 10,
            longest: 16 << 10,
        }
    }
}

impl Masker {
    /// Begins with a terminal of a size.
    pub(super) fn new(size: Size, window: Window) -> Self {
        Self {
            size,
            cursor: Cursor::default(),
            held: VecDeque::new(),
            length: 0,
            look_at: window.block,
            window,
            masked: 0,
        }
    }

    /// Takes one record and returns those that no secret can reach into any more.
    pub(super) fn push(&mut self, record: Record) -> Vec<Record> {
        if let Entry::Output(bytes) = &record.entry {
            self.length += bytes.len();
        }
        self.held.push_back(record);
        if self.length < self.look_at {
            return Vec::new();
        }
        let page = Page::of(&self.held, self.size, self.cursor);
        let found = self.find(&page);
        // A secret that begins before this place has come as a whole: at most every other byte of
        // a text is a break.
        let end = page.main.len().saturating_sub(2 * self.window.longest);
        let end = page.main.boundary(end);
        let across = (found.shapes.iter()).find(|it| it.start < end && end < it.end);
        let end = across.map_or(end, |shape| shape.end);
        let ready = match page.main.start_of(end) {
            Some((cut, cursor)) if end > 0 => {
                self.cursor = cursor;
                self.settle(cut, &found.drops)
            }
            _ => Vec::new(),
        };
        // Where hardly anything is text nothing may be settled: not to be tried for each chunk.
        self.look_at = self.window.block.max(2 * self.length);
        ready
    }

    /// Returns the rest, and how many secrets were masked in all.
    pub(super) fn finish(mut self) -> (Vec<Record>, u64) {
        let page = Page::of(&self.held, self.size, self.cursor);
        let found = self.find(&page);
        let mut rest = self.settle(self.length, &found.drops);
        rest.extend(self.held);
        (rest, self.masked)
    }

    /// Takes what is held off up to a byte of output, masked.
    fn settle(&mut self, cut: usize, drops: &[Drop]) -> Vec<Record> {
        let before = drops.partition_point(|drop| drop.at < cut);
        let drops = drops.get(..before).unwrap_or_default();
        self.masked += drops.iter().filter(|drop| drop.is_first).count() as u64;
        let mut ready = self.take(cut);
        apply(&mut ready, drops);
        ready
    }

    /// Takes records off up to a byte of output; one that goes on behind it is divided.
    fn take(&mut self, cut: usize) -> Vec<Record> {
        let mut ready = Vec::new();
        let mut left = cut;
        while let Some(mut record) = self.held.pop_front() {
            match &mut record.entry {
                Entry::Output(bytes) if bytes.len() > left => {
                    let rest = bytes.split_off(left);
                    let at = record.at;
                    if left > 0 {
                        ready.push(record);
                    }
                    let entry = Entry::Output(rest);
                    self.held.push_front(Record { at, entry });
                    break;
                }
                Entry::Output(bytes) => left -= bytes.len(),
                Entry::Resized { rows, cols } => {
                    let (rows, cols) = (*rows, *cols);
                    self.size = Size { rows, cols };
                }
                _ => {}
            }
            ready.push(record);
        }
        self.length -= cut;
        ready
    }

    fn find(&self, page: &Page) -> Found {
        let longest = self.window.longest;
        let joined = page.joined();
        let origins = |from: usize, found: Secret| {
            let origins = |range: Range<usize>| {
                let last = (from + range.end).saturating_sub(1);
                joined.origin(from + range.start)..joined.origin(last) + 1
            };
            Secret {
                shape: origins(found.shape),
                secret: origins(found.secret),
            }
        };
        let across = secrets(joined.text(), longest).into_iter();
        let across: Vec<Secret> = across.map(|found| origins(0, found)).collect();
        let mut all = across.clone();
        all.extend(secrets(page.main.text(), longest).into_iter().filter(|it| {
            // A key whose last line is cut by a break seems to have no end.
            let same = across.binary_search_by_key(&it.shape.start, |it| it.shape.start);
            let same = same.ok().and_then(|at| across.get(at));
            same.is_none_or(|same| same.shape.end >= it.shape.end)
        }));
        // Most shapes ask for the edge of a word, which the joined text does not have behind a row
        // that is full of letters.
        for joint in page.joints() {
            let from = joined.position(joint);
            let ahead = joined.text().get(from..).unwrap_or_default();
            all.extend(secret_at_start(ahead, longest).map(|found| origins(from, found)));
        }
        let (shapes, hidden) = all.into_iter().map(|it| (it.shape, it.secret)).unzip();
        let mut drops = drops(&page.main, merged(hidden), |at| !page.is_break(at));
        let aside = secrets(page.aside.text(), longest).into_iter();
        let aside = aside.map(|found| found.secret).collect();
        drops.extend(self::drops(&page.aside, aside, |_| true));
        drops.sort_by_key(|drop| drop.at);
        Found {
            shapes: merged(shapes),
            drops,
        }
    }
}

/// What was found in a page.
struct Found {
    shapes: Vec<Range<usize>>,
    drops: Vec<Drop>,
}

/// A byte of output that is part of a secret.
#[derive(Clone, Copy, Debug)]
struct Drop {
    at: usize,
    /// The mask stands here.
    is_first: bool,
}

/// Returns the bytes that ranges of a text are made of.
fn drops(text: &Text, ranges: Vec<Range<usize>>, is_text: impl Fn(usize) -> bool) -> Vec<Drop> {
    let mut drops = Vec::new();
    for range in ranges {
        let places = range.filter(|at| is_text(*at));
        for (place, at) in places.filter_map(|at| text.byte_of(at)).enumerate() {
            let is_first = place == 0;
            drops.push(Drop { at, is_first });
        }
    }
    drops
}

/// Takes the secrets out of records that begin at the first byte of output.
fn apply(records: &mut [Record], drops: &[Drop]) {
    let mut drops = drops.iter().peekable();
    let mut before = 0;
    for record in records {
        let Entry::Output(bytes) = &mut record.entry else {
            continue;
        };
        let end = before + bytes.len();
        if drops.peek().is_some_and(|drop| drop.at < end) {
            let mut left = Vec::with_capacity(bytes.len());
            for (at, byte) in (before..).zip(mem::take(bytes)) {
                match drops.next_if(|drop| drop.at == at) {
                    Some(drop) if drop.is_first => left.extend_from_slice(MASK.as_bytes()),
                    Some(_) => {}
                    None => left.push(byte),
                }
            }
            *bytes = left;
        }
        before = end;
    }
}

/// Returns the ranges in order, those that overlap as one.
fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests;
