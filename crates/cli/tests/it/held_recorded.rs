//! Recording what an agent shows: as it is asked for, and without a trace for the agent.

use amps_engine::files::write_private;
use amps_testkit::{Exit, Home, PATIENCE, Signal, TerminalOptions, process, wait};
use serde_json::json;

use crate::held::{CHORD, attach, hold, host_of, wait_for_screen};
use crate::record::{AMPS, home, settled};

/// What is typed before the terminal has been handed over is echoed by the terminal itself.
const CAT: &str = "echo ready; exec cat";

#[test]
fn a_recorded_run_plays_byte_by_byte_and_ends_as_the_agent_did() {
    let home = home();
    let folder = home.folder("work");
    let script =
        "printf 'one\\033[31m red\\033[m\\r\\n'; read line; printf \"got $line\\n\"; exit 7";
    let mut terminal = home
        .amps(["--record", "--name", "mine", "sh", "-c", script])
        .cwd(&folder)
        .terminal();
    terminal.wait_for_text("one red");
    terminal.send("typed\r");
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(7));
    let record = settled(&home, "mine");
    assert_eq!(record["binding"], "host");
    assert_eq!(record["status_reason"], "exited-non-zero");
    let recorded = wait::until("the recording to be told", PATIENCE, || {
        let record = home.amps(["show", "--json", "mine"]).run().ok().json();
        let recording = record["runs"][0]["recording"].clone();
        (recording["bytes"] != 0).then_some(recording)
    });
    let played = home.amps(["play", "mine"]).run().ok().stdout;
    assert_eq!(played, terminal.bytes(), "what was shown is what is played");
    assert_eq!(
        recorded,
        json!({ "bytes": played.len(), "lost": 0, "cut": false })
    );
    let cast = home.amps(["export-cast", "mine"]).run().ok().stdout_text();
    let lines: Vec<serde_json::Value> = cast
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["version"], 3);
    assert_eq!(lines[0]["term"]["cols"], 80);
    let last = lines.last().unwrap();
    assert_eq!((&last[1], &last[2]), (&json!("x"), &json!("7")));
}

#[test]
fn closing_the_terminal_of_a_recorded_run_ends_it_as_without_us() {
    let home = home();
    let folder = home.folder("work");
    let mut terminal = home
        .amps(["--record", "--name", "mine", "sh", "-c", CAT])
        .cwd(&folder)
        .terminal();
    terminal.wait_for_text("ready");
    terminal.send("typed\r");
    terminal.wait_for_text("typed\ntyped");
    terminal.close();
    terminal.wait_exit(PATIENCE);
    let record = settled(&home, "mine");
    assert_eq!(record["status"], "disconnected");
    assert_eq!(record["status_reason"], "terminal-closed");
    assert_eq!(record["runs"][0]["exit_signal"], 1);
    let played = home.amps(["play", "mine"]).run().ok().stdout_text();
    assert_eq!(played, "ready\r\ntyped\r\ntyped\r\n");
}

#[test]
fn a_recorded_run_can_be_left_and_its_client_killed() {
    let home = home();
    let folder = home.folder("work");
    for kill in [false, true] {
        let record = home.amps(["--record", "sh", "-c", CAT]);
        let mut terminal = record.cwd(&folder).terminal();
        terminal.wait_for_text("ready");
        terminal.send("typed\r");
        terminal.wait_for_text("typed\ntyped");
        if kill {
            process::send(terminal.pid(), Signal::KILL);
        } else {
            terminal.send(CHORD);
        }
        terminal.wait_exit(PATIENCE);
        let mut again = attach(&home, &["@"]);
        again.wait_for_text("typed\ntyped");
        again.send("\x04");
        assert_eq!(again.wait_exit(PATIENCE), Exit::Code(0));
        assert_eq!(settled(&home, "@")["status"], "completed");
    }
}

