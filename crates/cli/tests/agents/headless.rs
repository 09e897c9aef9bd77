//! Agents in the form that scripts use.

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::lab::{EDIT, EDITED, EDITS, Lab, Under};
use crate::record::{changes, newest};

/// Returns the lines that an agent wrote, each of which is one JSON value.
#[track_caller]
fn lines(stdout: &str) -> Vec<Value> {
    let lines = stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Returns what each line is about. How many lines tell the same is up to the time they take.
fn kinds(lines: &[Value]) -> Vec<String> {
    let kinds = lines.iter().map(|line| line["type"].to_string());
    let mut kinds: Vec<String> = kinds.collect();
    kinds.dedup();
    kinds
}

#[track_caller]
fn its_output_is_its_own_and_its_edits_are_recorded(agent: Agent) {
    let args = agent.headless_args(EDIT);
    let bare = Lab::new(agent);
    let bare = bare.command(Under::Nothing, &args).run().ok();
    let lab = Lab::new(agent);
    let launched = lab.command(Under::Amps, &args).run().ok();

    let said = lines(&launched.stdout_text());
    assert_eq!(kinds(&said), kinds(&lines(&bare.stdout_text())));
    assert!(launched.stdout_text().contains(EDITED));
    assert_eq!(launched.stderr_text(), bare.stderr_text());

    let record = newest(&lab.home);
    assert_eq!(record["status"], "completed");
    assert_eq!(record["evidence"]["kind"], "wait_status");
    assert_eq!(changes(&record), EDITS);
    let command = [&[agent.name()], args.as_slice()].concat();
    assert_eq!(record["agent_command"], json!(command));
}

#[track_caller]
fn its_failure_comes_back(agent: Agent, args: &[&str], code: i32) {
    let lab = Lab::new(agent);
    let bare = lab.command(Under::Nothing, args).run().code(code);
    let launched = lab.command(Under::Amps, args).run().code(code);
    assert_eq!(launched.stderr_text(), bare.stderr_text());
    let record = newest(&lab.home);
    assert_eq!(record["status"], "aborted");
    assert_eq!(record["status_reason"], "exited-non-zero");
    assert_eq!(record["runs"][0]["exit_code"], code);
    assert_eq!(record["changesets"], json!([]));
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn what_claude_prints_is_its_own_and_its_edits_are_recorded() {
    its_output_is_its_own_and_its_edits_are_recorded(Agent::Claude);
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn what_codex_prints_is_its_own_and_its_edits_are_recorded() {
    its_output_is_its_own_and_its_edits_are_recorded(Agent::Codex);
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn the_failure_of_claude_comes_back() {
    // A conversation that nobody had.
    let id = "11111111-2222-4333-8444-555555555555";
    its_failure_comes_back(Agent::Claude, &["--resume", id, "-p", EDIT], 1);
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn the_failure_of_codex_comes_back() {
    its_failure_comes_back(Agent::Codex, &["exec", "--no-such-option", EDIT], 2);
}
