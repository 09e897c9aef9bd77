//! A close look at one process that a person named: whose it is, what it runs, where and with what.
//! Everything is read from `/proc`; nothing is ever sent to the process.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use amps_core::process::{Activity, ProcessIdentity};
use rustix::process::geteuid;

use super::{Stat, read_stat};
use crate::clock::Clock;

/// The flag of a thread of the kernel: `PF_KTHREAD` in `linux/sched.h`.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// What a running process shows of itself.
#[derive(Clone, Debug)]
pub struct Portrait {
    /// Which process it is.
    pub identity: ProcessIdentity,
    /// The name that the kernel has for it, cut at 15 bytes.
    pub name: String,
    /// Its command line; empty if it has erased it.
    pub command: Vec<OsString>,
    /// The folder it works in.
    pub folder: PathBuf,
    /// The environment it was started with, as entries with a zero byte between.
    pub environment: Vec<u8>,
}

/// Why a process cannot be given a session.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// No process has the pid.
    #[error("there is no process {0}")]
    Missing(u32),
    /// It has ended.
    #[error("process {0} has ended; only its parent has not asked yet how")]
    Ended(u32),
    /// The number is that of a thread.
    #[error("{pid} is a thread of process {process}")]
    Thread {
        /// The number of the thread.
        pid: u32,
        /// The process it belongs to.
        process: u32,
    },
    /// It is a thread of the kernel.
    #[error("process {0} is a thread of the kernel")]
    Kernel(u32),
    /// It is the first process, with whose end all others end.
    #[error("process 1 is the first of all: with it everything ends that could tell of its end")]
    First,
    /// It belongs to another user.
    #[error("process {pid} belongs to user {user}")]
    Foreign {
        /// The process.
        pid: u32,
        /// The number of its user.
        user: u32,
    },
    /// It runs in a pid namespace below this one.
    #[error("process {0} runs in a container")]
    Contained(u32),
    /// Something of it cannot be read.
    #[error("{path} cannot be read")]
    Unreadable {
        /// What was to be read.
        path: String,
        /// Why it cannot.
        source: io::Error,
    },
}

/// Looks closely at the living process that has this pid, which must be of this user, unless that
/// is root, and of this pid namespace.
pub fn portray(pid: u32, clock: &Clock) -> Result<Portrait, Unfit> {
    let stat = look(pid)?;
    let status = Status::read(pid)?;
    status.judge(pid, &stat)?;
    let read = |name: &str| {
        let path = format!("/proc/{pid}/{name}");
        fs::read(&path).map_err(|source| unreadable(pid, path, source))
    };
    let command = read("cmdline")?;
    let environment = read("environ")?;
    let path = format!("/proc/{pid}/cwd");
    let folder = fs::read_link(&path).map_err(|source| unreadable(pid, path, source))?;
    // A pid may be given to another process at any time: all of it was of one only if that is
    // still there.
    if look(pid)?.start_ticks != stat.start_ticks {
        return Err(Unfit::Missing(pid));
    }
    Ok(Portrait {
        identity: ProcessIdentity {
            pid,
            start_ticks: stat.start_ticks,
            place: clock.place(),
        },
        name: status.name,
        command: words(&command),
        folder,
        environment,
    })
}

/// Returns what the kernel says of a process that lives.
fn look(pid: u32) -> Result<Stat, Unfit> {
    let path = format!("/proc/{pid}/stat");
    let stat = read_stat(pid).map_err(|source| unreadable(pid, path.clone(), source))?;
    let not_understood = || Unfit::Unreadable {
        path,
        source: io::ErrorKind::InvalidData.into(),
    };
    match stat.ok_or_else(not_understood)? {
        Stat {
            activity: Activity::Ended,
            ..
        } => Err(Unfit::Ended(pid)),
        stat => Ok(stat),
    }
}

/// A process may end between any two looks: then there is nothing to read any more.
fn unreadable(pid: u32, path: String, source: io::Error) -> Unfit {
    let is_gone = source.kind() == io::ErrorKind::NotFound
        || source.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error());
    if is_gone {
        Unfit::Missing(pid)
    } else {
        Unfit::Unreadable { path, source }
    }
}

/// Returns the words of a command line. A program that writes a title over its own leaves zero
/// bytes behind it.
fn words(command: &[u8]) -> Vec<OsString> {
    let end = command.iter().rposition(|byte| *byte != 0);
    let Some(end) = end else { return Vec::new() };
    let words = command
        .get(..=end)
        .unwrap_or_default()
        .split(|byte| *byte == 0);
    words
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect()
}

