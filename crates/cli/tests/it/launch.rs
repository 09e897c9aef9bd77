//! Launching an agent: what it is given, what comes back, what is recorded.

use amps_testkit::{PATIENCE, Signal, process, wait};
use serde_json::json;

use crate::record::{AMPS, changes, home, newest};

#[test]
fn a_run_is_recorded_and_its_exit_code_comes_back() {
    let home = home();
    let repo = home.repo("work");
    let script = "echo more >> made.txt; exit 3";
    home.amps([
        "run", "--name", "try", "--tag", "t", "--note", "n", "--", "sh", "-c", script,
    ])
    .cwd(repo.path())
    .run()
    .code(3);
    let record = newest(&home);
    assert_eq!(record["status"], "aborted");
    assert_eq!(record["status_reason"], "exited-non-zero");
    assert_eq!(record["evidence"]["kind"], "wait_status");
    assert_eq!(record["name"], "try");
    assert_eq!(record["tags"], json!(["t"]));
    assert_eq!(record["notes"][0]["text"], "n");
    assert_eq!(record["agent_command"], json!(["sh", "-c", script]));
    assert_eq!(record["runs"][0]["exit_code"], 3);
    assert_eq!(changes(&record), ["A made.txt"]);
}

#[test]
fn a_run_that_changes_nothing_has_no_changeset() {
    let home = home();
    let repo = home.repo("work");
    repo.write("dirty.txt", "before");
    let before = repo.fingerprint();
    home.amps(["run", "--", "true"]).cwd(repo.path()).run().ok();
    let record = newest(&home);
    assert_eq!(record["status"], "completed");
    assert_eq!(record["changesets"], json!([]));
    assert_eq!(record["runs"][0]["changeset_id"], json!(null));
    before.assert_same(&repo.fingerprint());
}

