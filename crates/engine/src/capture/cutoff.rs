//! The instant that a snapshot stands for, which may pass while the snapshot is being taken.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use amps_core::capture::When;
use amps_core::time::Moment;
use jiff::Timestamp;

use super::look::kernel_now;

/// The kernel dates changes by a clock that ticks 100 to 1000 times a second, so a change may bear
/// a time up to a tick before it was made.
pub const TICK: Duration = Duration::from_millis(10);

/// How long the kernel's clock may take to come to an instant, in milliseconds. Waiting longer is of
/// no use: the clock has been set back.
pub const LONGEST_LAG_MS: u32 = 50;

/// A cell, shared between the taker of a snapshot and the launcher, for the instant that the
/// snapshot stands for: the launch of the agent, or its end.
///
/// As long as it is open, whatever is seen was there before the instant.
#[derive(Clone, Debug)]
pub struct Cutoff {
    asked: Moment,
    instant: Arc<OnceLock<Moment>>,
    /// How long before the instant the kernel may have dated what was done after it.
    slack: Duration,
}

impl Cutoff {
    /// Makes a cell whose instant has not come; `asked` is now.
    pub fn open(asked: Moment) -> Self {
        Self {
            asked,
            instant: Arc::default(),
            slack: Duration::ZERO,
        }
    }

    /// Makes a cell for an agent that ended at this instant.
    pub fn ended(instant: Moment) -> Self {
        Self {
            slack: Duration::ZERO,
            ..Self::passed(instant)
        }
    }

    /// Makes a cell for an agent that ended at some time between its last sign of life and the
    /// instant at which that was found out: what changed in between may be anybody's.
    pub fn ended_between(last_alive: Timestamp, found: Moment) -> Self {
        let slack = found.at.duration_since(last_alive);
        Self {
            slack: Duration::try_from(slack).unwrap_or_default(),
            ..Self::passed(found)
        }
    }

    /// Makes a cell for a launch at this instant, which has passed.
    pub fn passed(instant: Moment) -> Self {
        Self {
            asked: instant,
            instant: Arc::new(OnceLock::from(instant)),
            slack: TICK,
        }
    }

    /// Tells that the instant is now; the first to tell wins. Who tells it waits until it
    /// [has come](Self::has_come) before the agent may act.
    pub fn set(&self, instant: Moment) {
        let _first = self.instant.set(instant);
    }

    /// Returns whether the kernel, whose clock lags, would date a change of now at the instant or
    /// later: then no act of the agent can be dated before it.
    pub fn has_come(&self) -> bool {
        self.nanoseconds()
            .is_some_and(|instant| kernel_now() >= instant)
    }

    /// Returns the instant, once it has passed.
    pub fn instant(&self) -> Option<Moment> {
        self.instant.get().copied()
    }

    /// Returns what the snapshot is dated.
    pub(crate) fn taken_at(&self) -> Moment {
        self.instant().unwrap_or(self.asked)
    }

    /// Returns the instant in nanoseconds since 1970.
    pub(crate) fn nanoseconds(&self) -> Option<i128> {
        self.instant().map(|instant| instant.at.as_nanosecond())
    }

    /// Returns before which time, in nanoseconds since 1970, a change was certainly made before the
    /// instant; `None` as long as the instant has not come.
    pub(crate) fn certainly_before(&self) -> Option<i128> {
        let slack = i128::try_from(self.slack.as_nanos()).unwrap_or_default();
        Some(self.nanoseconds()? - slack)
    }

    /// Tells how a time that the kernel noted, in nanoseconds since 1970, lies to the instant.
    ///
    /// The kernel never dates a change later than it was made, so what bears the instant or more
    /// was made after it. What bears less was made before it, or within the slack.
    pub(crate) fn when(&self, time: i128) -> When {
        let (Some(instant), Some(before)) = (self.nanoseconds(), self.certainly_before()) else {
            return When::Before;
        };
        if time >= instant {
            When::After
        } else if time >= before {
            When::Perhaps
        } else {
            When::Before
        }
    }
}
