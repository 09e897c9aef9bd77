//! A redraw brings another terminal to exactly the same state.

use proptest::prelude::*;

use super::super::Screen;
use super::state::{extent, state};
use super::streams::{Event, events, size, writing};

/// What terminals were left with.
const LEFT: [&str; 4] = [
    "",
    "$ make\r\nerror: \x1b[1;31mno\x1b[m\r\n$ ",
    "\x1b[?1049h\x1b[2;3r\x1b[?6h\x1b[41;4:3mfull\x1b(0\x0e\x1b[4h\x1b[?7l\x1b[?25l\x1b[?1003h\x1b[?1006h\
     \x1b[?2004h\x1b[>31u\x1b[5 q\x1b[>4;2m\x1b]8;;http://example.org\x07\x1b=\x1b[3g\x1b[?2026h",
    "\x1b[20h\x1b[?5h\x1b[?1015h\x1b[=3;1u\x1b[7mhalf\x1b]9;of a mess",
];

pub(super) fn play(screen: &mut Screen, events: &[Event]) {
    for event in events {
        match event {
            Event::Write(text) => screen.advance(text.as_bytes()),
            Event::Resize(size) => screen.resize(*size),
        }
    }
}

#[track_caller]
fn assert_same(left: &[String], right: &[String]) {
    let pairs = left.iter().zip(right);
    let different: Vec<_> = pairs.filter(|(left, right)| left != right).collect();
    assert!(
        different.is_empty() && left.len() == right.len(),
        "{different:#?}"
    );
}

fn check(screen: &mut Screen, left: &str, rest: &[Event]) {
    let bytes = screen.redraw();
    let mut other = Screen::new(screen.size(), 20);
    other.advance(left.as_bytes());
    other.take_answers();
    other.advance(&bytes);
    assert_eq!(other.take_answers(), []);
    let extent = extent(screen);
    assert_same(&state(screen, &extent), &state(&other, &extent));
    play(screen, rest);
    play(&mut other, rest);
    screen.emulator.settle();
    other.emulator.settle();
    let extent = super::state::extent(screen);
    assert_same(&state(screen, &extent), &state(&other, &extent));
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_terminal_is_after_a_redraw_as_if_it_had_seen_every_byte(
        size in size(),
        events in events(),
        left in prop::sample::select(&LEFT[..]),
        rest in writing(),
    ) {
        let mut screen = Screen::new(size, 20);
        play(&mut screen, &events);
        check(&mut screen, left, &rest);
    }
}
