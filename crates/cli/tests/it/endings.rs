//! How a session is known to have ended: every kind of evidence, with the real kernel.

use std::fs;

use amps_testkit::{Cmd, Home, PATIENCE, Running, Signal, process, wait};
use serde_json::Value;

use crate::record::{AMPS, changes, home, is_final, newest, settled};

/// An agent that has written one file and waits until it may write the next.
const PATIENT: [&str; 5] = [
    "write made.txt one",
    "touch ready",
    "wait-for go",
    "write late.txt two",
    "touch done",
];

struct Scene {
    home: Home,
    repo: amps_testkit::Repo,
    run: Running,
    agent: i32,
}

fn scene() -> Scene {
    scene_in(home())
}

/// Starts the patient agent and waits until it has written its first file.
fn scene_in(home: Home) -> Scene {
    let command = home.amps(["agent"]);
    scene_of(home, command)
}

fn scene_of(home: Home, command: Cmd) -> Scene {
    let repo = home.repo("work");
    home.install_agent("agent", &PATIENT);
    let run = command.cwd(repo.path()).start();
    wait::for_file(&repo.file("ready"), PATIENCE);
    let agent = wait::until("the agent as a child", PATIENCE, || {
        process::children(run.pid()).first().map(|child| child.pid)
    });
    Scene {
        home,
        repo,
        run,
        agent,
    }
}

fn final_record(home: &Home) -> Value {
    home.daemon()
        .wait_for_session("@", "to be final", PATIENCE, is_final)
}

#[test]
fn a_killed_launcher_is_noticed_at_once_and_the_survivor_is_amended() {
    let Scene {
        home,
        repo,
        run,
        agent,
    } = scene();
    run.signal(Signal::KILL);
    let record = newest(&home);
    assert_eq!(record["status"], "disconnected");
    assert_eq!(record["status_reason"], "owner-vanished");
    assert_eq!(record["evidence"]["kind"], "pidfd_exit");
    assert_eq!(changes(&record), ["A made.txt", "A ready"]);
    assert!(process::is_alive(agent), "the agent goes on");
    repo.write("go", "");
    process::wait_gone(agent, PATIENCE);
    let record = home
        .daemon()
        .wait_for_session("@", "to be amended", PATIENCE, |record| {
            record["changesets"]
                .as_array()
                .is_some_and(|sets| sets.len() == 2)
        });
    assert_eq!(
        record["status"], "disconnected",
        "a final status never changes"
    );
    let amendment = &record["changesets"][1];
    assert_eq!(amendment["amendment"], true);
    let paths = amendment["files"].as_array().unwrap();
    let paths = paths
        .iter()
        .map(|file| file["path"].as_str().unwrap())
        .collect::<Vec<_>>();
    assert_eq!(paths, ["done", "go", "late.txt"]);
    drop(run);
}

#[test]
fn a_killed_agent_aborts_its_session() {
    let Scene {
        home, run, agent, ..
    } = scene();
    process::send(agent, Signal::KILL);
    run.wait(PATIENCE).code(137);
    let record = newest(&home);
    assert_eq!(record["status"], "aborted");
    assert_eq!(record["evidence"]["kind"], "wait_status");
}

#[test]
fn a_daemon_that_died_with_the_launcher_finds_both_dead_when_it_comes_back() {
    let Scene {
        home,
        repo,
        run,
        agent,
    } = scene();
    home.daemon().kill();
    process::send(agent, Signal::KILL);
    run.signal(Signal::KILL);
    process::wait_gone(run.pid(), PATIENCE);
    repo.write("mine.txt", "written by a person while no daemon was there");
    let record = newest(&home);
    assert_eq!(record["status"], "disconnected");
    assert_eq!(record["evidence"]["kind"], "process_gone");
    assert!(changes(&record).contains(&"A made.txt".to_owned()));
}

