//! What a redraw carries, one thing at a time, as the bytes that a terminal is given.

use super::{Screen, screen};
use crate::reset;
use crate::size::Size;

fn redraw(bytes: &str) -> String {
    String::from_utf8(screen(4, 20, bytes).redraw()).unwrap()
}

/// Asserts that these bytes are repeated in a redraw, and only because a program wrote them.
#[track_caller]
fn assert_carried(bytes: &str, repeated: &str) {
    assert!(redraw(bytes).contains(repeated), "{:?}", redraw(bytes));
    let without = redraw("").matches(repeated).count();
    assert!(redraw(bytes).matches(repeated).count() > without);
}

#[test]
fn modes_that_the_emulator_does_not_know_are_carried() {
    for mode in [5, 9, 66, 1015, 1016, 2027, 2031, 2048, 4711] {
        let set = format!("\x1b[?{mode}h");
        assert_carried(&set, &set);
    }
    assert_carried("\x1b[?1007l", "\x1b[?1007l");
    assert_carried("\x1b[>4;2m", "\x1b[>4;2m");
    assert_carried("\x1b[>4;1m", "\x1b[>4;1m");
}

#[test]
fn the_last_mode_for_the_mouse_is_the_one_that_is_carried() {
    let drawn = redraw("\x1b[?1003h\x1b[?1000h\x1b[?1006h\x1b[?1016h");
    assert!(drawn.contains("\x1b[?1000h\x1b[?1006h\x1b[?1016h"));
    assert!(!drawn.contains("\x1b[?1003h"));
}

#[test]
fn a_blinking_cursor_keeps_the_shape_that_the_person_has() {
    let drawn = redraw("\x1b[?12l");
    assert!(drawn.contains("\x1b[0 q") && drawn.contains("\x1b[?12l"));
    assert!(!drawn.contains("\x1b[2 q"));
    assert_carried("\x1b[5 q", "\x1b[5 q");
}

#[test]
fn neither_clipboard_nor_bell_nor_question_is_repeated() {
    let drawn = redraw("\x07\x1b]52;c;aGk=\x07\x1b]11;?\x07\x1b[c\x1b[6n\x1b[?u");
    assert_eq!(drawn, redraw(""));
}

#[test]
fn an_open_update_stays_open() {
    let mut open = screen(4, 20, "a\x1b[?2026hb");
    assert!(open.is_updating());
    let mut other = screen(4, 20, open.redraw());
    assert!(other.is_updating());
    other.advance(b"\x1b[?2026l");
    assert!(!other.is_updating());
    assert_eq!(other.text(), "ab\n\n\n");
}

#[test]
fn what_the_terminal_showed_goes_to_its_scrollback() {
    let mut other = screen(4, 20, "$ make\r\n$ attach\r\n");
    other.advance(&screen(4, 20, "agent").redraw());
    other.advance(b"\x1b[?1049l");
    let grid = other.emulator.shown();
    assert_eq!(grid_line(&other, -4), "$ make");
    assert_eq!(grid_line(&other, -3), "$ attach");
    assert_eq!(grid.cursor.point.column.0, 5);
}

fn grid_line(screen: &Screen, line: i32) -> String {
    let row = &screen.emulator.shown()[alacritty_terminal::index::Line(line)];
    let text: String = row[..].iter().map(|cell| cell.c).collect();
    text.trim_end().to_owned()
}

#[test]
fn leaving_the_alternate_screen_shows_the_primary_one_with_its_cursor() {
    let mut other = screen(4, 20, screen(4, 20, "shell $ \x1b[?1049heditor").redraw());
    assert!(other.is_alternate());
    assert_eq!(
        other.text(),
        "editor\n\n\n".replace("editor", "        editor")
    );
    other.advance(b"\x1b[?1049l|");
    assert_eq!(other.text(), "shell $ |\n\n\n");
}

#[test]
fn only_the_primary_screen_is_wrapped_anew_even_while_it_is_hidden() {
    let mut wider = screen(4, 10, "0123456789abc\x1b[?1049h\x1b[H0123456789abc");
    wider.resize(Size { rows: 4, cols: 20 });
    assert_eq!(wider.text(), "0123456789\nabc\n\n");
    wider.advance(b"\x1b[?1049l");
    assert_eq!(wider.text(), "0123456789abc\n\n\n");
}

