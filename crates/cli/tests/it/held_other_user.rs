//! A terminal that belongs to another user, as after `su`: it cannot be handed over, and everything
//! is as if it could.

use std::os::unix::fs::chown;
use std::path::Path;

use amps_testkit::vt100::Screen;
use amps_testkit::{Exit, Home, PATIENCE, Signal, process};

use crate::held::{CHORD, attach, hold, host_of, wait_for_screen};
use crate::record::{AMPS, home, settled};

/// A user who owns nothing.
const OTHER: u32 = 65_534;

/// Gives a folder and all in it to the other user.
fn give_away(folder: &Path) {
    chown(folder, Some(OTHER), Some(OTHER)).unwrap();
    for entry in folder.read_dir().unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            give_away(&entry.path());
        } else {
            chown(entry.path(), Some(OTHER), Some(OTHER)).unwrap();
        }
    }
}

/// Makes a home of the other user, whose terminals belong to the user who runs the test. `None` if
/// that is not root, who alone may become somebody else, or if the other cannot get at the program.
fn home_of_other() -> Option<Home> {
    let mut home = home();
    let become_other = "exec setpriv --reuid=65534 --regid=65534 --clear-groups -- ";
    let other = home.install_script("as-other", &format!("{become_other} \"$@\""));
    let can = home.command(&other, ["test", "-x", AMPS]).run();
    if can.status != Exit::Code(0) {
        skipped(&can.text());
        return None;
    }
    let amps = home.install_script(
        "amps-as-other",
        &format!("exec {} {AMPS} \"$@\"", other.display()),
    );
    home.use_amps(amps);
    home.folder("work");
    give_away(home.root());
    let open = "exec 3<> /proc/self/fd/0";
    let mut terminal = home.command(&other, ["sh", "-c", open]).terminal();
    assert_ne!(
        terminal.wait_exit(PATIENCE),
        Exit::Code(0),
        "the terminal is not theirs"
    );
    Some(home)
}

#[expect(clippy::print_stderr, reason = "a test that cannot run says why")]
fn skipped(why: &str) {
    eprintln!("skipped: the other user cannot run the program: {why}");
}

#[test]
fn on_a_terminal_of_another_user_one_types_resizes_and_leaves() {
    let Some(home) = home_of_other() else { return };
    let folder = home.folder("work");
    let agent = "trap 'stty size' WINCH; printf '\\033[?1049hready\\n'; \
                 while :; do read line && echo got $line; done";
    let id = hold(&home, &folder, &["sh", "-c", agent]);
    wait_for_screen(&home, &id, "ready");
    for round in ["first", "second"] {
        let mut terminal = attach(&home, &[&id]);
        terminal.wait_for_text("ready");
        terminal.send(format!("{round}\r"));
        terminal.wait_for_text(&format!("got {round}"));
        terminal.resize(20, 60);
        terminal.wait_for_text("20 60");
        let raw = terminal.modes();
        terminal.send(CHORD);
        assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
        assert!(
            terminal.contents().contains("[detached"),
            "{}",
            terminal.contents()
        );
        assert!(!terminal.screen(Screen::alternate_screen), "all was shown");
        assert_ne!(terminal.modes(), raw, "the line is the shell's again");
    }
    home.end_all();
}

#[test]
fn on_a_terminal_of_another_user_the_last_words_of_an_agent_are_shown() {
    let Some(home) = home_of_other() else { return };
    let folder = home.folder("work");
    let agent = "read line; seq 1 20000; exit 3";
    let id = hold(&home, &folder, &["sh", "-c", agent]);
    let mut terminal = attach(&home, &[&id]);
    terminal.send("go\r");
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(3));
    let shown = String::from_utf8_lossy(&terminal.bytes()).into_owned();
    for number in 1..=20_000 {
        assert!(
            shown.contains(&format!("\n{number}\r")),
            "{number} is missing"
        );
    }
    assert_eq!(settled(&home, &id)["status"], "aborted");
}

#[test]
fn on_a_terminal_of_another_user_the_death_of_the_host_is_told_and_the_terminal_given_back() {
    let Some(home) = home_of_other() else { return };
    let folder = home.folder("work");
    let id = hold(
        &home,
        &folder,
        &["sh", "-c", "printf '\\033[?1049h'; exec cat"],
    );
    let mut terminal = attach(&home, &[&id]);
    terminal.send("typed\r");
    terminal.wait_for_text("typed\ntyped");
    let raw = terminal.modes();
    process::send(host_of(&home, &id), Signal::KILL);
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(75));
    terminal.wait_for_text("ended without a word");
    assert!(!terminal.screen(Screen::alternate_screen));
    assert_ne!(terminal.modes(), raw, "the terminal is the shell's again");
    assert_eq!(settled(&home, &id)["status"], "disconnected");
}