#[test]
fn what_was_there_before_is_not_attributed_even_when_the_agent_acts_at_once() {
    let home = home();
    let repo = home.repo("work");
    repo.write("dirty.txt", "mine\n");
    home.amps(["run", "--", "sh", "-c", "echo theirs >> dirty.txt"])
        .cwd(repo.path())
        .run()
        .ok();
    let record = newest(&home);
    assert_eq!(changes(&record), ["M dirty.txt"]);
    let file = &record["changesets"][0]["files"][0];
    assert_eq!(
        (&file["additions"], &file["deletions"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(file["uncertain"], false);
}

#[test]
fn an_agent_is_launched_by_its_name_with_its_arguments_untouched() {
    let home = home();
    home.install_agent("claude", &["record-args args.txt", "record-cwd cwd.txt"]);
    let folder = home.folder("plain");
    home.amps(["claude", "--resume", "-p", "a b", "", "--", "--json"])
        .cwd(&folder)
        .run()
        .ok();
    let args = wait::for_file(&folder.join("args.txt"), PATIENCE);
    assert_eq!(args, "--resume\n-p\na b\n\n--\n--json\n");
    let record = newest(&home);
    assert_eq!(record["agent"], "claude");
    assert_eq!(changes(&record), ["A args.txt", "A cwd.txt"]);
}

#[test]
fn the_environment_gains_one_variable_and_loses_none() {
    let home = home();
    let folder = home.folder("plain");
    let bare = home
        .command("env", [""; 0])
        .cwd(&folder)
        .run()
        .ok()
        .stdout_text();
    let launched = home
        .amps(["run", "--", "env"])
        .cwd(&folder)
        .run()
        .ok()
        .stdout_text();
    let session = newest(&home)["session_id"].as_str().unwrap().to_owned();
    let marked = format!("AMPSM_SESSION_ID={session}");
    let left = launched
        .lines()
        .filter(|line| *line != marked)
        .collect::<Vec<_>>();
    let bare = bare.lines().collect::<Vec<_>>();
    let only_underscore = |line: &&&str| !line.starts_with("_=");
    assert_eq!(
        left.iter().filter(only_underscore).collect::<Vec<_>>(),
        bare.iter().filter(only_underscore).collect::<Vec<_>>()
    );
}

#[test]
fn a_link_to_us_under_an_agents_name_is_passed_over() {
    let home = home();
    let real = home.install_agent("codex", &["exit 7"]);
    let shims = home.folder("shims");
    std::os::unix::fs::symlink(AMPS, shims.join("codex")).unwrap();
    let path = format!(
        "{}:{}:/usr/bin:/bin",
        shims.display(),
        real.parent().unwrap().display()
    );
    home.amps(["codex"])
        .env("PATH", path)
        .cwd(home.folder("plain"))
        .run()
        .code(7);
}

#[test]
fn a_stop_before_there_is_an_agent_stops_nothing_that_nobody_would_continue() {
    let home = home();
    home.install_agent("agent", &["touch started"]);
    let folder = home.folder("plain");
    let pause = home.pause_point("after-open");
    let launch = home
        .command("setsid", ["--wait", AMPS, "agent"])
        .cwd(&folder);
    let run = launch.pause_at(&pause).start();
    process::send(pause.wait_reached(PATIENCE), Signal::TSTP);
    pause.release();
    run.wait(PATIENCE).ok();
    assert!(folder.join("started").exists());
}

#[test]
fn an_agent_that_is_still_being_written_cannot_be_executed() {
    let home = home();
    let folder = home.folder("plain");
    home.command("cp", ["/bin/true", "busy"])
        .cwd(&folder)
        .run()
        .ok();
    let _writing = std::fs::File::options()
        .append(true)
        .open(folder.join("busy"))
        .unwrap();
    let refused = home.amps(["./busy"]).cwd(&folder).run().code(126);
    insta::assert_snapshot!(refused.text(), @r"
    exit 126
    --- stderr
    error[E013]: ./busy cannot be executed
      because: Text file busy (os error 26)
      next: check the file, its permissions and the length of its arguments
    ");
}

#[test]
fn a_signal_before_there_is_an_agent_ends_the_launch() {
    let home = home();
    home.install_agent("agent", &["touch started"]);
    let folder = home.folder("plain");
    let pause = home.pause_point("after-open");
    let run = home.amps(["agent"]).cwd(&folder).pause_at(&pause).start();
    pause.wait_reached(PATIENCE);
    run.signal(Signal::TERM);
    pause.release();
    run.wait(PATIENCE).signal(Signal::TERM);
    assert!(!folder.join("started").exists());
    let record = newest(&home);
    assert_eq!(record["status"], "aborted");
    assert_eq!(record["evidence"]["kind"], "start_failed");
}

#[test]
fn a_missing_agent_and_one_that_cannot_be_executed_are_told_apart() {
    let home = home();
    let folder = home.folder("plain");
    let missing = home.amps(["no-such-agent"]).cwd(&folder).run().code(127);
    insta::assert_snapshot!(missing.text(), @r"
    exit 127
    --- stderr
    error[E012]: no-such-agent is in no folder of PATH
      next: check the spelling, or give the path of the program; `amps --help` lists commands
    ");
    home.command("touch", ["plain"]).cwd(&folder).run().ok();
    let refused = home.amps(["./plain"]).cwd(&folder).run().code(126);
    insta::assert_snapshot!(refused.text(), @r"
    exit 126
    --- stderr
    error[E013]: ./plain cannot be executed
      because: permission denied
      next: check the file, its permissions and the length of its arguments
    ");
    assert_eq!(
        crate::record::ids(&home),
        [""; 0],
        "neither became a session"
    );
}

#[test]
fn streams_are_the_agents_own() {
    let home = home();
    let folder = home.folder("plain");
    let output = home
        .amps(["run", "--", "sh", "-c", "cat; echo talk >&2"])
        .stdin(b"in\x00\xff")
        .cwd(&folder)
        .run()
        .ok();
    assert_eq!(output.stdout, b"in\x00\xff");
    assert_eq!(output.stderr_text(), "talk\n");
}

#[test]
fn a_signal_to_the_launcher_reaches_the_agent() {
    let home = home();
    let folder = home.folder("plain");
    home.install_agent(
        "agent",
        &[
            "trap USR1 got.txt",
            "touch ready",
            "wait-for got.txt",
            "exit 5",
        ],
    );
    let run = home.amps(["agent"]).cwd(&folder).start();
    wait::for_file(&folder.join("ready"), PATIENCE);
    run.signal(Signal::USR1);
    run.wait(PATIENCE).code(5);
}

#[test]
fn a_signal_from_the_launchers_own_group_reaches_the_agent() {
    let home = home();
    let folder = home.folder("plain");
    let lines = [
        "trap USR1 got.txt",
        "touch ready",
        "wait-for got.txt",
        "exit 5",
    ];
    home.install_agent("agent", &lines);
    // Without job control a script and what it starts are one group.
    let script = "\"$AMPS\" agent & while ! [ -e ready ]; do :; done; kill -USR1 $!; wait $!";
    let words = ["-c", script];
    home.command("sh", words)
        .env("AMPS", AMPS)
        .cwd(&folder)
        .run()
        .code(5);
}

#[test]
fn a_daemon_that_is_stopped_holds_up_no_launch() {
    let home = home();
    let folder = home.folder("plain");
    home.amps(["daemon", "start"]).run().ok();
    let daemon = home.daemon().wait_alive(PATIENCE);
    process::send(daemon, Signal::STOP);
    process::wait_stopped(daemon, PATIENCE);
    let long = "x".repeat(100_000);
    let words = [
        "run", "--", "sh", "-c", "exit 3", &long, &long, &long, &long,
    ];
    let run = home.amps(words).cwd(&folder).run().code(3);
    assert!(
        run.stderr_text()
            .contains("facts are kept and delivered later"),
        "{}",
        run.text()
    );
    process::send(daemon, Signal::CONT);
    assert_eq!(newest(&home)["runs"][0]["exit_code"], 3);
}

#[test]
fn options_of_a_launch_are_refused_elsewhere() {
    let home = home();
    let refused = home.amps(["--name", "x", "list"]).run().code(2);
    assert!(
        refused.stderr_text().contains("error[E023]"),
        "{}",
        refused.text()
    );
}

#[test]
fn an_agent_killed_by_a_signal_gives_128_and_its_number() {
    let home = home();
    let folder = home.folder("plain");
    for (signal, code) in [("TERM", 143), ("KILL", 137), ("ABRT", 134)] {
        home.install_agent("agent", &[&format!("kill-self {signal}")]);
        home.amps(["agent"]).cwd(&folder).run().code(code);
        let record = newest(&home);
        assert_eq!(record["status"], "aborted");
        assert_eq!(record["status_reason"], "killed-by-signal");
        assert_eq!(record["runs"][0]["exit_signal"], code - 128);
    }
}

#[test]
fn secrets_on_the_command_line_are_not_stored() {
    let home = home();
    let folder = home.folder("plain");
    let key = format!("sk-ant-{}", "a1B2c3D4e5".repeat(4));
    home.amps(["run", "--note", &key, "--", "true", &key])
        .cwd(&folder)
        .run()
        .ok();
    newest(&home);
    home.amps(["daemon", "stop"]).run().ok();
    let store = std::fs::read(home.config_dir().join("sessions.db")).unwrap();
    let text = String::from_utf8_lossy(&store);
    assert!(text.contains("[masked]") && !text.contains(&key));
}

#[test]
fn hostile_names_are_recorded_as_they_are_and_shown_harmless() {
    let home = home();
    let repo = home.repo("work");
    let script = "printf x > \"$(printf 'a\\033[2J\\nb')\"; printf x > \"$(printf 'caf\\351')\"";
    home.amps(["run", "--", "sh", "-c", script])
        .cwd(repo.path())
        .run()
        .ok();
    let record = newest(&home);
    let files = record["changesets"][0]["files"].as_array().unwrap();
    assert_eq!(files[0]["path"], "a\u{1b}[2J\nb");
    assert_eq!(files[1]["path"], "caf\\xE9");
    assert_eq!(files[1]["path_base64"], "Y2Fm6Q==");
    let shown = home.amps(["show"]).run().ok().stdout_text();
    assert!(!shown.contains('\u{1b}'), "{shown}");
}
