//! Writes rows of cells as bytes that draw them.

use std::iter;
use std::ops::Range;

use alacritty_terminal::grid::{Charsets, Cursor, Dimensions as _, Grid, Row};
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::vte::ansi::{CharsetIndex, StandardCharset};

use crate::pen::Pen;

/// What is drawn in one column, or in two.
pub(crate) struct Glyph<'a> {
    pub(crate) column: usize,
    pub(crate) width: usize,
    pub(crate) cell: &'a Cell,
    /// Nothing of it is seen: half a character, or the cell that a wide one left out.
    is_broken: bool,
}

impl Glyph<'_> {
    /// Returns the character with what is combined with it.
    pub(crate) fn chars(&self) -> impl Iterator<Item = char> {
        let is_space = self.is_broken || self.cell.c == '\t';
        let character = if is_space { ' ' } else { self.cell.c };
        let combined = self.cell.zerowidth().filter(|_| !self.is_broken);
        iter::once(character).chain(combined.unwrap_or_default().iter().copied())
    }

    /// Returns whether a cleared terminal looks like this already.
    fn is_blank(&self) -> bool {
        self.chars().eq([' ']) && Pen::of(self.cell) == Pen::default()
    }
}

/// Returns what is drawn in a row, from left to right.
pub(crate) fn glyphs(row: &Row<Cell>) -> impl Iterator<Item = Glyph<'_>> {
    let half = Flags::WIDE_CHAR_SPACER | Flags::LEADING_WIDE_CHAR_SPACER;
    let mut cells = row[..].iter().enumerate().peekable();
    iter::from_fn(move || {
        let (column, cell) = cells.next()?;
        let is_wide = cell.flags.contains(Flags::WIDE_CHAR);
        let is_rest = |(_, next): &(usize, &Cell)| next.flags.contains(Flags::WIDE_CHAR_SPACER);
        let is_whole = is_wide && cells.next_if(is_rest).is_some();
        Some(Glyph {
            column,
            width: 1 + usize::from(is_whole),
            cell,
            is_broken: is_wide != is_whole || cell.flags.intersects(half),
        })
    })
}

/// Returns how many columns of a row differ from a cleared one, up to the last that does.
pub(crate) fn used_columns(row: &Row<Cell>) -> usize {
    let used = glyphs(row).filter(|glyph| !glyph.is_blank());
    used.last().map_or(0, |glyph| glyph.column + glyph.width)
}

/// Gathers bytes for a terminal and knows which pen it has then.
#[derive(Default)]
pub(crate) struct Painter {
    out: Vec<u8>,
    pen: Pen,
}

impl Painter {
    /// Adds sequences that leave the pen as it is.
    pub(crate) fn raw(&mut self, bytes: impl AsRef<[u8]>) {
        self.out.extend_from_slice(bytes.as_ref());
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    pub(crate) fn pen(&mut self, pen: Pen) {
        if self.pen != pen {
            self.out.extend(pen.change_from(&self.pen).into_bytes());
            self.pen = pen;
        }
    }

    pub(crate) fn glyph(&mut self, glyph: &Glyph<'_>) {
        self.pen(Pen::of(glyph.cell));
        for character in glyph.chars() {
            self.raw(character.encode_utf8(&mut [0; 4]));
        }
    }

    /// Moves the cursor; line and column count from zero.
    pub(crate) fn goto(&mut self, line: i32, column: usize) {
        self.raw(format!("\x1b[{};{}H", line + 1, column + 1));
    }

    /// Clears from the cursor to the end of its row.
    pub(crate) fn clear_rest(&mut self) {
        self.pen(Pen::default());
        self.raw("\x1b[K");
    }

    /// Draws rows one after the other, from the beginning of a cleared one. A row that goes on in
    /// the next one lets the terminal wrap, so that this belongs together there too.
    pub(crate) fn rows(&mut self, grid: &Grid<Cell>, lines: Range<i32>) {
        let columns = grid.columns();
        let mut is_continued = false;
        for line in lines.clone() {
            if line != lines.start && !is_continued {
                self.pen(Pen::default());
                self.raw("\r\n");
            }
            let row = &grid[Line(line)];
            let is_wrapped = row[Column(columns - 1)].flags.contains(Flags::WRAPLINE);
            // Something has to be written for the terminal to wrap.
            let used = used_columns(row).max(usize::from(is_continued));
            let used = if is_wrapped { columns } else { used };
            for glyph in glyphs(row).take_while(|glyph| glyph.column < used) {
                let leads = Flags::LEADING_WIDE_CHAR_SPACER;
                if !glyph.cell.flags.contains(leads) {
                    self.glyph(&glyph);
                }
            }
            // The row that wrapping scrolled in has the background of the pen.
            if is_continued && used < columns {
                self.clear_rest();
            }
            is_continued = is_wrapped;
        }
    }

    /// Puts the cursor where it was, with its pen and its character sets. `top` is the line that
    /// the terminal counts from.
    pub(crate) fn place(&mut self, grid: &Grid<Cell>, cursor: &Cursor<Cell>, top: i32) {
        let (line, column) = (cursor.point.line, cursor.point.column.0);
        if cursor.input_needs_wrap {
            // Only writing into the last column makes a terminal wrap at the next character.
            if let Some(last) = glyphs(&grid[line]).last() {
                self.goto(line.0 - top, last.column);
                self.glyph(&last);
            }
        } else {
            self.goto(line.0 - top, column);
        }
        self.pen(Pen::of(&cursor.template));
        self.raw(charsets(cursor.charsets));
    }
}

/// Returns the sequences that choose the character sets.
pub(crate) fn charsets(charsets: Charsets) -> String {
    use CharsetIndex::{G0, G1, G2, G3};
    let sets = [(G0, '('), (G1, ')'), (G2, '*'), (G3, '+')];
    let sequence = |(index, introducer)| {
        let set = match charsets[index] {
            StandardCharset::Ascii => 'B',
            StandardCharset::SpecialCharacterAndLineDrawing => '0',
        };
        format!("\x1b{introducer}{set}")
    };
    sets.into_iter().map(sequence).collect()
}
