//! Journals that are torn, damaged, cut or of another version, and what is exported of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use amps_core::exit::Exit;
use amps_core::recording::RecordLimits;
use amps_engine::clock::Clock;
use amps_engine::recording::{About, Entry, Header, Journal, JournalError, Recorder, export};
use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

fn header() -> Header {
    Header {
        rows: 24,
        cols: 80,
        command: vec!["agent".to_owned()],
        started_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        started_uptime_ms: None,
        term: Some("xterm-256color".to_owned()),
    }
}

pub(crate) fn record(folder: &Path, max_size: u64) -> Recorder {
    let limits = RecordLimits { max_size };
    Recorder::create(folder, &header(), &limits, Clock::default()).unwrap()
}

/// Records three segments of four chunks each, which count up, and returns their files.
fn three_segments(folder: &TempDir) -> Vec<PathBuf> {
    let mut recorder = record(folder.path(), 1 << 20);
    for chunk in 0..12 {
        if chunk == 4 || chunk == 8 {
            recorder.keyframe(format!("screen {chunk};").as_bytes());
        }
        recorder.output(format!("{chunk};").as_bytes());
    }
    recorder.finish(Some(Exit::Code(0)));
    (1..=3)
        .map(|number| folder.path().join(format!("{number:06}.journal")))
        .collect()
}

fn entries(folder: &Path) -> Vec<Entry> {
    let journal = Journal::open(folder).unwrap();
    journal.records().map(|record| record.entry).collect()
}

/// Returns what would be seen, with `!` where something was passed over.
fn shown(folder: &Path) -> String {
    let mut shown = String::new();
    for entry in entries(folder) {
        match entry {
            Entry::Output(bytes) | Entry::Keyframe(bytes) => {
                shown.push_str(str::from_utf8(&bytes).unwrap());
            }
            Entry::Skipped { .. } => shown.push('!'),
            Entry::Ended(_) => shown.push('.'),
            other => shown.extend([format!("{other:?}")]),
        }
    }
    shown
}

#[test]
fn a_torn_tail_is_passed_over_at_every_byte() {
    let folder = tempfile::tempdir().unwrap();
    let files = three_segments(&folder);
    let last = fs::read(&files[2]).unwrap();
    let whole = "0;1;2;3;4;5;6;7;8;9;10;11;.";
    assert_eq!(shown(folder.path()), whole);
    for length in (0..last.len()).rev() {
        fs::write(&files[2], &last[..length]).unwrap();
        let shown = shown(folder.path());
        let kept = shown.trim_end_matches('!');
        assert!(whole.starts_with(kept), "{length}: {shown}");
        assert!(kept.starts_with("0;1;2;3;4;5;6;7;"), "{length}: {shown}");
        assert!(shown.len() - kept.len() <= 1, "{length}: {shown}");
    }
    // What a power failure may leave instead: the length is there, the content is not.
    for length in (0..last.len()).step_by(7) {
        let mut zeros = last.clone();
        zeros[length..].fill(0);
        fs::write(&files[2], zeros).unwrap();
        let shown = shown(folder.path());
        assert!(
            whole.starts_with(shown.trim_end_matches('!')),
            "{length}: {shown}"
        );
    }
}

#[test]
fn a_torn_segment_in_the_middle_is_passed_over_to_the_next_keyframe() {
    let folder = tempfile::tempdir().unwrap();
    let files = three_segments(&folder);
    let middle = fs::read(&files[1]).unwrap();
    fs::write(&files[1], &middle[..middle.len() - 1]).unwrap();
    assert_eq!(shown(folder.path()), "0;1;2;3;4;5;6;!screen 8;8;9;10;11;.");
    fs::remove_file(&files[1]).unwrap();
    assert_eq!(shown(folder.path()), "0;1;2;3;!screen 8;8;9;10;11;.");
    let missing = entries(folder.path())
        .into_iter()
        .find(|it| matches!(it, Entry::Skipped { .. }));
    let expected = Entry::Skipped {
        segment: "000002.journal".to_owned(),
        bytes: None,
    };
    assert_eq!(missing, Some(expected));
    fs::remove_file(&files[0]).unwrap();
    assert_eq!(shown(folder.path()), "screen 8;8;9;10;11;.", "as if cut");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_flipped_bit_costs_the_rest_of_its_segment_at_most(
        file in 0..3_usize,
        place in any::<prop::sample::Index>(),
        bit in 0..8_u8
    ) {
        let folder = tempfile::tempdir().unwrap();
        let files = three_segments(&folder);
        let mut bytes = fs::read(&files[file]).unwrap();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        fs::write(&files[file], bytes).unwrap();
        match Journal::open(folder.path()) {
            Ok(_) => {
                let shown = shown(folder.path());
                prop_assert_eq!(shown.matches('!').count(), 1, "{}", &shown);
                let (before, after) = shown.split_once('!').unwrap();
                prop_assert!("0;1;2;3;4;5;6;7;8;9;10;11;.".starts_with(before), "{}", &shown);
                let expected = ["screen 4;4;5;6;7;8;9;10;11;.", "screen 8;8;9;10;11;.", ""];
                prop_assert_eq!(after, expected[file]);
            }
            // The digit of the version became another character.
            Err(error) => prop_assert!(matches!(error, JournalError::Version { .. }), "{error}"),
        }
    }
}

