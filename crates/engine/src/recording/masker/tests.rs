//! Secrets are found wherever output is cut and whatever stands inside; nothing else changes.

use std::time::{Duration, Instant};

use amps_core::mask::mask;
use proptest::prelude::*;

use super::*;
use crate::recording::{Scanner, Step};

const SECRETS: [&str; 6] = [
    "sk-ant-A1b2C3d4E5f6G7h8I9j0K1l2",
    "ghp_A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8",
    "AKIAABCDEFGHIJKLMNOP",
    "https://me:hunter2@host/path",
    "DB_PASSWORD=correcthorsebattery",
    "-----BEGIN RSA PRIVATE KEY-----MIIabc-----END RSA PRIVATE KEY-----",
];

const WIDE: Size = Size {
    rows: 50,
    cols: 10_000,
};

/// Runs chunks through a masker and returns what comes out, one string for each chunk time.
fn masked(chunks: &[Vec<u8>], size: Size, window: Window) -> Vec<(Duration, Vec<u8>)> {
    let mut masker = Masker::new(size, window);
    let mut records = Vec::new();
    for (place, chunk) in (0..).zip(chunks) {
        let at = Duration::from_millis(place);
        let entry = Entry::Output(chunk.clone());
        records.extend(masker.push(Record { at, entry }));
    }
    records.extend(masker.finish().0);
    let bytes = |record: Record| match record.entry {
        Entry::Output(bytes) => (record.at, bytes),
        other => panic!("{other:?}"),
    };
    records.into_iter().map(bytes).collect()
}

fn all(chunks: Vec<(Duration, Vec<u8>)>) -> Vec<u8> {
    chunks.into_iter().flat_map(|(_, bytes)| bytes).collect()
}

fn once(text: &str, cols: u16) -> String {
    let size = Size { rows: 24, cols };
    let masked = masked(&[text.as_bytes().to_vec()], size, Window::default());
    String::from_utf8(all(masked)).unwrap()
}

/// Divides bytes into text and the rest.
fn divided(bytes: &[u8]) -> (String, Vec<u8>) {
    let mut scanner = Scanner::default();
    let (text, rest) =
        (bytes.iter()).partition::<Vec<u8>, _>(|byte| scanner.step(**byte) == Step::Text);
    (String::from_utf8(text).unwrap(), rest)
}

fn words() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        3 => "[a-zé]{1,7}",
        2 => prop::sample::select(&SECRETS[..]).prop_map(str::to_owned),
    ];
    prop::collection::vec(word, 1..9).prop_map(|words| words.join(" "))
}

/// What may stand between two characters without changing what is seen.
fn escape(kind: u8, column: usize) -> String {
    match kind {
        0 => "\x1b[1;38;5;12m".to_owned(),
        1 => "\x1b]0;a title\x07".to_owned(),
        2 => "\x1b[?25l\x1b[K".to_owned(),
        3 => "\x1b7\x1b[20;3H\x1b8".to_owned(),
        4 => format!("\x1b[1;{}H", column + 1),
        5 => format!("\r\x1b[{}G", column + 1),
        6 => "\x1b]8;;https://example.com\x1b\\".to_owned(),
        _ => "\x1b(B\x1b[0m".to_owned(),
    }
}

/// Cuts bytes into chunks that end at these places.
fn cut(bytes: &[u8], places: &[prop::sample::Index]) -> Vec<Vec<u8>> {
    let mut ends: Vec<usize> = places
        .iter()
        .map(|place| place.index(bytes.len()))
        .collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let mut from = 0;
    ends.into_iter()
        .map(|end| bytes[mem::replace(&mut from, end)..end].to_vec())
        .collect()
}

proptest! {
    #[test]
    fn secrets_are_found_across_cuts_and_escapes_and_nothing_else_changes(
        text in words(),
        escapes in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 0..60),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        block in prop::option::of(150..400_usize)
    ) {
        let mut bytes = Vec::new();
        let length = text.chars().count();
        for (column, character) in text.chars().enumerate() {
            let here = escapes.iter().filter(|(place, _)| place.index(length) == column);
            bytes.extend(here.flat_map(|(_, kind)| escape(*kind, column).into_bytes()));
            bytes.extend(character.to_string().bytes());
        }
        let window = block.map_or(Window::default(), |block| Window { block, longest: 70 });
        let masked = masked(&cut(&bytes, &cuts), WIDE, window);
        prop_assert!(masked.is_sorted_by_key(|(at, _)| *at));
        let (shown, rest) = divided(&all(masked));
        let (_, escapes) = divided(&bytes);
        prop_assert_eq!(shown, mask(&text));
        prop_assert_eq!(rest, escapes);
    }

    #[test]
    fn a_secret_is_found_in_rows_that_are_wrapped(
        before in "[a-z ]{0,30}",
        cols in 30..70_u16,
        margin in 0..8_u16,
        window in prop::option::of(200..300_usize)
    ) {
        let secret = format!("sk-ant-{}", "A1b2C3d4E5f6G7h8I9j0".repeat(4));
        let text = format!("{before} {secret} and more");
        let mut wrapped = String::new();
        for (place, character) in text.chars().enumerate() {
            if place > 0 && place % usize::from(cols - margin) == 0 {
                wrapped.push_str("\r\n");
            }
            wrapped.push(character);
        }
        let window = window.map_or(Window::default(), |block| Window { block, longest: 95 });
        let size = Size { rows: 24, cols };
        let bytes = wrapped.into_bytes();
        let chunks: Vec<Vec<u8>> = bytes.chunks(7).map(<[u8]>::to_vec).collect();
        let (text, _) = divided(&all(masked(&chunks, size, window)));
        prop_assert_eq!(text, format!("{before} [masked] and more"));
    }
}

