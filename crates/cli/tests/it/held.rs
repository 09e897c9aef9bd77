//! Held sessions: left, shown, left again, and ended.

use std::path::Path;

use amps_testkit::{Exit, Home, PATIENCE, Signal, Terminal, TerminalOptions, process, wait};
use serde_json::json;

use crate::record::{AMPS, changes, home, settled};

/// The keys that detach.
pub(crate) const CHORD: &str = "\x1cd";

/// What a terminal is sent before it is drawn.
pub(crate) const DRAWN: &[u8] = b"\x18\x1b\\";

/// Starts a command that is held, and returns its session.
#[track_caller]
pub(crate) fn hold(home: &Home, folder: &Path, words: &[&str]) -> String {
    let words = [&["run", "--detach", "--"], words].concat();
    let output = home.amps(words).cwd(folder).run().ok();
    output.stdout_text().trim().to_owned()
}

/// Attaches to a session on a terminal of its own.
#[track_caller]
pub(crate) fn attach(home: &Home, args: &[&str]) -> Terminal {
    home.amps([&["attach"], args].concat()).terminal()
}

/// Returns what the agent of a session shows.
#[track_caller]
pub(crate) fn screen(home: &Home, id: &str) -> String {
    home.amps(["screen", id]).run().ok().stdout_text()
}

/// Waits until the agent of a session shows a text.
#[track_caller]
pub(crate) fn wait_for_screen(home: &Home, id: &str, text: &str) {
    let what = format!("{text:?} on the screen of the session");
    wait::until(what, PATIENCE, || {
        screen(home, id).contains(text).then_some(())
    });
}

/// Returns the pid of the host of a session.
#[track_caller]
pub(crate) fn host_of(home: &Home, id: &str) -> i32 {
    let record = home
        .amps(["show", "--no-wait", "--json", id])
        .run()
        .ok()
        .json();
    let pid = record["runs"][0]["lease"]["owner_pid"].as_i64().unwrap();
    i32::try_from(pid).unwrap()
}

#[test]
fn a_held_session_is_shown_left_and_shown_again() {
    let home = home();
    let repo = home.repo("work");
    let id = hold(
        &home,
        repo.path(),
        &[
            "sh",
            "-c",
            "echo ready; read line; echo $line > made.txt; echo got $line; read end; exit 3",
        ],
    );
    wait_for_screen(&home, &id, "ready");
    let mut terminal = attach(&home, &[&id]);
    terminal.wait_for_text("ready");
    terminal.send("one\r");
    terminal.wait_for_text("got one");
    terminal.send(CHORD);
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
    assert!(terminal.contents().contains("[detached; the agent goes on"));
    let listed = home.amps(["list", "--json"]).run().ok().json();
    assert_eq!(listed[0]["status"], "active");
    let mut terminal = attach(&home, &[]);
    terminal.wait_for_text("got one");
    terminal.send("\r");
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(3));
    assert!(terminal.contents().contains("ended: exit code 3]"));
    let record = settled(&home, &id);
    assert_eq!(record["status"], "aborted");
    assert_eq!(record["binding"], "host");
    assert_eq!(record["runs"][0]["exit_code"], 3);
    assert_eq!(changes(&record), ["A made.txt"]);
}

#[test]
fn an_agent_by_its_name_is_held_and_its_arguments_stay_its_own() {
    let home = home();
    let folder = home.folder("work");
    home.install_agent("claude", &["record-args args.txt", "print up", "hang"]);
    home.amps(["--detach", "--name", "mine", "claude", "--detach", "--json"])
        .cwd(&folder)
        .run()
        .ok();
    let args = wait::for_file(&folder.join("args.txt"), PATIENCE);
    assert_eq!(args, "--detach\n--json\n");
    wait_for_screen(&home, "mine", "up");
    home.end_all();
}

#[test]
fn host_and_daemon_have_no_terminal_and_a_session_of_their_own() {
    let home = home();
    let folder = home.folder("work");
    let mut shell = home.shell(&folder);
    shell.start_line(&format!("{AMPS} --name mine --hold cat"));
    shell.terminal().send("typed\r");
    shell.terminal().wait_for_text("typed\ntyped");
    let daemon = home.daemon().pid().unwrap();
    for pid in [host_of(&home, "mine"), daemon] {
        let stat = process::stat(pid).unwrap();
        assert_eq!(stat.terminal, 0, "{stat:?}");
        assert_ne!(stat.session, shell.terminal().pid(), "{stat:?}");
    }
    shell.terminal().send(CHORD);
    shell.wait_prompt();
    home.amps(["send", "mine", "--key", "ctrl-d"]).run().ok();
    assert_eq!(settled(&home, "mine")["status"], "completed");
}

#[test]
fn closing_the_terminal_leaves_the_agent_running() {
    let home = home();
    let folder = home.folder("work");
    let id = hold(
        &home,
        &folder,
        &[
            "sh",
            "-c",
            "echo ready; read line; echo got $line; read end",
        ],
    );
    let mut terminal = attach(&home, &[&id]);
    terminal.wait_for_text("ready");
    terminal.close();
    terminal.wait_exit(PATIENCE);
    home.amps(["send", &id, "there", "--enter"]).run().ok();
    wait_for_screen(&home, &id, "got there");
    home.amps(["send", &id, "--enter"]).run().ok();
    assert_eq!(settled(&home, &id)["status"], "completed");
}

