//! Iterations that are stopped, left or lost, and what of them is written down.

use amps_testkit::{PATIENCE, Signal, process, wait};
use serde_json::Value;

use crate::worktree_iterate::{WAITS, scene};

/// An agent that does not end when it is told to.
const STUBBORN: &str = "trap '' TERM; cat > asked.txt; touch ready; while :; do sleep 0.01; done";

#[test]
fn stopping_ends_an_agent_that_does_not_want_to() {
    let scene = scene(STUBBORN, &[]);
    let run = scene.home.amps(["iterate", &scene.id]);
    let run = run.env("AMPSM_AGENT_GRACE", "300ms").start();
    wait::for_file(&scene.tree.file("ready"), PATIENCE);
    let stop = scene
        .home
        .amps(["stop", &scene.id])
        .env("AMPSM_AGENT_GRACE", "300ms");
    stop.run().ok();
    drop(run.wait(PATIENCE).code(1));
    assert_eq!(scene.last()["verdict"], "stopped");
    assert_ne!(scene.last()["commit"], Value::Null);
}

#[test]
fn no_iteration_begins_while_the_agent_of_a_lost_one_works() {
    let scene = scene(STUBBORN, &[]);
    let run = scene.home.amps(["iterate", &scene.id]).start();
    wait::for_file(&scene.tree.file("ready"), PATIENCE);
    let runner = scene.last()["runner"]["pid"].as_i64().unwrap();
    process::send(i32::try_from(runner).unwrap(), Signal::KILL);
    scene.settle();
    drop(run.wait(PATIENCE).code(1));
    let refused = scene.home.amps(["iterate", &scene.id]).run().code(13);
    let text = refused.stderr_text();
    assert!(
        text.contains("what iteration 1 started still runs: pid"),
        "{text}"
    );
    scene
        .home
        .amps(["stop", &scene.id, "--grace", "100ms"])
        .run()
        .ok();
    scene
        .home
        .install_script("mine", "#!/bin/sh\ncat > /dev/null\n");
    scene.home.amps(["iterate", &scene.id]).run().ok();
}

#[test]
fn after_a_stop_no_further_iteration_begins() {
    let scene = scene(WAITS, &[]);
    let run = scene
        .home
        .amps(["iterate", &scene.id, "--count", "5"])
        .start();
    wait::for_file(&scene.tree.file("ready"), PATIENCE);
    scene.home.amps(["stop", &scene.id]).run().ok();
    drop(run.wait(PATIENCE).code(1));
    assert_eq!(scene.record()["iterations"].as_array().unwrap().len(), 1);
    assert_eq!(scene.record()["status"], "awaiting-input");
}

#[test]
fn an_iteration_that_cannot_begin_after_others_is_told() {
    let scene = scene("cat > asked.txt", &["--script", "git checkout -q --detach"]);
    let output = scene
        .home
        .amps(["iterate", &scene.id, "--count", "3"])
        .run()
        .code(13);
    assert!(
        output.stdout_text().contains("iteration 1: passed"),
        "{}",
        output.text()
    );
    assert!(
        output.stderr_text().contains("a commit of no branch"),
        "{}",
        output.text()
    );
}

#[test]
fn a_lock_that_a_killed_git_left_does_not_keep_work_from_being_committed() {
    let agent = "cat > asked.txt; touch \"$(git rev-parse --git-dir)/index.lock\"";
    let scene = scene(agent, &[]);
    scene.home.amps(["iterate", &scene.id]).run().ok();
    assert_eq!(scene.subjects(), ["amp: Make it better"]);
}

#[test]
fn no_secret_of_a_prompt_is_written_anywhere() {
    let scene = scene("cat > asked.txt", &[]);
    let secret = format!("ghp_{}", "0123456789abcdefghijABCDEFGHIJ012345");
    let prompt = format!("please deploy it with the token {secret} and tell me");
    let words = [
        "iterate", &scene.id, "--prompt", &prompt, "--notes", &secret,
    ];
    scene.home.amps(words).run().ok();
    // The agent is told what it was asked.
    assert!(scene.tree.read("asked.txt").contains(&secret));
    let half = &secret[..20];
    let journal = scene
        .home
        .config_dir()
        .join("iterations")
        .join(&scene.id)
        .join("1.jsonl");
    assert!(!std::fs::read_to_string(journal).unwrap().contains(half));
    assert!(!scene.record().to_string().contains(half));
    assert!(
        !scene.subjects()[0].contains(half),
        "{:?}",
        scene.subjects()
    );
    let new = ["new", "--agent", "mine", "--prompt", &prompt];
    let refused = scene.home.amps(new).cwd(scene.repo.path()).run().code(2);
    assert!(
        refused.stderr_text().contains("looks like a secret"),
        "{}",
        refused.text()
    );
}

#[test]
fn leaving_an_iteration_with_ctrl_c_says_how_to_come_back() {
    let scene = scene(WAITS, &[]);
    let mut terminal = scene.home.amps(["iterate", &scene.id]).terminal();
    wait::for_file(&scene.tree.file("ready"), PATIENCE);
    terminal.wait_for_text("mine runs");
    terminal.send(amps_testkit::ctrl('c'));
    assert_eq!(terminal.wait_exit(PATIENCE), amps_testkit::Exit::Code(130));
    assert!(
        terminal.contents().contains("it goes on"),
        "{}",
        terminal.contents()
    );
    let joined = scene.home.amps(["iterate", &scene.id, "--join"]).start();
    scene.tree.write("go", "");
    drop(joined.wait(PATIENCE).ok());
    assert_eq!(scene.last()["verdict"], "passed");
    scene
        .home
        .amps(["iterate", &scene.id, "--join"])
        .run()
        .code(13);
}
