//! Waiting for something with a deadline.

use std::fmt::Display;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::Timespec;

/// How long a test waits for what should come at once on a machine that has nothing else to do.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks until there is something to return. Panics at the deadline with what was waited for.
#[track_caller]
pub fn until<T>(what: impl Display, deadline: Duration, probe: impl FnMut() -> Option<T>) -> T {
    match within(deadline, probe) {
        Some(found) => found,
        None => panic!("waited {deadline:?} for {what}"),
    }
}

/// Looks until there is something to return or the time is over.
pub fn within<T>(deadline: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        // A look that begins after the deadline counts: the machine may have been slow, not the event.
        let last = Instant::now() >= end;
        if let Some(found) = probe() {
            return Some(found);
        }
        if last {
            return None;
        }
        std::thread::park_timeout(PAUSE);
    }
}

/// Waits until a file exists, and returns its text.
#[track_caller]
pub fn for_file(path: &Path, deadline: Duration) -> String {
    until(path.display(), deadline, || {
        std::fs::read_to_string(path).ok()
    })
}

/// Waits until a file has this text.
#[track_caller]
pub fn for_text(path: &Path, text: &str, deadline: Duration) {
    let found = within(deadline, || {
        (std::fs::read_to_string(path).ok()? == text).then_some(())
    });
    let has = std::fs::read_to_string(path);
    assert!(
        found.is_some(),
        "waited {deadline:?} for {} to be {text:?}; it is {has:?}",
        path.display()
    );
}

/// Returns the time left until an instant in the form that system calls take.
pub(crate) fn left_until(end: Instant) -> Timespec {
    Timespec::try_from(end.saturating_duration_since(Instant::now())).unwrap()
}
