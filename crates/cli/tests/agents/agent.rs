//! The agents and what a person has to know to use them.

use amps_testkit::{Terminal, ctrl};

/// An agent under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agent {
    Claude,
    Codex,
}

impl Agent {
    /// Returns the name of its program.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
        }
    }

    /// Returns the arguments of its full-screen form; it asks for no permission.
    pub(crate) fn screen_args(self) -> &'static [&'static str] {
        match self {
            Self::Claude => &["--permission-mode", "acceptEdits"],
            Self::Codex => &[
                "-c",
                "approval_policy=never",
                "-c",
                "sandbox_mode=danger-full-access",
            ],
        }
    }

    /// Returns the arguments of its form for scripts.
    pub(crate) fn headless_args(self, prompt: &str) -> Vec<&str> {
        let form: &[&str] = match self {
            Self::Claude => &["-p", prompt, "--output-format", "stream-json", "--verbose"],
            Self::Codex => &["exec", "--json", prompt],
        };
        [form, self.screen_args()].concat()
    }

    /// Returns what its screen says when it waits for a prompt.
    pub(crate) fn ready(self) -> &'static str {
        match self {
            Self::Claude => "accept edits on",
            // Earlier, while it says that it loads, some of what is typed is lost.
            Self::Codex => "permissions: YOLO mode",
        }
    }

    /// Returns what its screen says when a prompt has been dealt with.
    pub(crate) fn done(self) -> &'static str {
        match self {
            Self::Claude => "· done ",
            Self::Codex => "Worked for ",
        }
    }

    /// Presses the keys that end it while it waits for a prompt.
    pub(crate) fn quit(self, terminal: &mut Terminal) {
        terminal.send(ctrl('c'));
        if self == Self::Claude {
            terminal.wait_for_text("Press Ctrl-C again to exit");
            terminal.send(ctrl('c'));
        }
    }
}
