//! What is recorded comes back, within the limit, whatever the disk does.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Mutex;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::recording::{Entry, Journal, Record};

fn header() -> Header {
    Header {
        rows: 24,
        cols: 80,
        command: vec!["agent".to_owned(), "--token=abcdefghijklmnop".to_owned()],
        started_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        started_uptime_ms: None,
        term: Some("xterm-256color".to_owned()),
    }
}

fn recorder(folder: &TempDir, max_size: u64, sync: Sync) -> Recorder {
    let limits = RecordLimits { max_size };
    let folder = folder.path().join("recording");
    Recorder::create_with(&folder, &header(), limits, Clock::default(), sync).unwrap()
}

fn in_memory(folder: &TempDir, max_size: u64) -> Recorder {
    recorder(folder, max_size, |_| Ok(()))
}

fn journal(folder: &TempDir) -> Journal {
    Journal::open(&folder.path().join("recording")).unwrap()
}

fn entries(folder: &TempDir) -> Vec<Entry> {
    journal(folder)
        .records()
        .map(|record| record.entry)
        .collect()
}

fn size_of(folder: &TempDir) -> u64 {
    let files = fs::read_dir(folder.path().join("recording")).unwrap();
    files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum()
}

/// Lets time pass, or run backwards, for a recorder.
fn shift(recorder: &mut Recorder, micros: i64) {
    let by = Duration::from_micros(micros.unsigned_abs());
    recorder.began = if micros < 0 {
        recorder.began + by
    } else {
        recorder.began.saturating_sub(by)
    };
}

fn output_of(entries: &[Entry]) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in entries {
        if let Entry::Output(bytes) = entry {
            all.extend_from_slice(bytes);
        }
    }
    all
}

#[derive(Clone, Debug)]
enum Op {
    Output(Vec<u8>),
    Resized(u16, u16),
    Keyframe,
}

fn op() -> impl Strategy<Value = (Op, i64)> {
    let op = prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 1..200).prop_map(Op::Output),
        1 => (1..100_u16, 1..300_u16).prop_map(|(rows, cols)| Op::Resized(rows, cols)),
        1 => Just(Op::Keyframe),
    ];
    (op, -1_000_000..3_000_000_i64)
}

/// Joins what came in chunks, so that only the order counts.
fn joined(entries: Vec<Entry>) -> Vec<Entry> {
    let mut joined: Vec<Entry> = Vec::new();
    for entry in entries {
        match (joined.last_mut(), entry) {
            (Some(Entry::Output(last)), Entry::Output(bytes)) => last.extend(bytes),
            (_, entry) => joined.push(entry),
        }
    }
    joined
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_recorded_comes_back_byte_for_byte_and_time_never_runs_backwards(
        ops in prop::collection::vec(op(), 0..40)
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = in_memory(&folder, 64 << 20);
        let (mut told, mut size) = (Vec::new(), (24, 80));
        for (op, micros) in ops {
            shift(&mut recorder, micros);
            match op {
                Op::Output(bytes) => {
                    recorder.output(&bytes);
                    told.push(Entry::Output(bytes));
                }
                Op::Resized(rows, cols) => {
                    recorder.resized(rows, cols);
                    if (rows, cols) != size {
                        told.push(Entry::Resized { rows, cols });
                    }
                    size = (rows, cols);
                }
                Op::Keyframe => recorder.keyframe(b"the screen"),
            }
        }
        told.push(Entry::Ended(Some(Exit::Code(3))));
        let written = output_of(&told).len() as u64;
        let recording = recorder.finish(Some(Exit::Code(3)));
        prop_assert_eq!(recording, Recording { bytes: written, lost: 0, cut: false });
        let records: Vec<Record> = journal(&folder).records().collect();
        prop_assert!(records.is_sorted_by_key(|record| record.at));
        let came = records.into_iter().map(|record| record.entry).collect();
        prop_assert_eq!(joined(came), joined(told));
    }

    #[test]
    fn a_journal_stays_within_its_limit_and_plays_from_a_keyframe_on(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..120),
        limit in 4_000..9_000_u64
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = in_memory(&folder, limit);
        let mut all = Vec::new();
        for chunk in chunks {
            recorder.output(&chunk);
            all.extend(chunk);
            prop_assert!(size_of(&folder) <= limit);
            if recorder.wants_keyframe() {
                recorder.keyframe(all.len().to_string().as_bytes());
                prop_assert!(size_of(&folder) <= limit);
            }
        }
        let recording = recorder.finish(None);
        let journal = journal(&folder);
        prop_assert_eq!(journal.is_cut(), recording.cut);
        prop_assert_eq!(recording.lost, 0);
        let entries = entries(&folder);
        // The keyframe says after how much output it was made.
        let from = match entries.first() {
            Some(Entry::Keyframe(place)) if recording.cut => {
                str::from_utf8(place).unwrap().parse().unwrap()
            }
            _ if recording.cut => return Err(TestCaseError::fail("no keyframe first")),
            _ => 0_usize,
        };
        prop_assert!(!entries.iter().skip(1).any(|it| matches!(it, Entry::Keyframe(_))));
        prop_assert_eq!(output_of(&entries), &all[from..]);
        prop_assert_eq!(recording.bytes, (all.len() - from) as u64);
    }
}

