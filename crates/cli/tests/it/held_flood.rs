//! An agent that writes as fast as it can: nobody is cut off from what it shows last, nothing grows
//! without bound, and it goes on whoever looks.

use amps_testkit::{Exit, Home, PATIENCE, TerminalOptions};
use serde_json::{Value, json};

use crate::held::{CHORD, DRAWN, attach, hold, host_of, wait_for_screen};
use crate::record::{home, settled};

/// Writes for some seconds, tells that it has, and waits.
const FLOOD: &str = "timeout 3 yes 'the quick brown fox jumps over the lazy dog'; \
                     echo; echo it is over; read line; exit 4";

/// What a host may need at most, in KiB.
const MOST_MEMORY: u64 = 40 * 1024;

/// Asserts that the host of a session has never needed too much memory.
#[track_caller]
fn assert_small(home: &Home, id: &str) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host_of(home, id))).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak: u64 = line
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap();
    assert!(peak < MOST_MEMORY, "the host needed {peak} KiB");
}

/// Has the agent of a session end, and asserts that it did by itself.
#[track_caller]
fn end(home: &Home, id: &str) -> Value {
    home.amps(["send", id, "--enter"]).run().ok();
    let record = settled(home, id);
    assert_eq!(record["runs"][0]["exit_code"], 4);
    record
}

#[test]
fn a_flood_that_nobody_sees_is_over_at_its_time() {
    let home = home();
    let folder = home.folder("work");
    let id = hold(&home, &folder, &["sh", "-c", FLOOD]);
    wait_for_screen(&home, &id, "it is over");
    assert_small(&home, &id);
    end(&home, &id);
}

#[test]
fn those_who_see_a_flood_see_its_end() {
    let home = home();
    let folder = home.folder("work");
    let id = hold(&home, &folder, &["sh", "-c", FLOOD]);
    let mut typist = attach(&home, &[&id]);
    typist.wait_for_text("brown fox");
    let small = TerminalOptions {
        rows: 12,
        cols: 50,
        answers: false,
    };
    let attach_as = |options| {
        home.amps(["attach", "--read-only", &id])
            .terminal_with(options)
    };
    let watchers = [attach_as(small), attach_as(TerminalOptions::default())];
    for watcher in &watchers {
        watcher.wait_for_text("brown fox");
    }
    // Who leaves and comes back in the middle of it is no different.
    typist.send(CHORD);
    assert_eq!(typist.wait_exit(PATIENCE), Exit::Code(0));
    let mut typist = attach(&home, &[&id]);
    typist.wait_for_bytes(DRAWN, PATIENCE);
    for terminal in watchers.iter().chain([&typist]) {
        terminal.wait_for_text("it is over");
    }
    assert_small(&home, &id);
    typist.send("\r");
    assert_eq!(typist.wait_exit(PATIENCE), Exit::Code(4));
    for mut watcher in watchers {
        assert_eq!(watcher.wait_exit(PATIENCE), Exit::Code(4));
    }
}

/// Returns how long all files of all recordings are.
fn recorded(home: &Home) -> u64 {
    let folders = home.config_dir().join("recordings").read_dir().unwrap();
    let files = folders.flat_map(|folder| folder.unwrap().path().read_dir().unwrap());
    files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum()
}

#[test]
fn the_recording_of_a_flood_keeps_its_end_within_its_limit() {
    const LIMIT: u64 = 4 << 20;
    let mut home = home();
    let folder = home.folder("work");
    home.set_env("AMPSM_RECORD_MAX_SIZE", "4MiB");
    home.set_env("AMPSM_RECORD", "always");
    let flood = "yes 'the quick brown fox' | head -c 8000000; echo it is over; read line; exit 4";
    let id = hold(&home, &folder, &["sh", "-c", flood]);
    wait_for_screen(&home, &id, "it is over");
    assert_small(&home, &id);
    assert!(recorded(&home) <= LIMIT, "{}", recorded(&home));
    end(&home, &id);
    let recording = recording(&home, &id);
    assert_eq!(
        (&recording["cut"], &recording["lost"]),
        (&json!(true), &json!(0))
    );
    assert!(recorded(&home) <= LIMIT, "{}", recorded(&home));
    let played = home.amps(["play", &id]).run().ok().stdout_text();
    assert!(played.ends_with("it is over\r\n\r\n"), "the end is kept");
}

#[test]
fn what_is_kept_of_a_flood_is_what_was_shown() {
    let mut home = home();
    let folder = home.folder("work");
    home.set_env("AMPSM_RECORD_MAX_SIZE", "4MiB");
    let flood = "yes 'the quick brown fox' | head -c 6000000; echo it is over";
    let record = ["--record", "--name", "mine", "sh", "-c", flood];
    let mut terminal = home.amps(record).cwd(&folder).terminal();
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
    settled(&home, "mine");
    assert_eq!(recording(&home, "mine")["cut"], true);
    let shown = terminal.bytes();
    let played = home.amps(["play", "mine"]).run().ok().stdout;
    let last = |bytes: &[u8]| bytes[bytes.len() - 500_000..].to_vec();
    assert!(last(&played) == last(&shown), "byte by byte to the end");
}

/// Returns what the record says of a recording that is over.
#[track_caller]
fn recording(home: &Home, reference: &str) -> Value {
    let record = home
        .daemon()
        .wait_for_session(reference, "to be recorded", PATIENCE, |record| {
            record["runs"][0]["recording"]["bytes"] != 0
        });
    record["runs"][0]["recording"].clone()
}
