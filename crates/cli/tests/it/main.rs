//! The program as people and scripts use it: the real binary in a sealed home.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod answers;
mod answers_errors;
mod answers_files;
mod checkpoints;
mod checkpoints_crash;
mod crash;
mod daemon;
mod disk;
mod endings;
mod launch;
mod programs;
mod record;
mod sessions;
mod tidy;
mod turns;
