//! What is not drawn of a flood would have left nothing behind.

use proptest::prelude::*;

use super::super::{FLOOD, Screen};
use super::exact::play;
use super::state::{extent, state};
use super::streams::{events, size, writing};

/// Lines of a flood: plain ones mostly, and all that could matter.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let line = prop_oneof![
        12 => "[ -~]{0,60}\r\n",
        2 => "[a-z\u{e9}\u{4e2d}\u{301}\t]{0,30}\r\n",
        1 => "[a-z]{0,30}\n",
        1 => "[a-z]{0,8}[\u{8}\u{b}\u{7}\r][a-z]{0,8}\r\n",
        1 => Just("\r\n".to_owned()),
    ];
    let odd = prop_oneof![
        Just("\u{1b}[31m".to_owned()),
        Just("\u{e}".to_owned()),
        Just("\u{f}".to_owned()),
        Just("\u{88}".to_owned()),
        Just("\u{1b}[2;3r".to_owned()),
        Just("\u{1b}[?1049h".to_owned()),
    ];
    let odd = prop::collection::vec((odd, any::<prop::sample::Index>()), 0..2);
    (prop::collection::vec(line, 60..400), odd).prop_map(|(mut lines, odd)| {
        for (odd, place) in odd {
            lines.insert(place.index(lines.len()), odd);
        }
        lines
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 96,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_flood_leaves_what_its_parts_leave(
        size in size(), before in writing(), lines in lines(), after in events()
    ) {
        let mut whole = Screen::new(size, 20);
        let mut parts = Screen::new(size, 20);
        for screen in [&mut whole, &mut parts] {
            play(screen, &before);
        }
        let flood = lines.concat().repeat(1 + FLOOD / lines.concat().len().max(1));
        whole.advance(flood.as_bytes());
        for part in flood.as_bytes().chunks(1_000) {
            parts.advance(part);
        }
        for screen in [&mut whole, &mut parts] {
            play(screen, &after);
            screen.take_answers();
            screen.emulator.settle();
        }
        let extent = extent(&parts);
        prop_assert_eq!(state(&whole, &extent), state(&parts, &extent));
    }

    #[test]
    fn what_is_passed_over_would_leave_nothing_behind(
        size in size(), before in writing(), lines in lines(), after in events()
    ) {
        let mut passing = Screen::new(size, 20);
        let mut drawing = Screen::new(size, 20);
        for screen in [&mut passing, &mut drawing] {
            play(screen, &before);
        }
        let flood = lines.concat().repeat(1 + 2 * FLOOD / lines.concat().len().max(1));
        let mut queue = Vec::new();
        for part in flood.as_bytes().chunks(FLOOD / 3) {
            drawing.advance(part);
            queue.extend_from_slice(part);
            let length = passing.pass_over(&queue);
            queue.drain(..length);
        }
        passing.advance(&queue);
        prop_assert_eq!(passing.advanced, drawing.advanced);
        for screen in [&mut passing, &mut drawing] {
            play(screen, &after);
            screen.take_answers();
            screen.emulator.settle();
        }
        let extent = extent(&drawing);
        prop_assert_eq!(state(&passing, &extent), state(&drawing, &extent));
    }
}

#[test]
fn most_of_a_plain_flood_is_not_drawn() {
    let screen = Screen::new(crate::Size { rows: 24, cols: 80 }, 100);
    let flood = "one line of many\r\n".repeat(10_000);
    let drawn = flood.len() - screen.without_effect(flood.as_bytes());
    assert_eq!(drawn, 125 * "one line of many\r\n".len());
    let coloured = flood + "\x1b[31m" + &"x\r\n".repeat(200);
    assert_eq!(screen.without_effect(coloured.as_bytes()), 0);
}
