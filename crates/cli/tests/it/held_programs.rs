//! Real programs that are held: what is shown after coming back is what would be shown had nobody
//! left.

use std::path::Path;

use amps_testkit::vt100::{Cell, Screen};
use amps_testkit::{Exit, Home, PATIENCE, Signal, Terminal, ctrl, process, wait};

use crate::held::{CHORD, DRAWN, attach, hold, screen, wait_for_screen};
use crate::record::{home, ids, settled};

/// Everything that can be seen of a screen, and the modes that its program has set.
pub(crate) fn seen(screen: &Screen) -> Vec<String> {
    let (rows, cols) = screen.size();
    let (rows, cols) = (rows.get(), cols.get());
    let places = (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col)));
    let cell = |(row, col)| {
        let show = |cell: &Cell| {
            format!(
                "{row},{col}: {:?} {:?} {:?} {} {} {} {}",
                cell.contents().trim_end(),
                cell.fgcolor(),
                cell.bgcolor(),
                cell.bold(),
                cell.italic(),
                cell.underline(),
                cell.inverse(),
            )
        };
        screen.cell(row, col).map(show).unwrap_or_default()
    };
    let modes = format!(
        "{:?} {} {} {} {} {:?}",
        screen.cursor_position(),
        screen.hide_cursor(),
        screen.alternate_screen(),
        screen.application_cursor(),
        screen.bracketed_paste(),
        screen.mouse_protocol_mode(),
    );
    places.map(cell).chain([modes]).collect()
}

/// Plays the same on a terminal that saw everything and on one that comes back in the middle, and
/// compares what they show.
fn compare(home: &Home, folder: &Path, words: &[&str], play: impl Fn(&mut Terminal), last: &str) {
    let mut bare = home.command(words[0], &words[1..]).cwd(folder).terminal();
    play(&mut bare);
    bare.wait_for_text(last);
    let id = hold(home, folder, words);
    let mut first = attach(home, &[&id]);
    first.wait_for_bytes(DRAWN, PATIENCE);
    play(&mut first);
    first.wait_for_text(last);
    first.send(CHORD);
    assert_eq!(first.wait_exit(PATIENCE), Exit::Code(0));
    let second = attach(home, &[&id]);
    let expected = bare.screen(seen);
    second.wait_for_screen("the same as on the bare terminal", PATIENCE, |screen| {
        seen(screen) == expected
    });
}

#[test]
fn vim_comes_back_as_it_was() {
    let home = home();
    let folder = home.folder("work");
    let words = [
        "vim",
        "-N",
        "-u",
        "NONE",
        "-i",
        "NONE",
        "-n",
        "+set mouse=a hls",
        "note.txt",
    ];
    let play = |terminal: &mut Terminal| {
        terminal.wait_for_text("note.txt");
        terminal.send("ione fish \u{4e2d}\u{6587} e\u{301} two fish\rlast\x1b");
        terminal.wait_for_text("last");
        terminal.send("/fish\r");
        terminal.wait_for_text("search hit");
        terminal.send(":split\r");
        terminal.wait_for_text(":split");
        terminal.send("\x16");
        terminal.wait_for_text("VISUAL BLOCK");
    };
    compare(&home, &folder, &words, play, "VISUAL BLOCK");
    home.end_all();
}

#[test]
fn tmux_inside_comes_back_as_it_was() {
    let home = home();
    let folder = home.folder("work");
    let words = [
        "tmux",
        "-f",
        "/dev/null",
        "-S",
        "tmux.sock",
        "new-session",
        "printf '\\033[1;31mred\\033[m plain'; exec cat",
    ];
    let id = hold(&home, &folder, &words);
    let mut first = attach(&home, &[&id]);
    first.wait_for_text("red plain");
    first.send("typed\r");
    first.wait_for_screen("what was typed", PATIENCE, |screen| {
        screen.contents().matches("typed").count() == 2
    });
    let expected = first.screen(seen);
    first.send(CHORD);
    assert_eq!(first.wait_exit(PATIENCE), Exit::Code(0));
    let mut second = attach(&home, &[&id]);
    // The clock in the last line goes on meanwhile.
    let without_status = |seen: Vec<String>| -> Vec<String> {
        let rows = seen.into_iter().filter(|line| !line.starts_with("23,"));
        rows.collect()
    };
    let expected = without_status(expected);
    second.wait_for_screen("the same as before", PATIENCE, |screen| {
        without_status(seen(screen)) == expected
    });
    second.send(ctrl('d'));
    assert_eq!(second.wait_exit(PATIENCE), Exit::Code(0));
    settled(&home, &id);
}

#[test]
fn a_flood_is_seen_to_its_end_with_and_without_somebody_to_see_it() {
    let home = home();
    let folder = home.folder("work");
    home.install_agent(
        "agent",
        &[
            "wait-for go",
            "flood 3000000",
            "print the-end",
            "wait-for end",
        ],
    );
    let id = hold(&home, &folder, &["agent"]);
    home.command("touch", ["go"]).cwd(&folder).run().ok();
    wait_for_screen(&home, &id, "the-end");
    let other = hold(&home, &folder, &["agent"]);
    let terminal = attach(&home, &[&other]);
    terminal.wait_for_text("the-end");
    home.command("touch", ["end"]).cwd(&folder).run().ok();
    for id in [id, other] {
        assert_eq!(settled(&home, &id)["status"], "completed");
    }
}

