//! Removes from a grid what no sequence of bytes can draw.
//!
//! The emulator leaves halves of wide characters behind when something erases the other half, and
//! marks rows as wrapped whose continuation is gone. Other terminals know neither, and half a
//! character would later change what is written beside it.

use alacritty_terminal::grid::{Cursor, Dimensions as _, Grid};
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::cell::{Cell, Flags};

use crate::pen::Pen;

/// Settles all rows and both cursors of a grid.
pub(crate) fn settle(grid: &mut Grid<Cell>) {
    let last = grid.last_column();
    for line in grid.topmost_line().0..=grid.bottommost_line().0 {
        settle_row(grid, Line(line), last);
    }
    let bottom = grid.bottommost_line();
    unwrap(grid, bottom, last);
    settle_cursor(&mut grid.cursor, last);
    settle_cursor(&mut grid.saved_cursor, last);
    // A cursor that is to wrap is drawn by writing the last cell again, which unmarks it.
    for cursor in [grid.cursor.clone(), grid.saved_cursor.clone()] {
        if cursor.input_needs_wrap {
            unwrap(grid, cursor.point.line, last);
        }
    }
}

fn settle_cursor(cursor: &mut Cursor<Cell>, last: Column) {
    cursor.input_needs_wrap &= cursor.point.column == last;
}

fn settle_row(grid: &mut Grid<Cell>, line: Line, last: Column) {
    // A row that scrolls out is cleared only as far as it was written, and after a change of the
    // size the emulator knows too little of that. This makes it all of the row.
    let _ = grid[line].last_mut();
    for column in (0..=last.0).map(Column) {
        let has = |column: Column, flag| grid[line][column].flags.contains(flag);
        let mut stale = Flags::empty();
        if column != last {
            stale |= Flags::WRAPLINE | Flags::LEADING_WIDE_CHAR_SPACER;
        } else if !leads(grid, line, last) {
            stale |= Flags::LEADING_WIDE_CHAR_SPACER;
        }
        if column == 0 || !has(column - 1, Flags::WIDE_CHAR) {
            stale |= Flags::WIDE_CHAR_SPACER;
        }
        let has_rest = column != last && has(column + 1, Flags::WIDE_CHAR_SPACER);
        if has(column, Flags::WIDE_CHAR) && !has_rest {
            grid[line][column].clear_wide();
        }
        if grid[line][column].flags.intersects(stale) {
            grid[line][column].flags.remove(stale);
        }
    }
}

/// Returns whether the last cell of a row was left out for the wide character that begins the next.
fn leads(grid: &Grid<Cell>, line: Line, last: Column) -> bool {
    let leading = &grid[line][last];
    if line == grid.bottommost_line() || !leading.flags.contains(Flags::WRAPLINE) {
        return false;
    }
    let wide = &grid[line + 1_i32][Column(0)];
    let is_whole = grid[line + 1_i32][Column(1)]
        .flags
        .contains(Flags::WIDE_CHAR_SPACER);
    wide.flags.contains(Flags::WIDE_CHAR)
        && is_whole
        && Pen::of(wide) == Pen::of(leading)
        && leading.zerowidth().is_none_or(<[char]>::is_empty)
}

/// Makes a row one that does not go on in the next.
fn unwrap(grid: &mut Grid<Cell>, line: Line, last: Column) {
    let flags = grid[line][last].flags;
    if flags.contains(Flags::WRAPLINE) {
        let cell = &mut grid[line][last];
        (cell.flags).remove(Flags::WRAPLINE | Flags::LEADING_WIDE_CHAR_SPACER);
    }
}
