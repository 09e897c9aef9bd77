//! Time, concurrency and connections: the daemon, one per home and the only writer of its store.
//!
//! Sessions are ended by evidence, captures are driven until nothing is owed, and every state
//! that matters is in the store before it is acted on, so that a restart loses nothing.

mod captures;
mod checkpoints;
mod connection;
mod daemon;
mod dispatch;
mod faults;
mod lease_clock;
mod leases;
mod log;
mod owners;
mod queries;
mod recordings;
mod recovery;
mod run;
mod starter;
mod survivors;
mod terminals;
mod turns;
mod worktrees;
mod writer;

pub use self::queries::answer_from_file;
pub use self::run::{DaemonError, Settings, run};
pub use self::starter::{Probe, StartError, Starter, probe};