#[test]
fn a_terminal_that_takes_nothing_holds_the_agent_up_only_for_a_while() {
    let home = home();
    let folder = home.folder("work");
    home.install_agent(
        "agent",
        &[
            "wait-for go",
            "flood 3000000",
            "print the-end",
            "write done.txt x",
            "wait-for end",
        ],
    );
    let id = hold(&home, &folder, &["agent"]);
    let mut shell = home.shell(&folder);
    shell.start_line(&format!("{} attach {id}", crate::record::AMPS));
    shell.terminal().wait_for_bytes(DRAWN, PATIENCE);
    // Nothing is read from the terminal as long as it is looked at.
    shell.terminal().screen(|_| {
        home.command("touch", ["go"]).cwd(&folder).run().ok();
        wait::for_file(&folder.join("done.txt"), PATIENCE);
        wait_for_screen(&home, &id, "the-end");
    });
    shell.terminal().wait_for_text("the-end");
    home.command("touch", ["end"]).cwd(&folder).run().ok();
    assert_eq!(settled(&home, &id)["status"], "completed");
}

#[test]
fn a_client_killed_while_the_agent_writes_disturbs_nothing() {
    let home = home();
    let folder = home.folder("work");
    let count = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo line $i; done; read end";
    let id = hold(&home, &folder, &["sh", "-c", count]);
    for _ in 0..3 {
        let terminal = attach(&home, &[&id]);
        terminal.wait_for_text("line ");
        process::send(terminal.pid(), Signal::KILL);
    }
    wait_for_screen(&home, &id, "line 20000");
    let text = screen(&home, &id);
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let expected: Vec<String> = (19_978..=20_000)
        .map(|number| format!("line {number}"))
        .collect();
    assert_eq!(lines, expected, "every line came once and in order");
    home.amps(["send", &id, "--enter"]).run().ok();
    assert_eq!(settled(&home, &id)["status"], "completed");
}

#[test]
fn a_storm_of_sizes_ends_with_the_last_one() {
    let home = home();
    let folder = home.folder("work");
    let words = [
        "vim",
        "-N",
        "-u",
        "NONE",
        "-i",
        "NONE",
        "-n",
        "+set ruler number",
        "note.txt",
    ];
    let id = hold(&home, &folder, &words);
    let mut terminal = attach(&home, &[&id]);
    terminal.wait_for_text("note.txt");
    terminal.send("ifirst\x1byy200p");
    terminal.wait_for_text("200 more lines");
    for number in 0..200_u16 {
        terminal.resize(2 + number * 7 % 60, 2 + number * 13 % 180);
    }
    terminal.resize(30, 100);
    terminal.wait_for_screen("the ruler at its last place", PATIENCE, |screen| {
        let last = screen.rows(0, 100).nth(29).unwrap_or_default();
        last.find("2,1") == Some(82)
    });
    terminal.send(":call writefile([&lines . 'x' . &columns], 'size.txt')\r\x0c");
    wait::for_text(&folder.join("size.txt"), "30x100\n", PATIENCE);
    terminal.wait_for_screen("vim at rest", PATIENCE, |screen| {
        screen.cursor_position() == (1, 4) && !screen.contents().contains("writefile")
    });
    let expected = terminal.screen(seen);
    terminal.send(CHORD);
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
    let options = amps_testkit::TerminalOptions {
        rows: 30,
        cols: 100,
        answers: false,
    };
    let again = home.amps(["attach", &id]).terminal_with(options);
    again.wait_for_screen("the same as before", PATIENCE, |screen| {
        seen(screen) == expected
    });
    home.end_all();
}

#[test]
fn fifty_held_sessions_outlive_a_daemon_that_is_killed_and_one_that_is_replaced() {
    let home = home();
    let folder = home.folder("work");
    for _ in 0..50 {
        hold(&home, &folder, &["cat"]);
    }
    let all = ids(&home);
    assert_eq!(all.len(), 50);
    home.daemon().kill();
    for (number, id) in all.iter().enumerate() {
        home.amps(["send", id, &format!("line {number}"), "--enter"])
            .run()
            .ok();
    }
    home.amps(["daemon", "restart"]).run().ok();
    let found = home.amps(["daemon", "status", "--json"]).run().ok().json();
    assert_eq!(found["daemon"]["leases"], 50);
    for (number, id) in all.iter().enumerate() {
        wait_for_screen(&home, id, &format!("line {number}\nline {number}"));
        home.amps(["send", id, "--key", "ctrl-d"]).run().ok();
    }
    for id in &all {
        let record = settled(&home, id);
        assert_eq!(record["status"], "completed", "{record:#}");
        assert_eq!(record["evidence"]["kind"], "wait_status");
    }
}