#[test]
fn signals_to_a_recorded_launch_are_for_the_agent() {
    let home = home();
    let folder = home.folder("work");
    home.install_agent(
        "agent",
        &[
            "trap TERM told.txt",
            "trap USR1 told.txt",
            "print up",
            "wait-for end",
        ],
    );
    let mut terminal = home.amps(["--record", "agent"]).cwd(&folder).terminal();
    terminal.wait_for_text("up");
    for (signal, name) in [(Signal::TERM, "TERM"), (Signal::USR1, "USR1")] {
        terminal.signal(signal);
        wait::until(name, PATIENCE, || {
            let told = std::fs::read_to_string(folder.join("told.txt")).ok()?;
            told.contains(name).then_some(())
        });
    }
    home.command("touch", ["end"]).cwd(&folder).run().ok();
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
}

#[test]
fn the_configuration_records_every_run_on_a_terminal_and_no_other() {
    let mut home = home();
    let folder = home.folder("work");
    home.set_env("AMPSM_RECORD", "always");
    let mut terminal = home
        .amps(["run", "--", "echo", "shown"])
        .cwd(&folder)
        .terminal();
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
    let played = home.amps(["play", "@"]).run().ok().stdout_text();
    assert_eq!(played, "shown\r\n");
    let id = hold(&home, &folder, &["sh", "-c", "echo held; read line"]);
    wait_for_screen(&home, &id, "held");
    home.amps(["send", &id, "--enter"]).run().ok();
    settled(&home, &id);
    let played = home.amps(["play", &id]).run().ok().stdout_text();
    assert_eq!(played, "held\r\n\r\n");
    let piped = home
        .amps(["run", "--", "cat"])
        .cwd(&folder)
        .stdin("in")
        .run()
        .ok();
    assert_eq!(piped.stdout_text(), "in");
    let missing = home.amps(["play", "@"]).run().code(1).stderr_text();
    assert!(missing.contains("[E019]"), "{missing}");
    let asked = home.amps(["--record", "echo", "x"]).cwd(&folder).run().ok();
    assert_eq!(asked.stdout_text(), "x\n");
    assert!(
        asked
            .stderr_text()
            .contains("not recorded: standard input and output are no terminal")
    );
}

#[test]
fn a_mistake_in_the_configuration_is_said_and_the_agent_runs() {
    let mut home = home();
    let folder = home.folder("work");
    home.amps(["daemon", "start"]).run().ok();
    let config = home.config_dir().join("config.yaml");
    write_private(&config, b"record: always\nhold:\n  scrollback: many\n").unwrap();
    let shown = |home: &Home, args: &[&str]| {
        let command = home.amps([args, &["echo", "ran"]].concat());
        let mut terminal = command.cwd(&folder).terminal();
        assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0), "{args:?}");
        let shown = terminal.contents();
        assert_eq!(shown.matches("amps: not").count(), 1, "{shown}");
        assert!(shown.ends_with("\nran"), "{shown}");
        shown
    };
    for (args, not) in [
        (&[][..], "amps: not recorded: "),
        (&["--record"], "amps: not recorded: "),
        (&["--hold"], "amps: not held: "),
    ] {
        let shown = shown(&home, args);
        assert!(
            shown.contains(not) && shown.contains("hold.scrollback"),
            "{shown}"
        );
    }
    let held = home.amps(["--detach", "echo", "ran"]).cwd(&folder);
    let said = held.run().ok().stderr_text();
    assert!(said.contains("amps: not configured: "), "{said}");
    write_private(&home.config_dir().join("config.yaml"), b"record: always\n").unwrap();
    home.set_env("AMPSM_RECORD_MAX_SIZE", "1MiB");
    let shown = shown(&home, &[]);
    assert!(shown.contains("AMPSM_RECORD_MAX_SIZE"), "{shown}");
}

