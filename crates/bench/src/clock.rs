//! The one clock of the benchmarks. It is the same in every process of the machine, so a program
//! under test may stamp an instant that another process subtracts.

use rustix::time::{ClockId, clock_gettime};

/// Returns nanoseconds on the monotonic clock.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Returns the milliseconds from one instant to a later one.
pub(crate) fn milliseconds(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64 / 1e6
}