#[test]
fn a_reset_first_cancels_what_was_begun() {
    assert!(reset().starts_with(b"\x18\x1b\\"));
}

#[test]
fn a_screen_can_be_handed_to_another_thread() {
    let mut shown = screen(4, 20, "one");
    let thread = std::thread::spawn(move || shown.redraw());
    assert_eq!(thread.join().unwrap(), screen(4, 20, "one").redraw());
}

#[test]
fn properties_of_a_screen_are_told() {
    let mut shown = screen(4, 20, "\x1b]2;title\x07\x1b[?2004h\x1b[?1049h");
    assert_eq!(shown.title(), Some("title"));
    assert!(shown.has_bracketed_paste() && shown.is_alternate());
    shown.advance(b"\x1bc");
    assert_eq!(shown.title(), None);
    assert!(!shown.has_bracketed_paste() && !shown.is_alternate());
}

#[test]
fn a_reset_screen_has_every_mode_as_a_fresh_one() {
    let modes = [
        1, 5, 9, 45, 66, 69, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 2004, 2026,
        2031, 2048,
    ];
    let modes = modes.map(|mode| format!("\x1b[?{mode}h")).concat();
    let rest = "\x1b[?1049h\x1b[?6h\x1b[?7l\x1b[?25l\x1b[4h\x1b[20h\x1b=\x1b[>31u\x1b[=1;1u\x1b[>4;2m\x1b[5 q\
        \x1b[1;4m\x1b]8;;http://example.org\x07\x1b(0\x0e\x1b[2;3r\x1bPhalf";
    let mut left = screen(4, 20, modes + "\r\nprompt" + rest);
    left.advance(&reset());
    let mut fresh = screen(4, 20, "\r\nprompt");
    fresh.advance(&reset());
    let (left, fresh) = (&left.emulator, &fresh.emulator);
    assert_eq!(left.mode(), fresh.mode());
    assert_eq!(left.notes().keyboards, fresh.notes().keyboards);
    assert_eq!(left.notes().region, fresh.notes().region);
    assert_eq!(left.notes().charset, fresh.notes().charset);
    assert_eq!(left.notes().cursor_style, fresh.notes().cursor_style);
    assert!(
        !left
            .notes()
            .modes
            .sequences()
            .replace("?7h", "")
            .replace("?25h", "")
            .contains('h')
    );
    assert_eq!(left.shown().cursor, fresh.shown().cursor);
}

#[test]
fn a_terminal_is_left_alone_by_a_program_that_left_it_as_it_was() {
    let clean =
        "text\x1b[1mbold\x1b[m\x1b[?1049h\x1b[2J\x1b[?1049l\x1b[?2004h\x1b[?2004l\x1b[>1u\x1b[<u";
    assert_eq!(screen(4, 20, clean).leave(), b"");
    for left in [
        "\x1b[?1049h",
        "\x1b[?25l",
        "\x1b[?1003h",
        "\x1b[?2004h",
        "\x1b[?2031h",
        "\x1b[?7l",
        "\x1b[>1u",
        "\x1b[>4;2m",
        "\x1b[5 q",
        "\x1b[31m",
        "\x1b(0",
        "\x0e",
        "\x1b[2;3r",
        "\x1b=",
        "\x1b[4h",
        "\x1bPhalf",
    ] {
        assert_eq!(screen(4, 20, left).leave(), reset(), "{left:?}");
    }
}

#[test]
fn a_terminal_that_has_the_scrollback_is_not_given_it_again() {
    let text = "line\r\n".repeat(9);
    let mut shown = screen(4, 20, text);
    let drawn = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().matches("line").count();
    assert_eq!(drawn(shown.redraw()), 9);
    assert_eq!(drawn(shown.redraw_without_scrollback()), 3);
    let mut other = screen(4, 20, "garbage");
    other.advance(&shown.redraw_without_scrollback());
    assert_eq!(other.text(), shown.text());
}