#[test]
fn a_restarted_daemon_goes_on_with_open_sessions() {
    let Scene {
        home, repo, run, ..
    } = scene();
    let first = home.daemon().wait_alive(PATIENCE);
    home.amps(["daemon", "restart"]).run().ok();
    assert_ne!(home.daemon().wait_alive(PATIENCE), first);
    let record = home.amps(["show", "--no-wait", "--json"]).run().ok().json();
    assert_eq!(record["status"], "active");
    repo.write("go", "");
    run.wait(PATIENCE).ok();
    let record = newest(&home);
    assert_eq!(record["status"], "completed");
    assert_eq!(record["evidence"]["kind"], "wait_status");
    let events = home.amps(["log", "--json"]).run().ok().json();
    let regrants = events.as_array().unwrap().iter();
    let regrants = regrants.filter(|event| event["event"] == "lease-regranted");
    assert_eq!(regrants.count(), 1);
}

#[test]
fn a_daemon_killed_while_the_agent_runs_loses_nothing() {
    let Scene {
        home, repo, run, ..
    } = scene();
    home.daemon().kill();
    repo.write("go", "");
    run.wait(PATIENCE).ok();
    let record = newest(&home);
    assert_eq!(record["status"], "completed");
    assert!(changes(&record).contains(&"A late.txt".to_owned()));
}

/// Returns how many sockets a process has open.
fn sockets(pid: i32) -> usize {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let targets = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let of_sockets = targets.filter(|target| target.to_string_lossy().starts_with("socket:"));
    of_sockets.count()
}

#[test]
fn a_launcher_finds_the_next_daemon_long_before_its_next_beat() {
    let Scene {
        home, repo, run, ..
    } = scene();
    let with_daemon = sockets(run.pid());
    let number_of_sockets = |what: &str, number: usize| {
        wait::until(what, PATIENCE, || {
            (sockets(run.pid()) == number).then_some(())
        });
    };
    home.daemon().kill();
    number_of_sockets("the launcher to notice", with_daemon - 1);
    home.amps(["daemon", "start"]).run().ok();
    number_of_sockets("the launcher to connect again", with_daemon);
    repo.write("go", "");
    run.wait(PATIENCE).ok();
    assert_eq!(newest(&home)["status"], "completed");
}

#[test]
fn a_stopped_launcher_is_not_dead_however_long_it_is_stopped() {
    let home = home();
    let repo = home.repo("work");
    home.install_agent("agent", &PATIENT);
    let run = home
        .amps(["agent"])
        .cwd(repo.path())
        .env("AMPSM_LEASE_TTL", "1s")
        .start();
    wait::for_file(&repo.file("ready"), PATIENCE);
    home.daemon()
        .wait_for_session("@", "to be active", PATIENCE, |record| {
            record["status"] == "active"
        });
    run.signal(Signal::STOP);
    process::wait_stopped(run.pid(), PATIENCE);
    // Three times the ttl: the daemon's own clock is the named event here.
    let started = std::time::Instant::now();
    wait::until("three times the ttl", PATIENCE, || {
        (started.elapsed().as_secs() >= 3).then_some(())
    });
    let record = home.amps(["show", "--no-wait", "--json"]).run().ok().json();
    assert_eq!(record["status"], "active");
    run.signal(Signal::CONT);
    repo.write("go", "");
    run.wait(PATIENCE).ok();
    assert_eq!(newest(&home)["status"], "completed");
}

#[test]
fn a_closed_terminal_disconnects_and_the_exit_is_known() {
    let home = home();
    let repo = home.repo("work");
    home.install_agent(
        "agent",
        &[
            "trap HUP hup.txt",
            "touch ready",
            "wait-for hup.txt",
            "exit 0",
        ],
    );
    let mut terminal = home.amps(["agent"]).cwd(repo.path()).terminal();
    wait::for_file(&repo.file("ready"), PATIENCE);
    terminal.close();
    let record = final_record(&home);
    assert_eq!(record["status"], "disconnected");
    assert_eq!(record["status_reason"], "terminal-closed");
    assert_eq!(record["evidence"]["kind"], "pty_hangup");
    assert_eq!(
        record["runs"][0]["exit_code"], 0,
        "the agent's own code is known all the same"
    );
    let record = settled(&home, "@");
    assert!(changes(&record).contains(&"A hup.txt".to_owned()));
}

