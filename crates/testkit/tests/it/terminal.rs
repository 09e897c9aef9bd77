//! Real terminals, with ordinary programs on them.

use std::time::Duration;

use amps_testkit::vt100::{MouseProtocolMode, Screen};
use amps_testkit::{Exit, Home, PATIENCE, Signal, TerminalOptions, ctrl, process, wait};

#[test]
fn the_program_leads_a_session_on_its_terminal() {
    let home = Home::new();
    let mut terminal = home
        .fake_agent(["record-ids ids", "read-until x"])
        .terminal();
    let ids = wait::for_file(&home.path("home/ids"), PATIENCE);
    let pid = terminal.pid();
    for line in [
        format!("pid {pid}"),
        format!("sid {pid}"),
        format!("front {pid}"),
    ] {
        assert!(ids.lines().any(|l| l == line), "{line} in {ids}");
    }
    assert_eq!(terminal.front(), pid);
    terminal.send("x\n");
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
    assert!(!terminal.is_running());
}

#[test]
fn every_byte_arrives() {
    let home = Home::new();
    let mut terminal = home.fake_agent(["flood 1000000", "print last"]).terminal();
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
    let bytes = terminal.bytes();
    let breaks = bytes.split(|byte| *byte == b'\n').count() - 1;
    assert_eq!(bytes.len(), 1_000_000 + "last\n".len() + breaks);
    assert!(bytes.ends_with(b"last\r\n"));
}

#[test]
fn the_end_by_a_key_is_an_end_by_signal() {
    let home = Home::new();
    let mut terminal = home.command("cat", [""; 0]).terminal();
    terminal.send("hello\n");
    terminal.wait_for_bytes("hello\r\nhello\r\n", PATIENCE);
    terminal.send(ctrl('c'));
    assert_eq!(
        terminal.wait_exit(PATIENCE),
        Exit::Signal(Signal::INT.as_raw())
    );
    assert_eq!(terminal.bytes(), b"hello\r\nhello\r\n^C");
}

#[test]
fn a_signal_reaches_the_program() {
    let home = Home::new();
    let mut terminal = home.fake_agent(["print ready", "hang"]).terminal();
    terminal.wait_for_text("ready");
    terminal.signal(Signal::TERM);
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Signal(15));
}

#[test]
fn a_new_size_reaches_the_child() {
    let home = Home::new();
    let script = ["winsize-on-winch sizes", "print ready", "hang"];
    let mut terminal = home.fake_agent(script).terminal();
    terminal.wait_for_text("ready");
    terminal.resize(30, 100);
    wait::for_text(&home.path("home/sizes"), "30x100\n", PATIENCE);
    terminal.resize(10, 40);
    wait::for_text(&home.path("home/sizes"), "30x100\n10x40\n", PATIENCE);
    let size = terminal.screen(Screen::size);
    assert_eq!((size.0.get(), size.1.get()), (10, 40));
}

#[test]
fn less_draws_again_when_its_size_changes() {
    let home = Home::new();
    let text: Vec<String> = (1..=100).map(|line| format!("line {line}")).collect();
    std::fs::write(home.path("home/text"), text.join("\n")).unwrap();
    let mut terminal = home.command("less", ["text"]).terminal();
    terminal.wait_for_screen("line 23 at the bottom", PATIENCE, |screen| {
        let text = screen.contents();
        screen.alternate_screen() && text.contains("line 23\n") && text.ends_with("text")
    });
    process::wait_asleep(terminal.pid(), PATIENCE);
    terminal.resize(11, 80);
    terminal.wait_for_screen("ten lines", PATIENCE, |screen| {
        let text = screen.contents();
        text.contains("line 10\n") && !text.contains("line 11")
    });
    terminal.send("q");
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
    assert!(!terminal.screen(Screen::alternate_screen));
}

#[test]
fn a_closed_terminal_hangs_up() {
    let home = Home::new();
    let mut terminal = home.command("cat", [""; 0]).terminal();
    terminal.send("x\n");
    terminal.wait_for_bytes("x\r\nx\r\n", PATIENCE);
    terminal.close();
    assert_eq!(
        terminal.wait_exit(PATIENCE),
        Exit::Signal(Signal::HUP.as_raw())
    );

    let script = ["trap HUP seen", "print ready", "wait-for seen", "exit 7"];
    let mut terminal = home.fake_agent(script).terminal();
    terminal.wait_for_text("ready");
    terminal.close();
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(7));
    wait::for_text(&home.path("home/seen"), "HUP\n", PATIENCE);
}

