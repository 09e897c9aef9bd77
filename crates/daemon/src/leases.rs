//! The leases that are open, and the watch over their owners.
//!
//! The kernel tells of a death at once; beats matter only for owners that cannot be looked at.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amps_core::evidence::{Evidence, EvidenceKind};
use amps_core::id::{LeaseId, SessionId};
use amps_core::lease::{Lease, StaleGeneration};
use amps_core::process::{ProcessIdentity, Verdict, judge};
use amps_core::run::Run;
use amps_core::session::{Binding, Ending, Session};
use amps_core::time::Moment;
use amps_engine::process;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::daemon::Daemon;
use crate::recovery;

/// How long a dead owner's connection may still hold its last words.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// The longest time between two tries to end a session whose store fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The open leases.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    held: Mutex<HashMap<SessionId, Held>>,
    /// Told whenever a launcher's connection ends.
    disconnected: Notify,
    /// Told when a lease has come that only beats keep open.
    needed: Notify,
}

/// One open lease.
#[derive(Debug)]
struct Held {
    lease: Lease,
    binding: Binding,
    /// How many connections of the launcher are open. After it has connected again the old one
    /// may end later.
    connections: u32,
    /// Whether the last sign of life is newer than the store's.
    unsaved: bool,
    /// Since when only beats can tell that the owner lives, in milliseconds since boot.
    needs_beats_since: Option<u64>,
    watch: Option<AbortHandle>,
}

/// Why a sign of life was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RenewRefused {
    /// The lease is not open.
    NotHeld,
    /// It is held under another generation.
    Stale(StaleGeneration),
}

impl Leases {
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds the lease of an open session and watches its owner. Held already, it only notes that
    /// its launcher is connected once more.
    pub(crate) fn hold(&self, daemon: &Arc<Daemon>, session: &Session, run: &Run, connected: bool) {
        let id = session.session_id;
        if let Some(held) = self.lock().get_mut(&id) {
            held.connections += u32::from(connected);
            return;
        }
        let held = Held {
            lease: run.lease.clone(),
            binding: session.binding,
            connections: u32::from(connected),
            unsaved: false,
            needs_beats_since: None,
            watch: None,
        };
        self.lock().insert(id, held);
        let watch = tokio::spawn(watch(Arc::clone(daemon), id, run.lease.clone()));
        if let Some(held) = self.lock().get_mut(&id) {
            held.watch = Some(watch.abort_handle());
        }
    }

    /// Lets go of a lease whose session has ended.
    pub(crate) fn release(&self, id: SessionId) {
        self.lock().remove(&id);
    }

    /// Notes a sign of life.
    pub(crate) fn renew(
        &self,
        session: SessionId,
        lease: LeaseId,
        generation: u64,
        at: Moment,
    ) -> Result<(), RenewRefused> {
        let mut held = self.lock();
        let found = held
            .get_mut(&session)
            .filter(|held| held.lease.lease_id == lease);
        let held = found.ok_or(RenewRefused::NotHeld)?;
        held.lease
            .renew(generation, at)
            .map_err(RenewRefused::Stale)?;
        held.unsaved = true;
        Ok(())
    }

    /// Notes that a connection has ended over which the session was opened.
    pub(crate) fn disconnect(&self, id: SessionId) {
        if let Some(held) = self.lock().get_mut(&id) {
            held.connections = held.connections.saturating_sub(1);
        }
        self.disconnected.notify_waiters();
    }

    /// Returns the generation and ttl under which a session is held.
    pub(crate) fn terms(&self, id: SessionId) -> Option<(u64, Duration)> {
        self.lock()
            .get(&id)
            .map(|held| (held.lease.generation, held.lease.ttl))
    }

    /// Returns the leases that are open.
    pub(crate) fn ids(&self) -> HashSet<LeaseId> {
        self.lock()
            .values()
            .map(|held| held.lease.lease_id)
            .collect()
    }

    /// Returns how many leases are open.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Takes the signs of life that the store does not have yet.
    pub(crate) fn take_unsaved(&self) -> Vec<(LeaseId, Moment)> {
        let mut held = self.lock();
        let unsaved = held.values_mut().filter(|held| held.unsaved);
        unsaved
            .map(|held| {
                held.unsaved = false;
                (held.lease.lease_id, held.lease.last_heartbeat)
            })
            .collect()
    }

    /// Returns the leases that only beats keep open, with the instant from which their ttl counts
    /// at the earliest.
    pub(crate) fn needing_beats(&self) -> Vec<(SessionId, Lease, u64)> {
        let held = self.lock();
        held.iter()
            .filter_map(|(id, held)| Some((*id, held.lease.clone(), held.needs_beats_since?)))
            .collect()
    }

    /// Gives every lease that needs beats one fresh ttl.
    pub(crate) fn grant_fresh_ttls(&self, now: Moment) {
        for held in self.lock().values_mut() {
            held.needs_beats_since = held.needs_beats_since.map(|_| now.uptime_ms);
        }
    }

    fn mark_needing_beats(&self, id: SessionId, now: Moment) {
        if let Some(held) = self.lock().get_mut(&id) {
            held.needs_beats_since = Some(now.uptime_ms);
        }
        self.needed.notify_one();
    }

    /// Waits until a lease has come that only beats keep open.
    pub(crate) async fn need_for_beats(&self) {
        self.needed.notified().await;
    }

    fn is_connected(&self, id: SessionId) -> bool {
        self.lock().get(&id).is_some_and(|held| held.connections > 0)
    }

