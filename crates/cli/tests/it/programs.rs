//! Real programs on a real terminal: with us and without us the terminal sees the same bytes.

use amps_testkit::vt100::Screen;
use amps_testkit::{Cmd, Exit, Home, PATIENCE, Terminal, TerminalOptions, ctrl, process, wait};

use crate::record::{changes, home, newest};

/// Runs the same play with the bare command, under us, and recorded, and compares every byte.
fn compare(words: &[&str], prepare: impl Fn(&Home), play: impl Fn(&mut Terminal) -> Exit) {
    let run = |launch: &[&str]| {
        let home = home();
        prepare(&home);
        let folder = home.folder("play");
        let command: Cmd = if launch.is_empty() {
            home.command(words[0], &words[1..])
        } else {
            home.amps(launch).args(words)
        };
        let options = TerminalOptions {
            answers: false,
            ..TerminalOptions::default()
        };
        let mut terminal = command.cwd(&folder).terminal_with(options);
        let exit = play(&mut terminal);
        let bytes = terminal.bytes().escape_ascii().to_string();
        (exit, bytes, terminal.modes())
    };
    let bare = run(&[]);
    for launch in [&["run", "--"][..], &["run", "--record", "--"]] {
        let launched = run(launch);
        assert_eq!(launched.0, bare.0, "the exit differs: {launch:?}");
        assert_eq!(launched.1, bare.1, "the bytes differ: {launch:?}");
        assert_eq!(
            launched.2, bare.2,
            "the modes left behind differ: {launch:?}"
        );
    }
}

fn at_rest(screen: &Screen, row: u16, col: u16) -> bool {
    screen.cursor_position() == (row, col) && !screen.hide_cursor()
}

#[test]
fn vim_is_the_same() {
    let words = ["vim", "-N", "-u", "NONE", "-i", "NONE", "-n", "note.txt"];
    compare(
        &words,
        |_| (),
        |terminal| {
            terminal.wait_for_screen("an empty file", PATIENCE, |screen| {
                screen.contents().contains("\"note.txt\" [New") && at_rest(screen, 0, 0)
            });
            terminal.send("i");
            terminal.wait_for_screen("insert mode", PATIENCE, |screen| {
                screen.contents().contains("-- INSERT --") && at_rest(screen, 0, 0)
            });
            for (letter, col) in ["h", "i"].into_iter().zip(1..) {
                terminal.send(letter);
                terminal.wait_for_screen(letter, PATIENCE, |screen| at_rest(screen, 0, col));
            }
            terminal.send("\x1b");
            terminal.wait_for_screen("normal mode", PATIENCE, |screen| {
                !screen.contents().contains("INSERT") && at_rest(screen, 0, 1)
            });
            terminal.send(":wq\r");
            terminal.wait_exit(PATIENCE)
        },
    );
}

#[test]
fn less_is_the_same() {
    let prepare = |home: &Home| {
        let lines = "for i in $(seq 200); do echo line $i; done > text";
        home.command("sh", ["-c", lines])
            .cwd(home.folder("play"))
            .run()
            .ok();
    };
    compare(&["less", "text"], prepare, |terminal| {
        terminal.wait_for_screen("the first page", PATIENCE, |screen| {
            screen.contents().contains("line 23")
        });
        terminal.send("G");
        terminal.wait_for_screen("the last page", PATIENCE, |screen| {
            screen.contents().contains("line 200")
        });
        terminal.send("q");
        terminal.wait_exit(PATIENCE)
    });
}

#[test]
fn a_full_screen_program_with_every_mode_is_the_same() {
    let prepare = |home: &Home| {
        let lines = [
            "raw",
            "altscreen on",
            "mouse on",
            "paste on",
            "kitty on",
            "cursor off",
            "print ready",
            "read-until q",
            "cursor on",
            "kitty off",
            "paste off",
            "mouse off",
            "altscreen off",
            "cooked",
            "exit 4",
        ];
        home.install_agent("screen-agent", &lines);
    };
    compare(&["screen-agent"], prepare, |terminal| {
        terminal.wait_for_text("ready");
        terminal.send("\x1b[<0;10;10Mq");
        terminal.wait_exit(PATIENCE)
    });
}

#[test]
fn what_the_agent_asks_of_the_terminal_is_answered_by_the_terminal_once() {
    let home = home();
    let folder = home.folder("play");
    let query = "query answers.txt da1 osc10 osc11 kitty cpr";
    home.install_agent("asker", &["raw", query, "cooked"]);
    let options = TerminalOptions {
        answers: true,
        ..TerminalOptions::default()
    };
    let ask = |command: Cmd| {
        let mut terminal = command.cwd(&folder).terminal_with(options);
        assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
        wait::for_file(&folder.join("answers.txt"), PATIENCE)
    };
    let bare = ask(home.command("asker", [""; 0]));
    std::fs::remove_file(folder.join("answers.txt")).unwrap();
    assert_eq!(ask(home.amps(["asker"])), bare);
}

