//! Doing what core decides: store, git, processes. Synchronous, prints nothing.

pub mod capture;
pub mod git;
