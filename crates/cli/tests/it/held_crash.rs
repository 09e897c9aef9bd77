//! Hosts and daemons that are killed while a session is opened: one session at most, final and with
//! the right status, and nothing left.

#![cfg(feature = "testing")]

use amps_testkit::{Home, PATIENCE, Repo, Running, Signal, process, wait};

use crate::held::wait_for_screen;
use crate::record::{changes, home, ids, settled};

/// Begins to hold an agent that waits, and stops who comes to a point. Returns who has.
fn reach(home: &Home, repo: &Repo, point: &str) -> (Running, amps_testkit::PausePoint, i32) {
    home.install_agent("agent", &["write made.txt made", "print up", "wait-for go"]);
    let pause = home.pause_point(point);
    let launch = home.amps(["--detach", "agent"]).cwd(repo.path());
    let launch = launch.pause_at(&pause).start();
    let pid = pause.wait_reached(PATIENCE);
    (launch, pause, pid)
}

/// Asserts that nothing lies in a home but what is recorded.
#[track_caller]
fn assert_tidy(home: &Home, what: &str) {
    for folder in ["leases", "spool"] {
        let entries = home.config_dir().join(folder).read_dir().unwrap();
        assert_eq!(entries.count(), 0, "{what}: {folder}");
    }
    wait::until(format!("{what}: no socket"), PATIENCE, || {
        let mut entries = home.config_dir().join("hosts").read_dir().unwrap();
        let is_socket = |name: &std::ffi::OsStr| name.to_string_lossy().ends_with(".sock");
        (!entries.any(|entry| is_socket(&entry.unwrap().file_name()))).then_some(())
    });
}

#[test]
fn a_daemon_that_is_killed_while_it_opens_a_held_session_costs_nothing() {
    for point in ["open-stored", "base-begun", "start-stored"] {
        let home = home();
        let repo = home.repo("work");
        let (launch, pause, daemon) = reach(&home, &repo, point);
        assert_eq!(home.daemon().living(), Some(daemon));
        home.daemon().kill();
        pause.release();
        let id = launch.wait(PATIENCE).ok().stdout_text();
        assert_eq!(ids(&home), [id.trim()], "{point}");
        wait_for_screen(&home, id.trim(), "up");
        repo.write("go", "");
        let record = settled(&home, id.trim());
        assert_eq!(record["status"], "completed", "{point}: {record:#}");
        assert_eq!(record["binding"], "host");
        assert_tidy(&home, point);
    }
}

#[test]
fn a_host_that_is_killed_before_its_agent_runs_leaves_no_agent() {
    for (point, opened) in [
        ("before-open", false),
        ("after-open", true),
        ("before-spawn", true),
    ] {
        let home = home();
        let repo = home.repo("work");
        let (launch, pause, host) = reach(&home, &repo, point);
        process::send(host, Signal::KILL);
        process::wait_gone(host, PATIENCE);
        let said = launch.wait(PATIENCE).code(125).stderr_text();
        assert!(
            said.contains("the host of the session ended at once"),
            "{point}: {said}"
        );
        pause.release();
        let sessions = ids(&home);
        assert_eq!(sessions.len(), usize::from(opened), "{point}");
        for id in &sessions {
            let record = settled(&home, id);
            assert_eq!(record["status"], "disconnected", "{point}");
            assert_eq!(record["status_reason"], "owner-vanished", "{point}");
            assert!(changes(&record).is_empty(), "{point}: {record:#}");
        }
        assert!(!repo.file("made.txt").exists(), "{point}: no agent ran");
        assert_tidy(&home, point);
    }
}

#[test]
fn a_host_that_is_killed_as_its_agent_starts_takes_it_along() {
    let home = home();
    let repo = home.repo("work");
    let (launch, pause, host) = reach(&home, &repo, "after-spawn");
    let agent = wait::until("the agent", PATIENCE, || {
        process::children(host).first().map(|child| child.pid)
    });
    process::send(host, Signal::KILL);
    process::wait_gone(host, PATIENCE);
    // The end of its terminal is told it by SIGHUP.
    process::wait_gone(agent, PATIENCE);
    launch.wait(PATIENCE).code(125);
    pause.release();
    let sessions = ids(&home);
    assert_eq!(sessions.len(), 1);
    let record = settled(&home, &sessions[0]);
    assert_eq!(record["status"], "disconnected");
    assert_eq!(record["status_reason"], "owner-vanished");
    assert_tidy(&home, "after-spawn");
}