#[test]
fn a_change_of_the_window_reaches_the_agent() {
    let home = home();
    let folder = home.folder("play");
    home.install_agent(
        "agent",
        &["winsize-on-winch sizes.txt", "touch ready", "read-until q"],
    );
    let mut terminal = home.amps(["agent"]).cwd(&folder).terminal();
    wait::for_file(&folder.join("ready"), PATIENCE);
    terminal.resize(30, 100);
    wait::for_text(&folder.join("sizes.txt"), "30x100\n", PATIENCE);
    terminal.resize(10, 20);
    wait::for_text(&folder.join("sizes.txt"), "30x100\n10x20\n", PATIENCE);
    terminal.send("q\n");
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
}

#[test]
fn ctrl_c_is_the_agents_own() {
    let home = home();
    let folder = home.folder("play");
    home.install_agent(
        "agent",
        &["trap INT ints.txt", "touch ready", "read-until q", "exit 6"],
    );
    let mut terminal = home.amps(["agent"]).cwd(&folder).terminal();
    wait::for_file(&folder.join("ready"), PATIENCE);
    for count in 1..=2 {
        terminal.send(ctrl('c'));
        let wanted = "INT\n".repeat(count);
        wait::for_text(&folder.join("ints.txt"), &wanted, PATIENCE);
    }
    terminal.send("q\n");
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(6));
    let ints = wait::for_file(&folder.join("ints.txt"), PATIENCE);
    assert_eq!(ints, "INT\nINT\n", "each key press arrives once");
}

#[test]
fn ctrl_c_ends_a_loop_of_the_shell_as_without_us() {
    for option in ["", "--record", "--hold"] {
        let home = home();
        let folder = home.folder("play");
        home.install_agent("agent", &["print ready", "hang"]);
        let mut shell = home.shell(&folder);
        let amps = crate::record::AMPS;
        shell.start_line(&format!(
            "for i in 1 2 3; do echo round $i; {amps} {option} agent; done"
        ));
        // What is typed before an agent is shown is not for it.
        shell.terminal().wait_for_text("ready");
        let said = shell.interrupt();
        assert!(
            said.contains("round 1") && !said.contains("round 2"),
            "{option}: {said}"
        );
        assert_eq!(shell.status(), 130);
        let record = newest(&home);
        assert_eq!(record["status"], "aborted");
        assert_eq!(record["runs"][0]["exit_signal"], 2);
    }
}

#[test]
fn ctrl_z_stops_both_and_fg_brings_both_back() {
    let home = home();
    let folder = home.folder("play");
    home.install_agent(
        "agent",
        &["touch ready", "read-until q", "write made.txt x", "exit 3"],
    );
    let mut shell = home.shell(&folder);
    shell.start_line(&format!("{} agent", crate::record::AMPS));
    wait::for_file(&folder.join("ready"), PATIENCE);
    let said = shell.suspend();
    assert!(said.contains("Stopped"), "{said}");
    let launcher = process::children(shell.terminal().pid())[0].pid;
    let agent = process::children(launcher)[0].pid;
    assert!(process::stat(agent).unwrap().is_stopped());
    assert!(process::stat(launcher).unwrap().is_stopped());
    shell.start_line("fg");
    shell.wait_job();
    shell.terminal().send("q\n");
    shell.wait_prompt();
    assert_eq!(shell.status(), 3);
    let record = newest(&home);
    assert_eq!(record["status"], "aborted");
    assert!(changes(&record).contains(&"A made.txt".to_owned()));
}

#[test]
fn an_agent_that_stops_itself_stops_its_job() {
    let home = home();
    let folder = home.folder("play");
    home.install_agent("agent", &["touch ready", "stop-self", "exit 8"]);
    let mut shell = home.shell(&folder);
    let said = shell.line(&format!("{} agent", crate::record::AMPS));
    assert!(said.contains("Stopped"), "{said}");
    shell.line("fg");
    assert_eq!(shell.status(), 8);
}

#[test]
fn a_shell_with_job_control_runs_under_us() {
    let home = home();
    let folder = home.folder("play");
    let mut shell = home.shell(&folder);
    shell.start_line(&format!(
        "{} run -- bash --norc --noprofile",
        crate::record::AMPS
    ));
    let terminal = shell.terminal();
    wait::until("the inner shell in front", PATIENCE, || {
        process::command_line(terminal.front())
            .starts_with("bash")
            .then_some(())
    });
    terminal.send("PS1='inner> '\n");
    let prompt = |screen: &Screen| {
        let shown = screen.contents();
        shown
            .lines()
            .last()
            .is_some_and(|line| line.trim_end() == "inner>")
    };
    let sleeps = |terminal: &Terminal| {
        wait::until("sleep in front", PATIENCE, || {
            process::command_line(terminal.front())
                .starts_with("sleep")
                .then_some(())
        });
    };
    terminal.wait_for_screen("the inner prompt", PATIENCE, prompt);
    terminal.send("sleep 100\n");
    sleeps(terminal);
    terminal.send(ctrl('z'));
    terminal.wait_for_text("Stopped");
    terminal.wait_for_screen("the inner prompt again", PATIENCE, prompt);
    terminal.send("fg\n");
    sleeps(terminal);
    terminal.send(ctrl('c'));
    terminal.wait_for_screen("the inner prompt once more", PATIENCE, prompt);
    terminal.send("exit 4\n");
    shell.wait_prompt();
    assert_eq!(shell.status(), 4);
    assert_eq!(newest(&home)["runs"][0]["exit_code"], 4);
}