#[test]
fn a_record_of_a_kind_that_is_not_known_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = record(folder.path(), 1 << 20);
    recorder.output(b"before");
    drop(recorder);
    let file = folder.path().join("000001.journal");
    let mut bytes = fs::read(&file).unwrap();
    for (kind, payload) in [(b'm', b"asked"), (b'o', b"after")] {
        let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
        let behind = [&[kind][..], &length, &[0; 8], payload].concat();
        bytes.extend(crc32fast::hash(&behind).to_le_bytes());
        bytes.extend(behind);
    }
    fs::write(&file, bytes).unwrap();
    assert_eq!(shown(folder.path()), "beforeafter");
}

#[test]
fn what_cannot_be_read_at_all_is_told_by_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none");
    assert!(matches!(
        Journal::open(&none),
        Err(JournalError::Absent { .. })
    ));
    assert!(matches!(
        Journal::open(folder.path()),
        Err(JournalError::Absent { .. })
    ));
    let file = folder.path().join("000001.journal");
    fs::write(&file, "amps journal 2\nsomething new").unwrap();
    let error = Journal::open(folder.path()).unwrap_err().to_string();
    assert!(
        error.ends_with("is of version 2, this program reads version 1"),
        "{error}"
    );
    fs::write(&file, "garbage").unwrap();
    assert!(matches!(
        Journal::open(folder.path()),
        Err(JournalError::Damaged { .. })
    ));
}

#[test]
fn a_recording_can_be_read_while_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = record(folder.path(), 1 << 20);
    recorder.output(b"so far");
    // Nobody waited for anything: it is there because it was written before it is shown.
    assert_eq!(shown(folder.path()), "so far");
    drop(recorder);
    assert_eq!(shown(folder.path()), "so far");
}

/// Exports a recording and returns its header and its events, each of them valid.
fn exported(folder: &Path, about: &About) -> (Value, Vec<(String, String)>) {
    let mut out = Vec::new();
    let journal = Journal::open(folder).unwrap();
    export(&journal, about, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.ends_with('\n'));
    let mut lines = text.lines();
    let header: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    let events = lines.map(|line| {
        let (interval, code, data): (f64, String, String) = serde_json::from_str(line).unwrap();
        assert!(interval >= 0.0, "{line}");
        if code == "r" {
            let (cols, rows) = data.split_once('x').unwrap();
            assert!(
                cols.parse::<u16>().is_ok() && rows.parse::<u16>().is_ok(),
                "{line}"
            );
        }
        (code, data)
    });
    (header, events.collect())
}

#[test]
fn a_cast_has_a_header_marks_sizes_and_an_exit() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = record(folder.path(), 1 << 20);
    recorder.output(b"key sk-ant-A1b2C3d4E5f6");
    recorder.output(b"G7h8I9j0 end\r\n");
    recorder.resized(30, 100);
    recorder.output("caf\u{e9}".as_bytes());
    recorder.finish(Some(Exit::Signal(15)));
    let about = About {
        title: Some("parser".to_owned()),
        shell: Some("/bin/zsh".to_owned()),
        exit: Some(Exit::Code(3)),
        marks: vec![
            (Duration::ZERO, "first".to_owned()),
            (Duration::from_secs(60), "last".to_owned()),
        ],
    };
    let (header, events) = exported(folder.path(), &about);
    let expected = serde_json::json!({
        "version": 3,
        "term": {"cols": 80, "rows": 24, "type": "xterm-256color"},
        "timestamp": 1_767_323_045,
        "command": "agent",
        "title": "parser",
        "env": {"SHELL": "/bin/zsh"},
    });
    assert_eq!(header, expected);
    let expected = [
        ("m", "first"),
        ("o", "key [masked]"),
        ("o", " end\r\n"),
        ("r", "100x30"),
        ("o", "caf\u{e9}"),
        ("m", "last"),
        ("x", "143"),
    ];
    assert_eq!(
        events,
        expected.map(|(code, data)| (code.to_owned(), data.to_owned()))
    );
}

#[test]
fn a_torn_recording_is_exported_with_an_exit_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = record(folder.path(), 1 << 20);
    recorder.output(b"so far");
    drop(recorder);
    let exit = |exit| {
        let about = About {
            exit,
            ..About::default()
        };
        exported(folder.path(), &about).1.pop().unwrap()
    };
    assert_eq!(exit(Some(Exit::Code(7))), ("x".to_owned(), "7".to_owned()));
    assert_eq!(exit(None), ("x".to_owned(), "-1".to_owned()));
}

#[test]
fn a_cast_says_where_something_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let files = three_segments(&folder);
    fs::remove_file(&files[1]).unwrap();
    let (_, events) = exported(folder.path(), &About::default());
    let told = (
        "m".to_owned(),
        "damaged recording: 000002.journal".to_owned(),
    );
    assert!(events.contains(&told), "{events:?}");
}
