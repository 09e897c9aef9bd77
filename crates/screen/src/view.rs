//! What is visible, for others than the terminal of the same size.

use alacritty_terminal::grid::{Dimensions as _, Grid};
use alacritty_terminal::index::Line;
use alacritty_terminal::term::TermMode;
use alacritty_terminal::term::cell::Cell;

use crate::emulator::Emulator;
use crate::paint::{Painter, glyphs, used_columns};
use crate::pen::Pen;
use crate::size::Size;

/// Draws the part of the visible screen that fits into a terminal and holds the cursor.
pub(crate) fn view(emulator: &Emulator, size: Size) -> Vec<u8> {
    let grid = emulator.shown();
    let (rows, columns) = (i32::from(size.rows), usize::from(size.cols));
    let cursor = grid.cursor.point;
    let top = (cursor.line.0 + 1 - rows).max(0);
    let left = (cursor.column.0 + 1).saturating_sub(columns);
    let mut painter = Painter::default();
    painter.raw("\x1b[?2026h\x1b[?25l\x1b[m");
    for line in 0..rows {
        painter.goto(line, 0);
        let is_full = top + line <= grid.bottommost_line().0
            && draw_part(&mut painter, grid, Line(top + line), left..left + columns);
        if !is_full {
            painter.clear_rest();
        }
    }
    painter.pen(Pen::default());
    painter.goto(cursor.line.0 - top, cursor.column.0 - left);
    if emulator.mode().contains(TermMode::SHOW_CURSOR) {
        painter.raw("\x1b[?25h");
    }
    painter.raw("\x1b[?2026l");
    painter.into_bytes()
}

/// Draws some columns of a row, and returns whether that filled the terminal's row.
fn draw_part(
    painter: &mut Painter,
    grid: &Grid<Cell>,
    line: Line,
    columns: std::ops::Range<usize>,
) -> bool {
    let used = used_columns(&grid[line]).min(columns.end);
    for glyph in glyphs(&grid[line]) {
        let end = glyph.column + glyph.width;
        if columns.start <= glyph.column && end <= used {
            painter.glyph(&glyph);
        } else if columns.start < end && glyph.column < used {
            // One half of a wide character is outside.
            painter.pen(Pen::of(glyph.cell));
            painter.raw(" ");
        }
    }
    used == columns.end
}

/// Returns what is visible as plain lines.
pub(crate) fn text(emulator: &Emulator) -> String {
    let grid = emulator.shown();
    let lines = (0..=grid.bottommost_line().0).map(|line| {
        let row: String = glyphs(&grid[Line(line)])
            .flat_map(|glyph| glyph.chars().collect::<Vec<_>>())
            .collect();
        row.trim_end_matches(' ').to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns what is visible as lines with colours and links.
pub(crate) fn ansi(emulator: &Emulator) -> String {
    let grid = emulator.shown();
    let mut painter = Painter::default();
    for line in 0..=grid.bottommost_line().0 {
        if line > 0 {
            painter.pen(Pen::default());
            painter.raw("\n");
        }
        let row = &grid[Line(line)];
        let used = used_columns(row);
        for glyph in glyphs(row).take_while(|glyph| glyph.column < used) {
            painter.glyph(&glyph);
        }
    }
    painter.pen(Pen::default());
    painter.raw("\x1b[m");
    String::from_utf8_lossy(&painter.into_bytes()).into_owned()
}
