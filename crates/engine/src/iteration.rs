//! What an iteration does beside its agent: what has changed is committed, and the gate judges it.

mod commit;
mod commits;
mod gate;
mod standing;

pub use commit::{CommitError, Committed, Ground, commit_all, tree_of_files, tree_of_index};
pub use commits::{agent_commits, changes, summary};
pub use gate::{GateCommand, LOG_KEPT, judge};
pub use standing::{Standing, standing};

/// What the reflog says of commits that an agent made itself while it ran an iteration. The agent is
/// given it in `GIT_REFLOG_ACTION`, and so is every git that it starts.
pub const REFLOG_ACTION: &str = "amps iteration";
