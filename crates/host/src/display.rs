//! What the agent shows, kept beside the bytes that are passed on.
//!
//! Passing on comes first: bytes are queued, and drawn when nothing else is to be done. Of a flood
//! what scrolls out unseen is passed over; one that has to be drawn all the same is drawn by a thread
//! of its own, which is started when there is one.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use amps_screen::{Answer, Screen};

/// As many queued bytes are a flood. The more there are, the more of them scroll out unseen and need
/// no drawing.
const FLOOD: usize = 1024 * 1024;

/// As many queued bytes are drawn when no more follow.
const MUCH: usize = 2 * 1024;

/// How long it takes until no more follow.
const PAUSE: Duration = Duration::from_millis(5);

/// How long a flood goes undrawn.
const LONGEST: Duration = Duration::from_millis(100);

/// As many queued bytes are drawn before any more are taken.
const MOST: usize = 4 * 1024 * 1024;

/// The screen, and the bytes that are still to be drawn on it.
#[derive(Debug)]
pub(crate) struct Display {
    shared: Arc<Shared>,
    has_worker: bool,
    /// Bytes taken since the beginning.
    taken: u64,
    /// When what has been taken is to be drawn, and its answers to be taken.
    draws_at: Option<Instant>,
    /// When it is drawn at the latest, however much comes: what the agent asks waits for it.
    latest: Option<Instant>,
}

#[derive(Debug)]
struct Shared {
    screen: Mutex<Screen>,
    /// Emptied only by who holds the screen, so that bytes are drawn in order.
    queue: Mutex<Queue>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    is_closed: bool,
}

impl Display {
    pub(crate) fn new(screen: Screen) -> Self {
        Self {
            shared: Arc::new(Shared {
                screen: Mutex::new(screen),
                queue: Mutex::default(),
                news: Condvar::new(),
            }),
            has_worker: false,
            taken: 0,
            draws_at: None,
            latest: None,
        }
    }

    /// Returns how many bytes have been taken since the beginning.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Returns when [`Self::catch_up`] has something to do.
    pub(crate) fn draws_at(&self) -> Option<Instant> {
        self.draws_at
    }

