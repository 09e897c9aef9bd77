//! Another emulator, which shares no code with ours, shows the same.

use std::slice;

use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::cell::Flags;
use alacritty_terminal::vte::ansi::Color as Ours;
use proptest::prelude::*;
use vt100::Color as Theirs;

use super::super::Screen;
use super::exact::play;
use super::streams::{Event, events, size};
use super::{screen, terminal};
use crate::reset;
use crate::size::Size;

fn other(screen: &Screen) -> vt100::Parser {
    terminal(screen.size())
}

fn same_color(ours: Ours, theirs: Theirs) -> bool {
    match (ours, theirs) {
        (Ours::Named(name), Theirs::Idx(index)) => name as usize == usize::from(index),
        (Ours::Named(name), Theirs::Default) => name as usize > 255,
        (Ours::Indexed(ours), Theirs::Idx(theirs)) => ours == theirs,
        (Ours::Spec(rgb), Theirs::Rgb(r, g, b)) => (rgb.r, rgb.g, rgb.b) == (r, g, b),
        _ => false,
    }
}

/// Plays events, but for those that emulators disagree on: how wide this makes what is before it.
fn played(size: Size, events: &[Event]) -> Screen {
    let mut screen = Screen::new(size, 20);
    let is_disputed = |event: &Event| format!("{event:?}").contains("fe0f");
    for event in events.iter().filter(|event| !is_disputed(event)) {
        play(&mut screen, slice::from_ref(event));
    }
    screen
}

fn assert_shows_the_same(screen: &Screen, other: &vt100::Screen) {
    let grid = screen.emulator.shown();
    for row in 0..screen.size().rows {
        for col in 0..screen.size().cols {
            let ours = &grid[Line(row.into())][Column(col.into())];
            let theirs = other.cell(row, col).unwrap();
            let place = format!("row {row}, column {col}: {ours:?} {theirs:?}");
            let text = theirs.contents();
            let character = if ours.c == '\t' { ' ' } else { ours.c };
            assert_eq!(text.chars().next().unwrap_or(' '), character, "{place}");
            let is_spacer = Flags::WIDE_CHAR_SPACER | Flags::LEADING_WIDE_CHAR_SPACER;
            if ours.flags.intersects(is_spacer) {
                continue;
            }
            assert!(same_color(ours.bg, theirs.bgcolor()), "{place}");
            assert!(same_color(ours.fg, theirs.fgcolor()), "{place}");
            for (flag, has) in [
                // There, what is dim is not bold.
                (
                    Flags::BOLD,
                    theirs.bold() || ours.flags.contains(Flags::DIM_BOLD),
                ),
                (Flags::ITALIC, theirs.italic()),
                (Flags::INVERSE, theirs.inverse()),
                (Flags::WIDE_CHAR, theirs.is_wide()),
            ] {
                assert_eq!(ours.flags.contains(flag), has, "{place}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn another_emulator_shows_a_redraw_as_ours_does(size in size(), events in events()) {
        let mut screen = played(size, &events);
        let mut other = other(&screen);
        other.process(b"before\x1b[41;7m\x1b[?1049h\x1b[?6h\x1b(0");
        other.process(&screen.redraw());
        assert_shows_the_same(&screen, other.screen());
        let cursor = &screen.emulator.shown().cursor;
        let (row, col) = other.screen().cursor_position();
        prop_assert_eq!(i32::from(row), cursor.point.line.0);
        let is_past = usize::from(cursor.input_needs_wrap);
        prop_assert_eq!(usize::from(col), cursor.point.column.0 + is_past);
    }

    #[test]
    fn another_emulator_shows_a_view_as_ours_does(size in size(), events in events()) {
        let mut screen = played(size, &events);
        let mut other = other(&screen);
        other.process(b"before\r\n\x1b[41;7mmore\r\n");
        other.process(&screen.view(screen.size()));
        screen.emulator.settle();
        assert_shows_the_same(&screen, other.screen());
        let cursor = screen.emulator.shown().cursor.point;
        let (row, col) = other.screen().cursor_position();
        prop_assert_eq!((i32::from(row), usize::from(col)), (cursor.line.0, cursor.column.0));
    }
}

#[test]
fn another_emulator_has_the_scrollback() {
    let lines: Vec<String> = (0..40).map(|line| format!("line {line}")).collect();
    let mut screen = screen(10, 20, lines.join("\r\n"));
    let mut other = other(&screen);
    other.process(&screen.redraw());
    other.screen_mut().set_scrollback(12);
    assert_eq!(other.screen().rows(0, 20).next().unwrap(), "line 18");
}

#[test]
fn another_emulator_has_the_modes() {
    let mut screen = screen(
        10,
        20,
        "\x1b[?1049h\x1b[?1h\x1b=\x1b[?2004h\x1b[?1003h\x1b[?1006h\x1b[?25l",
    );
    let mut other = other(&screen);
    other.process(&screen.redraw());
    let other = other.screen();
    assert!(other.alternate_screen() && other.application_cursor() && other.application_keypad());
    assert!(other.bracketed_paste() && other.hide_cursor());
    let mouse = (other.mouse_protocol_mode(), other.mouse_protocol_encoding());
    let expected = (
        vt100::MouseProtocolMode::AnyMotion,
        vt100::MouseProtocolEncoding::Sgr,
    );
    assert_eq!(mouse, expected);
}

#[test]
fn a_reset_terminal_has_no_mode_and_shows_what_the_primary_screen_showed() {
    let mut other = terminal(Size { rows: 6, cols: 20 });
    other.process(b"one\r\ntwo\r\n$ ");
    let left =
        "\x1b[?1049h\x1b[?1h\x1b=\x1b[?2004h\x1b[?1003h\x1b[?1006h\x1b[?25l\x1b[1;31mfull\x1b[2;4r";
    other.process(left.as_bytes());
    other.process(&reset());
    other.process(b"make");
    let other = other.screen();
    assert_eq!(other.contents(), "one\ntwo\n$ make");
    assert!(!other.alternate_screen() && !other.application_cursor());
    assert!(!other.application_keypad() && !other.bracketed_paste() && !other.hide_cursor());
    let mouse = (other.mouse_protocol_mode(), other.mouse_protocol_encoding());
    let expected = (
        vt100::MouseProtocolMode::None,
        vt100::MouseProtocolEncoding::Default,
    );
    assert_eq!(mouse, expected);
    assert_eq!(other.fgcolor(), Theirs::Default);
}
