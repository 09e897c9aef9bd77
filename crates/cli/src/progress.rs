//! What is said of work that takes its time.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::output;

/// Work that is done sooner is not worth a word.
const SOON: Duration = Duration::from_secs(1);

/// Does something, and says what it is if that takes longer than a moment. It is talk: on standard
/// error, also where the answer is JSON.
pub(crate) fn saying<T>(what: &str, work: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        let (done, over) = channel::<()>();
        scope.spawn(move || {
            if over.recv_timeout(SOON) == Err(RecvTimeoutError::Timeout) {
                output::say(&format!("{what} …"));
            }
        });
        let made = work();
        drop(done);
        made
    })
}