#[test]
fn one_types_and_others_watch() {
    let home = home();
    let folder = home.folder("work");
    let id = hold(&home, &folder, &["cat"]);
    let mut typist = attach(&home, &[&id]);
    typist.send("first\r");
    typist.wait_for_text("first\nfirst");
    let refused = attach(&home, &[&id]).wait_exit(PATIENCE);
    assert_eq!(refused, Exit::Code(10));
    let output = attach(&home, &[&id]);
    output.wait_for_text("error[E027]: somebody else types in this session");
    let mut watcher = attach(&home, &["--read-only", &id]);
    watcher.wait_for_text("first\nfirst");
    watcher.send("nothing of this\r");
    typist.send("second\r");
    watcher.wait_for_text("second\nsecond");
    typist.wait_for_text("second\nsecond");
    assert!(
        !typist.contents().contains("nothing"),
        "{}",
        typist.contents()
    );
    let mut other = attach(&home, &["--take-over", &id]);
    assert_eq!(typist.wait_exit(PATIENCE), Exit::Code(0));
    assert!(typist.contents().contains("another client types now"));
    other.wait_for_text("second\nsecond");
    home.amps(["detach", &id]).run().ok();
    assert_eq!(other.wait_exit(PATIENCE), Exit::Code(0));
    assert_eq!(watcher.wait_exit(PATIENCE), Exit::Code(0));
    assert!(watcher.contents().contains("[detached from elsewhere"));
    home.amps(["send", &id, "--key", "ctrl-d"]).run().ok();
    assert_eq!(settled(&home, &id)["status"], "completed");
}

#[test]
fn a_host_that_dies_takes_its_session_with_it_and_the_record_says_so() {
    let home = home();
    let folder = home.folder("work");
    let (one, other) = (
        hold(&home, &folder, &["cat"]),
        hold(&home, &folder, &["cat"]),
    );
    let host = host_of(&home, &one);
    let mut terminal = attach(&home, &[&one]);
    terminal.send("typed\r");
    terminal.wait_for_text("typed\ntyped");
    let modes = terminal.modes();
    process::send(host, Signal::KILL);
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(75));
    terminal.wait_for_text("error[E028]: the host of session");
    terminal.wait_for_text("ended without a word");
    assert_ne!(terminal.modes(), modes, "the terminal is the shell's again");
    let record = settled(&home, &one);
    assert_eq!(record["status"], "disconnected");
    assert_eq!(record["status_reason"], "owner-vanished");
    assert_eq!(
        record["evidence"]["detail"],
        "the kernel told that the host exited"
    );
    let failed = home.amps(["attach", &one]).run().code(13);
    assert!(
        failed
            .stderr_text()
            .contains("has ended: it is disconnected")
    );
    home.amps(["send", &other, "--key", "ctrl-d"]).run().ok();
    assert_eq!(settled(&home, &other)["status"], "completed");
}

#[test]
fn a_host_is_reached_while_the_daemon_is_stopped() {
    let home = home();
    let folder = home.folder("work");
    let other = hold(&home, &folder, &["cat"]);
    let id = hold(&home, &folder, &["cat"]);
    let host = host_of(&home, &id);
    let daemon = home.daemon().wait_alive(PATIENCE);
    process::send(daemon, Signal::STOP);
    home.amps(["send", &id, "one", "--enter"]).run().ok();
    let short = id.get(..8).unwrap();
    let idle = ["wait", short, "--until", "idle", "--quiet", "100ms"];
    home.amps(idle).run().ok();
    for args in [&["screen", short][..], &["screen"]] {
        let shown = home.amps(args).run().ok().stdout_text();
        assert!(shown.contains("one\none"), "{shown}");
    }
    let mut terminal = attach(&home, &[short]);
    terminal.wait_for_text("one\none");
    home.amps(["detach", short]).run().ok();
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
    process::send(host, Signal::KILL);
    process::wait_gone(host, PATIENCE);
    home.amps(["send", &other, "two", "--enter"]).run().ok();
    wait::until("the newest that is left", PATIENCE, || {
        let shown = home.amps(["screen"]).run().ok().stdout_text();
        shown.contains("two\ntwo").then_some(())
    });
    process::send(daemon, Signal::CONT);
    assert_eq!(settled(&home, &id)["status"], "disconnected");
    home.amps(["send", &other, "--key", "ctrl-d"]).run().ok();
    settled(&home, &other);
}

