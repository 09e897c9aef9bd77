//! How a program leaves the terminal behind.

use std::collections::BTreeMap;

use amps_testkit::{Modes, Terminal};

/// What lasts on a terminal after a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leftovers {
    /// The settings that the kernel keeps.
    settings: Modes,
    /// The private modes that were ever set or reset, and how each was left.
    modes: BTreeMap<String, char>,
    /// How many keyboard modes were pushed and not popped.
    keyboards: i32,
    /// Whether the other screen is left in front, and whether the cursor is left hidden.
    screen: (bool, bool),
}

impl Leftovers {
    pub(crate) fn of(terminal: &Terminal) -> Self {
        let mut left = Self {
            settings: terminal.modes(),
            modes: BTreeMap::new(),
            keyboards: 0,
            screen: terminal.screen(|screen| (screen.alternate_screen(), screen.hide_cursor())),
        };
        let bytes = terminal.bytes();
        let text = String::from_utf8_lossy(&bytes);
        for sequence in text.split("\x1b[").skip(1) {
            left.note(sequence);
        }
        left
    }

    fn note(&mut self, sequence: &str) {
        let Some(end) = sequence.find(|c: char| ('@'..='~').contains(&c)) else {
            return;
        };
        let (parameters, last) = (&sequence[..end], &sequence[end..=end]);
        let first = parameters.chars().next();
        match (first, last) {
            (Some('?'), "h" | "l") => {
                for mode in parameters[1..].split(';') {
                    let state = if last == "h" { 'h' } else { 'l' };
                    self.modes.insert(mode.to_owned(), state);
                }
            }
            (Some('>'), "u") => self.keyboards += 1,
            (Some('<'), "u") => self.keyboards -= 1,
            _ => {}
        }
    }

    /// Returns whether nothing of a full-screen program is left.
    pub(crate) fn is_tidy(&self) -> bool {
        // Another screen, the mouse, focus and pasted text.
        let of_full_screen = ["1049", "1000", "1002", "1003", "1006", "1004", "2004"];
        let off = |mode: &&str| self.modes.get(*mode).is_none_or(|state| *state == 'l');
        of_full_screen.iter().all(off) && self.keyboards <= 0 && self.screen == (false, false)
    }
}
