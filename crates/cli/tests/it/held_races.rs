//! Many at once: launches, typists, and clients that come as the agent ends.

use std::collections::BTreeSet;

use amps_testkit::{Exit, PATIENCE, Running, Terminal, wait};

use crate::held::{CHORD, attach, hold, wait_for_screen};
use crate::record::{home, ids, settled};

#[test]
fn twenty_agents_are_held_at_once() {
    let home = home();
    let folder = home.folder("work");
    let launch = |number: usize| {
        let agent = format!("echo agent {number}.; read line; exit {number}");
        home.amps(["run", "--detach", "--", "sh", "-c", &agent])
            .cwd(&folder)
            .start()
    };
    let launches: Vec<Running> = (1..=20).map(launch).collect();
    let held: Vec<String> = launches
        .into_iter()
        .map(|launch| launch.wait(PATIENCE).ok().stdout_text().trim().to_owned())
        .collect();
    let listed: BTreeSet<String> = ids(&home).into_iter().collect();
    assert_eq!(listed, held.iter().cloned().collect());
    for (number, id) in (1..).zip(&held) {
        wait_for_screen(&home, id, &format!("agent {number}."));
        home.amps(["send", id, "--enter"]).run().ok();
    }
    for (number, id) in (1..).zip(&held) {
        assert_eq!(settled(&home, id)["runs"][0]["exit_code"], number);
    }
}

#[test]
fn of_typists_who_all_take_over_one_stays_and_the_others_are_told() {
    let home = home();
    let folder = home.folder("work");
    let id = hold(&home, &folder, &["sh", "-c", "echo ready; exec cat"]);
    wait_for_screen(&home, &id, "ready");
    let mut typists: Vec<Terminal> = (0..8)
        .map(|_| attach(&home, &["--take-over", &id]))
        .collect();
    wait::until("one typist", PATIENCE, || {
        typists.retain_mut(|typist| {
            if typist.is_running() {
                return true;
            }
            assert_eq!(typist.wait_exit(PATIENCE), Exit::Code(0));
            typist.wait_for_text("another client types now");
            false
        });
        (typists.len() == 1).then_some(())
    });
    let typist = &mut typists[0];
    typist.wait_for_text("ready");
    typist.send("typed\r");
    typist.wait_for_text("typed\ntyped");
    typist.send(CHORD);
    assert_eq!(typist.wait_exit(PATIENCE), Exit::Code(0));
    home.amps(["send", &id, "--key", "ctrl-d"]).run().ok();
    assert_eq!(settled(&home, &id)["status"], "completed");
}

/// How often a race is run.
const RACES: usize = 30;

#[test]
fn who_attaches_as_the_agent_ends_is_told_its_exit_or_that_it_has_ended() {
    let home = home();
    let folder = home.folder("work");
    let mut seen = BTreeSet::new();
    for race in 0..RACES {
        // By turns it ends by itself as soon as it runs, and when it is told to.
        let agent = if race % 2 == 0 {
            "exit 7"
        } else {
            "read line; exit 7"
        };
        let id = hold(&home, &folder, &["sh", "-c", agent]);
        let ending = home.amps(["send", &id, "--enter"]).start();
        let mut terminals = [attach(&home, &[&id]), attach(&home, &["--read-only", &id])];
        for terminal in &mut terminals {
            let exit = terminal.wait_exit(PATIENCE);
            let shown = terminal.contents();
            match exit {
                Exit::Code(7) => assert!(shown.contains("ended: exit code 7"), "{shown}"),
                Exit::Code(13) => assert!(shown.contains("has ended: it is aborted"), "{shown}"),
                _ => panic!("race {race}: {exit}\n{shown}"),
            }
            seen.insert(exit.code());
        }
        // The agent may have ended without it.
        drop(ending.wait(PATIENCE));
        assert_eq!(settled(&home, &id)["runs"][0]["exit_code"], 7);
    }
    assert!(!seen.is_empty());
}

#[test]
fn a_short_agent_that_is_shown_shows_all_and_gives_its_exit() {
    let home = home();
    let folder = home.folder("work");
    for round in 0..RACES / 3 {
        let launch = |way: &str| {
            home.amps([way, "sh", "-c", "echo all of it; exit 7"])
                .cwd(&folder)
                .terminal()
        };
        let mut terminals = ["--hold", "--record", "--hold"].map(launch);
        for terminal in &mut terminals {
            let exit = terminal.wait_exit(PATIENCE);
            assert_eq!(exit, Exit::Code(7), "{round}: {}", terminal.contents());
            assert_eq!(
                terminal.bytes(),
                b"all of it\r\n",
                "as on that terminal itself"
            );
        }
    }
    for id in ids(&home) {
        assert_eq!(settled(&home, &id)["runs"][0]["exit_code"], 7);
    }
}
