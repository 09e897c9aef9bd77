//! Real agents iterate in worktrees: two turns of one conversation, each a commit of its own.

use std::path::Path;

use amps_testkit::{Home, Repo};
use serde_json::Value;

use crate::lab::{AGENT_PATIENCE, EDIT, MORE, prepare, requests};
use crate::record::AMPS;
use crate::unattended::counted;

#[track_caller]
fn two_iterations_are_one_conversation(name: &'static str) {
    let home = Home::with_amps(AMPS);
    let repo = home.repo("work");
    let (_model, variables) = prepare(&home, name, &repo);
    let amps = |words: &[&str]| {
        let command = home
            .amps(words)
            .cwd(repo.path())
            .deadline(3 * AGENT_PATIENCE);
        let given = variables.iter();
        given.fold(command, |command, (name, value)| command.env(name, value))
    };
    let script = "test -f greeting.txt";
    let new = [
        "new", "--agent", name, "--prompt", EDIT, "--script", script, "--json",
    ];
    let made = amps(&new).run().ok().json();
    let id = made["session_id"].as_str().unwrap();
    let tree = Repo::at(&home, Path::new(made["worktree"].as_str().unwrap()));
    amps(&["iterate", id]).run().ok();
    amps(&["iterate", id, "--prompt", MORE]).run().ok();

    assert_eq!(tree.read("greeting.txt"), "hello\n");
    assert_eq!(tree.read("README.md"), "two\n");
    assert_eq!(tree.read("more.txt"), "more\n");
    assert_eq!(tree.git(["status", "--porcelain"]), "");
    assert!(!repo.file("greeting.txt").exists(), "only in the worktree");
    let range = format!("{}..HEAD", repo.head());
    let subjects = tree.git(["log", "--format=%s", &range]);
    assert_eq!(subjects, format!("amp: {MORE}\namp: {EDIT}"));

    let record = amps(&["show", id, "--json"]).run().ok().json();
    let iterations = record["iterations"].as_array().unwrap();
    assert_eq!(iterations.len(), 2);
    assert!(iterations[0]["thread_id"].is_string(), "{record:#}");
    assert_eq!(iterations[0]["thread_id"], iterations[1]["thread_id"]);
    assert_eq!(iterations[0]["tool_calls"].as_array().unwrap().len(), 3);
    let requests = requests(&home);
    for (iteration, play) in iterations.iter().zip([EDIT, MORE]) {
        let counted = serde_json::to_value(counted(&requests, play)).unwrap();
        for tokens in ["input_tokens", "output_tokens", "cache_read_tokens"] {
            assert_eq!(
                iteration["usage"][tokens], counted[tokens],
                "{play} {tokens}"
            );
        }
    }
    let asked = requests.iter().find(|request| request["play"] == MORE);
    let model = &asked.unwrap()["model"];
    if name != "opencode" {
        assert_eq!(iterations[1]["model"], *model);
    }
    let runs = record["runs"].as_array().unwrap();
    assert!(
        runs.iter()
            .all(|run| run["status"] == Value::from("completed"))
    );
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn two_iterations_of_claude_are_one_conversation() {
    two_iterations_are_one_conversation("claude");
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn two_iterations_of_codex_are_one_conversation() {
    two_iterations_are_one_conversation("codex");
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn two_iterations_of_gemini_are_one_conversation() {
    two_iterations_are_one_conversation("gemini");
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn two_iterations_of_opencode_are_one_conversation() {
    two_iterations_are_one_conversation("opencode");
}
