//! The terminal emulator: `Term`, with what it keeps to itself or does not keep at all.
//!
//! `Term` has no way to read the screen that is not shown, tab stops, the scroll region, the title
//! and much else, and drops modes that it does not know. All of that is noted here on the way in.

use std::mem;
use std::ops::Range;
use std::sync::mpsc::Sender;

use alacritty_terminal::event::{Event, EventListener};
use alacritty_terminal::grid::{Charsets, Dimensions as _, Grid};
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::term::{Config, Osc52, Term, TermMode};
use alacritty_terminal::vte::ansi::{
    Attr, CharsetIndex, ClearMode, CursorShape, CursorStyle, Handler, Hyperlink, KeyboardModes,
    KeyboardModesApplyBehavior, LineClearMode, Mode, ModifyOtherKeys, NamedPrivateMode,
    PrivateMode, Rgb, StandardCharset, TabulationClearMode,
};

use crate::keyboard::Keyboard;
use crate::notes::Notes;
use crate::paint::charsets;
use crate::settle::settle;
use crate::size::Size;

/// Takes the answers of the emulator. Everything else that it tells of, such as the bell, a new
/// clipboard or a question for a colour, is for the terminal of a person and nobody here.
#[derive(Clone)]
pub(crate) struct Outbox(pub(crate) Sender<String>);

impl Outbox {
    fn send(&self, answer: String) {
        // The receiver is gone only when the screen is.
        drop(self.0.send(answer));
    }
}

impl EventListener for Outbox {
    fn send_event(&self, event: Event) {
        if let Event::PtyWrite(answer) = event {
            self.send(answer);
        }
    }
}

/// A terminal of which everything can be read.
pub(crate) struct Emulator {
    term: Term<Outbox>,
    outbox: Outbox,
    /// The screen that is not shown. What `Term` has in its place is a dummy.
    hidden: Grid<Cell>,
    notes: Notes,
    is_updating: bool,
}

impl Emulator {
    pub(crate) fn new(size: Size, scrollback_lines: usize, outbox: Outbox) -> Self {
        let config = Config {
            scrolling_history: scrollback_lines,
            osc52: Osc52::Disabled,
            ..Config::default()
        };
        Self {
            term: Term::new(config, &size, outbox.clone()),
            outbox,
            hidden: Grid::new(size.screen_lines(), size.columns(), 0),
            notes: Notes::new(size),
            is_updating: false,
        }
    }

    pub(crate) fn resize(&mut self, size: Size) {
        if size == self.size() {
            return;
        }
        let is_primary_hidden = self.is_alternate();
        self.term.resize(size);
        (self.hidden).resize(is_primary_hidden, size.screen_lines(), size.columns());
        self.notes.tabs.resize(size.columns());
        self.notes.region = 0..size.rows.into();
        self.settle();
        self.compact();
    }

    pub(crate) fn size(&self) -> Size {
        let count = |count| u16::try_from(count).unwrap_or(u16::MAX);
        Size {
            rows: count(self.term.screen_lines()),
            cols: count(self.term.columns()),
        }
    }

    /// Removes from both screens what only this emulator can come to, so that they can be drawn.
    pub(crate) fn settle(&mut self) {
        settle(self.term.grid_mut());
        settle(&mut self.hidden);
    }

    /// Gives back the memory that is kept for lines to come.
    pub(crate) fn compact(&mut self) {
        self.term.grid_mut().truncate();
        self.hidden.truncate();
    }

    /// Returns the screen that is shown.
    pub(crate) fn shown(&self) -> &Grid<Cell> {
        self.term.grid()
    }

    /// Returns the screen that is not shown.
    pub(crate) fn hidden(&self) -> &Grid<Cell> {
        &self.hidden
    }

    pub(crate) fn mode(&self) -> TermMode {
        *self.term.mode()
    }

    pub(crate) fn is_alternate(&self) -> bool {
        self.mode().contains(TermMode::ALT_SCREEN)
    }

    /// Returns whether a synchronised update is open.
    pub(crate) fn is_updating(&self) -> bool {
        self.is_updating
    }

    /// Returns whether a line feed in the last row scrolls all rows.
    pub(crate) fn scrolls_whole(&self) -> bool {
        self.notes.region == (0..i32::from(self.size().rows))
            && !self.mode().contains(TermMode::ORIGIN)
    }

