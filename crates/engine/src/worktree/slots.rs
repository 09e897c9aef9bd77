//! A queue for checkouts, as wide as the machine has cores: more at once only wait for each other.

use std::num::NonZero;
use std::thread;
use std::time::{Duration, Instant};

use super::WorktreeError;
use super::repository::Ours;
use crate::files::{self, Lock};

const PAUSE: Duration = Duration::from_millis(3);
/// A checkout that has waited for this long goes on in any case: the queue is only for speed.
const PATIENCE: Duration = Duration::from_secs(120);

/// Places in the queue that are held.
#[derive(Debug)]
pub(super) struct Slots(Vec<Lock>);

impl Slots {
    /// Waits for a place, then takes all others that nobody wants: each is for one more process
    /// that writes files.
    pub(super) fn take(ours: &Ours) -> Result<Self, WorktreeError> {
        let folder = ours.folder("slots")?;
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let until = Instant::now() + PATIENCE;
        loop {
            let mut held = Vec::new();
            for slot in 0..cores {
                held.extend(Lock::try_take_now(&folder.join(slot.to_string()))?);
            }
            if !held.is_empty() || Instant::now() >= until {
                return Ok(Self(held));
            }
            files::pause(PAUSE);
        }
    }

    /// Returns how many processes may write files.
    pub(super) fn workers(&self) -> usize {
        self.0.len().max(1)
    }
}
