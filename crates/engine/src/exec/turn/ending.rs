//! Ending what outlives an agent.

use std::time::{Duration, Instant};

use amps_core::process::ProcessIdentity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Signal, pidfd_send_signal};

use super::KILLED;
use crate::process::open_handle;

/// How long those that were killed are waited for before it is looked for others: what is being
/// started while others are killed is seen only in another look.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What became of those that outlived an agent.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// They are gone.
    pub(super) ended: Vec<ProcessIdentity>,
    /// They are still there.
    pub(super) unended: Vec<ProcessIdentity>,
}

/// Tells all that `look` finds to end, until then, and kills what is left.
pub(super) fn end_all(look: &dyn Fn() -> Vec<ProcessIdentity>, until: Instant) -> Ended {
    let mut all = look();
    if all.is_empty() {
        return Ended::default();
    }
    signal_and_wait(&all, Signal::TERM, until);
    let given_up = Instant::now().max(until) + KILLED;
    let mut left = look();
    while !left.is_empty() && Instant::now() < given_up {
        let new = left.iter().filter(|process| !all.contains(process));
        let new: Vec<_> = new.cloned().collect();
        all.extend(new);
        signal_and_wait(&left, Signal::KILL, Instant::now() + LOOK_AGAIN);
        left = look();
    }
    let (unended, ended) = all.into_iter().partition(|process| left.contains(process));
    Ended { ended, unended }
}

/// Sends a signal to processes, and waits until they are gone, but not longer than until then.
fn signal_and_wait(processes: &[ProcessIdentity], signal: Signal, until: Instant) {
    // By handles: a pid may be another's by now.
    let handles: Vec<_> = processes.iter().filter_map(open_handle).collect();
    for handle in &handles {
        pidfd_send_signal(handle, signal).ok();
    }
    for handle in &handles {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).ok();
        let mut fds = [PollFd::new(handle, PollFlags::IN)];
        retry_on_intr(|| poll(&mut fds, left.as_ref())).ok();
    }
}
