//! Characters and escape sequences that an agent writes byte by byte: whoever comes between two of
//! them sees what a terminal shows that has seen all.

use amps_testkit::{Exit, PATIENCE, Terminal, wait};

use crate::held::{CHORD, DRAWN, attach, hold};
use crate::held_programs::seen;
use crate::record::{home, settled};

/// Writes a text byte by byte. A terminal attaches between any two of them, and all of them see the
/// rest come. In the end each shows what a terminal shows that saw everything.
fn come_at_every_byte(text: &str) {
    let home = home();
    let folder = home.folder("work");
    let hex = |byte: &u8| format!("hex {byte:02x}");
    let bytes = text.as_bytes();
    let plain: Vec<String> = bytes.iter().map(hex).collect();
    let mut bare = home.fake_agent(&plain).terminal();
    assert_eq!(bare.wait_exit(PATIENCE), Exit::Code(0));
    let expected = bare.screen(seen);
    let steps = bytes.iter().enumerate().flat_map(|(place, byte)| {
        [
            hex(byte),
            format!("touch written-{place}"),
            format!("wait-for go-{place}"),
        ]
    });
    let steps: Vec<String> = steps.chain(["print over".to_owned()]).collect();
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    home.install_agent("agent", &steps);
    let id = hold(&home, &folder, &["agent"]);
    let go = |place: usize| std::fs::File::create(folder.join(format!("go-{place}"))).unwrap();
    let mut terminals: Vec<Terminal> = Vec::new();
    let last = bytes.len() - 1;
    for place in 0..=last {
        wait::for_file(&folder.join(format!("written-{place}")), PATIENCE);
        // One who types comes and leaves between any two as well.
        let mut typist = attach(&home, &[&id]);
        typist.wait_for_bytes(DRAWN, PATIENCE);
        let watcher = attach(&home, &["--read-only", &id]);
        watcher.wait_for_bytes(DRAWN, PATIENCE);
        terminals.push(watcher);
        if place < last {
            drop(go(place));
            wait::for_file(&folder.join(format!("written-{}", place + 1)), PATIENCE);
        }
        typist.send(CHORD);
        assert_eq!(typist.wait_exit(PATIENCE), Exit::Code(0));
    }
    for (place, terminal) in terminals.iter().enumerate() {
        let what = format!("all of it on the terminal that came after byte {place} of {text:?}");
        terminal.wait_for_screen(&what, PATIENCE, |screen| seen(screen) == expected);
    }
    drop(go(last));
    for terminal in &mut terminals {
        assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
    }
    settled(&home, &id);
}

#[test]
fn a_character_that_is_cut_in_two_is_whole_for_who_comes_in_between() {
    come_at_every_byte("a\u{e9}\u{20ac}\u{1f600}e\u{301}\u{4e16}.");
}

#[test]
fn a_colour_or_a_place_that_is_cut_in_two_is_whole_for_who_comes_in_between() {
    come_at_every_byte("\x1b[1;38;2;9;8;7mX\x1b[m\x1b[3;5HY\x1b[?2004h");
}

#[test]
fn a_link_a_title_or_a_cursor_that_is_cut_in_two_is_whole_for_who_comes_in_between() {
    come_at_every_byte("\x1b]8;;ab:c\x1b\\L\x1b]8;;\x07M\x1b]0;t\x07N\x1b[5 q.");
}
