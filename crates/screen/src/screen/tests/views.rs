//! What is visible, as text and for other sizes.

use super::{screen, terminal};
use crate::size::Size;

/// Returns what a terminal shows after these bytes, and where its cursor is.
fn shown(size: Size, bytes: &[u8]) -> (String, (u16, u16)) {
    let mut other = terminal(size);
    other.process("\x1b[31mbefore\r\n".repeat(9).as_bytes());
    other.process(bytes);
    (other.screen().contents(), other.screen().cursor_position())
}

#[test]
fn a_view_on_a_larger_terminal_shows_all() {
    let screen = screen(3, 10, "one\r\n\x1b[44mtwo\x1b[m\r\nthree");
    let size = Size { rows: 6, cols: 30 };
    let expected = ("one\ntwo\nthree".into(), (2, 5));
    assert_eq!(shown(size, &screen.view(size)), expected);
}

#[test]
fn a_view_on_a_smaller_terminal_shows_the_part_with_the_cursor() {
    let screen = screen(
        6,
        20,
        "one\r\ntwo\r\nthree\r\n0123456789abcd\r\n\x1b[A\x1b[12C",
    );
    let size = Size { rows: 2, cols: 8 };
    let expected = ("\n56789abc".into(), (1, 7));
    assert_eq!(shown(size, &screen.view(size)), expected);
}

#[test]
fn a_wide_character_of_which_a_view_has_only_half_is_blank() {
    let screen = screen(1, 20, "漢字漢字漢字\x1b[8G");
    let size = Size { rows: 1, cols: 5 };
    assert_eq!(shown(size, &screen.view(size)).0, " 漢字");
    let screen = super::screen(1, 20, "漢字漢字漢字\r");
    assert_eq!(shown(size, &screen.view(size)).0, "漢字 ");
}

#[test]
fn a_view_sets_no_mode_by_which_the_terminal_would_send_anything() {
    let modes = "\x1b[?1003h\x1b[?1006h\x1b[?2004h\x1b[?1004h\x1b[>31u\x1b[?1h\x1b=\x1b[?2048h";
    let view = screen(5, 20, modes).view(Size::default());
    let expected = screen(5, 20, "").view(Size::default());
    assert_eq!(view, expected);
}

#[test]
fn a_hidden_cursor_is_hidden_in_a_view() {
    let hidden = screen(2, 10, "\x1b[?25l").view(Size { rows: 2, cols: 10 });
    assert!(!String::from_utf8(hidden).unwrap().contains("\x1b[?25h"));
}

#[test]
fn text_has_a_line_for_each_row_and_no_blanks_at_the_ends() {
    let screen = screen(4, 10, "one  \r\n\x1b[41m  \x1b[m\r\n 漢e\u{301}\tx");
    assert_eq!(screen.text(), "one\n\n 漢e\u{301}    x\n");
}

#[test]
fn ansi_has_looks_and_links_and_ends_plain() {
    let bytes =
        "a\x1b[1;4:3;38;5;99mb\x1b[m\r\n\x1b]8;id=7;http://example.org\x1b\\c\x1b]8;;\x1b\\";
    let expected = "a\x1b[0;1;4:3;38;5;99mb\x1b[m\n\
        \x1b]8;id=7;http://example.org\x1b\\c\x1b]8;;\x1b\\\x1b[m";
    assert_eq!(screen(2, 10, bytes).ansi(), expected);
}