#[test]
fn tools_that_outlive_their_agent_are_found_and_amended() {
    let home = home();
    let repo = home.repo("work");
    let child = r#"setsid-child "touch tool-ready\nwait-for go\nwrite tool.txt made""#;
    home.install_agent("agent", &[child, "wait-for tool-ready"]);
    home.amps(["agent"]).cwd(repo.path()).run().ok();
    let record = newest(&home);
    assert_eq!(record["status"], "completed");
    assert_eq!(changes(&record), ["A tool-ready"]);
    repo.write("go", "");
    let record = home
        .daemon()
        .wait_for_session("@", "to be amended", PATIENCE, |record| {
            record["changesets"]
                .as_array()
                .is_some_and(|sets| sets.len() == 2)
        });
    let files = record["changesets"][1]["files"].as_array().unwrap();
    assert!(files.iter().any(|file| file["path"] == "tool.txt"));
}

/// A launcher in a pid namespace of its own, under a daemon that cannot look at it there.
struct Elsewhere {
    scene: Scene,
    launcher: i32,
}

fn elsewhere(home: Home, ttl: &str) -> Elsewhere {
    home.amps(["daemon", "start"]).run().ok();
    // The shell is the first process there: it outlives the launcher.
    let inside = [r#""$AMPS" agent; exit $?"#];
    let words = ["--map-root-user", "--pid", "--fork", "--mount-proc"];
    let command = home.command("unshare", words).args(["sh", "-c"]);
    let command = command.args(inside).env("AMPS", AMPS);
    let scene = scene_of(home, command.env("AMPSM_LEASE_TTL", ttl));
    let command = format!("{AMPS} agent");
    let launcher = wait::until("the launcher", PATIENCE, || {
        let mut processes = scene.home.processes().into_iter();
        processes.find(|stat| process::command_line(stat.pid) == command)
    });
    Elsewhere {
        scene,
        launcher: launcher.pid,
    }
}

/// Takes from everybody what tells whether a launcher holds its lock.
fn remove_lease_locks(home: &Home) {
    let folder = home.config_dir().join("leases");
    let mut removed = 0;
    for entry in fs::read_dir(folder).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
        removed += 1;
    }
    assert_eq!(removed, 1);
}

#[test]
fn an_owner_in_another_namespace_lives_as_long_as_its_lock_is_held() {
    let Elsewhere { scene, launcher } = elsewhere(home(), "1s");
    process::send(launcher, Signal::STOP);
    process::wait_stopped(launcher, PATIENCE);
    let started = std::time::Instant::now();
    wait::until("twice the ttl", PATIENCE, || {
        (started.elapsed().as_secs() >= 2).then_some(())
    });
    let show = scene.home.amps(["show", "--no-wait", "--json"]);
    assert_eq!(show.run().ok().json()["status"], "active");
    process::send(launcher, Signal::KILL);
    let record = newest(&scene.home);
    assert_eq!(record["status"], "disconnected");
    assert_eq!(record["status_reason"], "owner-vanished");
    assert_eq!(record["evidence"]["kind"], "lock_released");
    assert_eq!(changes(&record), ["A made.txt", "A ready"]);
}

#[test]
fn where_not_even_the_lock_tells_the_ttl_decides() {
    let Elsewhere { scene, launcher } = elsewhere(home(), "1s");
    remove_lease_locks(&scene.home);
    let started = std::time::Instant::now();
    wait::until("twice the ttl", PATIENCE, || {
        (started.elapsed().as_secs() >= 2).then_some(())
    });
    let show = scene.home.amps(["show", "--no-wait", "--json"]);
    assert_eq!(show.run().ok().json()["status"], "active", "it gives beats");
    process::send(launcher, Signal::KILL);
    let record = newest(&scene.home);
    assert_eq!(record["status"], "disconnected");
    assert_eq!(record["status_reason"], "lease-expired");
    assert_eq!(record["evidence"]["kind"], "lease_expired");
}

