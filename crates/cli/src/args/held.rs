//! The command line of held sessions.

use clap::{Args, Subcommand, ValueEnum};

use super::JsonArgs;

#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// An id, the beginning of one, or a name; the newest held session if there is none
    #[arg(value_name = "SESSION")]
    pub(crate) session: Option<String>,
    /// Only watch; what is typed does not reach the agent
    #[arg(long, conflicts_with = "take_over")]
    pub(crate) read_only: bool,
    /// Have another client leave that types in the session
    #[arg(long)]
    pub(crate) take_over: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HeldArgs {
    /// An id, the beginning of one, or a name; the newest held session if there is none
    #[arg(value_name = "SESSION")]
    pub(crate) session: Option<String>,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ScreenArgs {
    /// An id, the beginning of one, or a name; the newest held session if there is none
    #[arg(value_name = "SESSION")]
    pub(crate) session: Option<String>,
    /// With colours and other attributes
    #[arg(long)]
    pub(crate) ansi: bool,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// An id, the beginning of one, or a name
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,
    /// The text; read from standard input when it is `-` or missing and no key is named
    #[arg(value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// Mark the text as pasted if the agent asked for such marks
    #[arg(long)]
    pub(crate) paste: bool,
    /// Press a key after the text, such as `ctrl-c`, `enter`, `up` or `escape`; may be repeated
    #[arg(long = "key", value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    /// Press the enter key after all else
    #[arg(long)]
    pub(crate) enter: bool,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum HostCommand {
    /// Be the host of a session; what it holds is read from standard input
    Run,
    /// Start a host that is nobody's child, and leave
    Start,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum TerminalCommand {
    /// Bring this terminal back after the program that showed an agent on it was killed
    Restore,
    /// Print what has a shell do so before each prompt
    Hook(TerminalHookArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TerminalHookArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: HookShell,
}

/// The shells that can be told to bring a terminal back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HookShell {
    /// Bash
    Bash,
    /// Fish
    Fish,
    /// Z shell
    Zsh,
}