#[test]
fn settings_can_be_compared() {
    let home = Home::new();
    let script = [
        "raw",
        "print raw",
        "read-until x",
        "cooked",
        "touch cooked",
        "read-until y",
    ];
    let fresh = home.fake_agent(["hang"]).terminal().modes();
    let mut terminal = home.fake_agent(script).terminal();
    terminal.wait_for_text("raw");
    assert_ne!(terminal.modes(), fresh);
    terminal.send("x");
    wait::for_file(&home.path("home/cooked"), PATIENCE);
    assert_eq!(terminal.modes(), fresh);
    terminal.send("y\n");
    terminal.wait_exit(PATIENCE);
}

#[test]
fn what_a_program_leaves_on_is_seen() {
    let home = Home::new();
    let script = [
        "altscreen on",
        "mouse on",
        "paste on",
        "cursor off",
        "print up",
        "kill-self KILL",
    ];
    let mut terminal = home.fake_agent(script).terminal();
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Signal(9));
    terminal.screen(|screen| {
        assert!(screen.alternate_screen() && screen.bracketed_paste() && screen.hide_cursor());
        assert_ne!(screen.mouse_protocol_mode(), MouseProtocolMode::None);
    });
}

#[test]
fn queries_are_answered_if_wanted() {
    let home = Home::new();
    let script = ["print four", "query reply cpr osc10 osc11 kitty da1"];
    let options = TerminalOptions {
        answers: true,
        ..TerminalOptions::default()
    };
    let mut terminal = home.fake_agent(script).terminal_with(options);
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
    let reply = wait::for_file(&home.path("home/reply"), PATIENCE);
    assert_eq!(
        reply.escape_debug().to_string(),
        "\\u{1b}[2;1R\\u{1b}]10;rgb:d0d0/d0d0/d0d0\\u{1b}\\\\\
         \\u{1b}]11;rgb:1010/1010/1010\\u{1b}\\\\\\u{1b}[?0u\\u{1b}[?62;22c"
    );
}

#[test]
fn nothing_is_answered_otherwise() {
    let home = Home::new();
    let mut terminal = home.fake_agent(["query reply da1"]).terminal();
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
    assert_eq!(wait::for_file(&home.path("home/reply"), PATIENCE), "");
    assert_eq!(terminal.bytes(), b"\x1b[c");
}

#[test]
#[should_panic(expected = "waited 200ms for the moon\n`cat`")]
fn a_wait_in_vain_shows_the_screen() {
    let home = Home::new();
    let terminal = home.command("cat", [""; 0]).terminal();
    terminal.wait_for_screen("the moon", Duration::from_millis(200), |_| false);
}

#[test]
fn a_dropped_terminal_leaves_nothing() {
    let home = Home::new();
    let script = [
        "ignore HUP",
        "fork-child \"ignore HUP\\nprint child\\nhang\"",
        "hang",
    ];
    let terminal = home.fake_agent(script).terminal();
    terminal.wait_for_text("child");
    let pids: Vec<i32> = home.processes().iter().map(|stat| stat.pid).collect();
    assert_eq!(pids.len(), 2);
    drop(terminal);
    assert!(!pids.into_iter().any(process::is_alive));
}

#[test]
fn an_unknown_program_is_told_apart() {
    let home = Home::new();
    let mut terminal = home.command("no-such-program", [""; 0]).terminal();
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(127));
}

#[test]
fn what_is_typed_ahead_does_not_block_the_test() {
    let home = Home::new();
    let script = ["raw", "touch raw", "wait-for go", "read-until END typed"];
    let mut terminal = home.fake_agent(script).terminal();
    wait::for_file(&home.path("home/raw"), PATIENCE);
    let typed = "x".repeat(3000) + "END";
    terminal.send(&typed);
    std::fs::write(home.path("home/go"), "").unwrap();
    wait::for_text(&home.path("home/typed"), &typed, PATIENCE);
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
}