#[test]
fn what_cannot_be_attached_to_is_told_apart() {
    let home = home();
    let folder = home.folder("work");
    let failed = |args: &[&str], code: i32| home.amps(args).run().code(code).stderr_text();
    assert!(failed(&["attach"], 1).contains("[E010]"));
    assert!(failed(&["attach", "nonsense"], 1).contains("[E010]"));
    home.amps(["run", "--", "true"]).run().ok();
    let ended = failed(&["attach", "@"], 13);
    assert!(
        ended.contains("[E018]") && ended.contains("has ended"),
        "{ended}"
    );
    home.amps(["session", "start"]).run().ok();
    let id = hold(&home, &folder, &["cat"]);
    let no_terminal = failed(&["attach", &id], 13);
    assert!(no_terminal.contains("not a terminal"), "{no_terminal}");
    for command in [&["session", "start"][..], &["attach-pid", "1"]] {
        let refused = failed(&[command, &["--record"]].concat(), 2);
        assert!(refused.contains("--record"), "{refused}");
    }
    let missing = failed(&["--detach", "no-such-agent"], 127);
    assert!(missing.contains("[E012]"), "{missing}");
    home.amps(["send", &id, "--key", "ctrl-d"]).run().ok();
    settled(&home, &id);
}

#[test]
fn an_agent_that_cannot_be_started_is_a_failed_launch() {
    let home = home();
    let folder = home.folder("work");
    let write = "printf '#!/nonexistent/interpreter\\n' > \"$0\" && chmod 755 \"$0\"";
    let agent = home.bin_dir().join("claude");
    home.command("sh", ["-c", write]).arg(agent).run().ok();
    let launch = home.amps(["--detach", "claude"]).cwd(&folder);
    let said = launch.run().code(126).stderr_text();
    assert!(said.contains("[E013]"), "{said}");
    let record = settled(&home, "@");
    assert_eq!(record["status_reason"], "not-started");
}

#[test]
fn the_agent_has_the_size_of_its_typists_terminal() {
    let home = home();
    let folder = home.folder("work");
    let id = hold(
        &home,
        &folder,
        &[
            "sh",
            "-c",
            "trap 'stty size' WINCH; stty size; while :; do read line; done",
        ],
    );
    wait_for_screen(&home, &id, "24 80");
    let size = |rows, cols| TerminalOptions {
        rows,
        cols,
        answers: false,
    };
    let mut terminal = home.amps(["attach", &id]).terminal_with(size(30, 100));
    terminal.wait_for_text("30 100");
    let watcher = home
        .amps(["attach", "--read-only", &id])
        .terminal_with(size(10, 40));
    watcher.wait_for_text("30 100");
    terminal.resize(20, 60);
    terminal.wait_for_text("20 60");
    watcher.wait_for_text("20 60");
    assert!(!terminal.contents().contains("10 40"));
    terminal.send(CHORD);
    terminal.wait_exit(PATIENCE);
    home.end_all();
}

#[test]
fn a_terminal_that_is_too_small_shows_what_fits() {
    let home = home();
    let folder = home.folder("work");
    let id = hold(
        &home,
        &folder,
        &[
            "sh",
            "-c",
            "echo ready; read line; echo got $line; read end",
        ],
    );
    wait_for_screen(&home, &id, "ready");
    for (rows, cols) in [(1, 1), (1, 80), (24, 2), (2, 5)] {
        let options = TerminalOptions {
            rows,
            cols,
            answers: false,
        };
        let mut terminal = home.amps(["attach", &id]).terminal_with(options);
        terminal.wait_for_bytes(DRAWN, PATIENCE);
        terminal.send(CHORD);
        assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0), "{rows}x{cols}");
    }
    home.amps(["send", &id, "on\r\r"]).run().ok();
    assert_eq!(settled(&home, &id)["status"], "completed");
}

#[test]
fn a_program_waits_types_and_looks_without_a_terminal() {
    let home = home();
    let folder = home.folder("work");
    let busy =
        "i=0; while [ ! -e go ]; do i=$((i+1)); echo busy $i; done; echo ready; read line; exit 4";
    let id = hold(&home, &folder, &["sh", "-c", busy]);
    let until_idle = ["wait", &id, "--until", "idle", "--quiet", "300ms"];
    let late = home
        .amps(until_idle)
        .args(["--timeout", "1s"])
        .run()
        .code(75);
    assert!(late.stderr_text().contains("is not idle after 1.0 s"));
    let waiting = home.amps(until_idle).start();
    home.command("touch", ["go"]).cwd(&folder).run().ok();
    assert_eq!(waiting.wait(PATIENCE).ok().stdout_text(), "idle\n");
    let shown = home.amps(["screen", "--json", &id]).run().ok().json();
    assert_eq!(shown["session_id"], json!(id));
    assert!(shown["text"].as_str().unwrap().contains("ready"));
    let ended = home
        .amps(["wait", &id, "--until", "idle", "--quiet", "1h"])
        .start();
    home.amps(["send", &id]).stdin("x\r").run().ok();
    let ended = ended.wait(PATIENCE).code(13).stderr_text();
    // It may have come only when all was over.
    let told = ["has ended: exit code 4", "has ended: it is aborted"];
    assert!(told.iter().any(|told| ended.contains(told)), "{ended}");
    assert_eq!(settled(&home, &id)["status"], "aborted");
}
