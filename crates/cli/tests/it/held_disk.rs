//! Disks that are full or cannot be written while an agent has a terminal, in a mount namespace of
//! the test's own: recording may fail, the run may not.

use std::path::Path;

use amps_testkit::{Cmd, Exit, Home, PATIENCE, Terminal};
use serde_json::Value;

use crate::record::{AMPS, home};

/// Builds a script that runs as root of its own mounts. `$AMPS` is the program, `$CONFIG` the home.
fn with_mounts(home: &Home, folder: &Path, script: &str) -> Cmd {
    let script = format!("set -u\n{script}\n\"$AMPS\" daemon stop > /dev/null 2>&1\n");
    home.command(
        "unshare",
        ["--mount", "--map-root-user", "sh", "-c", &script],
    )
    .env("AMPS", AMPS)
    .env("CONFIG", home.config_dir())
    .cwd(folder)
}

/// Runs a script as root of its own mounts on a terminal, and returns that.
#[track_caller]
fn on_terminal(home: &Home, folder: &Path, script: &str) -> Terminal {
    let mut terminal = with_mounts(home, folder, script).terminal();
    let exit = terminal.wait_exit(PATIENCE);
    assert!(
        matches!(exit, Exit::Code(0 | 1)),
        "{exit}\n{}",
        terminal.contents()
    );
    terminal
}

/// Begins a script: a home with one session, on a disk of its own.
const SMALL: &str = r#"
    mount -t tmpfs -o size=2m tmpfs "$CONFIG"
    "$AMPS" run -- true
    "$AMPS" show > /dev/null
"#;

#[test]
fn a_full_disk_costs_bytes_of_a_recording_and_the_agent_notices_nothing() {
    let home = home();
    let folder = home.folder("work");
    // It writes more than a terminal keeps that nobody reads, and goes on until something is
    // recorded again. The command line is in the recording as well.
    let agent = r#"
        echo first
        dd if=/dev/zero of="$CONFIG/fill" bs=1k count=10000 2> /dev/null
        head -c 400000 /dev/zero | tr '\0' x
        rm "$CONFIG/fill"
        again=again
        while ! grep -qa 'room a[g]ain' "$CONFIG"/recordings/*/*.journal; do echo "room $again"; done
        test -t 0 && test -t 1 && echo last
        exit 5
    "#;
    let script = [
        SMALL,
        &format!(
            "\"$AMPS\" --record --name mine sh -c '{}'\n",
            agent.replace('\'', "'\\''")
        ),
        r#"
        echo "code $?"
        while "$AMPS" show --json mine | grep -q '"bytes": 0,'; do :; done
        "$AMPS" show --json mine > mine.json
        "$AMPS" play mine > played.txt
        "$AMPS" export-cast mine > mine.cast
        "#,
    ]
    .concat();
    let terminal = on_terminal(&home, &folder, &script);
    let shown = terminal.contents();
    assert!(shown.contains("last\ncode 5"), "{shown}");
    let bytes = terminal.bytes();
    let length = String::from_utf8_lossy(&bytes).matches('x').count();
    assert!(length >= 400_000, "all of it was shown: {length}");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let record: Value = serde_json::from_str(&read("mine.json")).unwrap();
    assert_eq!(record["status_reason"], "exited-non-zero");
    let recording = &record["runs"][0]["recording"];
    let (kept, lost) = (&recording["bytes"], recording["lost"].as_u64().unwrap());
    assert!(lost >= 100_000, "{recording}");
    let played = read("played.txt");
    assert!(played.starts_with("first\r\n"), "{}", &played[..100]);
    // A player that has not seen what was lost is shown the screen of then.
    let later = played.rfind("room again").unwrap();
    assert!(
        played[later..].ends_with("last\r\n"),
        "{}",
        &played[later..]
    );
    assert!(kept.as_u64().is_some_and(|kept| kept > 0), "{recording}");
    assert!(read("mine.cast").contains("bytes not recorded"));
}

/// Ends a script: an agent that says where it is, launched in each way. What the launches say
/// besides goes to files.
const LAUNCHES: &str = r#"
    for way in record hold; do
        "$AMPS" --$way sh -c "test -t 0 && test -t 1 && echo agent of $way has the terminal; exit 6"
        echo "$way: code $?"
    done
    "$AMPS" --detach sh -c 'echo agent of detach runs > detached.txt'
    echo "detach: code $?"
"#;

#[track_caller]
fn assert_ran_without_hosts(folder: &Path, shown: &str, why: &str) {
    let plain = shown.replace('\n', "");
    for (way, what) in [("record", "recorded"), ("hold", "held")] {
        let ran = format!("agent of {way} has the terminal");
        assert!(shown.contains(&ran), "{shown}");
        assert!(shown.contains(&format!("{way}: code 6")), "{shown}");
        assert!(plain.contains(&format!("amps: not {what}: ")), "{shown}");
    }
    assert!(shown.contains("detach: code 125"), "{shown}");
    assert!(plain.contains(why), "{shown}");
    assert!(!folder.join("detached.txt").exists(), "nobody could see it");
}

#[test]
fn in_a_home_that_can_only_be_read_an_agent_runs_without_a_host() {
    let home = home();
    let folder = home.folder("work");
    let script = [
        r#"
        "$AMPS" run -- true
        "$AMPS" show > /dev/null
        "$AMPS" daemon stop > /dev/null
        mount --bind "$CONFIG" "$CONFIG"
        mount -o remount,ro,bind "$CONFIG"
        "#,
        LAUNCHES,
    ]
    .concat();
    let terminal = on_terminal(&home, &folder, &script);
    assert_ran_without_hosts(&folder, &terminal.contents(), "Read-only file system");
}

#[test]
fn where_no_home_can_be_made_an_agent_runs_without_a_host() {
    let home = home();
    let folder = home.folder("work");
    let script = [
        "CONFIG=/dev/null/home; export AMPSM_CONFIG_DIR=$CONFIG\n",
        LAUNCHES,
    ]
    .concat();
    let terminal = on_terminal(&home, &folder, &script);
    assert_ran_without_hosts(&folder, &terminal.contents(), "Not a directory");
}

#[test]
fn where_no_new_terminal_can_be_had_an_agent_runs_on_the_one_that_is_there() {
    let home = home();
    let folder = home.folder("work");
    let script = ["mount --bind /dev/null /dev/ptmx\n", LAUNCHES].concat();
    let terminal = on_terminal(&home, &folder, &script);
    assert_ran_without_hosts(&folder, &terminal.contents(), "no new terminal can be had");
}

#[test]
fn on_a_full_disk_an_agent_that_is_to_be_recorded_runs() {
    let home = home();
    let folder = home.folder("work");
    let script = [
        SMALL,
        r#"
        dd if=/dev/zero of="$CONFIG/fill" bs=1k count=10000 2> /dev/null
        "$AMPS" --record --name mine sh -c 'test -t 0 && test -t 1 && echo agent ran; exit 6'
        echo "code $?"
        rm "$CONFIG/fill"
        "$AMPS" show --json mine > mine.json
        "#,
    ]
    .concat();
    let terminal = on_terminal(&home, &folder, &script);
    let shown = terminal.contents();
    assert!(shown.contains("agent ran\ncode 6"), "{shown}");
    assert!(shown.contains("amps: not recorded: "), "{shown}");
}
