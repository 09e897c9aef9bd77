//! A real terminal with a program on it.
//!
//! The program leads a session of its own whose terminal is one end of a pair; the test is the
//! person and the screen at the other end. A thread reads all that comes, keeps the bytes, draws
//! them on a screen in memory, and answers queries if it is told to.

mod answers;
mod reader;

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use amps_core::exit::Exit;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcgetpgrp, tcsetwinsize};

use crate::command::{Cmd, exit_of};
use crate::process;
use crate::wait::{PATIENCE, left_until, within};
use reader::Reader;

/// How long a program may take to end when its terminal is closed at the end of a test.
const GRACE: Duration = Duration::from_secs(2);
/// How long to wait for the last bytes of a program whose terminal others keep open.
const LAST_BYTES: Duration = Duration::from_millis(500);

/// What kind of terminal to open.
#[derive(Clone, Copy, Debug)]
pub struct TerminalOptions {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub cols: u16,
    /// Whether it answers queries (DA1, CPR, OSC 10 and 11, `CSI ?u`) as real terminals do.
    pub answers: bool,
}

impl Default for TerminalOptions {
    fn default() -> Self {
        Self {
            rows: 24,
            cols: 80,
            answers: false,
        }
    }
}

/// The settings of a terminal (termios), to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modes(String);

/// Returns what the control key makes of a letter.
pub fn ctrl(letter: char) -> [u8; 1] {
    assert!(letter.is_ascii(), "no control key for {letter}");
    [letter.to_ascii_uppercase() as u8 & 0x1f]
}

/// A terminal with a program on it. Dropping it closes the terminal and ends what is left.
#[derive(Debug)]
pub struct Terminal {
    master: Option<Arc<OwnedFd>>,
    reader: Reader,
    child: Child,
    exit: Option<Exit>,
    command: Cmd,
}

