//! The bytes that bring a terminal to the state of an emulator.

use alacritty_terminal::grid::{Charsets, Dimensions as _, Grid};
use alacritty_terminal::term::TermMode;
use alacritty_terminal::term::cell::Cell;
use alacritty_terminal::vte::ansi::{
    CharsetIndex, CursorShape, CursorStyle, ModifyOtherKeys, NamedColor, Rgb,
};

use crate::emulator::Emulator;
use crate::keyboard::Keyboard;
use crate::paint::{Painter, charsets};
use crate::pen::Pen;
use crate::reset::reset;

/// What becomes of the lines that have scrolled out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scrollback {
    /// They are drawn too.
    Drawn,
    /// They are left out.
    Spared,
}

/// Draws a settled emulator.
pub(crate) fn redraw(emulator: &Emulator, scrollback: Scrollback) -> Vec<u8> {
    let notes = emulator.notes();
    let [primary_keyboard, alternate_keyboard] = &notes.keyboards;
    let mut painter = Painter::default();
    painter.raw(reset());
    // All of it at once, where terminals can; otherwise at least without a cursor that runs about.
    painter.raw("\x1b[?2026h\x1b[?25l");
    for (index, color) in emulator.colors() {
        painter.raw(set_color(index, color));
    }
    titles(&mut painter, emulator);
    if emulator.is_alternate() {
        let (primary, alternate) = (emulator.hidden(), emulator.shown());
        scroll_in(&mut painter, primary, scrollback);
        painter.raw(primary_keyboard.sequences());
        painter.place(primary, &primary.cursor, 0);
        enter_alternate(&mut painter);
        painter.raw("\x1b[2J");
        painter.goto(0, 0);
        painter.rows(alternate, 0..line_count(alternate));
        leave_behind(&mut painter, alternate, alternate_keyboard);
    } else {
        let (primary, alternate) = (emulator.shown(), emulator.hidden());
        // The saved cursor and the keys of the alternate screen outlive it.
        enter_alternate(&mut painter);
        leave_behind(&mut painter, alternate, alternate_keyboard);
        // Some terminals have one saved pen for both screens, and come back with that.
        painter.raw("\x1b[?1049l\x1b[m");
        plain(&mut painter);
        scroll_in(&mut painter, primary, scrollback);
        leave_behind(&mut painter, primary, primary_keyboard);
    }
    tabs(&mut painter, emulator);
    cursor(&mut painter, emulator);
    modes(&mut painter, emulator);
    painter.into_bytes()
}

/// Draws the scrollback and the primary screen by scrolling them in, so that what the terminal
/// showed before goes to its scrollback and is not lost.
fn scroll_in(painter: &mut Painter, primary: &Grid<Cell>, scrollback: Scrollback) {
    painter.goto(line_count(primary) - 1, 0);
    painter.raw("\r\n");
    let top = match scrollback {
        Scrollback::Drawn => primary.topmost_line().0,
        Scrollback::Spared => 0,
    };
    painter.rows(primary, top..line_count(primary));
}

fn enter_alternate(painter: &mut Painter) {
    painter.raw("\x1b[?1049h");
    plain(painter);
}

/// Sets the keys and the saved cursor of the screen that is shown.
fn leave_behind(painter: &mut Painter, grid: &Grid<Cell>, keyboard: &Keyboard) {
    painter.raw(keyboard.sequences());
    painter.place(grid, &grid.saved_cursor, 0);
    painter.raw("\x1b7");
    plain(painter);
}

/// Goes back to the looks and character sets of a fresh terminal.
fn plain(painter: &mut Painter) {
    painter.pen(Pen::default());
    painter.raw(charsets(Charsets::default()));
}

fn titles(painter: &mut Painter, emulator: &Emulator) {
    let set = |title: &Option<String>| {
        let title = title.as_ref();
        title.map_or_else(String::new, |title| format!("\x1b]2;{title}\x1b\\"))
    };
    for title in &emulator.notes().saved_titles {
        painter.raw(set(title) + "\x1b[22;0t");
    }
    painter.raw(set(&emulator.notes().title));
}

fn tabs(painter: &mut Painter, emulator: &Emulator) {
    painter.raw("\x1b[3g");
    for column in emulator.notes().tabs.columns() {
        painter.raw(format!("\x1b[{}G\x1bH", column + 1));
    }
}

/// Sets the scroll region and what the cursor has; both of the modes before move the cursor.
fn cursor(painter: &mut Painter, emulator: &Emulator) {
    let (shown, notes) = (emulator.shown(), emulator.notes());
    let region = &notes.region;
    if *region != (0..line_count(shown)) {
        painter.raw(format!("\x1b[{};{}r", region.start + 1, region.end));
    }
    let mut top = 0;
    if emulator.mode().contains(TermMode::ORIGIN) {
        painter.raw("\x1b[?6h");
        top = region.start;
    }
    painter.place(shown, &shown.cursor, top);
    if notes.charset == CharsetIndex::G1 {
        painter.raw("\x0e");
    }
    if let Some(style) = notes.cursor_style {
        painter.raw(format!("\x1b[{} q", style_number(style)));
    }
    match notes.blinks {
        Some(true) => painter.raw("\x1b[?12h"),
        Some(false) => painter.raw("\x1b[?12l"),
        None => {}
    }
}

/// Sets the modes, which change how everything before would have been drawn.
fn modes(painter: &mut Painter, emulator: &Emulator) {
    let (mode, notes) = (emulator.mode(), emulator.notes());
    painter.raw("\x1b[?25h");
    painter.raw(notes.modes.sequences());
    for (is_set, sequence) in [
        (mode.contains(TermMode::APP_KEYPAD), "\x1b="),
        (mode.contains(TermMode::INSERT), "\x1b[4h"),
        (mode.contains(TermMode::LINE_FEED_NEW_LINE), "\x1b[20h"),
        // An update that the program has begun stays open until the program ends it.
        (!emulator.is_updating(), "\x1b[?2026l"),
    ] {
        if is_set {
            painter.raw(sequence);
        }
    }
    match notes.modify_other_keys {
        Some(ModifyOtherKeys::EnableExceptWellDefined) => painter.raw("\x1b[>4;1m"),
        Some(ModifyOtherKeys::EnableAll) => painter.raw("\x1b[>4;2m"),
        Some(ModifyOtherKeys::Reset) | None => {}
    }
}

fn set_color(index: usize, color: Rgb) -> String {
    let what = match index.checked_sub(NamedColor::Foreground as usize) {
        None => format!("4;{index}"),
        Some(dynamic) => (10 + dynamic).to_string(),
    };
    let Rgb { r, g, b } = color;
    format!("\x1b]{what};rgb:{r:02x}/{g:02x}/{b:02x}\x1b\\")
}

fn style_number(style: CursorStyle) -> u8 {
    let steady = match style.shape {
        CursorShape::Block | CursorShape::HollowBlock | CursorShape::Hidden => 2,
        CursorShape::Underline => 4,
        CursorShape::Beam => 6,
    };
    steady - u8::from(style.blinking)
}

fn line_count(grid: &Grid<Cell>) -> i32 {
    grid.bottommost_line().0 + 1
}
