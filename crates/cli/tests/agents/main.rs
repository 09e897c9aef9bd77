//! Real agents, as their makers ship them, under the program. A scripted model on this machine
//! tells them what to do. `scripts/test-agents` installs what this needs and runs it; elsewhere
//! every test here is ignored.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod agent;
mod endings;
mod headless;
mod jobs;
mod lab;
mod leftovers;
#[path = "../it/record.rs"]
#[expect(
    clippy::panic,
    dead_code,
    reason = "shared with the tests that need no agents"
)]
mod record;
mod screen;
mod turns;
mod unattended;
