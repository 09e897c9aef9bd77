//! The terminals of those who see a held session: whose they are, and what is left on them.

use std::path::Path;

use amps_engine::files::write_private;
use amps_testkit::{Exit, Home, PATIENCE, Signal, Terminal, TerminalOptions, process, wait};

use crate::held::{CHORD, DRAWN, attach, hold, host_of, screen, wait_for_screen};
use crate::record::{AMPS, home, settled};

/// What an agent leaves on whose terminal it is shown: alternate screen, mouse, pastes, keys.
const MODES: &[&str] = &[
    "altscreen on",
    "mouse on",
    "paste on",
    "kitty on",
    "print shown",
    "hang",
];

/// Returns whether a terminal is in none of the modes that [`MODES`] sets.
fn is_plain(terminal: &Terminal) -> bool {
    terminal.screen(|screen| {
        !screen.alternate_screen()
            && !screen.bracketed_paste()
            && screen.mouse_protocol_mode() == amps_testkit::vt100::MouseProtocolMode::None
    })
}

fn modes_agent(home: &Home, folder: &Path) -> String {
    home.install_agent("agent", MODES);
    let id = hold(home, folder, &["agent"]);
    wait_for_screen(home, &id, "shown");
    id
}

#[test]
fn a_client_that_leaves_gives_its_terminal_back_as_it_was() {
    let home = home();
    let folder = home.folder("work");
    let id = modes_agent(&home, &folder);
    let mut shell = home.shell(&folder);
    let before = shell.terminal().modes();
    shell.start_line(&format!("{AMPS} attach {id}"));
    shell.terminal().wait_for_text("shown");
    assert!(!is_plain(shell.terminal()));
    assert_ne!(shell.terminal().modes(), before);
    shell.terminal().send(CHORD);
    shell.wait_prompt();
    assert!(is_plain(shell.terminal()));
    assert_eq!(shell.terminal().modes(), before);
    home.end_all();
}

#[test]
fn a_client_that_is_killed_leaves_its_terminal_as_it_was_and_the_agent_alone() {
    let home = home();
    let folder = home.folder("work");
    let id = modes_agent(&home, &folder);
    let mut shell = home.shell(&folder);
    let before = shell.terminal().modes();
    shell.start_line(&format!("{AMPS} attach {id}"));
    shell.terminal().wait_for_text("shown");
    let client = shell.wait_job();
    process::send(client, Signal::KILL);
    let terminal = shell.terminal();
    terminal.wait_for_screen("the primary screen", PATIENCE, |screen| {
        !screen.alternate_screen() && !screen.bracketed_paste()
    });
    wait::until("the modes of before", PATIENCE, || {
        (terminal.modes() == before).then_some(())
    });
    assert!(is_plain(terminal));
    assert!(screen(&home, &id).contains("shown"));
    let mut again = attach(&home, &[&id]);
    again.wait_for_text("shown");
    again.send(CHORD);
    assert_eq!(again.wait_exit(PATIENCE), Exit::Code(0));
    home.end_all();
}

#[test]
fn after_client_and_host_were_killed_the_next_command_brings_the_terminal_back() {
    let home = home();
    let folder = home.folder("work");
    for way in ["terminal restore", "attach"] {
        let id = modes_agent(&home, &folder);
        let mut shell = home.shell(&folder);
        let before = shell.terminal().modes();
        shell.start_line(&format!("{AMPS} attach {id}"));
        shell.terminal().wait_for_text("shown");
        let client = shell.wait_job();
        let host = host_of(&home, &id);
        process::send(host, Signal::STOP);
        process::wait_stopped(host, PATIENCE);
        process::send(client, Signal::KILL);
        process::send(host, Signal::KILL);
        settled(&home, &id);
        shell.terminal().wait_for_text("Killed");
        // The shell has set the line for itself, but knows nothing of the rest.
        assert!(!is_plain(shell.terminal()));
        shell.start_line(&format!("{AMPS} {way}"));
        let terminal = shell.terminal();
        terminal.wait_for_screen("the primary screen", PATIENCE, |screen| {
            !screen.alternate_screen() && !screen.bracketed_paste()
        });
        assert!(is_plain(terminal), "{way}");
        wait::until("the modes of before", PATIENCE, || {
            (terminal.modes() == before).then_some(())
        });
        wait::until("the note to be removed", PATIENCE, || {
            let notes = home.config_dir().join("terminals").read_dir().unwrap();
            (notes.count() == 0).then_some(())
        });
    }
}