    /// Takes bytes that the agent wrote.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.taken += u64::try_from(bytes.len()).unwrap_or_default();
        let now = Instant::now();
        let mut queue = self.shared.queue();
        queue.bytes.extend_from_slice(bytes);
        let queued = queue.bytes.len();
        drop(queue);
        // More may follow at once, and is passed on first.
        let latest = *self.latest.get_or_insert(now + LONGEST);
        let later = if queued < MUCH { now } else { now + PAUSE };
        self.draws_at = Some(later.min(latest));
        if queued < FLOOD {
            return;
        }
        // One that had to be drawn once is not looked at again with every part.
        let is_new = queued - bytes.len() < FLOOD;
        if is_new && self.shared.pass_over() {
            // What is passed over asks nothing.
            self.latest = Some(now + LONGEST);
        } else if queued >= MOST {
            drop(self.shared.drawn());
        } else {
            self.start_worker();
            self.shared.news.notify_one();
        }
    }

    /// Returns the screen with all on it that has been taken.
    pub(crate) fn screen(&self) -> MutexGuard<'_, Screen> {
        self.shared.drawn()
    }

    /// Draws what is queued, unless a flood is being drawn already. Returns what a terminal would
    /// have answered, or `None` if that is not known yet.
    pub(crate) fn catch_up(&mut self) -> Option<Vec<Answer>> {
        match self.draws_at {
            None => return Some(Vec::new()),
            Some(at) if Instant::now() < at => return None,
            Some(_) => {}
        }
        let mut screen = match self.shared.screen.try_lock() {
            Ok(screen) => screen,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.draws_at = Some(Instant::now() + PAUSE);
                return None;
            }
        };
        self.shared.draw(&mut screen);
        self.draws_at = None;
        self.latest = None;
        Some(screen.take_answers())
    }

    fn start_worker(&mut self) {
        if self.has_worker {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let work = move || shared.draw_floods();
        // Without a thread a flood is drawn when the queue is full.
        self.has_worker = thread::Builder::new()
            .name("screen".to_owned())
            .spawn(work)
            .is_ok();
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.shared.queue().is_closed = true;
        self.shared.news.notify_one();
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drawn(&self) -> MutexGuard<'_, Screen> {
        let mut screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
        self.draw(&mut screen);
        screen
    }

    /// Takes from the queue what would leave nothing behind on the screen, if nobody holds that.
    /// Returns whether little is left.
    fn pass_over(&self) -> bool {
        let mut screen = match self.screen.try_lock() {
            Ok(screen) => screen,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let mut queue = self.queue();
        let length = screen.pass_over(&queue.bytes);
        queue.bytes.drain(..length);
        queue.bytes.len() < FLOOD / 2
    }

    fn draw(&self, screen: &mut Screen) {
        let bytes = std::mem::take(&mut self.queue().bytes);
        screen.advance(&bytes);
    }

    fn draw_floods(&self) {
        loop {
            let queue = self.queue();
            let queue = self
                .news
                .wait_while(queue, |queue| !queue.is_closed && queue.bytes.len() < FLOOD)
                .unwrap_or_else(PoisonError::into_inner);
            if queue.is_closed {
                return;
            }
            drop(queue);
            drop(self.drawn());
        }
    }
}

#[cfg(test)]
mod tests {
    use amps_screen::Size;

    use super::*;

    #[test]
    fn a_flood_is_drawn_in_order_whoever_draws_it() {
        let mut display = Display::new(Screen::new(Size { rows: 4, cols: 20 }, 100));
        for number in 0..200_000 {
            display.take(format!("line {number}\r\n").as_bytes());
        }
        let text = display.screen().text();
        assert_eq!(text.trim_end(), "line 199997\nline 199998\nline 199999");
    }

    #[test]
    fn a_plain_flood_is_passed_over_and_not_drawn() {
        let mut display = Display::new(Screen::new(Size { rows: 4, cols: 20 }, 100));
        let line = "a line of a flood\r\n";
        let flood = line.repeat(4 * MOST / line.len()) + "the last line\r\n\x1b[6n";
        let mut longest = 0;
        for part in flood.as_bytes().chunks(4_095) {
            display.take(part);
            longest = longest.max(display.shared.queue().bytes.len());
        }
        assert!(longest < FLOOD + 4_095, "{longest}");
        assert!(!display.has_worker);
        let text = display.screen().text();
        let shown = "a line of a flood\na line of a flood\nthe last line";
        assert_eq!(text.trim_end(), shown);
        let answers = display.screen().take_answers();
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].bytes, b"\x1b[4;1R");
        assert_eq!(answers[0].asked_at, u64::try_from(flood.len()).unwrap());
    }

    #[test]
    fn what_asks_something_in_a_flood_is_drawn() {
        let mut display = Display::new(Screen::new(Size { rows: 4, cols: 20 }, 100));
        display.take(b"\x1b[6n");
        let line = "a line of a flood\r\n";
        display.take(line.repeat(2 * FLOOD / line.len()).as_bytes());
        assert_eq!(display.screen().take_answers().len(), 1);
    }

    #[test]
    fn a_read_that_is_full_waits_for_what_follows_it() {
        let mut display = Display::new(Screen::new(Size { rows: 4, cols: 20 }, 100));
        let before = Instant::now();
        display.take(&[b'a'; 4_095]);
        display.take(b"end");
        assert!(display.draws_at() >= Some(before + PAUSE));
    }

    #[test]
    fn answers_are_known_once_all_is_drawn() {
        let mut display = Display::new(Screen::new(Size { rows: 4, cols: 20 }, 100));
        display.take(b"abc\x1b[6n");
        let answers = display.catch_up().unwrap();
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].bytes, b"\x1b[1;4R");
        assert_eq!(answers[0].asked_at, 7);
        assert_eq!(display.catch_up().unwrap().len(), 0);
    }
}