    /// Returns whether the terminal is as a shell expects it, whatever it shows.
    pub(crate) fn is_plain(&self) -> bool {
        let modes = TermMode::default() | TermMode::URGENCY_HINTS;
        let Notes {
            modes: switched,
            keyboards: [keyboard, _],
            modify_other_keys,
            cursor_style,
            region,
            ..
        } = &self.notes;
        let cursor = &self.shown().cursor;
        self.mode() == modes
            && switched.are_plain()
            && *keyboard == Keyboard::default()
            && matches!(modify_other_keys, None | Some(ModifyOtherKeys::Reset))
            && cursor_style.is_none()
            && *region == (0..i32::from(self.size().rows))
            && self.notes.charset == CharsetIndex::G0
            && charsets(cursor.charsets) == charsets(Charsets::default())
            && cursor.template == Cell::default()
            && !self.is_updating
    }

    pub(crate) fn notes(&self) -> &Notes {
        &self.notes
    }

    /// Returns the colours that the program has set, by their index.
    pub(crate) fn colors(&self) -> impl Iterator<Item = (usize, Rgb)> {
        let colors = self.term.colors();
        // The cursor's colour is the last that a program can set.
        (0..=258).filter_map(|index| Some((index, colors[index]?)))
    }

    /// Swaps what is shown and what is hidden, and lets `Term` know which of them it has.
    fn swap_screens(&mut self) {
        let shown = mem::replace(self.term.grid_mut(), Grid::new(1, 2, 0));
        self.term.swap_alt();
        *self.term.grid_mut() = mem::replace(&mut self.hidden, shown);
    }

    fn enter_alternate(&mut self) {
        if self.is_alternate() {
            return;
        }
        let primary = self.term.grid_mut();
        primary.saved_cursor = primary.cursor.clone();
        self.hidden.cursor = primary.cursor.clone();
        self.hidden.reset_region(..);
        self.swap_screens();
    }

    fn leave_alternate(&mut self) {
        if self.is_alternate() {
            self.swap_screens();
            let primary = self.term.grid_mut();
            primary.saved_cursor = primary.cursor.clone();
            self.confine_cursor();
        }
    }

    /// Moves a restored cursor into the scroll region, which it cannot leave in origin mode.
    fn confine_cursor(&mut self) {
        if self.mode().contains(TermMode::ORIGIN) {
            let Range { start, end } = self.notes.region;
            let line = &mut self.term.grid_mut().cursor.point.line;
            *line = Line(line.0.clamp(start, end - 1));
        }
    }

    /// Moves the cursor by lines. `Term` takes where the cursor is for a line of the scroll region.
    fn move_lines(&mut self, lines: i32, column: Option<usize>) {
        let point = self.shown().cursor.point;
        let is_relative = self.mode().contains(TermMode::ORIGIN);
        let start = if is_relative {
            self.notes.region.start
        } else {
            0
        };
        let line = (point.line.0 + lines - start).max(0);
        self.term.goto(line, column.unwrap_or(point.column.0));
    }

    fn cursor_column(&self) -> usize {
        self.shown().cursor.point.column.0
    }

    /// Blanks the wide character of the cursor's row that would be cut in two before a column.
    /// `Term` leaves one half, and blanks what is later written before the other.
    fn cut(&mut self, column: usize) {
        if (1..self.term.columns()).contains(&column) {
            let grid = self.term.grid_mut();
            let line = grid.cursor.point.line;
            let row = &mut grid[line];
            let second = Column(column);
            if row[second].flags.contains(Flags::WIDE_CHAR_SPACER) {
                row[second].flags.remove(Flags::WIDE_CHAR_SPACER);
                row[second - 1].clear_wide();
            }
        }
    }

