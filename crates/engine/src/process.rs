//! Looking at processes: identities, sightings, handles that tell of a death.

mod portrait;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use amps_core::exit::Exit;
use amps_core::process::{Activity, ProcessIdentity, Sighting};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, getppid, kill_process_group, pidfd_open, pidfd_send_signal,
};

pub use self::portrait::{Portrait, Unfit, portray};
use crate::clock::Clock;

/// The variable that marks the processes of a session.
pub const SESSION_VARIABLE: &str = "AMPSM_SESSION_ID";

/// Looks at a pid.
pub fn sight(pid: u32) -> Sighting {
    match read_stat(pid) {
        Ok(stat) => stat.map_or(Sighting::Unknown, |stat| Sighting::Present {
            start_ticks: stat.start_ticks,
            activity: stat.activity,
        }),
        // A process may die between opening and reading: both errors mean that it is gone, but
        // only while /proc itself can be read.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                || error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) =>
        {
            if fs::exists("/proc/self/stat").unwrap_or(false) {
                Sighting::Gone
            } else {
                Sighting::Unknown
            }
        }
        Err(_) => Sighting::Unknown,
    }
}

/// Returns the identity of the living process that has this pid now.
pub fn identity(pid: u32, clock: &Clock) -> Option<ProcessIdentity> {
    match sight(pid) {
        Sighting::Present {
            start_ticks,
            activity: Activity::Live | Activity::Stopped,
        } => Some(ProcessIdentity {
            pid,
            start_ticks,
            place: clock.place(),
        }),
        Sighting::Present { .. } | Sighting::Gone | Sighting::Unknown => None,
    }
}

/// Returns the parent of this process.
pub fn parent(clock: &Clock) -> Option<ProcessIdentity> {
    let pid = getppid()?;
    identity(u32::try_from(pid.as_raw_nonzero().get()).ok()?, clock)
}

/// Returns this process and its ancestors, the nearest first. This process counts: a shell may
/// have become it by exec.
pub fn lineage(clock: &Clock) -> Vec<ProcessIdentity> {
    let mut found = Vec::new();
    let mut next = Some(std::process::id());
    while let Some(pid) = next.filter(|pid| *pid > 0) {
        let Ok(Some(stat)) = read_stat(pid) else {
            break;
        };
        let place = clock.place();
        found.push(ProcessIdentity {
            pid,
            start_ticks: stat.start_ticks,
            place,
        });
        next = Some(stat.parent);
    }
    found
}

/// Opens a handle that becomes readable when the process ends, and makes sure that the handle is
/// for the process meant and not for a later one with its pid.
pub fn open_handle(process: &ProcessIdentity) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(process.pid).ok()?)?;
    let handle = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    match sight(process.pid) {
        Sighting::Present { start_ticks, .. } if start_ticks == process.start_ticks => Some(handle),
        Sighting::Present { .. } | Sighting::Gone | Sighting::Unknown => None,
    }
}

/// Waits until a process is gone, but not longer than until then. Returns whether it is.
pub fn wait_gone(process: &ProcessIdentity, until: Instant) -> bool {
    let Some(handle) = open_handle(process) else {
        return sight(process.pid) != Sighting::Unknown;
    };
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        let mut fds = [PollFd::new(&handle, PollFlags::IN)];
        match poll(&mut fds, timeout.as_ref()) {
            Err(Errno::INTR) => {}
            Ok(0) | Err(_) => return false,
            Ok(_) => return true,
        }
    }
}

/// How far a signal reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The process alone.
    Process,
    /// All of the process group that it leads.
    Group,
}

/// Sends a signal to a process, and to no later one with its pid. One that is gone already has
/// nothing to be told.
pub fn signal(process: &ProcessIdentity, signal: Signal, reach: Reach) -> io::Result<()> {
    let Some(handle) = open_handle(process) else {
        return Ok(());
    };
    let sent = match (
        reach,
        i32::try_from(process.pid).ok().and_then(Pid::from_raw),
    ) {
        // While somebody is in the group its number is given to nobody else.
        (Reach::Group, Some(group)) => kill_process_group(group, signal),
        (Reach::Group | Reach::Process, _) => pidfd_send_signal(&handle, signal),
    };
    match sent {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Returns how a process ended whose death the kernel has told. The kernel shows it to others than
/// the parent only until the parent has asked: field 52 of `/proc/PID/stat`, proc(5). On Linux 6.15
/// a handle tells it for ever, which no crate makes use of yet without unsafe code.
pub fn exit_shown(process: &ProcessIdentity) -> Option<Exit> {
    // Shown to whoever may read this too; to others the field is 0, as after a success. It is read
    // first: if the process is still the one meant afterwards, it was so here.
    fs::read(format!("/proc/{}/io", process.pid)).ok()?;
    let stat = read_stat(process.pid).ok()??;
    let ended = stat.activity == Activity::Ended && stat.start_ticks == process.start_ticks;
    let status = stat.wait_status.filter(|_| ended)?;
    Some(match status & 0x7f {
        0 => Exit::Code(status >> 8 & 0xff),
        signal => Exit::Signal(signal),
    })
}

/// Returns the signals that this process ignores, as under `nohup`: `SigIgn` of proc(5).
pub fn ignored_signals() -> Vec<i32> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let mask = mask.unwrap_or_default();
    (1..=64)
        .filter(|signal| mask & (1 << (signal - 1)) != 0)
        .collect()
}

/// Finds the living processes of this user whose environment names the session, given the
/// launcher that they descend from. A process that cannot be read belongs to another user and is
/// none of ours.
pub fn of_session(
    session: &str,
    launcher: &ProcessIdentity,
    clock: &Clock,
) -> Vec<ProcessIdentity> {
    let mark = format!("{SESSION_VARIABLE}={session}");
    // Pids are given out in order: as long as they have not begun again from the start, whatever
    // descends from the launcher has a higher one.
    let in_order = launcher.place == clock.place() && !pids_began_again();
    let from = if in_order { launcher.pid } else { 0 };
    pids()
        .filter(|pid| *pid > from && *pid != std::process::id())
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
                environment
                    .split(|byte| *byte == 0)
                    .any(|entry| entry == mark.as_bytes())
            })
        })
        .filter_map(|pid| identity(pid, clock))
        .collect()
}

