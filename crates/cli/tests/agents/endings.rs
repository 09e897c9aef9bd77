//! Agents that do not end by themselves, and the tools that some of them leave behind.

use amps_testkit::{Exit, PATIENCE, Signal, Terminal, ctrl, process, wait};
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::lab::{AGENT_PATIENCE, Lab, Under, wait_for_text};
use crate::leftovers::Leftovers;
use crate::record::{changes, newest};

/// Returns the pid of the agent that runs under the program on a terminal.
#[track_caller]
fn agent_of(terminal: &Terminal) -> i32 {
    wait::until("the agent as a child", PATIENCE, || {
        process::children(terminal.pid())
            .first()
            .map(|child| child.pid)
    })
}

/// Lets the tool that outlived its agent go on, and returns the record once it is amended.
#[track_caller]
fn amended(lab: &Lab) -> Value {
    assert_eq!(changes(&newest(&lab.home)), ["A begun.txt"]);
    lab.repo.write("go.txt", "");
    let record = lab
        .home
        .daemon()
        .wait_for_session("@", "to be amended", PATIENCE, |record| {
            record["changesets"]
                .as_array()
                .is_some_and(|sets| sets.len() == 2)
        });
    let amendment = &record["changesets"][1];
    assert_eq!(amendment["amendment"], true);
    let files = amendment["files"].as_array().unwrap().iter();
    let paths: Vec<&Value> = files.map(|file| &file["path"]).collect();
    assert_eq!(json!(paths), json!(["go.txt", "late.txt"]));
    record
}

/// Sends a signal to the agent while its tool runs, and returns what came back and what was left
/// on the terminal.
#[track_caller]
fn killed(lab: &Lab, under: Under, signal: Signal) -> (Exit, Leftovers) {
    let mut terminal = lab.open(under);
    lab.start_tool(&mut terminal);
    match under {
        Under::Amps => process::send(agent_of(&terminal), signal),
        Under::Nothing => terminal.signal(signal),
    }
    let exit = terminal.wait_exit(AGENT_PATIENCE);
    (exit, Leftovers::of(&terminal))
}

/// Kills an agent without us, to see what it leaves on the terminal.
#[track_caller]
fn killed_bare(agent: Agent, signal: Signal) -> Leftovers {
    let lab = Lab::new(agent);
    let (_, left) = killed(&lab, Under::Nothing, signal);
    lab.home.end_all();
    left
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn claude_told_to_end_takes_its_tools_with_it() {
    let lab = Lab::new(Agent::Claude);
    let (exit, left) = killed(&lab, Under::Amps, Signal::TERM);
    assert_eq!(exit, Exit::Code(143));
    assert!(left.is_tidy(), "{left:?}");
    let record = newest(&lab.home);
    assert_eq!(record["status"], "aborted");
    assert_eq!(record["status_reason"], "exited-non-zero");
    assert_eq!(record["evidence"]["kind"], "wait_status");
    assert_eq!(record["runs"][0]["exit_code"], 143);
    assert_eq!(changes(&record), ["A begun.txt"]);
}

#[track_caller]
fn a_killed_agent_leaves_a_tool_that_is_amended(agent: Agent, signal: Signal) {
    let lab = Lab::new(agent);
    let (exit, left) = killed(&lab, Under::Amps, signal);
    assert_eq!(exit, Exit::Code(128 + signal.as_raw()));
    let bare = killed_bare(agent, signal);
    assert_eq!(left.of_killed(), bare.of_killed(), "as without us");
    let record = amended(&lab);
    assert_eq!(record["status"], "aborted");
    assert_eq!(record["status_reason"], "killed-by-signal");
    assert_eq!(record["evidence"]["kind"], "wait_status");
    assert_eq!(record["runs"][0]["exit_signal"], signal.as_raw());
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn a_tool_outlives_claude_that_was_killed() {
    a_killed_agent_leaves_a_tool_that_is_amended(Agent::Claude, Signal::KILL);
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn a_tool_outlives_codex_that_was_told_to_end() {
    a_killed_agent_leaves_a_tool_that_is_amended(Agent::Codex, Signal::TERM);
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn a_tool_outlives_codex_that_was_killed() {
    a_killed_agent_leaves_a_tool_that_is_amended(Agent::Codex, Signal::KILL);
}

#[track_caller]
fn closed(lab: &Lab) -> Value {
    let mut terminal = lab.open(Under::Amps);
    lab.start_tool(&mut terminal);
    terminal.close();
    let record = newest(&lab.home);
    assert_eq!(record["status"], "disconnected");
    assert_eq!(record["status_reason"], "terminal-closed");
    assert_eq!(record["evidence"]["kind"], "pty_hangup");
    record
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn a_closed_terminal_disconnects_claude() {
    let lab = Lab::new(Agent::Claude);
    let record = closed(&lab);
    assert_eq!(changes(&record), ["A begun.txt"]);
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn a_closed_terminal_disconnects_codex_and_its_tool_is_amended() {
    let lab = Lab::new(Agent::Codex);
    let record = closed(&lab);
    assert_eq!(record["runs"][0]["exit_signal"], Signal::HUP.as_raw());
    amended(&lab);
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn ctrl_c_is_for_the_tool_of_claude_and_twice_for_claude() {
    let lab = Lab::new(Agent::Claude);
    let mut terminal = lab.open(Under::Amps);
    lab.start_tool(&mut terminal);
    terminal.send(ctrl('c'));
    wait_for_text(&terminal, "Interrupted");
    lab.agent.quit(&mut terminal);
    assert_eq!(terminal.wait_exit(AGENT_PATIENCE), Exit::Code(0));
    let left = Leftovers::of(&terminal);
    assert!(left.is_tidy(), "{left:?}");
    let record = newest(&lab.home);
    assert_eq!(record["status"], "completed");
    assert_eq!(record["runs"][0]["exit_code"], 0);
    assert_eq!(changes(&record), ["A begun.txt"]);
}
