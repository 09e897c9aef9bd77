//! What a cast has to be, line by line.

use std::collections::VecDeque;

use serde_json::Value;

use super::*;

/// Writes records as events and returns them, parsed.
fn events(records: &[(u64, Entry)]) -> Vec<(f64, String, String)> {
    let mut out = Vec::new();
    let mut cast = Cast {
        out: &mut out,
        last: Duration::ZERO,
        cut: Vec::new(),
    };
    for (micros, entry) in records {
        let (at, entry) = (Duration::from_micros(*micros), entry.clone());
        cast.write(Record { at, entry }).unwrap();
    }
    cast.end(Duration::from_secs(9), None).unwrap();
    let text = String::from_utf8(out).unwrap();
    let event = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        let fields = value.as_array().unwrap();
        assert_eq!(fields.len(), 3, "{line}");
        let data = |place: usize| fields[place].as_str().unwrap().to_owned();
        (fields[0].as_f64().unwrap(), data(1), data(2))
    };
    text.lines().map(event).collect()
}

#[test]
fn characters_that_are_cut_come_whole_and_what_is_none_is_replaced() {
    let bytes = "aé€🦀z".as_bytes();
    for chunk in 1..=bytes.len() {
        let parts: VecDeque<_> = bytes.chunks(chunk).map(<[u8]>::to_vec).collect();
        let records: Vec<_> = parts
            .into_iter()
            .map(|part| (1, Entry::Output(part)))
            .collect();
        let text: String = (events(&records).into_iter())
            .filter(|(_, code, _)| code == "o")
            .map(|(_, _, data)| data)
            .collect();
        assert_eq!(text, "aé€🦀z", "in chunks of {chunk}");
    }
    for (bytes, text) in [
        (&b"a\xffb"[..], "a\u{fffd}b"),
        (b"a\xe2\x82", "a\u{fffd}"),
        (b"\xe2\x82x\xc3", "\u{fffd}x\u{fffd}"),
    ] {
        let told = events(&[(0, Entry::Output(bytes.to_vec()))]);
        let shown: String = told
            .iter()
            .filter(|it| it.1 == "o")
            .map(|it| &*it.2)
            .collect();
        assert_eq!(shown, text);
    }
}

#[test]
fn intervals_count_from_the_event_before_and_an_exit_comes_last() {
    let told = events(&[
        (1_500_000, Entry::Output(b"a".to_vec())),
        // Nothing can be shown of this one yet.
        (1_700_000, Entry::Output(b"\xc3".to_vec())),
        (1_750_001, Entry::Output(b"\xa9".to_vec())),
        (1_750_001, Entry::Resized { rows: 24, cols: 80 }),
        (2_000_000, Entry::Marked("turn \"1\"".to_owned())),
    ]);
    let expected = [
        (1.5, "o", "a"),
        (0.250_001, "o", "é"),
        (0.0, "r", "80x24"),
        (0.249_999, "m", "turn \"1\""),
        (7.0, "x", "-1"),
    ];
    let expected = expected.map(|(at, code, data)| (at, code.to_owned(), data.to_owned()));
    assert_eq!(told, expected);
}