    fn binding(&self, id: SessionId) -> Option<(Binding, Moment)> {
        self.lock()
            .get(&id)
            .map(|held| (held.binding, held.lease.last_heartbeat))
    }

    /// Waits until a dead launcher's connection has been read to its end.
    async fn hear_last_words(&self, id: SessionId) {
        let closed = async {
            loop {
                let told = self.disconnected.notified();
                if !self.is_connected(id) {
                    return;
                }
                told.await;
            }
        };
        // A connection that stays open belongs to somebody who took it over: the owner is dead
        // all the same.
        drop(tokio::time::timeout(LAST_WORDS, closed).await);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.take() {
            watch.abort();
        }
    }
}

/// Waits for the death of an owner, or leaves the lease to the clock if it cannot be looked at.
async fn watch(daemon: Arc<Daemon>, id: SessionId, lease: Lease) {
    let owner = lease.owner();
    let proof = match judge(&owner, &daemon.place, process::sight(owner.pid)) {
        Verdict::Dead(proof) => Some(proof),
        Verdict::Alive { .. } => exit_of(&owner).await,
        Verdict::Unknown => None,
    };
    match proof {
        // Ending releases the lease, which aborts this task: the work goes on in another.
        Some(proof) => {
            tokio::spawn(async move { end_vacated(&daemon, id, proof).await });
        }
        None => daemon.leases.mark_needing_beats(id, daemon.clock.now()),
    }
}

/// Waits until the kernel tells that a process has ended; `None` where it does not tell.
pub(crate) async fn exit_of(process: &ProcessIdentity) -> Option<EvidenceKind> {
    let handle = process::open_handle(process)?;
    #[expect(
        deprecated,
        reason = "an OwnedFd keeps the promise that the unsafe replacement asks for"
    )]
    let handle = AsyncFd::with_interest(handle, Interest::READABLE).ok()?;
    drop(handle.readable().await.ok()?);
    Some(EvidenceKind::PidfdExit)
}

/// Ends the session of an owner that is proven dead, after hearing what it said before.
pub(crate) async fn end_vacated(daemon: &Arc<Daemon>, id: SessionId, proof: EvidenceKind) {
    daemon.leases.hear_last_words(id).await;
    recovery::deliver_spool(daemon).await;
    let Some((binding, last_alive)) = daemon.leases.binding(id) else {
        return;
    };
    let now = daemon.clock.now();
    let ending = match (proof, binding) {
        (EvidenceKind::BootIdChanged, _) => Ending::MachineRestarted,
        (EvidenceKind::LeaseExpired, _) => Ending::LeaseExpired,
        (_, Binding::Shell) => Ending::ShellEnded,
        (_, Binding::Launcher) => Ending::OwnerDead,
    };
    let evidence = Evidence {
        kind: proof,
        observed_at: now,
        last_alive: Some(last_alive),
        detail: detail(proof, binding),
    };
    let mut pause = Duration::from_secs(1);
    while let Err(fault) = daemon.end(id, ending, evidence.clone()).await {
        tracing::error!(session = %id, %fault, "a session with a dead owner could not be ended");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        if daemon.leases.binding(id).is_none() {
            return;
        }
    }
}

fn detail(proof: EvidenceKind, binding: Binding) -> String {
    let owner = match binding {
        Binding::Launcher => "the launcher",
        Binding::Shell => "the shell",
    };
    match proof {
        EvidenceKind::PidfdExit => format!("the kernel told that {owner} exited"),
        EvidenceKind::ProcessGone => format!("no living process has the pid of {owner}"),
        EvidenceKind::StartTimeMismatch => {
            format!("the pid of {owner} belongs to a process that started at another time")
        }
        EvidenceKind::BootIdChanged => {
            format!("the machine has been restarted since {owner} was last seen")
        }
        EvidenceKind::LockReleased => format!("the lock that {owner} held is free"),
        EvidenceKind::LeaseExpired => {
            format!("{owner} could not be looked at and gave no sign of life within the ttl")
        }
        EvidenceKind::WaitStatus
        | EvidenceKind::PtyHangup
        | EvidenceKind::UserCommand
        | EvidenceKind::StartFailed => format!("{owner} reported the end"),
    }
}

#[cfg(test)]
mod tests {
    use amps_core::lease::DEFAULT_TTL;
    use amps_core::process::{BootId, Place};
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;

    fn held_by_beats(connections: u32) -> Held {
        let started = Moment {
            at: Timestamp::UNIX_EPOCH,
            uptime_ms: 0,
        };
        Held {
            lease: Lease {
                lease_id: LeaseId::new(Uuid::nil()),
                owner_pid: 1,
                owner_start_ticks: 1,
                place: Place {
                    host: "elsewhere".into(),
                    boot_id: BootId::new("b"),
                    pid_namespace: 1,
                },
                ttl: DEFAULT_TTL,
                last_heartbeat: started,
                generation: 1,
            },
            binding: Binding::Launcher,
            connections,
            unsaved: false,
            needs_beats_since: None,
            watch: None,
        }
    }

    #[test]
    fn a_launcher_that_connected_again_stays_connected_when_its_old_connection_ends() {
        let leases = Leases::default();
        let id = SessionId::new(Uuid::nil());
        leases.lock().insert(id, held_by_beats(2));
        leases.disconnect(id);
        assert!(leases.is_connected(id), "the new connection is open");
        leases.disconnect(id);
        assert!(!leases.is_connected(id));
        leases.disconnect(id);
        assert!(!leases.is_connected(id), "never fewer than none");
    }
}
