//! What may stand between a person's terminal and a program.

use crate::{
    home::Home,
    product::{Product, Way},
};

/// A way to start a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrapper {
    /// Nothing at all.
    Bare,
    /// Nothing at all, once more: what it differs from the first is noise.
    BareAgain,
    /// Our yardstick for launching.
    PlainLauncher,
    /// Our yardstick for relaying.
    PlainRelay,
    /// `script` of util-linux.
    Script,
    /// `dtach`.
    Dtach,
    /// `tmux`, with a server of its own.
    Tmux,
    /// The product, the agent having the person's terminal itself.
    Amps,
    /// The product, the agent having a terminal of its own.
    AmpsHeld,
    /// The same, recorded.
    AmpsRecorded,
}

impl Wrapper {
    /// All of them, the bare program first.
    pub(crate) const ALL: [Self; 10] = [
        Self::Bare,
        Self::BareAgain,
        Self::PlainLauncher,
        Self::PlainRelay,
        Self::Script,
        Self::Dtach,
        Self::Tmux,
        Self::Amps,
        Self::AmpsHeld,
        Self::AmpsRecorded,
    ];

    /// Returns the name in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::BareAgain => "bare again",
            Self::PlainLauncher => "plain launcher",
            Self::PlainRelay => "plain relay",
            Self::Script => "script",
            Self::Dtach => "dtach",
            Self::Tmux => "tmux",
            Self::Amps => "amps",
            Self::AmpsHeld => "amps held",
            Self::AmpsRecorded => "amps recorded",
        }
    }

    /// Returns the external program it needs, if any.
    pub(crate) fn program(self) -> Option<&'static str> {
        match self {
            Self::Script => Some("script"),
            Self::Dtach => Some("dtach"),
            Self::Tmux => Some("tmux"),
            Self::Bare | Self::BareAgain | Self::PlainLauncher | Self::PlainRelay => None,
            Self::Amps | Self::AmpsHeld | Self::AmpsRecorded => None,
        }
    }

    /// Tells whether it is the product.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Amps | Self::AmpsHeld | Self::AmpsRecorded)
    }
}

/// What the wrappers need to know to start a program.
#[derive(Debug)]
pub(crate) struct Wrapping<'a> {
    /// The home of everything started.
    pub(crate) home: &'a Home,
    /// This binary.
    pub(crate) program: &'a str,
    /// The plain daemon's socket.
    pub(crate) socket: String,
    /// Seconds between renewals of the plain launcher, 0 for none.
    pub(crate) beat: u32,
    /// The product, when there is one.
    pub(crate) product: Option<&'a Product>,
}

impl Wrapping<'_> {
    /// Returns the whole command line. `number` tells concurrent sessions apart.
    pub(crate) fn argv(&self, wrapper: Wrapper, number: usize, command: &[String]) -> Vec<String> {
        let own = self.program;
        let mut argv: Vec<String> = match wrapper {
            Wrapper::Bare | Wrapper::BareAgain => Vec::new(),
            Wrapper::PlainLauncher => {
                let beat = self.beat.to_string();
                owned(&[own, "plain-launcher", &self.socket, &beat, "--"])
            }
            Wrapper::PlainRelay => owned(&[own, "plain-relay", "--"]),
            Wrapper::Script => {
                let line = format!("exec {}", quoted(command));
                return owned(&["script", "-qec", &line, "/dev/null"]);
            }
            Wrapper::Dtach => {
                let socket = self.home.text(&format!("run/dtach-{number}"));
                owned(&["dtach", "-A", &socket, "-E", "-z", "-r", "none"])
            }
            Wrapper::Tmux => {
                let name = format!("bench-{number}");
                let config = self.home.text("tmux.conf");
                owned(&["tmux", "-L", &name, "-f", &config, "new-session"])
            }
            Wrapper::Amps => self.ours(Way::Inherited),
            Wrapper::AmpsHeld => self.ours(Way::Held),
            Wrapper::AmpsRecorded => self.ours(Way::Recorded),
        };
        argv.extend_from_slice(command);
        argv
    }

    /// Returns the command line that leaves a command running where no terminal shows it; `None`
    /// for what cannot do that.
    pub(crate) fn detached_argv(
        &self,
        wrapper: Wrapper,
        number: usize,
        command: &[String],
    ) -> Option<Vec<String>> {
        let mut argv = match wrapper {
            Wrapper::Dtach => {
                let socket = self.home.text(&format!("run/dtach-{number}"));
                owned(&["dtach", "-n", &socket, "-E", "-z", "-r", "none"])
            }
            Wrapper::Tmux => {
                let config = self.home.text("tmux.conf");
                let server = ["tmux", "-L", "bench", "-f", &config];
                let session = ["new-session", "-d", "-x", "80", "-y", "24"];
                owned(&[&server[..], &session].concat())
            }
            Wrapper::AmpsHeld => self.ours(Way::Detached),
            Wrapper::AmpsRecorded => self.ours(Way::DetachedRecorded),
            _ => return None,
        };
        argv.extend_from_slice(command);
        Some(argv)
    }

    fn ours(&self, way: Way) -> Vec<String> {
        let product = self.product;
        product.map_or_else(Vec::new, |product| product.run_argv(way))
    }
}

/// Returns words as owned text.
pub(crate) fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn quoted(command: &[String]) -> String {
    let words: Vec<String> = command
        .iter()
        .map(|word| format!("'{}'", word.replace('\'', r"'\''")))
        .collect();
    words.join(" ")
}
