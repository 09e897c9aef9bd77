//! What a real terminal answers when a program asks it something.

use vt100::{Callbacks, Screen};

/// Collects answers while the screen is drawn, so that a position is that of the moment.
pub(super) struct Answers {
    active: bool,
    reply: Vec<u8>,
}

impl Answers {
    pub(super) fn new(active: bool) -> Self {
        let reply = Vec::new();
        Self { active, reply }
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.reply)
    }

    fn say(&mut self, text: &str) {
        if self.active {
            self.reply.extend_from_slice(text.as_bytes());
        }
    }
}

impl Callbacks for Answers {
    fn unhandled_csi(
        &mut self,
        screen: &mut Screen,
        first: Option<u8>,
        second: Option<u8>,
        params: &[&[u16]],
        last: char,
    ) {
        let number = params.first().and_then(|p| p.first()).copied().unwrap_or(0);
        match (first, second, last, number) {
            (None, None, 'c', 0) => self.say("\x1b[?62;22c"),
            (Some(b'>'), None, 'c', 0) => self.say("\x1b[>1;4000;0c"),
            (Some(b'>'), None, 'q', 0) => self.say("\x1bP>|testkit(1)\x1b\\"),
            (Some(b'?'), None, 'u', _) => self.say("\x1b[?0u"),
            (None, None, 'n', 5) => self.say("\x1b[0n"),
            (None, None, 'n', 6) => {
                let (row, col) = screen.cursor_position();
                self.say(&format!("\x1b[{};{}R", row + 1, col + 1));
            }
            (Some(b'?'), Some(b'$'), 'p', mode) => self.say(&format!("\x1b[?{mode};2$y")),
            _ => {}
        }
    }

    fn unhandled_osc(&mut self, _: &mut Screen, params: &[&[u8]]) {
        match params {
            [b"10", b"?"] => self.say("\x1b]10;rgb:d0d0/d0d0/d0d0\x1b\\"),
            [b"11", b"?"] => self.say("\x1b]11;rgb:1010/1010/1010\x1b\\"),
            _ => {}
        }
    }
}
