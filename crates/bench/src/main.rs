//! `amps-bench`: every goal of the project beside its yardstick, in one run on one machine.
//!
//! The yardsticks are subcommands of this same binary (`plain`, `stage` and `agent` below), so
//! that a comparison never depends on what happens to be installed. They are dispatched before
//! the argument parser, because its time would be counted as theirs.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a development program whose tables are its output and whose yardsticks pass codes on"
)]
#![expect(
    clippy::cast_precision_loss,
    reason = "nanoseconds and bytes become milliseconds and megabytes, far below 2^53"
)]

mod agent;
mod args;
mod bench;
mod clock;
mod detached;
mod fixtures;
mod home;
mod leases;
mod measures;
mod plain;
mod proc_stat;
mod product;
mod report;
mod series;
mod stage;
mod stats;
mod terminal;
mod wrapper;

use std::process::ExitCode;

use clap::Parser as _;

/// What can go wrong in a benchmark is told to the person who runs it and to nobody else.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let rest = words.get(2..).unwrap_or_default();
    let inner = match words.get(1).map(String::as_str) {
        Some("stage") => stage::run(rest),
        Some("agent") => agent::run(rest),
        Some("plain-launcher") => plain::launcher::run(rest),
        Some("plain-relay") => plain::relay::run(rest),
        Some("plain-daemon") => plain::daemon::run(rest),
        _ => bench::run(&args::Args::parse()).map(|()| 0),
    };
    match inner {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("amps-bench: {error}");
            ExitCode::from(125)
        }
    }
}
