//! Agents in their full-screen form.

use amps_testkit::Exit;

use crate::agent::Agent;
use crate::lab::{AGENT_PATIENCE, EDITS, Lab, Under};
use crate::leftovers::Leftovers;
use crate::record::{changes, newest};

/// Has the agent do its edits and leaves it; returns its exit and what it left on the terminal.
#[track_caller]
fn play(lab: &Lab, under: Under) -> (Exit, Leftovers) {
    let mut terminal = lab.open(under);
    lab.edit(&mut terminal);
    lab.agent.quit(&mut terminal);
    let exit = terminal.wait_exit(AGENT_PATIENCE);
    (exit, Leftovers::of(&terminal))
}

#[track_caller]
fn its_edits_and_nothing_else_are_recorded(agent: Agent) {
    let lab = Lab::new(agent);
    let (exit, left) = play(&lab, Under::Amps);
    assert_eq!(exit, Exit::Code(0));
    assert!(left.is_tidy(), "{left:?}");
    let record = newest(&lab.home);
    assert_eq!(record["agent"], agent.name());
    assert_eq!(record["status"], "completed");
    assert_eq!(record["evidence"]["kind"], "wait_status");
    assert_eq!(record["runs"][0]["exit_code"], 0);
    assert_eq!(changes(&record), EDITS);
    for file in record["changesets"][0]["files"].as_array().unwrap() {
        assert_eq!(file["additions"], 1, "{file}");
        assert_eq!(file["deletions"], i32::from(file["path"] == "README.md"));
    }
    assert_eq!(record["changesets"].as_array().unwrap().len(), 1);
    assert_eq!(
        lab.repo.git(["status", "--short"]),
        " M README.md\n?? greeting.txt\n?? mine.txt"
    );
}

#[track_caller]
fn the_terminal_is_left_as_without_us(agent: Agent) {
    let bare = play(&Lab::new(agent), Under::Nothing);
    let launched = play(&Lab::new(agent), Under::Amps);
    assert_eq!(launched, bare);
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn the_edits_of_claude_and_nothing_else_are_recorded() {
    its_edits_and_nothing_else_are_recorded(Agent::Claude);
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn the_edits_of_codex_and_nothing_else_are_recorded() {
    its_edits_and_nothing_else_are_recorded(Agent::Codex);
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn claude_leaves_the_terminal_as_without_us() {
    the_terminal_is_left_as_without_us(Agent::Claude);
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn codex_leaves_the_terminal_as_without_us() {
    the_terminal_is_left_as_without_us(Agent::Codex);
}