#[cfg(feature = "testing")]
mod with_set_clocks {
    use super::*;

    fn set(home: &Home, offsets: &str) {
        let path = home.path("clock");
        let staged = home.path("clock.new");
        let write = |path: &std::path::Path| {
            use std::io::Write as _;
            fs::File::create(path).and_then(|mut file| file.write_all(offsets.as_bytes()))
        };
        write(&staged).unwrap();
        fs::rename(&staged, &path).unwrap();
    }

    fn scene_with_clock() -> Scene {
        let mut home = home();
        let clock = home.path("clock");
        home.set_env("AMPSM_TEST_CLOCK", &clock);
        scene_in(home)
    }

    #[test]
    fn after_a_restart_of_the_machine_every_open_session_is_disconnected_by_proof() {
        let Scene {
            home, run, agent, ..
        } = scene_with_clock();
        home.daemon().kill();
        run.signal(Signal::KILL);
        process::send(agent, Signal::KILL);
        let uptime = fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let since_boot = -(uptime * 1_000.0).floor();
        set(
            &home,
            &format!(r#"{{"boot_id": "another-boot", "uptime_ms": {since_boot}}}"#),
        );
        let record = newest(&home);
        assert_eq!(record["status"], "disconnected");
        assert_eq!(record["status_reason"], "machine-restarted");
        assert_eq!(record["evidence"]["kind"], "boot_id_changed");
        assert!(changes(&record).contains(&"A made.txt".to_owned()));
    }

    #[test]
    fn a_machine_that_slept_has_killed_nobody() {
        let Scene {
            home, repo, run, ..
        } = scene_with_clock();
        set(&home, r#"{"uptime_ms": 36000000}"#);
        let record = home.amps(["show", "--no-wait", "--json"]).run().ok().json();
        assert_eq!(record["status"], "active");
        repo.write("go", "");
        run.wait(PATIENCE).ok();
        assert_eq!(newest(&home)["status"], "completed");
    }

    #[test]
    fn a_lease_that_needs_beats_has_one_fresh_ttl_after_a_sleep() {
        let mut home = home();
        let clock = home.path("clock");
        home.set_env("AMPSM_TEST_CLOCK", &clock);
        let Elsewhere { scene, launcher } = elsewhere(home, "5s");
        remove_lease_locks(&scene.home);
        process::send(launcher, Signal::KILL);
        process::wait_gone(launcher, PATIENCE);
        let woken = std::time::SystemTime::now();
        set(&scene.home, r#"{"uptime_ms": 36000000}"#);
        let record = newest(&scene.home);
        assert_eq!(record["evidence"]["kind"], "lease_expired");
        let observed = record["evidence"]["observed_at"]["at"].as_str().unwrap();
        let observed: jiff::Timestamp = observed.parse().unwrap();
        let since = observed.duration_since(jiff::Timestamp::try_from(woken).unwrap());
        assert!(since.as_secs() >= 5, "ended {since} after the sleep");
    }

    #[test]
    fn a_clock_set_back_makes_no_end_precede_its_start() {
        let Scene {
            home, repo, run, ..
        } = scene_with_clock();
        set(&home, r#"{"wall_ms": -86400000}"#);
        repo.write("go", "");
        run.wait(PATIENCE).ok();
        let record = newest(&home);
        assert_eq!(record["status"], "completed");
        let time = |key: &str| record[key].as_str().unwrap().to_owned();
        assert!(time("ended_at") >= time("started_at"), "{record}");
        let seconds = record["runs"][0]["duration"].as_f64().unwrap();
        assert!((0.0..60.0).contains(&seconds), "{seconds}");
    }
}
