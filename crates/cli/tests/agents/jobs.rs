//! Agents as jobs of an interactive shell.

use amps_testkit::{Exit, PATIENCE, Terminal, ctrl, process, wait};

use crate::agent::Agent;
use crate::lab::{
    AGENT_PATIENCE, EDITED, EDITS, Lab, MORE, SCREEN, Under, WRITTEN, ask, wait_for_text,
};
use crate::record::{changes, newest};

/// Starts a shell on a terminal that answers, because codex asks again when it comes back.
#[track_caller]
fn shell(lab: &Lab) -> Terminal {
    let words = ["--norc", "--noprofile", "--noediting", "-i"];
    let bash = lab.home.command("bash", words).cwd(lab.repo.path());
    let bash = bash.env("PS1", "$ ").env("HISTFILE", "");
    let terminal = bash.terminal_with(SCREEN);
    wait_prompt(&terminal);
    terminal
}

/// Waits until the shell has the terminal and the last line is its prompt.
#[track_caller]
fn wait_prompt(terminal: &Terminal) {
    terminal.wait_for_screen("the prompt of the shell", AGENT_PATIENCE, |screen| {
        let text = screen.contents();
        let last = text.lines().rfind(|line| !line.trim().is_empty());
        last.is_some_and(|line| line.trim_end() == "$")
    });
    wait::until("the shell in front", PATIENCE, || {
        (terminal.front() == terminal.pid()).then_some(())
    });
}

/// Returns the pids of the program and of the agent, which are one job of the shell.
#[track_caller]
fn job(terminal: &Terminal) -> [i32; 2] {
    let child = |pid| process::children(pid).first().unwrap().pid;
    let launcher = child(terminal.pid());
    [launcher, child(launcher)]
}

#[track_caller]
fn ctrl_z_and_fg_work_in_the_middle(agent: Agent) {
    let lab = Lab::new(agent);
    let mut terminal = shell(&lab);
    let command = lab.command(Under::Amps, agent.screen_args());
    terminal.send(format!("{}\n", command.to_string().trim_matches('`')));
    lab.wait_ready(&terminal);
    // First, because codex that is stopped while it starts loses what is typed after that, with us
    // and without us.
    lab.edit(&mut terminal);

    terminal.send(ctrl('z'));
    wait_prompt(&terminal);
    assert!(terminal.contents().contains("Stopped"));
    let both = job(&terminal);
    for pid in both {
        assert!(process::stat(pid).unwrap().is_stopped());
    }
    let shown = lab.home.amps(["show", "--no-wait", "--json"]).run().ok();
    assert_eq!(shown.json()["status"], "active");

    terminal.send("fg\n");
    wait_for_text(&terminal, EDITED);
    assert_eq!(job(&terminal), both);
    ask(&mut terminal, MORE);
    wait_for_text(&terminal, WRITTEN);
    terminal.wait_for_screen("the end of the turn", AGENT_PATIENCE, |screen| {
        screen.contents().matches(agent.done()).count() == 2
    });
    agent.quit(&mut terminal);
    wait_prompt(&terminal);
    terminal.send("exit $?\n");
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
    let record = newest(&lab.home);
    assert_eq!(record["status"], "completed");
    assert_eq!(record["runs"][0]["exit_code"], 0);
    assert_eq!(changes(&record), [EDITS[0], EDITS[1], "A more.txt"]);
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn claude_is_stopped_and_goes_on() {
    ctrl_z_and_fg_work_in_the_middle(Agent::Claude);
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn codex_is_stopped_and_goes_on() {
    ctrl_z_and_fg_work_in_the_middle(Agent::Codex);
}
