//! Turns of agents, heard of by the transcripts that they keep.

use amps_testkit::wait;
use serde_json::Value;

use crate::agent::Agent;
use crate::lab::{AGENT_PATIENCE, Lab, MORE, Under, WRITTEN, ask, wait_for_text};
use crate::record::newest;

/// Waits until the newest session has so many checkpoints, and returns their causes.
#[track_caller]
fn causes(lab: &Lab, count: usize) -> Vec<String> {
    let what = format!("{count} checkpoints");
    wait::until(what, AGENT_PATIENCE, || {
        let listed = lab.home.amps(["checkpoints", "--json"]).run();
        let listed: Vec<Value> = serde_json::from_slice(&listed.stdout).ok()?;
        let causes = listed.iter().filter_map(|one| one["cause"].as_str());
        (listed.len() >= count).then(|| causes.map(str::to_owned).collect())
    })
}

#[track_caller]
fn each_turn_is_a_checkpoint(agent: Agent) {
    let lab = Lab::new(agent);
    let mut terminal = lab.open(Under::Amps);
    lab.edit(&mut terminal);
    assert_eq!(causes(&lab, 1), ["turn"]);
    ask(&mut terminal, MORE);
    wait_for_text(&terminal, WRITTEN);
    assert_eq!(causes(&lab, 2), ["turn", "turn"]);
    lab.wait_ready(&terminal);
    lab.agent.quit(&mut terminal);
    terminal.wait_exit(AGENT_PATIENCE);
    newest(&lab.home);
    assert_eq!(causes(&lab, 2), ["turn", "turn"]);
    let names = |at: &str| {
        let diff = lab.home.amps(["diff", "--name-only", "--at", at]);
        diff.cwd(lab.repo.path()).run().ok().stdout_text()
    };
    assert_eq!(names("1"), "README.md\ngreeting.txt\n");
    assert_eq!(names("1..2"), "more.txt\n");
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn each_turn_of_claude_is_a_checkpoint() {
    each_turn_is_a_checkpoint(Agent::Claude);
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn each_turn_of_codex_is_a_checkpoint() {
    each_turn_is_a_checkpoint(Agent::Codex);
}
