//! A recorder on a disk that is really full, in a mount namespace of its own.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use amps_engine::recording::{Entry, Journal};

use crate::recording::record;

/// Names the small disk for the second half of the test.
const DISK: &str = "AMPS_TEST_DISK";

#[test]
fn a_full_disk_loses_what_it_has_no_room_for_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=256k tmpfs \"$AMPS_TEST_DISK\" && exec \"$@\"";
    let second_half = ["--exact", "recording_disk::on_a_small_disk", "--ignored"];
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", script, "sh"])
        .arg(env::current_exe().unwrap())
        .args(second_half)
        .env(DISK, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{output:?}"
    );
}

#[test]
#[ignore = "the second half of another test, on the disk that it mounts"]
fn on_a_small_disk() {
    let Some(disk) = env::var_os(DISK).map(PathBuf::from) else {
        return;
    };
    let recording = disk.join("recording");
    let mut recorder = record(&recording, 1 << 30);
    let mut all = Vec::new();
    for number in 0..200_u8 {
        let chunk = [number; 3_000];
        recorder.output(&chunk);
        all.extend(chunk);
    }
    let lost = recorder.recording().lost;
    assert!(lost > 300_000, "{lost}");
    let full = Instant::now();
    // Room again: the disk grows.
    let grown = ["-o", "remount,size=4m", "tmpfs"];
    let status = Command::new("mount")
        .args(grown)
        .arg(&disk)
        .status()
        .unwrap();
    assert!(status.success());
    // It takes up again by itself, a second after it failed, and says what is missing.
    let mut later = 0;
    while !recorder.wants_keyframe() {
        recorder.output(b"x");
        later += 1;
        assert!(full.elapsed() < Duration::from_secs(30));
    }
    recorder.keyframe(b"the screen");
    recorder.output(b"the end");
    let recording_told = recorder.finish(None);
    assert_eq!(recording_told.lost, lost + later - 1);
    let journal = Journal::open(&recording).unwrap();
    let mut entries = journal.records().map(|it| it.entry).peekable();
    let mut before = Vec::new();
    while let Some(Entry::Output(bytes)) = entries.next_if(|it| matches!(it, Entry::Output(_))) {
        before.extend(bytes);
    }
    let kept = 600_000 - usize::try_from(lost).unwrap();
    assert!(before == all[..kept], "nothing torn is left behind");
    let rest: Vec<Entry> = entries.collect();
    let expected = [
        Entry::Lost(lost + later - 1),
        Entry::Output(b"x".to_vec()),
        Entry::Keyframe(b"the screen".to_vec()),
        Entry::Output(b"the end".to_vec()),
        Entry::Ended(None),
    ];
    assert_eq!(rest, expected);
    assert_eq!(recording_told.bytes, (kept + 8) as u64);
}
