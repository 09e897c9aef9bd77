//! Checkpoints seen from named points. The daemon killed at every named point while checkpoints are taken and let go: afterwards git has
//! what the records say, and nothing that was kept is lost.

#![cfg(feature = "testing")]

use amps_testkit::{Home, PATIENCE, Repo};
use serde_json::Value;

use crate::checkpoints::{assert_consistent, listed, wait_for};
use crate::record::{AMPS, changes, home, newest, settled};

/// Has an agent take two checkpoints, of which only one is kept, and kills the daemon when it stands
/// at the point for the second of them.
fn killed_at(point: &str) -> (Home, Repo) {
    let mut home = home();
    home.set_env("AMPSM_CHECKPOINT_MAX", "1");
    let repo = home.repo("work");
    let again = format!("run {AMPS} checkpoint");
    let script = ["write a.txt one", &again, "wait-for go", "write a.txt last"];
    home.install_agent("agent", &script);
    let run = home.amps(["agent"]).cwd(repo.path()).start();
    wait_for(&home, "@", 1);
    home.amps(["daemon", "stop"]).run().ok();
    let pause = home.pause_point(point);
    home.amps(["daemon", "start"]).pause_at(&pause).run().ok();
    repo.write("a.txt", "two");
    let asked = home.amps(["checkpoint", "@"]).start();
    pause.wait_reached(PATIENCE);
    home.daemon().kill();
    // It may find the next daemon, or none.
    drop(asked.wait(PATIENCE));
    pause.release();
    home.amps(["daemon", "start"]).run().ok();
    assert_consistent(&home, &repo);
    repo.write("go", "");
    run.wait(PATIENCE).ok();
    assert_eq!(changes(&settled(&home, "@")), ["A a.txt", "A go"]);
    assert_consistent(&home, &repo);
    (home, repo)
}

#[track_caller]
fn numbers(home: &Home) -> Vec<u64> {
    let listed = listed(home, "@");
    listed
        .iter()
        .map(|one| one["number"].as_u64().unwrap())
        .collect()
}

#[test]
fn before_it_is_kept() {
    let (home, repo) = killed_at("checkpoint-intended");
    assert_eq!(numbers(&home), [1]);
    let restore = home.amps(["restore", "@", "--at", "1", "a.txt"]);
    drop(restore.cwd(repo.path()).run().ok());
    assert_eq!(repo.read("a.txt"), "one");
}

#[test]
fn after_it_is_kept_and_before_anybody_says_so() {
    let (home, repo) = killed_at("checkpoint-kept");
    assert_eq!(numbers(&home), [2], "it is found, and the first makes room");
    let restore = home.amps(["restore", "@", "--at", "2", "a.txt"]);
    drop(restore.cwd(repo.path()).run().ok());
    assert_eq!(repo.read("a.txt"), "two");
}

#[test]
fn after_it_is_stored_and_before_the_others_are_let_go() {
    let (home, _repo) = killed_at("checkpoint-stored");
    assert_eq!(numbers(&home), [2]);
}

#[test]
fn after_the_others_are_let_go_and_before_they_are_forgotten() {
    let (home, _repo) = killed_at("checkpoint-let-go");
    assert_eq!(numbers(&home), [2]);
}

#[test]
fn the_end_is_captured_beside_a_checkpoint_that_is_under_way() {
    let home = home();
    let repo = home.repo("work");
    let pause = home.pause_point("checkpoint-kept");
    home.install_agent(
        "agent",
        &["write a.txt one", "wait-for go", "write a.txt last"],
    );
    home.amps(["daemon", "start"]).pause_at(&pause).run().ok();
    let run = home.amps(["agent"]).cwd(repo.path()).start();
    home.daemon()
        .wait_for_session("@", "to run", PATIENCE, |record| {
            record["runs"][0]["capture"]["base"] == "done" && repo.file("a.txt").exists()
        });
    let asked = home.amps(["checkpoint", "@"]).start();
    pause.wait_reached(PATIENCE);
    repo.write("go", "");
    run.wait(PATIENCE).ok();
    assert_eq!(changes(&newest(&home)), ["A a.txt", "A go"]);
    pause.release();
    asked.wait(PATIENCE).ok();
    assert_eq!(numbers(&home), [1]);
    assert_consistent(&home, &repo);
}

#[test]
fn by_time_a_changed_tree_is_kept_and_an_unchanged_one_is_not() {
    let mut home = home();
    home.set_env("AMPSM_CHECKPOINT_EVERY", "20ms");
    let repo = home.repo("work");
    let pause = home.pause_point("checkpoint-unchanged");
    home.install_agent("agent", &["wait-for go"]);
    let run = home
        .amps(["agent"])
        .cwd(repo.path())
        .pause_at(&pause)
        .start();
    pause.wait_reached(PATIENCE);
    pause.release();
    assert_eq!(listed(&home, "@"), Vec::<Value>::new());
    repo.write("a.txt", "one");
    let found = wait_for(&home, "@", 1);
    assert_eq!(
        (&found[0]["number"], &found[0]["cause"]),
        (&1.into(), &"time".into())
    );
    assert_eq!(found[0]["files"], 1);
    repo.write("go", "");
    run.wait(PATIENCE).ok();
    settled(&home, "@");
    assert_consistent(&home, &repo);
}