#[test]
fn what_was_shown_before_a_host_was_killed_is_recorded() {
    let home = home();
    let folder = home.folder("work");
    let mut terminal = home
        .amps(["--record", "--name", "mine", "sh", "-c", CAT])
        .cwd(&folder)
        .terminal();
    terminal.wait_for_text("ready");
    for number in 0..20 {
        terminal.send(format!("{number}\r"));
        terminal.wait_for_text(&format!("{number}\n{number}"));
    }
    let shown = terminal.bytes();
    wait_for_count(
        &home,
        "mine",
        &json!({ "bytes": null, "lost": null, "cut": null }),
    );
    process::send(host_of(&home, "mine"), Signal::KILL);
    terminal.wait_exit(PATIENCE);
    assert_eq!(settled(&home, "mine")["status"], "disconnected");
    let counted = json!({ "bytes": shown.len(), "lost": 0, "cut": false });
    wait_for_count(&home, "mine", &counted);
    assert_eq!(home.amps(["play", "mine"]).run().ok().stdout, shown);
    let cast = home.amps(["export-cast", "mine"]).run().ok().stdout_text();
    let last = cast.lines().last().unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(last[1], "x", "an exit event always: {last}");
}

/// Waits until a record tells how much is recorded.
#[track_caller]
fn wait_for_count(home: &Home, session: &str, counted: &serde_json::Value) {
    let what = format!("to be recorded: {counted}");
    let daemon = home.daemon();
    daemon.wait_for_session(session, &what, PATIENCE, |record| {
        record["runs"][0]["recording"] == *counted
    });
}

#[test]
fn what_a_host_recorded_is_counted_by_the_next_daemon_if_both_were_killed() {
    let home = home();
    let folder = home.folder("work");
    let record = home.amps(["--record", "--name", "mine", "sh", "-c", CAT]);
    let terminal = record.cwd(&folder).terminal();
    terminal.wait_for_text("ready");
    // Told right after the agent was started, it may reach the daemon a moment later.
    home.daemon()
        .wait_for_session("mine", "to be known as recorded", PATIENCE, |record| {
            !record["runs"][0]["recording"].is_null()
        });
    let host = host_of(&home, "mine");
    process::send(home.daemon().wait_alive(PATIENCE), Signal::STOP);
    process::send(host, Signal::KILL);
    terminal.wait_for_text("ready");
    process::wait_gone(host, PATIENCE);
    home.daemon().kill();
    assert_eq!(settled(&home, "mine")["status"], "disconnected");
    let counted = json!({ "bytes": 7, "lost": 0, "cut": false });
    wait_for_count(&home, "mine", &counted);
}

#[test]
fn a_recorded_terminal_may_change_its_size() {
    let home = home();
    let folder = home.folder("work");
    let script = "trap 'stty size; exit 0' WINCH; stty size; while :; do read line; done";
    let mut terminal = home
        .amps(["--record", "sh", "-c", script])
        .cwd(&folder)
        .terminal_with(TerminalOptions {
            rows: 20,
            cols: 70,
            answers: false,
        });
    terminal.wait_for_text("20 70");
    terminal.resize(30, 90);
    terminal.wait_for_text("30 90");
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
    settled(&home, "@");
    let cast = home.amps(["export-cast", "@"]).run().ok().stdout_text();
    assert!(
        cast.contains("\"r\", \"90x30\"") || cast.contains("\"r\",\"90x30\""),
        "{cast}"
    );
}

#[test]
fn an_agent_that_asks_its_terminal_when_it_starts_is_answered_by_that_terminal() {
    let home = home();
    let folder = home.folder("work");
    let run = |launch: &[&str], file: &str| {
        let query = format!("query {file} da1 osc11 kitty");
        home.install_agent("agent", &["raw", &query]);
        let command = [launch, &["agent"]].concat();
        let (program, args) = command.split_first().unwrap();
        let options = TerminalOptions {
            answers: true,
            ..TerminalOptions::default()
        };
        let command = home.command(program, args).cwd(&folder);
        command.terminal_with(options).wait_exit(PATIENCE);
        wait::for_file(&folder.join(file), PATIENCE)
    };
    let bare = run(&["env"], "bare.txt");
    let recorded = run(&[AMPS, "--record"], "recorded.txt");
    assert_eq!(recorded, bare, "each answer came, and came once");
    assert!(!bare.is_empty());
}

