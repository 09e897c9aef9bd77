//! One file per use case. Each loads, asks `core` for the next state, and stores state and events
//! in one transaction.

pub mod capture_run;
pub mod checkpoint_run;
pub mod end_session;
pub mod note_session;
pub mod open_session;
pub mod record_terminal;
pub mod regrant_lease;
pub mod start_run;
pub mod step_worktree;
pub mod store_capture;
pub mod store_checkpoint;
