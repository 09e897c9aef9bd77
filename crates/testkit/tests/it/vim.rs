//! Two runs of a full-screen editor give the same bytes.
//!
//! What must be pinned: the size, `TERM`, no start-up files, no viminfo, no swap file (`-N -u NONE
//! -i NONE -n`), a name of the file that does not change, a fresh file, and a wait for the screen
//! after each group of keys, because vim leaves out drawing what is overtaken by the next key. The
//! terminal must not answer queries: an answer comes between keys at a moment that nobody chose.

use amps_testkit::vt100::Screen;
use amps_testkit::{Exit, Home, PATIENCE, wait};

/// Whether vim has finished drawing: it hides the cursor while it draws.
fn at_rest(screen: &Screen, col: u16) -> bool {
    screen.cursor_position() == (0, col) && !screen.hide_cursor()
}

fn edit(home: &Home, name: &str) -> Vec<u8> {
    let folder = home.folder(name);
    let words = ["-N", "-u", "NONE", "-i", "NONE", "-n", "note.txt"];
    let mut terminal = home.command("vim", words).cwd(&folder).terminal();
    terminal.wait_for_screen("an empty file", PATIENCE, |screen| {
        screen.contents().contains("\"note.txt\" [New") && at_rest(screen, 0)
    });
    terminal.send("i");
    terminal.wait_for_screen("insert mode", PATIENCE, |screen| {
        screen.contents().contains("-- INSERT --") && at_rest(screen, 0)
    });
    for (letter, col) in ["h", "e", "l", "l", "o"].into_iter().zip(1..) {
        terminal.send(letter);
        terminal.wait_for_screen(letter, PATIENCE, |screen| at_rest(screen, col));
    }
    terminal.send("\x1b");
    terminal.wait_for_screen("normal mode", PATIENCE, |screen| {
        !screen.contents().contains("INSERT") && at_rest(screen, 4)
    });
    terminal.send(":wq\r");
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
    assert_eq!(
        wait::for_file(&folder.join("note.txt"), PATIENCE),
        "hello\n"
    );
    terminal.bytes()
}

#[test]
fn two_runs_give_the_same_bytes() {
    let home = Home::new();
    let first = edit(&home, "one");
    let second = edit(&home, "two");
    assert_eq!(
        first.escape_ascii().to_string(),
        second.escape_ascii().to_string()
    );
}