#[test]
fn what_stands_in_another_row_or_place_is_no_part_of_a_secret() {
    let secret = SECRETS[0];
    for (between, cols) in [
        ("\r\n", 80),
        ("\n", 80),
        ("\x1b[2;1H", 80),
        ("\x1b[10C", 80),
        ("\x1b[1;60H", 80),
        ("\r", 80),
        ("\x1b[?1049h", 31),
    ] {
        let text = format!("{secret}{between}hello");
        assert_eq!(
            once(&text, cols),
            format!("[masked]{between}hello"),
            "{between:?}"
        );
        let text = format!("hello{between}{secret}");
        assert_eq!(
            once(&text, cols),
            format!("hello{between}[masked]"),
            "{between:?}"
        );
    }
}

#[test]
fn a_secret_that_begins_a_row_behind_a_full_one_is_found_over_several_rows() {
    let full = "x".repeat(30);
    let (one, two) = SECRETS[1].split_at(30);
    let shown = once(&format!("{full}\r\n{one}\r\n{two} end"), 30);
    assert_eq!(shown, format!("{full}\r\n[masked]\r\n end"));
}

#[test]
fn a_secret_that_a_shell_echoes_over_the_end_of_a_row_is_found() {
    // What readline writes: a blank behind the last column, back, and on.
    let (one, two) = SECRETS[1].split_at(18);
    let shown = once(&format!("$ export A={one} \r{two} b\r\n"), 29);
    assert_eq!(shown, "$ export A=[masked] \r b\r\n");
}

#[test]
fn the_mask_stands_where_the_secret_began() {
    let chunks = ["a sk-an", "t-A1b2C3d4E5", "f6G7h8I9j0K1l2 b", " c"];
    let chunks = chunks.map(|chunk| chunk.as_bytes().to_vec());
    let shown: Vec<String> = (masked(&chunks, WIDE, Window::default()).into_iter())
        .map(|(_, bytes)| String::from_utf8(bytes).unwrap())
        .collect();
    assert_eq!(shown, ["a [masked]", "", " b", " c"]);
}

#[test]
fn secrets_in_titles_and_links_are_masked() {
    let secret = SECRETS[0];
    assert_eq!(
        once(
            &format!("\x1b]0;run {secret}\x07x\x1b]8;;https://a:b1@h/\x1b\\y"),
            80
        ),
        "\x1b]0;run [masked]\x07x\x1b]8;;https://a:[masked]@h/\x1b\\y"
    );
}

#[test]
fn a_key_of_many_lines_is_masked_and_its_line_ends_stay() {
    let key = "-----BEGIN RSA PRIVATE KEY-----\r\nMIIabc\r\nxyz=\r\n-----END RSA PRIVATE KEY-----";
    assert_eq!(
        once(&format!("{key}\r\n$ "), 80),
        "[masked]\r\n\r\n\r\n\r\n$ "
    );
}

#[test]
fn a_key_without_its_end_does_not_mask_all_that_follows() {
    let text = format!(
        "-----BEGIN RSA PRIVATE KEY-----\r\n{}",
        "word\r\n".repeat(20_000)
    );
    let shown = once(&text, 80);
    assert!(shown.starts_with("[masked]\r\n\r\n"), "{}", &shown[..40]);
    assert!(shown.ends_with("word\r\nword\r\n"));
}

#[test]
fn output_that_is_no_text_comes_through_at_last() {
    let picture = [b"\x1bPq".to_vec(), vec![b'?'; 600], b"\x1b\\".to_vec()];
    let window = Window {
        block: 100,
        longest: 40,
    };
    let shown = all(masked(&picture, WIDE, window));
    assert_eq!(shown, picture.concat());
}

#[test]
fn a_long_recording_of_full_rows_is_masked_in_time_that_grows_with_its_length_only() {
    let secret = SECRETS[1];
    let (one, two) = secret.split_at(9);
    let letters = |length: usize| "x".repeat(length);
    let rows = [
        letters(79),
        "https://example.com/a/b?c=d&".repeat(3)[..79].to_owned(),
        "│ é ─ a row of words".repeat(4).chars().take(79).collect(),
        format!("{} {one}", letters(69)),
        format!("{two} {}", letters(79 - 1 - two.len())),
        letters(79),
        format!("{secret}{}", "-".repeat(79 - secret.len())),
    ];
    let screen = rows.join("\r\n") + "\r\n";
    let screens = (4 << 20) / screen.len();
    let mut masker = Masker::new(Size { rows: 24, cols: 80 }, Window::default());
    let begun = Instant::now();
    for at in 0..screens {
        let entry = Entry::Output(screen.clone().into_bytes());
        let at = Duration::from_millis(at as u64);
        masker.push(Record { at, entry });
        // It takes a second; what is tried again for each row takes many minutes.
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{at:?} of {screens}"
        );
    }
    let (_, masked) = masker.finish();
    assert_eq!(masked, 2 * screens as u64);
}