#[test]
fn a_shell_can_bring_its_terminal_back_before_each_prompt() {
    let home = home();
    let folder = home.folder("work");
    std::os::unix::fs::symlink(AMPS, home.bin_dir().join("amps")).unwrap();
    let id = modes_agent(&home, &folder);
    let mut shell = home.shell(&folder);
    shell.line("eval \"$(amps terminal hook bash)\"");
    assert_eq!(
        shell.line("false; echo $?").trim(),
        "1",
        "the status is the person's"
    );
    shell.start_line(&format!("amps attach {id}"));
    shell.terminal().wait_for_text("shown");
    let client = shell.wait_job();
    let host = host_of(&home, &id);
    process::send(host, Signal::STOP);
    process::wait_stopped(host, PATIENCE);
    process::send(client, Signal::KILL);
    shell
        .terminal()
        .wait_for_screen("the primary screen", PATIENCE, |screen| {
            !screen.alternate_screen() && !screen.bracketed_paste()
        });
    process::send(host, Signal::KILL);
    settled(&home, &id);
}

#[test]
fn a_shell_starts_nothing_for_the_notes_of_other_terminals() {
    for (shell, args, source) in [
        (
            "bash",
            &["--norc", "-i"][..],
            "eval \"$(amps terminal hook bash)\"",
        ),
        ("zsh", &["-f", "-i"], "eval \"$(amps terminal hook zsh)\""),
        (
            "fish",
            &["--no-config", "-i"],
            "amps terminal hook fish | source",
        ),
    ] {
        let home = home();
        let log = home.path("started");
        home.install_script(
            "amps",
            &format!("echo \"$@\" >> {log:?}\nexec {AMPS} \"$@\""),
        );
        let notes = home.config_dir().join("terminals");
        std::fs::create_dir_all(&notes).unwrap();
        write_private(&notes.join("1.json"), b"").unwrap();
        let mut terminal = home.command(shell, args).terminal();
        terminal.send(format!("{source}\r"));
        let hooked = format!("terminal hook {shell}\n");
        wait::for_text(&log, &hooked, PATIENCE);
        for word in ["one", "two"] {
            // What is typed is shown too: without the quotes it was said.
            terminal.send(format!("echo sa''id {word}\r"));
            terminal.wait_for_text(&format!("said {word}"));
        }
        let started = wait::for_file(&log, PATIENCE);
        assert_eq!(started, hooked);
        let device = process::stat(terminal.pid()).unwrap().terminal;
        write_private(&notes.join(format!("{device:x}.json")), b"").unwrap();
        terminal.send("echo once more\r");
        wait::for_text(&log, &format!("{started}terminal restore\n"), PATIENCE);
    }
}

#[test]
fn a_note_is_removed_when_its_client_is_dead_and_its_terminal_gone() {
    let home = home();
    let folder = home.folder("work");
    let id = hold(&home, &folder, &["cat"]);
    let notes = home.config_dir().join("terminals");
    let note = |device: i64| notes.join(format!("{device:x}.json"));
    let of_client = |terminal: &Terminal| {
        terminal.wait_for_bytes(DRAWN, PATIENCE);
        let device = process::stat(terminal.pid()).unwrap().terminal;
        std::fs::read(note(device.into())).unwrap()
    };
    let mut typist = attach(&home, &[&id]);
    let watcher = attach(&home, &["--read-only", &id]);
    let (dead, living) = (of_client(&typist), of_client(&watcher));
    process::send(typist.pid(), Signal::KILL);
    typist.wait_exit(PATIENCE);
    // Numbers that no terminal has, and that of one which is there.
    let (gone, gone_too) = (0xfff0_88ff, 0xfff0_88fe);
    let shell = home.command("cat", [""; 0]).terminal();
    let there = process::stat(shell.pid()).unwrap().terminal.into();
    write_private(&note(gone_too), living.as_ref()).unwrap();
    write_private(&note(there), dead.as_ref()).unwrap();
    for _ in 0..2 {
        write_private(&note(gone), dead.as_ref()).unwrap();
        home.amps(["daemon", "restart"]).run().ok();
        wait::until("the note to be removed", PATIENCE, || {
            (!note(gone).exists()).then_some(())
        });
    }
    assert!(note(there).exists() && note(gone_too).exists());
    home.end_all();
}

