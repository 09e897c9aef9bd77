//! Ranges of ports, leased to sessions so that their servers do not meet.
//!
//! Ports belong to the machine, so leases lie in the home, one file for each session.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use amps_core::ground::{FurnishPolicy, PortRange};
use amps_core::id::SessionId;

use super::{Refusal, WorktreeError};
use crate::capture::look::is_missing;
use crate::files::{self, FileError, Lock};

const WAIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);

/// Leases a range of ports to a session; one that has a lease keeps it. Every port of a new range
/// is free on the loopback interface at this moment. `None` where no ports are wanted.
pub fn lease_ports(
    folder: &Path,
    session: SessionId,
    policy: &FurnishPolicy,
) -> Result<Option<PortRange>, WorktreeError> {
    let count = policy.ports;
    if count == 0 {
        return Ok(None);
    }
    files::create_private_folder(folder)?;
    let _lock = take(&folder.join("lock"))?;
    if let Some(range) = leased_ports(folder, session)? {
        return Ok(Some(range));
    }
    let taken = leases(folder)?;
    let ranges = (policy.first_port..=u16::MAX - count).step_by(usize::from(count));
    let free = ranges
        .map(|first| PortRange { first, count })
        .find(|range| !taken.iter().any(|other| range.overlaps(*other)) && is_free(*range));
    let range = free.ok_or(Refusal::NoPorts { count })?;
    let text = serde_json::to_vec(&range).unwrap_or_default();
    files::replace(&lease(folder, session), &text, 0o600)?;
    Ok(Some(range))
}

/// Returns the range that a session has.
pub fn leased_ports(folder: &Path, session: SessionId) -> Result<Option<PortRange>, FileError> {
    read(&lease(folder, session))
}

/// Gives the range of a session back.
pub fn free_ports(folder: &Path, session: SessionId) -> Result<(), FileError> {
    files::remove(&lease(folder, session))
}

fn lease(folder: &Path, session: SessionId) -> PathBuf {
    folder.join(session.to_string())
}

fn take(path: &Path) -> Result<Lock, WorktreeError> {
    let until = Instant::now() + WAIT;
    loop {
        match Lock::try_take(path)? {
            Some(lock) => return Ok(lock),
            None if Instant::now() >= until => return Err(Refusal::Held { holder: None }.into()),
            None => files::pause(PAUSE),
        }
    }
}

fn leases(folder: &Path) -> Result<Vec<PortRange>, FileError> {
    let entries = fs::read_dir(folder).map_err(|source| FileError::new("read", folder, source))?;
    let mut found = Vec::new();
    for entry in entries.flatten() {
        found.extend(read(&entry.path())?);
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Option<PortRange>, FileError> {
    match fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if is_missing(&error) => Ok(None),
        Err(source) => Err(FileError::new("read", path, source)),
    }
}

/// Returns whether all ports can be listened on. A machine without IPv6 is asked for IPv4 only.
fn is_free(range: PortRange) -> bool {
    let has_ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    range.ports().all(|port| {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
            && (!has_ipv6 || TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_ok())
    })
}
