//! What `/proc` says about processes, and ending one without hitting another.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use crate::wait;

/// The variable that marks the processes of one sealed home.
pub(crate) const MARK: &str = "AMPS_TEST_HOME";

/// A process as `/proc/PID/stat` shows it.
#[derive(Clone, Debug)]
pub struct Stat {
    /// Process id.
    pub pid: i32,
    /// Name of its program, cut at 15 bytes.
    pub name: String,
    /// `R`, `S`, `T` (stopped), `Z` (ended, not yet asked for) and so on.
    pub state: char,
    /// Its parent.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// Number of its terminal, 0 for none.
    pub terminal: i32,
    /// The group in front on its terminal.
    pub front: i32,
    /// When it started, in ticks since boot.
    pub start_ticks: u64,
}

impl Stat {
    /// Returns whether it is stopped by a signal.
    pub fn is_stopped(&self) -> bool {
        self.state == 'T'
    }

    /// Returns whether it has ended, even if nobody has asked for its status yet.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

/// Reads what `/proc` says about a process; `None` if there is none.
pub fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, tail) = text.rsplit_once(')')?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse().ok();
    Some(Stat {
        pid,
        name: head.split_once('(')?.1.to_owned(),
        state: fields.first()?.chars().next()?,
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
        terminal: number(4)?,
        front: number(5)?,
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

/// Returns whether a process lives. One that has ended and was not yet asked for does not.
pub fn is_alive(pid: i32) -> bool {
    stat(pid).is_some_and(|stat| !stat.has_ended())
}

/// Returns the command line of a process, its words parted by blanks.
pub fn command_line(pid: i32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words)
        .replace('\0', " ")
        .trim()
        .to_owned()
}

/// Returns all processes.
pub fn all() -> Vec<Stat> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| stat(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

/// Returns the children of a process.
pub fn children(pid: i32) -> Vec<Stat> {
    let mut found = all();
    found.retain(|stat| stat.parent == pid && !stat.has_ended());
    found
}

/// Waits until a process is stopped by a signal.
#[track_caller]
pub fn wait_stopped(pid: i32, deadline: Duration) {
    wait::until(format!("process {pid} to be stopped"), deadline, || {
        stat(pid)?.is_stopped().then_some(())
    });
}

/// Waits until a process waits for something itself. After its last output was seen this tells that
/// it has come to read: some programs lose a signal that comes between the two.
#[track_caller]
pub fn wait_asleep(pid: i32, deadline: Duration) {
    wait::until(format!("process {pid} to sleep"), deadline, || {
        (stat(pid)?.state == 'S').then_some(())
    });
}

/// Waits until a process, of whomever it is a child, has ended.
#[track_caller]
pub fn wait_gone(pid: i32, deadline: Duration) {
    let Some(handle) = open(pid) else { return };
    assert!(
        ended_within(&handle, deadline),
        "waited {deadline:?} for process {pid} to end: {}",
        command_line(pid)
    );
}

/// Sends a signal to a process of the tests.
#[track_caller]
pub fn send(pid: i32, signal: Signal) {
    let target = Pid::from_raw(pid).filter(|_| pid > 1);
    let target = target.unwrap_or_else(|| panic!("{pid} is not a process to signal"));
    if let Err(error) = kill_process(target, signal) {
        panic!("process {pid} cannot be sent {signal:?}: {error}");
    }
}

/// Opens a process, so that it is told from a later one of the same number.
pub(crate) fn open(pid: i32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()
}

/// Waits for the end of an opened process and returns whether it came in time.
pub(crate) fn ended_within(handle: &OwnedFd, deadline: Duration) -> bool {
    let end = Instant::now() + deadline;
    let mut fds = [PollFd::new(handle, PollFlags::IN)];
    loop {
        match poll(&mut fds, Some(&wait::left_until(end))) {
            Err(rustix::io::Errno::INTR) => {}
            other => return other.unwrap() > 0,
        }
    }
}

/// Returns the living processes of a sealed home: those whose environment is of it, or that run a
/// program that was installed into it. Working in its folder is not enough: so does the shell of
/// a person who looks at a failed test.
pub(crate) fn of_home(root: &Path) -> Vec<Stat> {
    let mut found = all();
    found.retain(|stat| !stat.has_ended() && belongs_to(stat.pid, root));
    found
}

fn belongs_to(pid: i32, root: &Path) -> bool {
    if i64::from(pid) == i64::from(std::process::id()) {
        return false;
    }
    let root_text = root.as_os_str().as_bytes();
    let marks = [
        [MARK.as_bytes(), b"=", root_text].concat(),
        // A daemon may keep only what it needs.
        [b"AMPSM_CONFIG_DIR=", root_text, b"/h"].concat(),
        [b"HOME=", root_text, b"/home"].concat(),
    ];
    let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let mut words = environ.split(|byte| *byte == 0);
    let program = fs::read_link(format!("/proc/{pid}/exe"));
    words.any(|word| marks.iter().any(|mark| mark == word))
        || program.is_ok_and(|program| program.starts_with(root))
}

/// Ends the processes of a home by SIGKILL, and waits until they are gone.
pub(crate) fn end_all(root: &Path, which: impl Fn(&Stat) -> bool) -> Vec<Stat> {
    let mut ended = Vec::new();
    // Again, because a process may have made another before it was ended.
    loop {
        let mut some = false;
        for stat in of_home(root).into_iter().filter(&which) {
            let Some(handle) = open(stat.pid) else {
                continue;
            };
            // The number may have gone to another process before it was opened.
            if belongs_to(stat.pid, root) && pidfd_send_signal(&handle, Signal::KILL).is_ok() {
                ended_within(&handle, wait::PATIENCE);
                some = true;
                ended.push(stat);
            }
        }
        if !some {
            return ended;
        }
    }
}