/// What `/proc/PID/status` says, proc(5).
struct Status {
    name: String,
    /// The process that a thread belongs to.
    process: Option<u32>,
    /// The effective user.
    user: Option<u32>,
    /// In how many pid namespaces, from this one on, it has a pid.
    namespaces: usize,
}

impl Status {
    fn read(pid: u32) -> Result<Self, Unfit> {
        let path = format!("/proc/{pid}/status");
        let text = fs::read(&path).map_err(|source| unreadable(pid, path, source))?;
        Ok(Self::parse(&String::from_utf8_lossy(&text)))
    }

    fn parse(text: &str) -> Self {
        let field = |name: &str| {
            let mut lines = text.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.map(str::trim).unwrap_or_default()
        };
        let number = |name: &str, place: usize| {
            let mut numbers = field(name).split_ascii_whitespace();
            numbers.nth(place)?.parse().ok()
        };
        Self {
            name: field("Name").to_owned(),
            process: number("Tgid", 0),
            user: number("Uid", 1),
            namespaces: field("NSpid").split_ascii_whitespace().count(),
        }
    }

    fn judge(&self, pid: u32, stat: &Stat) -> Result<(), Unfit> {
        let own = geteuid();
        if pid == 1 {
            return Err(Unfit::First);
        }
        if let Some(process) = self.process.filter(|process| *process != pid) {
            return Err(Unfit::Thread { pid, process });
        }
        if stat.flags & KERNEL_THREAD != 0 {
            return Err(Unfit::Kernel(pid));
        }
        if let Some(user) = self.user.filter(|user| *user != own.as_raw())
            && !own.is_root()
        {
            return Err(Unfit::Foreign { pid, user });
        }
        // Kernels before 4.1 do not tell; they do not have containers of users either.
        if self.namespaces > 1 {
            return Err(Unfit::Contained(pid));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_portrayed_as_it_is() {
        let portrait = portray(std::process::id(), &Clock::default()).unwrap();
        let arguments: Vec<_> = std::env::args_os().collect();
        assert_eq!(portrait.command, arguments);
        assert_eq!(portrait.folder, std::env::current_dir().unwrap());
        let own = super::super::identity(std::process::id(), &Clock::default());
        assert_eq!(Some(portrait.identity), own);
    }

    #[test]
    fn what_is_no_process_of_ours_is_told_apart() {
        let portray = |pid| portray(pid, &Clock::default());
        assert!(matches!(portray(1), Err(Unfit::First)));
        assert!(matches!(portray(u32::MAX), Err(Unfit::Missing(_))));
        let this = rustix::thread::gettid().as_raw_nonzero().get();
        let own = std::process::id();
        let pid = u32::try_from(this).unwrap();
        assert!(pid != own, "a test runs in a thread of its own");
        assert!(matches!(portray(pid), Err(Unfit::Thread { process, .. }) if process == own));
    }

    #[test]
    fn a_title_over_the_command_line_leaves_no_empty_words() {
        assert_eq!(words(b"claude\0\0\0\0"), ["claude"]);
        assert_eq!(words(b"sh\0-c\0\0x\0"), ["sh", "-c", "", "x"]);
        assert!(words(b"").is_empty());
        assert!(words(b"\0").is_empty());
    }

    #[test]
    fn a_status_is_judged_by_its_fields() {
        let status = Status::parse("Name:\ta b\nTgid:\t8\nUid:\t7\t9\t7\t7\nNSpid:\t8\t1\n");
        assert_eq!(status.name, "a b");
        assert_eq!((status.process, status.user), (Some(8), Some(9)));
        let stat = |flags| Stat {
            activity: Activity::Live,
            parent: 1,
            group: 1,
            flags,
            start_ticks: 1,
            wait_status: None,
        };
        let with = |user: u32, namespaces| Status {
            user: Some(user),
            namespaces,
            ..Status::parse("Tgid:\t8\n")
        };
        let own = geteuid().as_raw();
        assert!(matches!(
            status.judge(9, &stat(0)),
            Err(Unfit::Thread { process: 8, .. })
        ));
        assert!(matches!(
            with(own, 1).judge(8, &stat(KERNEL_THREAD)),
            Err(Unfit::Kernel(8))
        ));
        assert!(matches!(
            with(own, 2).judge(8, &stat(0)),
            Err(Unfit::Contained(8))
        ));
        assert!(with(own, 1).judge(8, &stat(0)).is_ok());
        let foreign = with(own + 1, 1).judge(8, &stat(0));
        assert_eq!(foreign.is_ok(), own == 0, "root may");
    }
}
