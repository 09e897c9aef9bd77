//! Worktrees of sessions: made, furnished, locked, removed, brought back.
//!
//! Every operation has two halves. `plan_*` only looks and decides; its plan is stored by the
//! caller. Carrying it out does what the plan says, step by step, and each step looks first
//! whether it is done already: after a death at any point, of this process or of git, doing it
//! again ends as if nothing had happened. References move from what they are expected to name.
//!
//! Whoever carries something out holds the session's [`SessionLock`]. Git inherits it as its
//! standard input, so that it is not free before a git that outlived this process has ended.
//! Locks are taken in this order: session, repository, slots.

mod approval;
mod checkout;
mod context;
mod create;
mod error;
mod exclude;
mod furnish;
mod index_lock;
mod listing;
mod lock;
mod names;
mod occupants;
mod orphans;
mod ports;
mod refs;
mod remove;
mod repository;
mod setup;
mod slots;
mod submodules;
mod survey;
mod trash;

pub use approval::{Approval, Approvals};
pub use context::{CONTEXT_FOLDER, ContextFacts, write_context};
pub use create::{CreationRequest, carry_out_creation, plan_creation, undo_creation};
pub use error::{Refusal, WorktreeError};
pub use furnish::{Brought, Furnished, LeftBehind, furnish};
pub use index_lock::{IndexLock, clear_stale_index_lock};
pub use lock::{Holder, RepositoryLock, SessionLock};
pub use orphans::find_orphans;
pub use ports::{free_ports, lease_ports, leased_ports};
pub use remove::{RemovalOutcome, carry_out_removal, plan_removal};
pub use repository::Repository;
pub use setup::{CommandRun, Commands, SETUP_FILE, repository_commands, run_commands};
pub use submodules::init_submodules;
pub use trash::{carry_out_restore, empty_trash, list_trash};
