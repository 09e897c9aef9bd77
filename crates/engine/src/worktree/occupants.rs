//! Which processes work in a folder.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Refusal, WorktreeError};
use crate::files;

/// How long a git may take to end by itself, as the maintenance does that a commit leaves behind.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);

/// Fails when a process has a folder at or below `root` as its own, or when that cannot be told of
/// one. Those of other users, and those with more rights than ours, may not be looked at: nobody
/// started them from here.
pub(super) fn require_none(root: &Path) -> Result<(), WorktreeError> {
    let until = Instant::now() + PATIENCE;
    loop {
        match occupant(root)? {
            None => return Ok(()),
            Some((_, command)) if command.starts_with("git") && Instant::now() < until => {
                files::pause(PAUSE);
            }
            Some((pid, command)) => return Err(Refusal::Occupied { pid, command }.into()),
        }
    }
}

/// Returns the pid and the command of a process that works below a folder.
fn occupant(root: &Path) -> Result<Option<(u32, String)>, WorktreeError> {
    for pid in own_processes()? {
        match fs::read_link(format!("/proc/{pid}/cwd")) {
            Ok(folder) if folder.starts_with(root) => return Ok(Some((pid, command(pid)))),
            Ok(_) => {}
            Err(error) if is_gone(&error) || error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(_) => {
                let command = command(pid);
                return Err(Refusal::OccupantUnknown { pid, command }.into());
            }
        }
    }
    Ok(None)
}

/// Returns the pids of this user's processes.
pub(super) fn own_processes() -> Result<Vec<u32>, WorktreeError> {
    let user = rustix::process::geteuid().as_raw();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Err(Refusal::ProcessesUnknown.into());
    };
    let pids = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let pid = entry.file_name().to_str()?.parse::<u32>().ok()?;
        let is_own = entry.metadata().ok()?.uid() == user;
        (is_own && pid != std::process::id()).then_some(pid)
    });
    let pids: Vec<u32> = pids.collect();
    // Not even ourselves: this is no /proc as it should be.
    if fs::read_link("/proc/self/cwd").is_err() {
        return Err(Refusal::ProcessesUnknown.into());
    }
    Ok(pids)
}

/// Returns whether a look at a process failed because it has ended, or is the kernel's.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

fn command(pid: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    amps_core::path::visible(name.trim_end())
}