#[test]
fn the_turns_of_an_agent_are_marks_of_its_cast() {
    let home = home();
    let repo = home.repo("work");
    let turn = format!(
        "echo one; {AMPS} checkpoint --turn; read; echo two > made.txt; {AMPS} checkpoint --turn; read"
    );
    let mut terminal = home
        .amps(["--record", "bash", "-c", &turn])
        .cwd(repo.path())
        .terminal();
    for turn in 1..=2 {
        wait::until(format!("turn {turn}"), PATIENCE, || {
            let log = home.amps(["log"]).run().stdout_text();
            log.contains(&format!("the agent ended turn {turn}\n"))
                .then_some(())
        });
        terminal.send("\r");
    }
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
    settled(&home, "@");
    let cast = home.amps(["export-cast", "@"]).run().ok().stdout_text();
    let events = cast.lines().skip(1).map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        format!(
            "{} {}",
            event[1].as_str().unwrap(),
            event[2].as_str().unwrap()
        )
    });
    let marks: Vec<String> = events.filter(|event| event.starts_with('m')).collect();
    assert_eq!(marks, ["m turn 1", "m turn 2"]);
}

#[test]
fn keys_that_are_none_are_found_out_before_the_agent_runs() {
    let mut home = home();
    let folder = home.folder("work");
    home.set_env("AMPSM_HOLD_DETACH", "d");
    let mut terminal = home
        .amps([
            "--record",
            "sh",
            "-c",
            "test -t 0 && echo on the terminal; exit 6",
        ])
        .cwd(&folder)
        .terminal();
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(6));
    let shown = terminal.contents();
    assert!(
        shown.contains("amps: not recorded: `hold.detach` names no keys"),
        "{shown}"
    );
    assert!(shown.contains("on the terminal"), "{shown}");
    assert_eq!(settled(&home, "@")["binding"], "launcher");
}

#[test]
fn closing_the_terminal_of_who_only_watches_ends_no_recorded_run() {
    let home = home();
    let folder = home.folder("work");
    let mut terminal = home
        .amps(["--record", "--name", "mine", "sh", "-c", CAT])
        .cwd(&folder)
        .terminal();
    terminal.wait_for_text("ready");
    terminal.send("typed\r");
    terminal.wait_for_text("typed\ntyped");
    terminal.send(CHORD);
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
    let mut watcher = attach(&home, &["--read-only", "mine"]);
    watcher.wait_for_text("typed\ntyped");
    watcher.close();
    watcher.wait_exit(PATIENCE);
    let mut again = attach(&home, &["mine"]);
    again.wait_for_text("typed\ntyped");
    again.send("\x04");
    assert_eq!(again.wait_exit(PATIENCE), Exit::Code(0));
    assert_eq!(settled(&home, "mine")["status"], "completed");
}

#[cfg(feature = "testing")]
#[test]
fn a_clock_that_is_set_moves_no_turn_of_a_cast() {
    let mut home = home();
    let clock = home.path("clock");
    home.set_env("AMPSM_TEST_CLOCK", &clock);
    let repo = home.repo("work");
    let clock = clock.display();
    let day = "86400000";
    let set = |wall_ms: &str| {
        format!("echo '{{\"wall_ms\": {wall_ms}}}' > {clock}.new; mv {clock}.new {clock}")
    };
    let turn = format!("{AMPS} checkpoint --turn");
    let (forward, back) = (set(day), set(&format!("-{day}")));
    let turns = format!(
        "{turn}; {forward}; echo one > made.txt; {turn}; {back}; echo two > made.txt; {turn}"
    );
    let mut terminal = home
        .amps(["--record", "sh", "-c", &turns])
        .cwd(repo.path())
        .terminal();
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
    settled(&home, "@");
    let cast = home.amps(["export-cast", "@"]).run().ok().stdout_text();
    let (mut seconds, mut marks) = (0.0, Vec::new());
    for line in cast.lines().skip(1) {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        seconds += event[0].as_f64().unwrap();
        if event[1] == "m" {
            marks.push(event[2].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(marks, ["turn 1", "turn 2", "turn 3"]);
    assert!(seconds < 3_600.0, "the cast takes {seconds} s");
}