#[test]
fn the_files_are_for_their_owner_only_and_the_command_is_masked() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = recorder(&folder, 1 << 20, File::sync_data);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let recording = folder.path().join("recording");
    assert_eq!(mode(&recording), 0o700);
    assert_eq!(mode(&recording.join("000001.journal")), 0o600);
    recorder.finish(None);
    let header = journal(&folder).header().clone();
    assert_eq!(header.command, ["agent", "--token=[masked]"]);
}

#[test]
fn without_keyframes_nothing_grows_beyond_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = in_memory(&folder, 4_000);
    for _ in 0..100 {
        recorder.output(&[b'x'; 100]);
    }
    assert!(size_of(&folder) <= 4_000);
    let recording = recorder.finish(None);
    assert_eq!(recording.bytes + recording.lost, 10_000);
    assert!(!recording.cut && recording.lost > 5_000, "{recording:?}");
}

#[test]
fn a_chunk_of_any_length_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = in_memory(&folder, 64 << 20);
    let chunk: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    recorder.output(&chunk);
    recorder.finish(None);
    assert!(output_of(&entries(&folder)) == chunk);
}

#[test]
fn a_gap_is_told_and_another_write_tried_once_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = in_memory(&folder, 1 << 20);
    recorder.output(b"before");
    let writable = Arc::clone(&recorder.file);
    let segment = folder.path().join("recording/000001.journal");
    // Writing through a handle that only reads fails.
    recorder.file = Arc::new(File::open(&segment).unwrap());
    recorder.output(b"lost");
    recorder.resized(10, 20);
    assert!(!recorder.wants_keyframe(), "nothing can be written now");
    recorder.file = writable;
    recorder.output(b"too early");
    assert_eq!(recorder.recording().lost, 13);
    shift(&mut recorder, 1_000_001);
    recorder.output(b"after");
    assert!(recorder.wants_keyframe(), "nobody can know the screen");
    recorder.keyframe(b"the screen");
    assert!(!recorder.wants_keyframe());
    recorder.output(b"more");
    let recording = recorder.finish(Some(Exit::Signal(9)));
    assert_eq!((recording.bytes, recording.lost), (15, 13));
    let expected = [
        Entry::Output(b"before".to_vec()),
        Entry::Lost(13),
        Entry::Resized { rows: 10, cols: 20 },
        Entry::Output(b"after".to_vec()),
        Entry::Keyframe(b"the screen".to_vec()),
        Entry::Output(b"more".to_vec()),
        Entry::Ended(Some(Exit::Signal(9))),
    ];
    assert_eq!(entries(&folder), expected);
}

#[test]
fn the_end_says_what_is_missing_although_the_pause_is_not_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = in_memory(&folder, 1 << 20);
    let writable = Arc::clone(&recorder.file);
    let segment = folder.path().join("recording/000001.journal");
    recorder.file = Arc::new(File::open(&segment).unwrap());
    recorder.output(b"lost");
    recorder.file = writable;
    recorder.finish(None);
    assert_eq!(entries(&folder), [Entry::Lost(4), Entry::Ended(None)]);
}

static STUCK: Mutex<()> = Mutex::new(());

#[test]
fn a_disk_that_hangs_holds_nobody_up_and_counts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let stuck = STUCK.lock().unwrap();
    let mut recorder = recorder(&folder, 64 << 20, |_| {
        drop(STUCK.lock());
        Ok(())
    });
    for _ in 0..1_000 {
        recorder.output(&[b'x'; 1_000]);
    }
    assert_eq!(recorder.recording(), Recording::default());
    // It waits for two seconds at most.
    assert_eq!(recorder.finish(None), Recording::default());
    drop(stuck);
    assert_eq!(output_of(&entries(&folder)).len(), 1_000_000);
}

#[test]
fn what_the_disk_refused_does_not_count_as_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = recorder(&folder, 1 << 20, |_| Err(io::ErrorKind::StorageFull.into()));
    recorder.output(b"12345");
    let recording = recorder.finish(None);
    assert_eq!((recording.bytes, recording.lost), (0, 5));
}