    /// Notes what a mode that `Term` knows does to more than the mode.
    fn note_named_mode(&mut self, mode: NamedPrivateMode, is_set: bool) {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "the others change nothing else"
        )]
        match mode {
            NamedPrivateMode::ColumnMode => {
                self.notes.region = 0..offset(self.term.screen_lines());
            }
            NamedPrivateMode::BlinkingCursor => self.notes.blinks = Some(is_set),
            NamedPrivateMode::SyncUpdate => self.is_updating = is_set,
            _ => {}
        }
    }

    fn keyboard(&mut self) -> &mut Keyboard {
        let [primary, alternate] = &mut self.notes.keyboards;
        if self.term.mode().contains(TermMode::ALT_SCREEN) {
            alternate
        } else {
            primary
        }
    }
}

/// Turns a number of lines that a program asks for into one that can be added.
fn offset(lines: usize) -> i32 {
    i32::try_from(lines).unwrap_or(i32::MAX / 2)
}

/// Hands calls to `Term` as they are.
macro_rules! forward {
    ($($name:ident($($argument:ident: $type:ty),*);)*) => {$(
        #[inline]
        fn $name(&mut self, $($argument: $type),*) {
            self.term.$name($($argument),*);
        }
    )*};
}

impl Handler for Emulator {
    forward! {
        backspace();
        carriage_return();
        configure_charset(index: CharsetIndex, charset: StandardCharset);
        decaln();
        delete_lines(count: usize);
        device_status(what: usize);
        goto(line: i32, column: usize);
        goto_line(line: i32);
        identify_terminal(intermediate: Option<char>);
        input(character: char);
        insert_blank_lines(count: usize);
        linefeed();
        move_backward(columns: usize);
        move_backward_tabs(count: u16);
        move_forward(columns: usize);
        move_forward_tabs(count: u16);
        put_tab(count: u16);
        report_mode(mode: Mode);
        report_private_mode(mode: PrivateMode);
        reset_color(index: usize);
        reverse_index();
        save_cursor_position();
        scroll_down(count: usize);
        scroll_up(count: usize);
        set_color(index: usize, color: Rgb);
        set_hyperlink(link: Option<Hyperlink>);
        set_keypad_application_mode();
        set_mode(mode: Mode);
        terminal_attribute(attribute: Attr);
        text_area_size_chars();
        unset_keypad_application_mode();
        unset_mode(mode: Mode);
    }

    fn goto_col(&mut self, column: usize) {
        self.move_lines(0, Some(column));
    }

    fn move_up(&mut self, lines: usize) {
        self.move_lines(-offset(lines), None);
    }

    fn move_down(&mut self, lines: usize) {
        self.move_lines(offset(lines), None);
    }

    fn move_up_and_cr(&mut self, lines: usize) {
        self.move_lines(-offset(lines), Some(0));
    }

    fn move_down_and_cr(&mut self, lines: usize) {
        self.move_lines(offset(lines), Some(0));
    }

    fn clear_line(&mut self, mode: LineClearMode) {
        let column = self.cursor_column();
        match mode {
            // A cursor that is to wrap is past the end of the row.
            LineClearMode::Right if self.shown().cursor.input_needs_wrap => {}
            LineClearMode::Right => self.cut(column),
            LineClearMode::Left => self.cut(column + 1),
            LineClearMode::All => {}
        }
        self.term.clear_line(mode);
    }

    fn erase_chars(&mut self, count: usize) {
        let column = self.cursor_column();
        self.cut(column);
        self.cut(column + count);
        self.term.erase_chars(count);
    }

    fn insert_blank(&mut self, count: usize) {
        self.cut(self.cursor_column());
        self.cut(self.term.columns().saturating_sub(count));
        self.term.insert_blank(count);
    }

    fn clear_screen(&mut self, mode: ClearMode) {
        let column = self.cursor_column();
        match mode {
            ClearMode::Below => self.cut(column),
            ClearMode::Above => {
                self.cut(column + 1);
                // `Term` forgets the first row if the cursor is in the second.
                if self.shown().cursor.point.line == 1 {
                    self.term.grid_mut().reset_region(..Line(1));
                }
            }
            ClearMode::All | ClearMode::Saved => {}
        }
        // `Term` scrolls out what it clears, and out of the first blank screen a blank line.
        let grid = self.shown();
        let mut lines = (0..=grid.bottommost_line().0).map(Line);
        let is_all = matches!(mode, ClearMode::All) && !self.is_alternate();
        if is_all && grid.history_size() == 0 && lines.all(|line| grid[line].is_clear()) {
            self.term.grid_mut().reset_region(..);
        } else {
            self.term.clear_screen(mode);
        }
    }

