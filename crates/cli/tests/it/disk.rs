//! Disks that are full or cannot be written, in a mount namespace of the test's own.

use amps_testkit::{Home, Output, Repo};
use serde_json::Value;

use crate::record::{AMPS, home};

/// Runs a script as root of its own mounts. `$AMPS` is the program, `$CONFIG` the home.
fn with_mounts(home: &Home, repo: &Repo, script: &str) -> Output {
    let stop = "\"$AMPS\" daemon stop >&2";
    let script = format!("set -u\n{script}\n{stop}\n");
    let words = ["--mount", "--map-root-user", "sh", "-c", &script];
    home.command("unshare", words)
        .env("AMPS", AMPS)
        .env("CONFIG", home.config_dir())
        .cwd(repo.path())
        .run()
}

fn last_json(output: &Output) -> Value {
    let text = output.stdout_text();
    let start = text.rfind("\n{\n").map_or(0, |place| place + 1);
    match serde_json::from_str(&text[start..]) {
        Ok(value) => value,
        Err(error) => panic!("{error}: {}", output.text()),
    }
}

/// Begins a script: a home with one session, on a disk that is then filled.
const FILL: &str = r#"
        mkdir -p "$CONFIG"
        mount -t tmpfs -o size=600k tmpfs "$CONFIG"
        "$AMPS" run -- true
        "$AMPS" show > /dev/null
        dd if=/dev/zero of="$CONFIG/fill" bs=1k count=10000 2> /dev/null
"#;

#[test]
fn a_full_disk_does_not_keep_the_agent_from_running() {
    let home = home();
    let repo = home.repo("work");
    let output = with_mounts(
        &home,
        &repo,
        &[
            FILL,
            r#"
        "$AMPS" run -- sh -c 'echo agent ran; exit 6'
        echo "code $?"
        rm "$CONFIG/fill"
        "$AMPS" run -- true
        "$AMPS" show --json
        "#,
        ]
        .concat(),
    )
    .ok();
    let said = output.stdout_text();
    assert!(said.contains("agent ran\ncode 6\n"), "{}", output.text());
    assert_eq!(
        last_json(&output)["status"],
        "completed",
        "the record goes on afterwards"
    );
}

#[test]
fn a_full_disk_is_told_by_its_name_and_passes() {
    let home = home();
    let repo = home.repo("work");
    let output = with_mounts(
        &home,
        &repo,
        &[
            FILL,
            r#"
        "$AMPS" note @ 'while the disk is full'
        echo "code $?"
        rm "$CONFIG/fill"
        "$AMPS" note @ 'when there is space'
        "$AMPS" log
        "#,
        ]
        .concat(),
    )
    .ok();
    let (said, refused) = (output.stdout_text(), output.stderr_text());
    assert!(refused.contains("error[E015]"), "{}", output.text());
    assert!(said.starts_with("code 1\n"), "{said}");
    assert!(said.contains("when there is space"), "{said}");
    assert!(!said.contains("while the disk is full"), "{said}");
}

#[test]
fn a_capture_on_a_full_disk_stays_owed_and_is_done_when_there_is_space() {
    let home = home();
    let repo = home.repo("work");
    let output = with_mounts(
        &home,
        &repo,
        r#"
        mkdir small
        mount -t tmpfs -o size=1m tmpfs small
        cd small
        git init -q
        git commit -q --allow-empty -m start
        "$AMPS" run -- sh -c 'echo made > made.txt; head -c 700k /dev/urandom > fill; head -c 900k /dev/zero > more'
        echo "code $?"
        "$AMPS" show --json > ../owed.json
        rm more fill
        while "$AMPS" show --json | grep -q '"end": "owed"'; do :; done
        "$AMPS" show --json
        "#,
    )
    .ok();
    let owed: Value = serde_json::from_str(&repo.read("owed.json")).unwrap();
    assert_eq!(
        owed["status"], "aborted",
        "the session is final whatever the capture does"
    );
    assert_eq!(owed["runs"][0]["capture"]["end"], "owed", "{owed:#}");
    assert!(owed["runs"][0]["capture"]["reason"].is_string());
    let record = last_json(&output);
    let files = record["changesets"][0]["files"].as_array().unwrap();
    let paths = files
        .iter()
        .map(|file| file["path"].as_str().unwrap())
        .collect::<Vec<_>>();
    assert_eq!(paths, ["made.txt"]);
}

#[test]
fn a_home_that_can_only_be_read_answers_and_the_agent_runs() {
    let home = home();
    let repo = home.repo("work");
    let output = with_mounts(
        &home,
        &repo,
        r#"
        "$AMPS" run --name before -- true
        "$AMPS" show > /dev/null
        "$AMPS" daemon stop >&2
        mount --bind "$CONFIG" "$CONFIG"
        mount -o remount,ro,bind "$CONFIG"
        "$AMPS" run -- sh -c 'echo agent ran; exit 6'
        echo "code $?"
        "$AMPS" show before --json
        umount "$CONFIG"
        "#,
    )
    .ok();
    assert!(
        output.stdout_text().contains("agent ran\ncode 6\n"),
        "{}",
        output.text()
    );
    assert!(
        output.stderr_text().contains("amps: no daemon"),
        "{}",
        output.text()
    );
    assert_eq!(last_json(&output)["status"], "completed");
}

#[test]
fn a_home_that_can_only_be_read_answers_what_a_killed_daemon_left_in_its_log() {
    let home = home();
    let repo = home.repo("work");
    let output = with_mounts(
        &home,
        &repo,
        r#"
        "$AMPS" run --name before -- true
        "$AMPS" show > /dev/null
        daemon=$(cat "$CONFIG/ampd.pid")
        kill -9 "$daemon"
        while kill -0 "$daemon" 2> /dev/null; do :; done
        rm "$CONFIG/sessions.db-shm"
        mount --bind "$CONFIG" "$CONFIG"
        mount -o remount,ro,bind "$CONFIG"
        "$AMPS" show before --json
        umount "$CONFIG"
        "#,
    )
    .ok();
    assert_eq!(last_json(&output)["status"], "completed");
    let left = std::fs::read_dir(home.path("tmp")).unwrap();
    assert_eq!(left.count(), 0, "the copy is gone");
}
