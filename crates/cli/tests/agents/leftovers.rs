//! How a program leaves the terminal behind.

use std::collections::BTreeSet;

use amps_testkit::{Modes, Terminal};

/// The modes of a full-screen program: another screen, the mouse, focus and pasted text. Others,
/// such as those of the keyboard, are set only by some runs of one and the same agent: it sets them
/// if the terminal answers before it has grown tired of waiting.
const FULL_SCREEN: [&str; 7] = ["1049", "1000", "1002", "1003", "1006", "1004", "2004"];

/// What is left on a terminal after a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leftovers {
    /// The settings that the kernel keeps.
    settings: Modes,
    /// The modes that were left on.
    modes: BTreeSet<&'static str>,
    /// Whether a mode of the keyboard was left on.
    keyboard: bool,
    /// Whether the cursor was left hidden.
    hidden: bool,
}

impl Leftovers {
    pub(crate) fn of(terminal: &Terminal) -> Self {
        let bytes = terminal.bytes();
        let text = String::from_utf8_lossy(&bytes);
        let mut modes = BTreeSet::new();
        let mut keyboards = 0_i32;
        for sequence in text.split("\x1b[").skip(1) {
            let Some(end) = sequence.find(|c: char| ('@'..='~').contains(&c)) else {
                continue;
            };
            let (parameters, last) = (&sequence[..end], &sequence[end..=end]);
            match (parameters.get(..1), last) {
                (Some("?"), "h" | "l") => {
                    for mode in parameters[1..].split(';') {
                        let known = FULL_SCREEN.into_iter().find(|known| *known == mode);
                        match known {
                            Some(mode) if last == "h" => modes.insert(mode),
                            Some(mode) => modes.remove(mode),
                            None => false,
                        };
                    }
                }
                (Some(">"), "u") => keyboards += 1,
                // More are taken off than were put on, to be sure.
                (Some("<"), "u") => keyboards = (keyboards - 1).max(0),
                _ => {}
            }
        }
        Self {
            settings: terminal.modes(),
            modes,
            keyboard: keyboards > 0,
            hidden: terminal.screen(amps_testkit::vt100::Screen::hide_cursor),
        }
    }

    /// Returns whether nothing of a full-screen program is left.
    pub(crate) fn is_tidy(&self) -> bool {
        self.modes.is_empty() && !self.keyboard && !self.hidden
    }

    /// Returns these without what is up to the moment at which a program was killed.
    pub(crate) fn of_killed(self) -> Self {
        Self {
            keyboard: false,
            hidden: false,
            ..self
        }
    }
}