    /// `Term` clears characters before the cursor too if it is told to delete more than there are.
    fn delete_chars(&mut self, count: usize) {
        let column = self.cursor_column();
        self.cut(column);
        self.cut(column + count);
        let rest = self.term.columns() - column;
        self.term.delete_chars(count.min(rest));
    }

    fn restore_cursor_position(&mut self) {
        self.term.restore_cursor_position();
        self.confine_cursor();
    }

    fn set_scrolling_region(&mut self, top: usize, bottom: Option<usize>) {
        let rows = self.term.screen_lines();
        let bottom = bottom.unwrap_or(rows).min(rows);
        if top < bottom {
            self.notes.region = offset(top) - 1..offset(bottom);
            self.term.set_scrolling_region(top, Some(bottom));
        }
    }

    fn set_private_mode(&mut self, mode: PrivateMode) {
        self.notes.modes.switch(mode.raw(), true);
        match mode {
            PrivateMode::Named(NamedPrivateMode::SwapScreenAndSetRestoreCursor)
            | PrivateMode::Unknown(47 | 1047) => self.enter_alternate(),
            PrivateMode::Unknown(1048) => self.save_cursor_position(),
            PrivateMode::Named(named) => {
                self.note_named_mode(named, true);
                self.term.set_private_mode(mode);
            }
            PrivateMode::Unknown(_) => {}
        }
    }

    fn unset_private_mode(&mut self, mode: PrivateMode) {
        self.notes.modes.switch(mode.raw(), false);
        match mode {
            PrivateMode::Named(NamedPrivateMode::SwapScreenAndSetRestoreCursor)
            | PrivateMode::Unknown(47 | 1047) => self.leave_alternate(),
            PrivateMode::Unknown(1048) => self.restore_cursor_position(),
            PrivateMode::Named(named) => {
                self.note_named_mode(named, false);
                self.term.unset_private_mode(mode);
            }
            PrivateMode::Unknown(_) => {}
        }
    }

    fn reset_state(&mut self) {
        self.leave_alternate();
        self.term.reset_state();
        self.hidden.reset();
        self.notes = Notes::new(self.size());
    }

    fn set_cursor_style(&mut self, style: Option<CursorStyle>) {
        self.notes.cursor_style = style;
        self.notes.blinks = None;
        self.term.set_cursor_style(style);
    }

    fn set_cursor_shape(&mut self, shape: CursorShape) {
        (self.notes.cursor_style)
            .get_or_insert_with(CursorStyle::default)
            .shape = shape;
        self.term.set_cursor_shape(shape);
    }

    fn set_horizontal_tabstop(&mut self) {
        self.notes.tabs.set(self.cursor_column(), true);
        self.term.set_horizontal_tabstop();
    }

    fn clear_tabs(&mut self, which: TabulationClearMode) {
        let column = self.cursor_column();
        match which {
            TabulationClearMode::Current => self.notes.tabs.set(column, false),
            TabulationClearMode::All => self.notes.tabs.clear(),
        }
        self.term.clear_tabs(which);
    }

    fn set_active_charset(&mut self, index: CharsetIndex) {
        self.notes.charset = index;
        self.term.set_active_charset(index);
    }

    fn set_title(&mut self, title: Option<String>) {
        self.notes.title = title;
    }

    fn push_title(&mut self) {
        self.notes.save_title();
    }

    fn pop_title(&mut self) {
        self.notes.restore_title();
    }

    fn push_keyboard_mode(&mut self, flags: KeyboardModes) {
        self.keyboard().push(flags);
    }

    fn pop_keyboard_modes(&mut self, count: u16) {
        self.keyboard().pop(count.into());
    }

    fn set_keyboard_mode(&mut self, flags: KeyboardModes, how: KeyboardModesApplyBehavior) {
        self.keyboard().set(flags, how);
    }

    fn report_keyboard_mode(&mut self) {
        let flags = self.keyboard().flags().bits();
        self.outbox.send(format!("\x1b[?{flags}u"));
    }

    fn set_modify_other_keys(&mut self, which: ModifyOtherKeys) {
        self.notes.modify_other_keys = Some(which);
    }
}
