//! Any bytes in any portions.

use proptest::prelude::*;

use super::super::Screen;
use super::exact::play;
use super::screen;
use super::state::{extent, state};
use super::streams::{Event, events};
use crate::size::Size;

const STREAM: &str = "漢字 e\u{301} 😀\x1b[1;31mred\x1b]8;;http://example.org\x1b\\link\x1b]8;;\x07\x1b(0q\x1b(B\
    \x1bP1$r0m\x1b\\\x1b[?1049h\x1b[2;3Hfull\x1b]2;title\x07\x1b#8\x1b[38:2::1:2:3mx\x1b_app\x1b\\\x18é";

fn assert_same(left: &Screen, right: &Screen) {
    let extent = extent(left);
    assert_eq!(state(left, &extent), state(right, &extent));
}

#[test]
fn a_split_between_any_two_bytes_changes_nothing() {
    let whole = screen(4, 20, STREAM);
    for split in 0..STREAM.len() {
        let (begin, end) = STREAM.as_bytes().split_at(split);
        let mut parts = screen(4, 20, begin);
        parts.advance(end);
        assert_same(&whole, &parts);
    }
    let mut single = screen(4, 20, "");
    for byte in STREAM.bytes() {
        single.advance(&[byte]);
    }
    assert_same(&whole, &single);
}

#[test]
fn a_redraw_between_any_two_bytes_loses_none() {
    let whole = screen(4, 20, STREAM);
    for split in 0..STREAM.len() {
        let (begin, end) = STREAM.as_bytes().split_at(split);
        let mut other = screen(4, 20, screen(4, 20, begin).redraw());
        other.advance(end);
        assert_same(&whole, &other);
    }
}

#[test]
fn a_string_without_an_end_is_passed_over_after_a_redraw() {
    for introducer in ["\x1b]1337;File=", "\x1bPq", "\x1b_G"] {
        let mut long = screen(4, 20, introducer);
        for _ in 0..100 {
            long.advance(&[b'A'; 4096]);
        }
        let redraw = long.redraw();
        assert!(redraw.len() < 4096);
        let mut other = screen(4, 20, redraw);
        for screen in [&mut long, &mut other] {
            screen.advance(b"52;c;aGVsbG8=\x1b\\shown");
            assert_eq!(screen.text(), "shown\n\n\n");
        }
    }
}

#[test]
fn the_rest_of_a_long_command_is_not_kept() {
    let mut screen = screen(4, 20, "\x1b]2;title");
    for _ in 0..100 {
        screen.advance(&[b'A'; 4096]);
    }
    screen.advance(b"\x07shown");
    assert_eq!(screen.text(), "shown\n\n\n");
    assert!(screen.title().unwrap().len() < 100_000);
}

#[test]
fn sizes_are_what_a_terminal_can_have() {
    let clamped = |rows, cols| {
        let size = Size { rows, cols }.clamped();
        (size.rows, size.cols)
    };
    assert_eq!(clamped(0, 0), (24, 80));
    assert_eq!(clamped(0, 100), (24, 80));
    assert_eq!(clamped(1, 1), (1, 2));
    assert_eq!(clamped(u16::MAX, u16::MAX), (1000, 2000));
}

#[test]
fn screens_of_any_size_can_be_drawn() {
    for (rows, cols) in [(0, 0), (1, 1), (1, 2), (2, 2), (u16::MAX, 3), (3, u16::MAX)] {
        let mut screen = screen(rows, cols, STREAM);
        screen.resize(Size { rows: 1, cols: 1 });
        screen.advance(STREAM.as_bytes());
        screen.resize(Size { rows, cols });
        drop((screen.redraw(), screen.view(Size { rows: 1, cols: 1 })));
    }
}

#[test]
fn a_stack_of_keys_and_titles_has_an_end() {
    let mut screen = screen(4, 20, "\x1b[>1u\x1b[22;0t".repeat(10_000));
    assert!(screen.redraw().len() < 2000);
}

#[test]
fn memory_for_lines_to_come_is_given_back() {
    let mut screen = screen(4, 20, "line\r\n".repeat(10));
    screen.compact();
    screen.advance("more\r\n".repeat(10).as_bytes());
    screen.compact();
    assert_eq!(screen.text(), "more\nmore\nmore\n");
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_bytes_are_deadly(
        events in events(),
        noise in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..40), any::<(u16, u16)>(), any::<bool>()),
            0..12,
        ),
    ) {
        let mut screen = Screen::new(Size { rows: 5, cols: 9 }, 20);
        play(&mut screen, &events);
        for (bytes, (rows, cols), resizes) in noise {
            screen.advance(&bytes);
            if resizes {
                screen.resize(Size { rows: rows % 12, cols: cols % 40 });
            }
            screen.redraw();
        }
        play(&mut screen, &events);
        screen.view(Size { rows: 3, cols: 7 });
        screen.ansi();
    }

    #[test]
    fn sequences_of_random_numbers_are_not_deadly(
        sequences in prop::collection::vec((any::<u16>(), any::<u16>(), 0x40_u8..0x7f), 0..30),
    ) {
        let mut screen = screen(5, 9, "漢字 some text");
        for (first, second, action) in sequences {
            let text = format!("\x1b[{first};{second}{}x漢", char::from(action));
            play(&mut screen, &[Event::Write(text)]);
        }
        screen.redraw();
    }
}
