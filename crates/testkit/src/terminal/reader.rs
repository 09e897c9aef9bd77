//! The thread that reads what a program writes to its terminal.

use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use vt100::Parser;

use super::TerminalOptions;
use super::answers::Answers;

/// How long to wait before looking again whether a terminal that everybody has closed was opened
/// again. Its hang-up is reported without end.
const HUNG_UP: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// What came from the terminal.
pub(super) struct Seen {
    pub(super) bytes: Vec<u8>,
    pub(super) parser: Parser<Answers>,
    /// Nobody has the other end open, and all it wrote was read.
    pub(super) over: bool,
}

struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads until it is stopped.
pub(super) struct Reader {
    shared: Arc<Shared>,
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl Reader {
    pub(super) fn start(master: Arc<OwnedFd>, options: TerminalOptions) -> Self {
        let (rows, cols) = (size(options.rows), size(options.cols));
        let answers = Answers::new(options.answers);
        let shared = Arc::new(Shared {
            seen: Mutex::new(Seen {
                bytes: Vec::new(),
                parser: Parser::new_with_callbacks(rows, cols, 0, answers),
                over: false,
            }),
            changed: Condvar::new(),
        });
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC).unwrap());
        let thread = {
            let (shared, stop) = (Arc::clone(&shared), Arc::clone(&stop));
            std::thread::spawn(move || read(&master, &stop, &shared))
        };
        Self {
            shared,
            stop,
            thread: Some(thread),
        }
    }

    /// Ends the thread, which then has let go of the terminal.
    pub(super) fn stop(&mut self) {
        if let Some(thread) = self.thread.take() {
            rustix::io::write(&self.stop, &1_u64.to_ne_bytes()).unwrap();
            thread.join().ok();
        }
    }

    pub(super) fn resize(&self, rows: u16, cols: u16) {
        let mut seen = self.shared.lock();
        seen.parser.set_size(size(rows), size(cols));
    }

    pub(super) fn with<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.shared.lock())
    }

    /// Looks each time something came, until there is something to return or the time is over.
    pub(super) fn wait<T>(
        &self,
        deadline: Duration,
        mut look: impl FnMut(&Seen) -> Option<T>,
    ) -> Option<T> {
        let end = Instant::now() + deadline;
        let mut seen = self.shared.lock();
        loop {
            if let Some(found) = look(&seen) {
                return Some(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let woken = self.shared.changed.wait_timeout(seen, left);
            seen = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn size(length: u16) -> NonZeroU16 {
    NonZeroU16::new(length).unwrap()
}

fn read(master: &OwnedFd, stop: &OwnedFd, shared: &Shared) {
    let mut buffer = vec![0; 65536];
    loop {
        let mut fds = [
            PollFd::new(stop, PollFlags::IN),
            PollFd::new(master, PollFlags::IN),
        ];
        if poll(&mut fds, None).is_err() {
            continue;
        }
        if !fds[0].revents().is_empty() {
            return;
        }
        let length = match rustix::io::read(master, &mut buffer) {
            Ok(length) => length,
            Err(Errno::AGAIN | Errno::INTR) => continue,
            // On Linux the hang-up of the other end reads as EIO.
            Err(_) => 0,
        };
        let reply = take(shared, &buffer[..length]);
        // Nothing can be typed into a terminal that nobody reads, and nobody asks there.
        rustix::io::write(master, &reply).ok();
        if length == 0 {
            let mut stop = [PollFd::new(stop, PollFlags::IN)];
            poll(&mut stop, Some(&HUNG_UP)).ok();
        }
    }
}

fn take(shared: &Shared, bytes: &[u8]) -> Vec<u8> {
    let mut seen = shared.lock();
    seen.over = bytes.is_empty();
    seen.bytes.extend_from_slice(bytes);
    seen.parser.process(bytes);
    let reply = seen.parser.callbacks_mut().take();
    drop(seen);
    shared.changed.notify_all();
    reply
}
