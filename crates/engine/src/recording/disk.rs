//! The thread that brings a journal to the disk, so that whoever writes it never waits for that.
//!
//! It syncs as soon as [`MOST_BEHIND`] bytes are owed, or after [`BEHIND`], whichever comes first.
//! What the disk refused can not be known to be there any more, although a second sync would
//! succeed: it counts as failed for ever.

use std::fs::File;
use std::io;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long what was written may stay owed to the disk before a sync begins.
const BEHIND: Duration = Duration::from_secs(1);

/// How many bytes may stay owed to the disk before a sync begins.
const MOST_BEHIND: usize = 256 << 10;

/// How a file is brought to the disk.
pub(super) type Sync = fn(&File) -> io::Result<()>;

/// The thread's other end. When this is dropped, the thread syncs what is owed and ends.
#[derive(Debug)]
pub(super) struct Disk {
    shared: Arc<Shared>,
}

/// How far the disk has got, in bytes of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Output up to here has been brought to the disk, or could not be.
    pub(super) reached: u64,
    /// How much of that could not be.
    pub(super) failed: u64,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There is more to do.
    owed: Condvar,
    /// Something has been done.
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<Arc<File>>,
    /// Bytes of the journal that are owed.
    behind: usize,
    /// Bytes of output that are in the journal.
    written: u64,
    reached: u64,
    failed: u64,
    is_busy: bool,
    is_urgent: bool,
    is_closed: bool,
}

impl Disk {
    /// Starts the thread.
    pub(super) fn start(sync: Sync) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || theirs.run(sync))?;
        Ok(Self { shared })
    }

    /// Notes that a file was written: how many bytes, and how much output the journal has by now.
    pub(super) fn owe(&self, file: &Arc<File>, bytes: usize, written: u64) {
        let mut state = self.shared.lock();
        let was_behind = state.behind;
        let is_first = state.files.is_empty();
        state.behind += bytes;
        state.written = written;
        if !state.files.iter().any(|owed| Arc::ptr_eq(owed, file)) {
            state.files.push(Arc::clone(file));
        }
        if is_first || was_behind < MOST_BEHIND && state.behind >= MOST_BEHIND {
            self.shared.owed.notify_one();
        }
    }

    /// Returns how far the disk has got.
    pub(super) fn progress(&self) -> Progress {
        let state = self.shared.lock();
        Progress {
            reached: state.reached,
            failed: state.failed,
        }
    }

    /// Has everything synced now and waits for it, at most `limit`.
    pub(super) fn settle(&self, limit: Duration) {
        let mut state = self.shared.lock();
        state.is_urgent = true;
        self.shared.owed.notify_one();
        let owes = |state: &mut State| state.is_busy || !state.files.is_empty();
        let waited = self.shared.done.wait_timeout_while(state, limit, owes);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.owed.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, sync: Sync) {
        let mut state = self.lock();
        loop {
            let idles = |state: &mut State| state.files.is_empty() && !state.is_closed;
            let woken = self.owed.wait_while(state, idles);
            state = woken.unwrap_or_else(PoisonError::into_inner);
            if state.files.is_empty() {
                return;
            }
            let gathers = |state: &mut State| {
                state.behind < MOST_BEHIND && !state.is_urgent && !state.is_closed
            };
            let woken = self.owed.wait_timeout_while(state, BEHIND, gathers);
            (state, _) = woken.unwrap_or_else(PoisonError::into_inner);
            let files = mem::take(&mut state.files);
            let upto = state.written;
            state.behind = 0;
            state.is_busy = true;
            drop(state);
            let failures = files.iter().filter(|file| sync(file).is_err()).count();
            drop(files);
            state = self.lock();
            if failures > 0 {
                state.failed += upto - state.reached;
            }
            state.reached = upto;
            state.is_busy = false;
            self.done.notify_all();
        }
    }
}