#[test]
fn a_client_that_is_stopped_leaves_the_terminal_to_its_shell() {
    let home = home();
    let folder = home.folder("work");
    let id = hold(
        &home,
        &folder,
        &[
            "sh",
            "-c",
            "echo ready; while read line; do echo got $line; done",
        ],
    );
    wait_for_screen(&home, &id, "ready");
    for signal in [Signal::STOP, Signal::TSTP] {
        let mut shell = home.shell(&folder);
        let before = shell.terminal().modes();
        shell.start_line(&format!("{AMPS} attach {id}"));
        shell.terminal().wait_for_text("ready");
        let client = shell.wait_job();
        process::send(client, signal);
        shell.wait_prompt();
        assert_eq!(shell.terminal().modes(), before, "{signal:?}");
        assert!(shell.line("echo mine").contains("mine"));
        home.amps(["send", &id, "meanwhile", "--enter"]).run().ok();
        wait_for_screen(&home, &id, "got meanwhile");
        assert!(!shell.line("echo still mine").contains("meanwhile"));
        shell.start_line("fg");
        let terminal = shell.terminal();
        terminal.wait_for_text("got meanwhile");
        terminal.send("typed\r");
        terminal.wait_for_text("got typed");
        assert!(
            !screen(&home, &id).contains("mine"),
            "the shell's keys are its own"
        );
        terminal.send(CHORD);
        shell.wait_prompt();
        assert_eq!(shell.terminal().modes(), before, "{signal:?}");
    }
    home.amps(["send", &id, "--key", "ctrl-d"]).run().ok();
    settled(&home, &id);
}

#[test]
fn what_the_agent_asks_of_its_terminal_is_answered_once_with_and_without_one() {
    let home = home();
    let folder = home.folder("work");
    let script = [
        "raw",
        "query alone.txt da1 kitty",
        "print asked",
        "wait-for go",
        "query shown.txt da1 kitty osc11",
        "print over",
        "wait-for end",
    ];
    home.install_agent("agent", &script);
    let id = hold(&home, &folder, &["agent"]);
    let alone = wait::for_file(&folder.join("alone.txt"), PATIENCE);
    assert_eq!(
        alone.matches("\x1b[?").count(),
        2,
        "DA1 and keyboard: {alone}"
    );
    let options = TerminalOptions {
        answers: true,
        ..TerminalOptions::default()
    };
    let mut terminal = home.amps(["attach", &id]).terminal_with(options);
    terminal.wait_for_text("asked");
    home.command("touch", ["go"]).cwd(&folder).run().ok();
    let shown = wait::for_file(&folder.join("shown.txt"), PATIENCE);
    terminal.wait_for_text("over");
    let bare = home.fake_agent(["raw", "query bare.txt da1 kitty osc11"]);
    let mut other = bare.cwd(&folder).terminal_with(options);
    other.wait_exit(PATIENCE);
    let bare = wait::for_file(&folder.join("bare.txt"), PATIENCE);
    assert_eq!(shown, bare, "each answer came, and came once");
    home.command("touch", ["end"]).cwd(&folder).run().ok();
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
}

#[test]
fn the_chord_is_the_persons_and_otherwise_the_agents_key() {
    let mut home = home();
    let folder = home.folder("work");
    let id = hold(
        &home,
        &folder,
        &["sh", "-c", "stty raw -echo; echo ready; exec cat -v"],
    );
    wait_for_screen(&home, &id, "ready");
    let mut terminal = attach(&home, &[&id]);
    terminal.wait_for_bytes(DRAWN, PATIENCE);
    terminal.send("\x1c\x1c");
    terminal.wait_for_text("^\\");
    terminal.send("\x1cx");
    terminal.wait_for_text("^\\^\\x");
    // Alone, it reaches the agent when nothing follows.
    terminal.send("\x1c");
    terminal.wait_for_text("^\\^\\x^\\");
    terminal.send(CHORD);
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
    home.set_env("AMPSM_HOLD_DETACH", "ctrl-a d");
    let mut terminal = attach(&home, &[&id]);
    terminal.wait_for_bytes(DRAWN, PATIENCE);
    terminal.send("\x1cd");
    terminal.wait_for_text("^\\d");
    terminal.send("\x01d");
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
    for wrong in ["d", "ctrl-"] {
        home.set_env("AMPSM_HOLD_DETACH", wrong);
        let mut terminal = attach(&home, &[&id]);
        assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(1), "{wrong}");
        terminal.wait_for_text("E021");
    }
    home.end_all();
}
