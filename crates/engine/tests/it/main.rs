//! Tests of the engine against the real git and the real file system.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed; helpers outside #[test] need it too"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests act as the person and the agent: they run git and write files"
)]

mod capture_cutoff;
mod capture_kinds;
mod capture_left_out;
mod capture_memory;
mod capture_oracle;
mod capture_repo;
mod capture_repositories;
mod capture_undisturbed;
mod checkpoints;
mod landing_crash;
mod landing_kinds;
mod landing_merge;
mod landing_oracle;
mod landing_rebase;
mod landing_repo;
mod landing_squash;
mod recording;
mod recording_disk;
mod restore;
mod run_turn;
mod worktree_context;
mod worktree_create;
mod worktree_disk;
mod worktree_furnish;
mod worktree_ground;
mod worktree_half_made;
mod worktree_half_removed;
mod worktree_killed;
mod worktree_locks;
mod worktree_remove;
mod worktree_trash;