impl Terminal {
    #[track_caller]
    pub(crate) fn spawn(command: Cmd, options: TerminalOptions) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        tcsetwinsize(&master, winsize(options.rows, options.cols)).unwrap();
        fcntl_setfl(&master, OFlags::RDWR | OFlags::NONBLOCK).unwrap();
        let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
        let mut leader = command.led_by("--lead-terminal");
        leader.stdin(Stdio::from(slave.try_clone().unwrap()));
        leader.stdout(Stdio::from(slave.try_clone().unwrap()));
        leader.stderr(Stdio::from(slave));
        let child = match leader.spawn() {
            Ok(child) => child,
            Err(error) => panic!("{command} cannot be put on a terminal: {error}"),
        };
        // The command keeps our ends of the other side open, which would hide its hang-up.
        drop(leader);
        let master = Arc::new(master);
        Self {
            reader: Reader::start(Arc::clone(&master), options),
            master: Some(master),
            child,
            exit: None,
            command,
        }
    }

    /// Returns the pid of the program, which leads the session.
    pub fn pid(&self) -> i32 {
        self.child.id().try_into().unwrap()
    }

    /// Sends bytes as if they were typed.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let mut bytes = bytes.as_ref();
        while !bytes.is_empty() {
            let written = rustix::io::retry_on_intr(|| rustix::io::write(self.master(), bytes));
            match written {
                Ok(length) => bytes = &bytes[length..],
                Err(Errno::AGAIN) => self.wait_for_room(),
                Err(error) => panic!("nothing can be typed: {error}\n{}", self.state()),
            }
        }
    }

    /// Waits until more can be typed. A program that does not read lets its terminal fill up.
    #[track_caller]
    fn wait_for_room(&self) {
        let end = Instant::now() + PATIENCE;
        let master = self.master();
        let mut fds = [PollFd::new(&master, PollFlags::OUT)];
        let ready = rustix::io::retry_on_intr(|| poll(&mut fds, Some(&left_until(end))));
        assert!(
            ready.is_ok_and(|count| count > 0),
            "waited {PATIENCE:?} for room to type\n{}",
            self.state()
        );
    }

    /// Changes the size; the kernel tells the group in front by SIGWINCH.
    #[track_caller]
    pub fn resize(&mut self, rows: u16, cols: u16) {
        self.reader.resize(rows, cols);
        tcsetwinsize(self.master(), winsize(rows, cols)).unwrap();
    }

    /// Closes the terminal, as when its window is closed. What came before can still be seen.
    pub fn close(&mut self) {
        self.reader.stop();
        // The last one of our end: the kernel hangs up the other.
        drop(self.master.take());
    }

    /// Returns the settings of the terminal.
    #[track_caller]
    pub fn modes(&self) -> Modes {
        let termios = tcgetattr(self.master()).unwrap();
        Modes(format!("{termios:#?}"))
    }

    /// Returns the process group in front.
    #[track_caller]
    pub fn front(&self) -> i32 {
        let group = tcgetpgrp(self.master()).unwrap();
        group.as_raw_nonzero().get()
    }

    /// Returns all bytes that came so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.reader.with(|seen| seen.bytes.clone())
    }

    /// Returns how many bytes came so far, to look only at later ones.
    pub fn mark(&self) -> usize {
        self.reader.with(|seen| seen.bytes.len())
    }

    /// Looks at the screen.
    pub fn screen<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        self.reader.with(|seen| look(seen.parser.screen()))
    }

    /// Returns the text on the screen.
    pub fn contents(&self) -> String {
        self.screen(vt100::Screen::contents)
    }

    /// Waits until the screen is as wanted.
    #[track_caller]
    pub fn wait_for_screen(
        &self,
        what: &str,
        deadline: Duration,
        mut wanted: impl FnMut(&vt100::Screen) -> bool,
    ) {
        let found = (self.reader).wait(deadline, |seen| wanted(seen.parser.screen()).then_some(()));
        self.expect(found, what, deadline);
    }

    /// Waits until a text is on the screen.
    #[track_caller]
    pub fn wait_for_text(&self, text: &str) {
        self.wait_for_screen(&format!("{text:?} on the screen"), PATIENCE, |screen| {
            screen.contents().contains(text)
        });
    }

    /// Waits until these bytes have come, and returns the place after them.
    #[track_caller]
    pub fn wait_for_bytes(&self, bytes: impl AsRef<[u8]>, deadline: Duration) -> usize {
        self.wait_for_bytes_after(0, bytes, deadline)
    }

    /// Waits until these bytes have come after a [`mark`](Self::mark), and returns the place after
    /// them.
    #[track_caller]
    pub fn wait_for_bytes_after(
        &self,
        mark: usize,
        bytes: impl AsRef<[u8]>,
        deadline: Duration,
    ) -> usize {
        let bytes = bytes.as_ref();
        let mut from = mark;
        let found = self.reader.wait(deadline, |seen| {
            let later = seen.bytes.get(from..)?;
            let place = later.windows(bytes.len()).position(|part| part == bytes);
            let found = place.map(|place| from + place + bytes.len());
            from = mark.max(seen.bytes.len().saturating_sub(bytes.len()));
            found
        });
        self.expect(found, &format!("bytes {}", bytes.escape_ascii()), deadline)
    }

    /// Waits until what came after a mark is as wanted.
    #[track_caller]
    pub(crate) fn wait_after<T>(
        &self,
        mark: usize,
        what: &str,
        mut look: impl FnMut(&[u8]) -> Option<T>,
    ) -> T {
        let found = (self.reader).wait(PATIENCE, |seen| look(seen.bytes.get(mark..)?));
        self.expect(found, what, PATIENCE)
    }

    /// Returns whether the program still runs.
    pub fn is_running(&mut self) -> bool {
        self.take_exit();
        self.exit.is_none()
    }

    /// Sends the program a signal; not its group, as a key would.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        assert!(self.exit.is_none(), "{} has ended", self.command);
        process::send(self.pid(), signal);
    }

    /// Waits for the end of the program and for its last bytes.
    #[track_caller]
    pub fn wait_exit(&mut self, deadline: Duration) -> Exit {
        self.end_within(deadline);
        let exit = self.expect(self.exit, "the end of the program", deadline);
        if self.master.is_some() {
            self.reader.wait(LAST_BYTES, |seen| seen.over.then_some(()));
        }
        exit
    }

    fn end_within(&mut self, deadline: Duration) {
        if let Some(handle) = process::open(self.pid()).filter(|_| self.exit.is_none()) {
            process::ended_within(&handle, deadline);
        }
        self.take_exit();
    }

    fn take_exit(&mut self) {
        if self.exit.is_none() {
            self.exit = self.child.try_wait().unwrap().map(exit_of);
        }
    }

    #[track_caller]
    fn master(&self) -> BorrowedFd<'_> {
        match &self.master {
            Some(master) => master.as_fd(),
            None => panic!("the terminal is closed"),
        }
    }

    #[track_caller]
    fn expect<T>(&self, found: Option<T>, what: &str, deadline: Duration) -> T {
        match found {
            Some(found) => found,
            None => panic!("waited {deadline:?} for {what}\n{}", self.state()),
        }
    }

    fn state(&self) -> String {
        let bytes = self.bytes();
        let tail = &bytes[bytes.len().saturating_sub(400)..];
        let process = process::stat(self.pid());
        format!(
            "{}\nexit: {:?}\nprocess: {process:?}\nlast bytes: {}\nlast screen:\n{}",
            self.command,
            self.exit,
            tail.escape_ascii(),
            self.contents()
        )
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let start = Instant::now();
        self.close();
        let leader = self.pid();
        if self.exit.is_none() {
            self.end_within(GRACE);
        }
        if self.exit.is_none() && self.child.kill().is_ok() {
            self.exit = self.child.wait().ok().map(exit_of);
        }
        // The rest of the session was told by SIGHUP, too, and had as much time.
        let of_session = |stat: &process::Stat| stat.session == leader;
        let root = self.command.root.clone();
        within(GRACE.saturating_sub(start.elapsed()), || {
            let mut left = process::of_home(&root).into_iter();
            (!left.any(|stat| of_session(&stat))).then_some(())
        });
        process::end_all(&root, of_session);
    }
}

fn winsize(rows: u16, cols: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: cols,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}
