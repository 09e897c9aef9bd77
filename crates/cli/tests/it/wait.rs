//! Waiting for the end of a session.

use std::time::Duration;

use amps_testkit::{Home, PATIENCE, Repo, Running, Signal, process, wait};

use crate::record::{home, newest};

/// Less than one question of `amps wait` lasts: an answer within it came because of the end.
const SOON: Duration = Duration::from_secs(20);

struct Scene {
    home: Home,
    repo: Repo,
    run: Running,
}

/// Starts an agent that goes on until it is told to end.
fn scene() -> Scene {
    let home = home();
    let repo = home.repo("work");
    home.install_agent("agent", &["touch ready", "wait-for go", "exit 3"]);
    let run = home
        .amps(["--name", "one", "agent"])
        .cwd(repo.path())
        .start();
    wait::for_file(&repo.file("ready"), PATIENCE);
    Scene { home, repo, run }
}

#[test]
fn an_end_is_told_to_all_who_wait_for_it() {
    let Scene { home, repo, run } = scene();
    let waiters: Vec<Running> = (0..8)
        .map(|_| home.amps(["wait", "one", "--until", "exited"]).start())
        .collect();
    let in_json = home.amps(["wait", "--json", "--timeout", "1h"]).start();
    for waiter in &waiters {
        process::wait_asleep(waiter.pid(), PATIENCE);
    }
    repo.write("go", "");
    drop(run.wait(PATIENCE).code(3));
    for waiter in waiters {
        assert_eq!(waiter.wait(SOON).ok().stdout_text(), "aborted\n");
    }
    let record = in_json.wait(SOON).ok().json();
    assert_eq!(record["name"], "one");
    assert_eq!(record["status"], "aborted");
}

#[cfg(feature = "testing")]
#[test]
fn an_end_is_told_to_who_has_asked_before_it() {
    let home = home();
    let repo = home.repo("work");
    home.install_agent("agent", &["touch ready", "wait-for go", "exit 3"]);
    let pause = home.pause_point("wait-looked");
    let run = home.amps(["agent"]).pause_at(&pause).cwd(repo.path());
    let run = run.start();
    wait::for_file(&repo.file("ready"), PATIENCE);
    let waiter = home.amps(["wait"]).start();
    pause.wait_reached(PATIENCE);
    pause.release();
    repo.write("go", "");
    drop(run.wait(PATIENCE).code(3));
    assert_eq!(waiter.wait(SOON).ok().stdout_text(), "aborted\n");
}

#[test]
fn a_session_that_has_ended_is_answered_at_once() {
    let home = home();
    home.amps(["run", "true"]).run().ok();
    newest(&home);
    assert_eq!(home.amps(["wait"]).run().ok().stdout_text(), "completed\n");
    let output = home.amps(["wait", "@", "--timeout", "0"]).run().ok();
    assert_eq!(output.stdout_text(), "completed\n");
}

#[test]
fn the_newest_session_stays_the_one_that_was_meant() {
    let Scene { home, repo, run } = scene();
    let waiter = home.amps(["wait", "@", "--json"]).start();
    process::wait_asleep(waiter.pid(), PATIENCE);
    home.amps(["run", "true"]).run().ok();
    newest(&home);
    assert!(process::is_alive(waiter.pid()));
    repo.write("go", "");
    drop(run.wait(PATIENCE).code(3));
    assert_eq!(waiter.wait(SOON).ok().json()["name"], "one");
}

#[test]
fn a_wait_that_takes_too_long_ends_with_75() {
    let Scene { home, repo, run } = scene();
    for timeout in ["0", "50ms"] {
        let output = home.amps(["wait", "one", "--timeout", timeout]).run();
        let output = output.code(75);
        assert_eq!(output.stdout_text(), "");
        let text = output.stderr_text();
        assert!(text.contains("is still active after "), "{text}");
    }
    repo.write("go", "");
    drop(run.wait(PATIENCE).code(3));
}

#[test]
fn a_wait_goes_on_with_the_next_daemon() {
    let Scene { home, repo, run } = scene();
    let waiter = home.amps(["wait", "one"]).start();
    process::wait_asleep(waiter.pid(), PATIENCE);
    home.amps(["daemon", "restart"]).run().ok();
    let second = home.daemon().wait_alive(PATIENCE);
    process::send(second, Signal::KILL);
    process::wait_gone(second, PATIENCE);
    home.daemon().wait_alive(PATIENCE);
    process::wait_asleep(waiter.pid(), PATIENCE);
    repo.write("go", "");
    drop(run.wait(PATIENCE).code(3));
    assert_eq!(waiter.wait(SOON).ok().stdout_text(), "aborted\n");
}

#[test]
fn what_cannot_be_waited_for_is_told() {
    let Scene { home, repo, run } = scene();
    insta::assert_snapshot!(home.amps(["wait", "zzz"]).run().text(), @"
    exit 1
    --- stderr
    error[E010]: there is no session `zzz`
      next: `amps list` shows what there is; `@` means the newest
    ");
    insta::assert_snapshot!(home.amps(["wait", "one", "--until", "idle"]).run().text(), @"
    exit 13
    --- stderr
    error[E018]: session ID000001 is not held: its agent has a terminal of its own
      next: `amps --detach AGENT` starts a session that is held
    ");
    insta::assert_snapshot!(home.amps(["wait", "--timeout", "soon"]).run().text(), @"
    exit 2
    --- stderr
    error[E023]: `soon` is not a length of time
      next: write it like `30s`, `5m` or `2h`
    ");
    repo.write("go", "");
    drop(run.wait(PATIENCE).code(3));
}
