//! The terminal that a recording is played in: raw meanwhile, as it was afterwards.
//!
//! What the recorded agent asked of its terminal is asked again of this one, which answers. Answers
//! are escape sequences and are dropped; only what is no part of one is a key.

use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use amps_engine::recording::{Scanner, Step};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::signal as number;
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

use crate::output;

/// How long the last answer of the terminal is waited for.
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// How much faster or slower a key makes it.
const STEP: f64 = 1.5;

/// Returns whether the answer goes to a terminal.
pub(super) fn is_shown() -> bool {
    isatty(stdout())
}

/// Returns rows and columns of the terminal.
pub(super) fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(stdout()).ok()?;
    Some((size.ws_row, size.ws_col)).filter(|(rows, cols)| *rows > 0 && *cols > 0)
}

/// Shows output.
pub(super) fn show(bytes: &[u8]) -> io::Result<()> {
    let mut out = output::raw_answer();
    out.write_all(bytes)?;
    out.flush()
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// The time is over.
    Due,
    /// The person wants to leave.
    Left,
    /// A signal wants this process to end.
    Signal(i32),
}

/// A terminal that a recording is played in.
pub(super) struct Terminal {
    before: Termios,
    has_keys: bool,
    signals: SignalDelivery<UnixStream, SignalOnly>,
    scanner: Scanner,
    speed: f64,
    /// When the next output is due, or would have been while it is paused.
    due: Instant,
    paused_at: Option<Instant>,
    is_closed: bool,
}

impl Terminal {
    /// Takes the terminal over.
    pub(super) fn open(speed: f64) -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        let heard = [
            number::SIGHUP,
            number::SIGINT,
            number::SIGQUIT,
            number::SIGTERM,
        ];
        let signals = SignalDelivery::with_pipe(read, write, SignalOnly, heard)?;
        let before = tcgetattr(stdout())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdout(), OptionalActions::Now, &raw)?;
        Ok(Self {
            before,
            has_keys: isatty(stdin()),
            signals,
            scanner: Scanner::default(),
            speed,
            due: Instant::now(),
            paused_at: None,
            is_closed: false,
        })
    }

    /// Waits for as long as nothing happened, and hears keys meanwhile.
    pub(super) fn wait(&mut self, idle: Duration) -> io::Result<News> {
        self.due += idle.div_f64(self.speed);
        loop {
            let now = Instant::now();
            let left = match self.paused_at {
                Some(_) => None,
                None => Some(self.due.saturating_duration_since(now)),
            };
            // Keys are heard even where nothing has to be waited for.
            self.sleep(left)?;
            if let Some(signal) = self.signals.pending().next() {
                return Ok(News::Signal(signal));
            }
            if self.hear()? == News::Left {
                return Ok(News::Left);
            }
            if self.paused_at.is_none() && Instant::now() >= self.due {
                return Ok(News::Due);
            }
        }
    }

    /// Gives the terminal back.
    pub(super) fn close(mut self) -> io::Result<()> {
        self.give_back()
    }

    fn give_back(&mut self) -> io::Result<()> {
        if self.is_closed {
            return Ok(());
        }
        self.is_closed = true;
        let shown = show(&amps_host::reset()).and_then(|()| self.take_answers());
        // Restored whatever else fails; what was typed meanwhile was for the player.
        tcsetattr(stdout(), OptionalActions::Flush, &self.before)?;
        shown
    }

    /// Has the terminal answer all that it was asked: the last question is ours.
    fn take_answers(&mut self) -> io::Result<()> {
        if !self.has_keys {
            return Ok(());
        }
        show(b"\x1b[c")?;
        let end = Instant::now() + LAST_ANSWER;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.sleep(Some(left))?;
            let mut bytes = [0; 4096];
            let length = self.read(&mut bytes)?;
            let mut read = bytes.iter().take(length);
            let is_ours = |step| matches!(step, Step::Sequence(b'c', _));
            if !self.has_keys || read.any(|byte| is_ours(self.scanner.step(*byte))) {
                return Ok(());
            }
        }
    }

    /// Waits for input, a signal, or until the time is over.
    fn sleep(&self, time: Option<Duration>) -> io::Result<()> {
        let timeout = time.map(|time| Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(time.subsec_nanos()),
        });
        let signals = PollFd::new(self.signals.get_read(), PollFlags::IN);
        let keyboard = stdin();
        let keys = self.has_keys.then(|| PollFd::new(&keyboard, PollFlags::IN));
        let mut sources: Vec<_> = [signals].into_iter().chain(keys).collect();
        match poll(&mut sources, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads what was typed or answered; nothing if there is none.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let keyboard = stdin();
        let mut source = [PollFd::new(&keyboard, PollFlags::IN)];
        let now = Timespec::default();
        if !self.has_keys || poll(&mut source, Some(&now)).unwrap_or_default() == 0 {
            return Ok(0);
        }
        match rustix::io::read(stdin(), bytes) {
            Ok(0) | Err(Errno::IO) => {
                // The terminal is gone.
                self.has_keys = false;
                Ok(0)
            }
            Ok(length) => Ok(length),
            Err(Errno::INTR | Errno::AGAIN) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Acts on the keys that were pressed.
    fn hear(&mut self) -> io::Result<News> {
        let mut bytes = [0; 4096];
        let length = self.read(&mut bytes)?;
        for byte in bytes.iter().take(length) {
            let step = self.scanner.step(*byte);
            match (step, byte) {
                // No answer holds it, whatever it would be a part of.
                (_, 0x03) | (Step::Text, b'q') => return Ok(News::Left),
                (Step::Text, b' ') => self.pause_or_go_on(),
                (Step::Text, b'+') => self.change_speed(STEP),
                (Step::Text, b'-') => self.change_speed(1.0 / STEP),
                _ => {}
            }
        }
        Ok(News::Due)
    }

    fn pause_or_go_on(&mut self) {
        match self.paused_at.take() {
            Some(since) => self.due += since.elapsed(),
            None => self.paused_at = Some(Instant::now()),
        }
    }

    fn change_speed(&mut self, by: f64) {
        let now = self.paused_at.unwrap_or_else(Instant::now);
        let left = self.due.saturating_duration_since(now);
        self.due = now + left.div_f64(by);
        self.speed = (self.speed * by).clamp(0.01, 1_000.0);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Left by an error: there is nobody to tell another one.
        self.give_back().ok();
    }
}
