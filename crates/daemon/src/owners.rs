//! The kernel's news of processes that end.
//!
//! The owners of leases share one event set, so that a quiet owner costs a handle and no task.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use amps_core::evidence::EvidenceKind;
use amps_core::process::ProcessIdentity;
use amps_engine::process;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Deaths taken from the kernel at a time.
const AT_A_TIME: usize = 64;

const AT_ONCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// The owners whose deaths the kernel tells.
#[derive(Debug)]
pub(crate) struct Owners {
    /// `None` where the kernel gave none.
    set: Option<OwnedFd>,
    next_number: AtomicU64,
}

/// An owner in the set, for as long as this is kept.
#[derive(Debug)]
pub(crate) struct Watched {
    /// Never given to another owner, unlike the number of a descriptor.
    pub(crate) number: u64,
    _handle: OwnedFd,
}

impl Default for Owners {
    fn default() -> Self {
        Self {
            set: epoll::create(CreateFlags::CLOEXEC).ok(),
            next_number: AtomicU64::new(0),
        }
    }
}

impl Owners {
    /// Watches a process; `None` where the kernel does not tell of its death.
    pub(crate) fn watch(&self, owner: &ProcessIdentity) -> Option<Watched> {
        let handle = process::open_handle(owner)?;
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        // A death is told once: its session takes a while to end.
        let told = EventFlags::IN | EventFlags::ONESHOT;
        epoll::add(
            self.set.as_ref()?,
            &handle,
            EventData::new_u64(number),
            told,
        )
        .ok()?;
        Some(Watched {
            number,
            _handle: handle,
        })
    }

    /// Takes the numbers of the owners that have died and were not taken before.
    pub(crate) fn take_dead(&self) -> Vec<u64> {
        let mut dead = Vec::new();
        let Some(set) = &self.set else {
            return dead;
        };
        let mut events = Vec::with_capacity(AT_A_TIME);
        loop {
            match epoll::wait(set, spare_capacity(&mut events), Some(&AT_ONCE)) {
                Ok(0) => return dead,
                Ok(_) => dead.extend(events.drain(..).map(|event| event.data.u64())),
                Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "deaths of owners could not be taken");
                    return dead;
                }
            }
        }
    }

    /// Waits until there is a death to take.
    pub(crate) async fn death(&self) -> io::Result<()> {
        match &self.set {
            Some(set) => readable(set).await,
            None => std::future::pending().await,
        }
    }
}

/// Waits until the kernel tells that a process has ended; `None` where it does not tell.
pub(crate) async fn exit_of(process: &ProcessIdentity) -> Option<EvidenceKind> {
    let handle = process::open_handle(process)?;
    readable(&handle).await.ok()?;
    Some(EvidenceKind::PidfdExit)
}

/// Waits until a descriptor has something to be read.
pub(crate) async fn readable(descriptor: &OwnedFd) -> io::Result<()> {
    #[expect(
        deprecated,
        reason = "an OwnedFd keeps the promise that the unsafe replacement asks for"
    )]
    let descriptor = AsyncFd::with_interest(descriptor.as_fd(), Interest::READABLE)?;
    drop(descriptor.readable().await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Stdio};
    use std::time::Duration;

    use amps_engine::clock::Clock;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a process to watch")]
    fn cat() -> Child {
        let mut command = std::process::Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        command.spawn().unwrap()
    }

    fn identity(child: &Child) -> ProcessIdentity {
        process::identity(child.id(), &Clock::default()).unwrap()
    }

    #[test]
    fn each_death_is_told_once_and_only_of_those_that_are_watched() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let owners = Owners::default();
        let (mut living, mut dying, mut forgotten) = (cat(), cat(), cat());
        let _living = owners.watch(&identity(&living)).unwrap();
        let watched = owners.watch(&identity(&dying)).unwrap();
        drop(owners.watch(&identity(&forgotten)).unwrap());
        assert!(owners.take_dead().is_empty());
        forgotten.kill().unwrap();
        forgotten.wait().unwrap();
        dying.kill().unwrap();
        runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(30), owners.death()).await })
            .unwrap()
            .unwrap();
        assert_eq!(owners.take_dead(), [watched.number]);
        assert!(owners.take_dead().is_empty());
        living.kill().unwrap();
        living.wait().unwrap();
        dying.wait().unwrap();
        assert_eq!(owners.take_dead().len(), 1);
    }
}
