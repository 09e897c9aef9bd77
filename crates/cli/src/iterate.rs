//! Iterations of worktree sessions: ordering them, running them, and following what they tell.
//!
//! They are run by a process of their own, the runner, which has the person's environment and is
//! nobody's child: closing the terminal, or ending the daemon, leaves it running.

mod context;
mod follow;
mod journal;
mod one;
mod order;
mod prompt;
mod runner;
mod visit;

pub(crate) use follow::{Following, follow};
pub(crate) use journal::{Entry, Told};
pub(crate) use order::{Order, start};
pub(crate) use runner::{be_runner, start_runner};
pub(crate) use visit::Visit;
