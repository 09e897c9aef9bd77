//! The measures, one function each, in the order of the goals.

mod capture;
mod daemon;
mod death;
mod echo;
mod exit;
mod flow;
mod held;
mod idle;
mod launch;
mod listing;
mod safety;
mod worktrees;

use crate::{Outcome, bench::Bench, report::Report};

/// A measure takes its samples and adds its rows.
pub(crate) type Measure = fn(&Bench, &mut Report) -> Outcome<()>;

/// All measures by the name of their goal.
pub(crate) const MEASURES: &[(&str, Measure)] = &[
    ("P1", launch::first_output),
    ("P2", launch::large_repository),
    ("P3", exit::nothing_changed),
    ("P4", capture::few_of_many),
    ("P5", capture::many_changed),
    ("P6", exit::prompt_is_back),
    ("P7", echo::latency),
    ("P8", flow::throughput),
    ("P9", flow::same_bytes),
    ("P10", held::memory_of_each),
    ("P11", daemon::memory_rows),
    ("P12", idle::idle),
    ("P13", daemon::beats),
    ("P14", death::killed_wrapper),
    ("P15", death::survivor),
    ("P16", safety::commits),
    ("P17", worktrees::at_once),
    ("P18", worktrees::ready),
    ("P21", listing::newest),
    ("I1", worktrees::iteration),
    ("I2", worktrees::squash),
    ("I3", worktrees::conflicts),
];
