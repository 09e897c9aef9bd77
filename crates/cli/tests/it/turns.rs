//! Turns that are heard of by an agent's transcript.

#![cfg(feature = "testing")]

use amps_testkit::{Home, PATIENCE, Repo, Running, wait};
use serde_json::{Value, json};

use crate::checkpoints::{listed, wait_for};
use crate::record::{AMPS, home, settled};

/// Returns a line of a script that appends this record to a file.
fn append(file: &str, record: &Value) -> String {
    let text = record.to_string().replace('"', "\\\"");
    format!("append {file} \"{text}\\n\"")
}

/// An agent that works for two turns, waits after each, and notes them in its transcript.
fn two_turns(file: &str, noise: &Value, end: &dyn Fn(u32) -> Value) -> Vec<String> {
    vec![
        append(file, noise),
        "write a.txt one".to_owned(),
        append(file, &end(1)),
        "wait-for second".to_owned(),
        append(file, noise),
        "write a.txt two".to_owned(),
        append(file, &end(2)),
        "wait-for go".to_owned(),
    ]
}

/// Starts an agent, which does nothing until its transcript is listened to: a real one has its first
/// answer later than that.
fn start(name: &str, home: &Home, repo: &Repo, script: &[String]) -> Running {
    let script = script.iter().map(String::as_str);
    let script: Vec<&str> = ["wait-for begin"].into_iter().chain(script).collect();
    home.install_agent(name, &script);
    let pause = home.pause_point("turns-followed");
    let run = home.amps([name]).cwd(repo.path()).pause_at(&pause);
    let run = run.start();
    pause.wait_reached(PATIENCE);
    pause.release();
    repo.write("begin", "");
    run
}

fn run_two_turns(name: &str, home: &Home, repo: &Repo, script: &[String]) {
    let run = start(name, home, repo, script);
    wait_for(home, "@", 1);
    repo.write("second", "");
    let found = wait_for(home, "@", 2);
    repo.write("go", "");
    run.wait(PATIENCE).ok();
    settled(home, "@");
    assert_eq!(listed(home, "@").len(), 2, "two turns and no more");
    assert!(found.iter().all(|one| one["cause"] == "turn"), "{found:#?}");
    drop(
        home.amps(["restore", "@", "--at", "1", "a.txt"])
            .cwd(repo.path())
            .run()
            .ok(),
    );
    assert_eq!(repo.read("a.txt"), "one");
    let log = home.amps(["log"]).run().ok().stdout_text();
    assert!(log.contains("the agent ended turn 2\n"), "{log}");
    assert!(!log.contains("turn 3"), "{log}");
}

/// Returns the folder of Claude's transcripts of a repository.
fn projects(home: &Home, repo: &Repo) -> String {
    let dashed: String = repo
        .path()
        .to_str()
        .unwrap()
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() {
                character
            } else {
                '-'
            }
        })
        .collect();
    format!("{}/.claude/projects/{dashed}", home.home_dir().display())
}

fn answer(repo: &Repo, id: &str, stop_reason: &str) -> Value {
    json!({
        "type": "assistant",
        "isSidechain": false,
        "cwd": repo.path(),
        "message": {"id": id, "role": "assistant", "stop_reason": stop_reason, "content": []},
    })
}

#[test]
fn turns_of_claude_are_heard_in_its_transcript() {
    let home = home();
    let repo = home.repo("work");
    let folder = projects(&home, &repo);
    let file = format!("{folder}/conversation.jsonl");
    let noise = answer(&repo, "m0", "tool_use");
    let mut script = vec![format!("mkdir {folder}")];
    script.extend(two_turns(&file, &noise, &|turn| {
        answer(&repo, &format!("m{turn}"), "end_turn")
    }));
    run_two_turns("claude", &home, &repo, &script);
}

#[test]
fn turns_of_a_resumed_codex_are_heard_in_its_old_transcript() {
    let mut home = home();
    let root = home.path("codex home");
    home.set_env("CODEX_HOME", &root);
    let repo = home.repo("work");
    let name = "sessions/2026/01/31/rollout-2026-01-31T10-00-00-x.jsonl";
    let context = json!({"type": "turn_context", "payload": {"cwd": repo.path()}});
    let end = |turn: u32| json!({"type": "event_msg", "payload": {"type": "task_complete", "turn_id": turn}});
    // What it did before is not of this session.
    let past = format!("{context}\n{}\n", end(0));
    Repo::at(&home, &root).write(name, past);
    let file = root.join(name);
    let script = two_turns(&format!("\"{}\"", file.display()), &context, &end);
    run_two_turns("codex", &home, &repo, &script);
}

#[test]
fn a_turn_that_is_told_twice_is_one_turn() {
    let home = home();
    let repo = home.repo("work");
    let folder = projects(&home, &repo);
    let file = format!("{folder}/conversation.jsonl");
    let hook = format!("run {AMPS} checkpoint --turn");
    let turn = |id| append(&file, &answer(&repo, id, "end_turn"));
    let script = [
        format!("mkdir {folder}"),
        "write a.txt one".to_owned(),
        turn("m1"),
        "wait-for heard".to_owned(),
        hook.clone(),
        "write a.txt two".to_owned(),
        turn("m2"),
        hook,
        "wait-for go".to_owned(),
    ];
    let run = start("claude", &home, &repo, &script);
    wait_for(&home, "@", 1);
    repo.write("heard", "");
    wait_for(&home, "@", 2);
    repo.write("go", "");
    run.wait(PATIENCE).ok();
    settled(&home, "@");
    assert_eq!(listed(&home, "@").len(), 2);
}

#[test]
fn what_is_done_while_a_transcript_is_about_to_be_read_is_of_the_turn() {
    let home = home();
    let repo = home.repo("work");
    let folder = projects(&home, &repo);
    let file = format!("{folder}/conversation.jsonl");
    let script = [
        "wait-for begin".to_owned(),
        format!("mkdir {folder}"),
        append(&file, &answer(&repo, "m0", "tool_use")),
        "wait-for told".to_owned(),
        "write a.txt one".to_owned(),
        append(&file, &answer(&repo, "m1", "end_turn")),
        "write written yes".to_owned(),
        "wait-for go".to_owned(),
    ];
    home.install_agent("claude", &script.each_ref().map(String::as_str));
    let [followed, told] = ["turns-followed", "turns-told"].map(|name| home.pause_point(name));
    let run = home.amps(["claude"]).cwd(repo.path()).pause_at(&told);
    let run = run
        .env("AMPSM_TEST_PAUSE", "turns-followed,turns-told")
        .start();
    followed.wait_reached(PATIENCE);
    followed.release();
    repo.write("begin", "");
    told.wait_reached(PATIENCE);
    repo.write("told", "");
    wait::for_text(&repo.file("written"), "yes", PATIENCE);
    told.release();
    wait_for(&home, "@", 1);
    let names = home.amps(["diff", "@", "--at", "1", "--name-only", "--", "a.txt"]);
    assert_eq!(names.cwd(repo.path()).run().ok().stdout_text(), "a.txt\n");
    repo.write("go", "");
    run.wait(PATIENCE).ok();
}
