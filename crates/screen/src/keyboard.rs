//! The flags of the kitty keyboard protocol and their stack.

use std::iter;

use alacritty_terminal::vte::ansi::{KeyboardModes, KeyboardModesApplyBehavior};

/// More entries than any program has reason for; the oldest are dropped.
const MOST: usize = 64;

/// How keys are reported on one of the two screens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Keyboard {
    base: KeyboardModes,
    pushed: Vec<KeyboardModes>,
}

impl Keyboard {
    /// Returns the flags in force.
    pub(crate) fn flags(&self) -> KeyboardModes {
        self.pushed.last().copied().unwrap_or(self.base)
    }

    pub(crate) fn push(&mut self, flags: KeyboardModes) {
        if self.pushed.len() == MOST {
            self.pushed.remove(0);
        }
        self.pushed.push(flags);
    }

    /// Takes entries off; taking more than there are clears everything.
    pub(crate) fn pop(&mut self, count: usize) {
        if count > self.pushed.len() {
            self.base = KeyboardModes::NO_MODE;
        }
        let kept = self.pushed.len().saturating_sub(count);
        self.pushed.truncate(kept);
    }

    /// Changes the flags in force.
    pub(crate) fn set(&mut self, flags: KeyboardModes, how: KeyboardModesApplyBehavior) {
        let top = self.pushed.last_mut().unwrap_or(&mut self.base);
        *top = match how {
            KeyboardModesApplyBehavior::Replace => flags,
            KeyboardModesApplyBehavior::Union => *top | flags,
            KeyboardModesApplyBehavior::Difference => *top - flags,
        };
    }

    /// Returns the sequences that build this on a terminal with nothing set.
    pub(crate) fn sequences(&self) -> String {
        let base = match self.base.bits() {
            0 => String::new(),
            flags => format!("\x1b[={flags};1u"),
        };
        let push = |flags: &KeyboardModes| format!("\x1b[>{}u", flags.bits());
        iter::once(base)
            .chain(self.pushed.iter().map(push))
            .collect()
    }
}
