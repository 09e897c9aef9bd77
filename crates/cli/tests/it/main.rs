//! The program as people and scripts use it: the real binary in a sealed home.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod answers;
mod answers_errors;
mod answers_files;
mod attach_pid;
mod checkpoints;
mod checkpoints_crash;
mod crash;
mod daemon;
mod disk;
mod endings;
mod held;
mod held_crash;
mod held_disk;
mod held_ends;
mod held_flood;
mod held_other_user;
mod held_programs;
mod held_races;
mod held_recorded;
mod held_scope;
mod held_splits;
mod held_surroundings;
mod held_terminals;
mod held_versions;
mod launch;
mod programs;
mod record;
mod recordings;
mod sessions;
mod tidy;
mod turns;
mod wait;
mod worktree_interactive;
mod worktree_iterate;
mod worktree_land;
mod worktree_land_conflict;
mod worktree_land_crash;
mod worktree_land_gate;
mod worktree_land_others;
mod worktree_life;
mod worktree_trash;
