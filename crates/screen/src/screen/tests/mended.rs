//! What the emulator would do otherwise than terminals do.

use alacritty_terminal::grid::Dimensions as _;

use super::{screen, terminal};
use crate::size::Size;

const SIZE: Size = Size { rows: 5, cols: 12 };

/// Asserts that a screen shows this after these bytes, and that another emulator agrees.
#[track_caller]
fn assert_shows(bytes: &str, text: &str) {
    let mut other = terminal(SIZE);
    other.process(bytes.as_bytes());
    assert_eq!(other.screen().contents(), text);
    let screen = screen(SIZE.rows, SIZE.cols, bytes);
    assert_eq!(screen.text().trim_end(), text);
}

#[test]
fn deleting_more_characters_than_there_are_keeps_those_before_the_cursor() {
    assert_shows("0123456789\x1b[4G\x1b[50P", "012");
}

#[test]
fn movements_in_origin_mode_are_counted_from_the_cursor() {
    let origin = "\x1b[2;4r\x1b[?6h";
    assert_shows(&format!("{origin}\x1b[2;2H\x1b[5Gx"), "\n\n    x");
    assert_shows(&format!("{origin}\x1b[3;1H\x1b[Ax"), "\n\nx");
    assert_shows(&format!("{origin}\x1b[Bx"), "\n\nx");
    assert_shows(&format!("{origin}\x1b[1;5H\x1b[Ex"), "\n\nx");
    assert_shows(&format!("{origin}\x1b[3;5H\x1b[Fx"), "\n\nx");
}

#[test]
fn a_wide_character_of_which_half_is_erased_is_blank() {
    assert_shows("漢字\x1b[G\x1b[Xab", "ab字");
    assert_shows("漢字\x1b[2G\x1b[Kx", " x");
    assert_shows("漢字\x1b[3G\x1b[1Kx", "  x");
    assert_shows("漢字\x1b[2G\x1b[Pab", " ab");
    assert_shows("漢字\x1b[2G\x1b[@ab", " ab字");
    assert_shows("漢字\x1b[2G\x1b[Jx", " x");
}

#[test]
fn clearing_past_the_end_of_a_row_clears_nothing() {
    assert_shows("漢字漢字漢字\x1b[K", "漢字漢字漢字");
}

#[test]
fn clearing_above_the_second_row_clears_the_first() {
    assert_shows("one\r\ntwo\r\nthree\x1b[2;2H\x1b[1J", "\n  o\nthree");
}

#[test]
fn clearing_a_blank_screen_scrolls_nothing_out() {
    let screen = screen(5, 12, "\x1b[2J\x1b[41m\x1b[2J");
    assert_eq!(screen.emulator.shown().history_size(), 0);
    assert!(screen.ansi().contains("\x1b[0;41m"));
}

#[test]
fn older_modes_of_the_alternate_screen_and_the_cursor_are_known() {
    for mode in [47, 1047, 1049] {
        let bytes = format!("one\x1b[?{mode}htwo\x1b[?{mode}l\r\nthree");
        assert_eq!(screen(5, 12, bytes).text().trim_end(), "one\nthree");
    }
    let shown = screen(5, 12, "ab\x1b[?1048h\r\ncd\x1b[?1048le");
    assert_eq!(shown.text().trim_end(), "abe\ncd");
}

#[test]
fn a_region_beyond_the_screen_is_cut_and_one_that_is_none_is_ignored() {
    assert_shows("\x1b[2;99r\x1b[5;1Hlast\nnext", "\n\n\nlast\n    next");
    for region in ["9;20", "5;20", "3;3", "4;2"] {
        let bytes = format!("a\x1b[{region}rb");
        assert_eq!(screen(5, 12, bytes).text().trim_end(), "ab");
    }
}

#[test]
fn a_size_that_is_the_same_changes_nothing() {
    let mut same = screen(5, 12, "\x1b[2;3r");
    same.resize(SIZE);
    assert_eq!(same.redraw(), screen(5, 12, "\x1b[2;3r").redraw());
}

#[test]
fn a_row_that_was_widened_is_cleared_to_its_end() {
    let mut wider = screen(3, 10, "\x1b[42m\r\n\r\n\r\nabc");
    wider.resize(Size { rows: 3, cols: 20 });
    wider.advance(b"\x1b[m\x1b[H\x1b[J");
    assert_eq!(wider.ansi(), "\n\n\x1b[m");
}
