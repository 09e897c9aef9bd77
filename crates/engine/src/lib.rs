//! Doing what core decides: store, git, processes. Synchronous; prints nothing.

pub mod agent;
pub mod capture;
pub mod clock;
pub mod config;
pub mod exec;
pub mod files;
pub mod git;
pub mod home;
pub mod iteration;
pub mod landing;
pub mod ledger;
pub mod ops;
pub mod process;
pub mod recording;
pub mod socket;
pub mod spool;
pub mod testing;
pub mod worktree;
