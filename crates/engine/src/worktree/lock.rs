//! Locks that know their holder.
//!
//! The kernel holds the lock, so it is free when its holder is dead and cannot be stolen from a
//! living one. What is written in the file only tells people whom to wait for.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use amps_core::id::SessionId;
use amps_core::path::visible;
use amps_core::process::{Activity, Sighting};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::repository::Ours;
use super::{Refusal, WorktreeError};
use crate::files::{self, Lock};
use crate::process::sight;

/// The pause between two tries of a lock that somebody holds.
const PAUSE: Duration = Duration::from_millis(5);

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its pid.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start_ticks: u64,
    /// What it does, such as `amps iterate`.
    pub purpose: String,
    /// Since when it holds the lock.
    pub since: Timestamp,
}

impl Holder {
    fn this(purpose: &str) -> Self {
        let pid = std::process::id();
        let start_ticks = match sight(pid) {
            Sighting::Present { start_ticks, .. } => start_ticks,
            Sighting::Gone | Sighting::Unknown => 0,
        };
        Self {
            pid,
            start_ticks,
            purpose: purpose.to_owned(),
            since: Timestamp::now(),
        }
    }

    /// Returns whether the process that wrote this lives. One that is dead may have left a git
    /// behind, which holds the lock until it ends.
    pub fn is_alive(&self) -> bool {
        matches!(
            sight(self.pid),
            Sighting::Present { start_ticks, activity: Activity::Live | Activity::Stopped }
                if start_ticks == self.start_ticks
        )
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = if self.is_alive() {
            ""
        } else {
            "a git left by "
        };
        let purpose = visible(&self.purpose);
        let seconds = self.since.strftime("%Y-%m-%dT%H:%M:%SZ");
        write!(f, "{left}`{purpose}` (pid {}) since {seconds}", self.pid)
    }
}

/// The right to change what belongs to one session.
#[derive(Debug)]
pub struct SessionLock {
    held: Held,
    session: SessionId,
}

impl SessionLock {
    /// Takes the lock of a session, waiting at most this long for whoever holds it.
    pub fn take(
        common_dir: &Path,
        session: SessionId,
        purpose: &str,
        wait: Duration,
    ) -> Result<Self, WorktreeError> {
        let held = Held::take(common_dir, &session.to_string(), purpose, wait)?;
        Ok(Self { held, session })
    }

    /// Returns the session that it is for.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Returns the open file that holds the lock. Given to git as its standard input it keeps the
    /// lock until git has ended.
    pub(crate) fn file(&self) -> &File {
        self.held.lock.file()
    }

    /// Releases the lock of a session that is over, and removes its file.
    pub(super) fn retire(&self) -> Result<(), files::FileError> {
        files::remove(&self.held.path)
    }
}

/// The right to change what the sessions of a repository share. Held for an instant at a time.
#[derive(Debug)]
pub struct RepositoryLock {
    _held: Held,
}

impl RepositoryLock {
    /// Takes the lock of the repository, waiting at most this long for whoever holds it.
    pub fn take(common_dir: &Path, purpose: &str, wait: Duration) -> Result<Self, WorktreeError> {
        let held = Held::take(common_dir, "repository", purpose, wait)?;
        Ok(Self { _held: held })
    }
}

#[derive(Debug)]
struct Held {
    lock: Lock,
    path: PathBuf,
}

impl Held {
    fn take(
        common_dir: &Path,
        name: &str,
        purpose: &str,
        wait: Duration,
    ) -> Result<Self, WorktreeError> {
        let path = Ours::at(common_dir).folder("locks")?.join(name);
        let until = Instant::now() + wait;
        loop {
            if let Some(mut lock) = Lock::try_take(&path)? {
                let holder = serde_json::to_string(&Holder::this(purpose)).unwrap_or_default();
                // It is only for people: a disk that is full does not keep anybody from working.
                lock.write(&holder).ok();
                return Ok(Self { lock, path });
            }
            if Instant::now() >= until {
                let text = fs::read_to_string(&path).unwrap_or_default();
                let holder = serde_json::from_str(text.trim()).ok();
                return Err(Refusal::Held { holder }.into());
            }
            files::pause(PAUSE);
        }
    }
}
