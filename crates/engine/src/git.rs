//! The one place that starts git.
//!
//! Every call of ours must be one that cannot disturb the person's or the agent's own git: it takes
//! no optional lock, runs no hook, no file system monitor, no pager and no automatic maintenance,
//! asks for no credential, fetches nothing, writes no reflog, and inherits no variable that was not
//! handed in. It is bounded in time, and what it prints is bounded by its reader.
//!
//! The exception is what a person asked for by name and git is to do as if they had typed it: a
//! call [`Call::as_person`].

mod command;
mod error;
pub(crate) mod parse;
pub(crate) mod quote;
mod settings;

pub use command::{Call, Environment, Git, Output};
pub use error::GitError;
