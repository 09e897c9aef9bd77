//! The lock on an index that a dead git left behind.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::occupants::{is_gone, own_processes};
use super::{Refusal, WorktreeError};
use crate::capture::look::{is_missing, raw};
use crate::files::{self, FileError};

/// What became of the lock on an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexLock {
    /// There was none.
    None,
    /// It was left behind, and was removed.
    Removed,
    /// A living git holds it, or may hold it.
    Held,
}

/// Removes the `index.lock` of a working tree if no living git can hold it.
///
/// Git closes the lock while it waits for an editor or a hook, so nobody having it open proves
/// nothing: no git of this user may live that works in this tree. A git that cannot be looked at
/// counts as one, and a lock of another user's is left alone.
pub fn clear_stale_index_lock(git_dir: &Path, root: &Path) -> Result<IndexLock, WorktreeError> {
    let path = git_dir.join("index.lock");
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = match rustix::fs::open(&path, flags, Mode::empty()) {
        Ok(handle) => File::from(handle),
        Err(errno) if is_missing(&errno.into()) => return Ok(IndexLock::None),
        Err(errno) => return Err(FileError::new("open", &path, errno.into()).into()),
    };
    let failed = |source| FileError::new("read", &path, source);
    let data = lock.metadata().map_err(failed)?;
    let user = rustix::process::geteuid().as_raw();
    if !data.is_file() || data.uid() != user {
        return Ok(IndexLock::Held);
    }
    for pid in own_processes()? {
        if may_hold(pid, (data.dev(), data.ino()), git_dir, root) {
            return Ok(IndexLock::Held);
        }
    }
    // A lock that was made since is another file, and its git lives.
    if !files::is_at(&lock, &path) {
        return Ok(IndexLock::Held);
    }
    files::remove(&path)?;
    Ok(IndexLock::Removed)
}

/// Fails unless the index is free, or can be freed of a lock that was left behind.
pub(super) fn require_none(git_dir: &Path, root: &Path) -> Result<(), WorktreeError> {
    match clear_stale_index_lock(git_dir, root)? {
        IndexLock::None | IndexLock::Removed => Ok(()),
        IndexLock::Held => {
            let path = raw(&git_dir.join("index.lock"));
            Err(Refusal::IndexLocked { path }.into())
        }
    }
}

/// Returns whether a process has the file open, or is a git that works in this tree or cannot be
/// looked at.
fn may_hold(pid: u32, file: (u64, u64), git_dir: &Path, root: &Path) -> bool {
    let folder = format!("/proc/{pid}");
    // Everybody may read the name.
    let is_git = match fs::read(format!("{folder}/comm")) {
        Ok(name) => name.starts_with(b"git"),
        Err(error) => return !is_gone(&error),
    };
    match has_open(&folder, file) {
        Ok(true) => return true,
        Err(error) if is_git => return !is_gone(&error),
        // Neither a git nor anything that was started from here.
        Ok(false) | Err(_) if !is_git => return false,
        Ok(false) | Err(_) => {}
    }
    let names = |file: &str| {
        let text = fs::read(format!("{folder}/{file}")).unwrap_or_default();
        [git_dir, root].iter().any(|path| {
            let path = path.as_os_str().as_bytes();
            text.windows(path.len()).any(|part| part == path)
        })
    };
    match fs::read_link(format!("{folder}/cwd")) {
        Ok(cwd) if cwd.starts_with(root) || cwd.starts_with(git_dir) => true,
        Ok(_) => names("cmdline") || names("environ"),
        Err(error) => !is_gone(&error),
    }
}

fn has_open(folder: &str, file: (u64, u64)) -> std::io::Result<bool> {
    for entry in fs::read_dir(format!("{folder}/fd"))? {
        // Whatever is closed in the meantime is not held any more.
        let Ok(data) = entry.and_then(|entry| fs::metadata(entry.path())) else {
            continue;
        };
        if (data.dev(), data.ino()) == file {
            return Ok(true);
        }
    }
    Ok(false)
}
