//! How those who see an agent, and the agent itself, may come to a stop.

use amps_testkit::{Exit, PATIENCE, Signal, process, wait};

use crate::held::{CHORD, DRAWN, attach, hold, host_of, wait_for_screen};
use crate::record::{AMPS, home, settled};

#[test]
fn a_held_agent_outlives_the_terminal_that_it_was_shown_on_at_first() {
    let home = home();
    let folder = home.folder("work");
    for round in 0..4 {
        let name = format!("mine{round}");
        let hold = home.amps([
            "--hold",
            "--name",
            &name,
            "sh",
            "-c",
            "echo ready; exec cat",
        ]);
        let mut terminal = hold.cwd(&folder).terminal();
        terminal.wait_for_text("ready");
        if round % 2 == 0 {
            terminal.close();
        } else {
            terminal.signal([Signal::HUP, Signal::TERM][round / 2]);
        }
        terminal.wait_exit(PATIENCE);
        home.amps(["send", &name, "still there", "--enter"])
            .run()
            .ok();
        wait_for_screen(&home, &name, "still there\nstill there");
        home.amps(["send", &name, "--key", "ctrl-d"]).run().ok();
        assert_eq!(settled(&home, &name)["status"], "completed", "{name}");
    }
}

#[test]
fn a_client_killed_under_a_flood_leaves_its_terminal_as_it_was() {
    let home = home();
    let folder = home.folder("work");
    let script = "printf '\\033[?1049h\\033[?1000h\\033[?2004h'; exec yes flood";
    let id = hold(&home, &folder, &["sh", "-c", script]);
    for round in 0..6 {
        let mut shell = home.shell(&folder);
        let before = shell.terminal().modes();
        shell.start_line(&format!("{AMPS} attach {id}"));
        shell.terminal().wait_for_text("flood");
        let client = shell.wait_job();
        process::send(client, Signal::KILL);
        let terminal = shell.terminal();
        terminal.wait_for_screen("the primary screen", PATIENCE, |screen| {
            !screen.alternate_screen() && !screen.bracketed_paste()
        });
        wait::until(
            format!("the modes of before, round {round}"),
            PATIENCE,
            || (terminal.modes() == before).then_some(()),
        );
        wait::until("the note to be removed", PATIENCE, || {
            let notes = home.config_dir().join("terminals").read_dir().unwrap();
            (notes.count() == 0).then_some(())
        });
    }
    home.end_all();
}

#[test]
fn a_terminal_that_was_slow_is_brought_back_when_it_is_left() {
    let home = home();
    let folder = home.folder("work");
    let script = "printf '\\033[?1049h\\033[?1000h'; exec yes flood";
    let id = hold(&home, &folder, &["sh", "-c", script]);
    let mut shell = home.shell(&folder);
    shell.start_line(&format!("{AMPS} attach {id}"));
    shell.terminal().wait_for_text("flood");
    // Nothing is read from the terminal as long as it is looked at.
    shell.terminal().screen(|_| {
        home.amps(["detach", &id]).run().ok();
        wait::until("nobody to be attached", PATIENCE, || {
            let waits = home.amps(["attach", "--read-only", &id]).terminal();
            waits.wait_for_bytes(b"flood", PATIENCE);
            Some(())
        });
    });
    shell
        .terminal()
        .wait_for_screen("the primary screen", PATIENCE, |screen| {
            !screen.alternate_screen() && screen.contents().contains("detached")
        });
    home.end_all();
}

#[test]
fn an_agent_that_stops_itself_is_a_job_of_the_shell_that_recorded_it() {
    let home = home();
    let folder = home.folder("work");
    home.install_agent(
        "agent",
        &["print up", "stop-self", "print back", "wait-for end"],
    );
    let mut shell = home.shell(&folder);
    shell.start_line(&format!("{AMPS} --record agent"));
    shell.terminal().wait_for_text("up");
    shell.terminal().wait_for_text("Stopped");
    assert!(shell.line("echo mine").contains("mine"));
    assert!(shell.jobs().contains("Stopped"));
    shell.start_line("fg");
    shell.terminal().wait_for_text("back");
    home.command("touch", ["end"]).cwd(&folder).run().ok();
    shell.wait_prompt();
    assert_eq!(settled(&home, "@")["status"], "completed");
}

#[test]
fn an_agent_whose_stopped_command_is_killed_goes_on() {
    let home = home();
    let folder = home.folder("work");
    let script = ["print up", "stop-self", "print back", "wait-for end"];
    home.install_agent("agent", &script);
    let mut shell = home.shell(&folder);
    shell.start_line(&format!("{AMPS} --record agent"));
    shell.terminal().wait_for_text("up");
    let client = shell.wait_job();
    shell.terminal().wait_for_text("Stopped");
    process::send(client, Signal::KILL);
    wait_for_screen(&home, "@", "back");
    home.command("touch", ["end"]).cwd(&folder).run().ok();
    assert_eq!(settled(&home, "@")["status"], "completed");
}

#[test]
fn a_held_agent_that_stops_itself_goes_on() {
    let home = home();
    let folder = home.folder("work");
    home.install_agent(
        "agent",
        &["print up", "stop-self", "print back", "wait-for end"],
    );
    let id = hold(&home, &folder, &["agent"]);
    wait_for_screen(&home, &id, "back");
    home.command("touch", ["end"]).cwd(&folder).run().ok();
    assert_eq!(settled(&home, &id)["status"], "completed");
}

#[test]
fn a_client_ends_by_a_signal_although_its_host_does_not_answer() {
    let home = home();
    let folder = home.folder("work");
    let id = hold(&home, &folder, &["cat"]);
    let mut terminal = attach(&home, &[&id]);
    terminal.wait_for_bytes(DRAWN, PATIENCE);
    let host = host_of(&home, &id);
    process::send(host, Signal::STOP);
    process::wait_stopped(host, PATIENCE);
    terminal.signal(Signal::TERM);
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(143));
    process::send(host, Signal::CONT);
    let mut again = attach(&home, &[&id]);
    again.wait_for_bytes(DRAWN, PATIENCE);
    again.send(CHORD);
    assert_eq!(again.wait_exit(PATIENCE), Exit::Code(0));
    home.end_all();
}

#[test]
fn an_agent_that_was_just_told_something_is_not_idle() {
    let home = home();
    let folder = home.folder("work");
    let slow = "stty -echo; echo ready; read line; read go < pipe; echo answer";
    home.command("mkfifo", ["pipe"]).cwd(&folder).run().ok();
    let id = hold(&home, &folder, &["sh", "-c", slow]);
    wait_for_screen(&home, &id, "ready");
    home.amps(["wait", &id, "--until", "idle", "--quiet", "1s"])
        .run()
        .ok();
    home.amps(["send", &id, "question", "--enter"]).run().ok();
    home.amps([
        "wait",
        &id,
        "--until",
        "idle",
        "--quiet",
        "20s",
        "--timeout",
        "1s",
    ])
    .run()
    .code(75);
    home.command("sh", ["-c", "echo > pipe"])
        .cwd(&folder)
        .run()
        .ok();
    assert_eq!(settled(&home, &id)["status"], "completed");
}
