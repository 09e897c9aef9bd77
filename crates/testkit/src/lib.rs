//! Sealed homes, real repositories, real terminals and a scripted agent for tests.
//!
//! A [`Home`] is a folder that stands for a user: its processes see no other home, no other
//! configuration and no network through git. Commands are built from it, run to an [`Output`],
//! started as [`Running`] or put on a [`Terminal`]. Everything that waits has a deadline, says what
//! it waited for, and panics: this crate is for tests only. Linux only, because it reads `/proc`.
//!
//! ```no_run
//! use amps_testkit::{Home, PATIENCE};
//!
//! let home = Home::with_amps("/path/of/amps"); // env!("CARGO_BIN_EXE_amps")
//! let repo = home.repo("work");
//! home.install_agent("claude", &["print ready", "write made.txt hello", "exit 3"]);
//! let mut terminal = home.amps(["claude"]).cwd(repo.path()).terminal();
//! terminal.wait_for_text("ready");
//! assert_eq!(terminal.wait_exit(PATIENCE).code(), Some(3));
//! let listed = home.amps(["list", "--json"]).run().ok().json();
//! assert_eq!(listed.as_array().map(Vec::len), Some(1));
//! ```

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the support of tests starts programs, writes files, and fails by panicking"
)]

mod command;
mod daemon;
mod fake_agent;
mod fingerprint;
mod home;
mod output;
mod pause;
pub mod process;
mod redact;
mod repo;
mod shell;
mod terminal;
pub mod wait;

pub use amps_core::exit::Exit;
pub use command::{Cmd, Running};
pub use daemon::Daemon;
pub use fingerprint::Fingerprint;
pub use home::Home;
pub use output::Output;
pub use pause::PausePoint;
pub use redact::Redactor;
pub use repo::Repo;
pub use rustix::process::Signal;
pub use shell::Shell;
pub use terminal::{Modes, Terminal, TerminalOptions, ctrl};
pub use vt100;
pub use wait::PATIENCE;