/// Finds the living processes of a process group.
pub fn of_group(group: u32, clock: &Clock) -> Vec<ProcessIdentity> {
    pids()
        .filter(|pid| read_stat(*pid).is_ok_and(|stat| stat.is_some_and(|it| it.group == group)))
        .filter_map(|pid| identity(pid, clock))
        .collect()
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Returns whether more processes have been started since boot than there are pids, or whether
/// that cannot be told: `processes` in `/proc/stat`, proc(5).
fn pids_began_again() -> bool {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let started = fs::read_to_string("/proc/stat").ok().and_then(|stat| {
        stat.lines()
            .find_map(|line| number(line.strip_prefix("processes ")?))
    });
    let most = fs::read_to_string("/proc/sys/kernel/pid_max")
        .ok()
        .and_then(|max| number(&max));
    match (started, most) {
        (Some(started), Some(most)) => started >= most,
        _ => true,
    }
}

struct Stat {
    activity: Activity,
    parent: u32,
    group: u32,
    flags: u32,
    start_ticks: u64,
    /// As wait(2) would tell it; `None` on kernels before 3.5.
    wait_status: Option<i32>,
}

/// Reads `/proc/PID/stat`; `None` if it is not as expected.
fn read_stat(pid: u32) -> io::Result<Option<Stat>> {
    let text = fs::read(format!("/proc/{pid}/stat"))?;
    // A name may be cut in the middle of a character.
    Ok(parse_stat(&String::from_utf8_lossy(&text)))
}

/// Reads fields 3, 4, 5, 9, 22 and 52 of `/proc/PID/stat`, proc(5). The name in field 2 may hold
/// anything, closing parentheses too, so counting starts behind the last one.
fn parse_stat(text: &str) -> Option<Stat> {
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
    let activity = match fields.next()? {
        "T" | "t" => Activity::Stopped,
        "Z" | "X" | "x" => Activity::Ended,
        _ => Activity::Live,
    };
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let flags = fields.nth(3)?.parse().ok()?;
    let start_ticks = fields.nth(12)?.parse().ok()?;
    let wait_status = fields.nth(29).and_then(|field| field.parse().ok());
    Some(Stat {
        activity,
        parent,
        group,
        flags,
        start_ticks,
        wait_status,
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Stdio};

    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let line = "42 (a) b) (c) T 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 998877 1 1";
        let stat = parse_stat(line).unwrap();
        assert_eq!(stat.activity, Activity::Stopped);
        assert_eq!(stat.parent, 7);
        assert_eq!(stat.group, 42);
        assert_eq!(stat.flags, 4_194_560);
        assert_eq!(stat.start_ticks, 998_877);
    }

    #[expect(clippy::disallowed_methods, reason = "a process that ends")]
    fn shell(script: &str) -> Child {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::piped());
        command.spawn().unwrap()
    }

    fn wait_for_death(process: &ProcessIdentity, ending: impl FnOnce()) {
        let handle = open_handle(process).unwrap();
        ending();
        let mut handles = [PollFd::new(&handle, PollFlags::IN)];
        let patience = Timespec {
            tv_sec: 30,
            tv_nsec: 0,
        };
        assert_eq!(poll(&mut handles, Some(&patience)).unwrap(), 1);
    }

    #[test]
    fn an_exit_is_shown_from_the_death_until_the_parent_has_asked() {
        for (script, exit) in [
            ("read line; exit 0", Exit::Code(0)),
            ("read line; exit 3", Exit::Code(3)),
            ("read line; kill -9 $$", Exit::Signal(9)),
        ] {
            let mut child = shell(script);
            let process = identity(child.id(), &Clock::default()).unwrap();
            assert_eq!(exit_shown(&process), None, "it lives");
            wait_for_death(&process, || drop(child.stdin.take()));
            assert_eq!(exit_shown(&process), Some(exit));
            let later = ProcessIdentity {
                start_ticks: process.start_ticks + 1,
                ..process.clone()
            };
            assert_eq!(exit_shown(&later), None, "another process");
            child.wait().unwrap();
            assert_eq!(exit_shown(&process), None, "nothing is left of it");
        }
    }

    #[test]
    fn this_process_is_sighted_and_has_living_ancestors() {
        let clock = Clock::default();
        let own = identity(std::process::id(), &clock).unwrap();
        assert!(open_handle(&own).is_some());
        let other = ProcessIdentity {
            start_ticks: own.start_ticks + 1,
            ..own
        };
        assert!(
            open_handle(&other).is_none(),
            "a pid with another start time is another process"
        );
        assert!(lineage(&clock).len() > 1);
    }
}
