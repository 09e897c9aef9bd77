//! The leases that are open, and the watch over their owners.
//!
//! The kernel tells of a death at once; beats matter only for owners that cannot be looked at.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amps_core::evidence::{Evidence, EvidenceKind};
use amps_core::exit::Exit;
use amps_core::id::{LeaseId, SessionId};
use amps_core::lease::{Lease, StaleGeneration};
use amps_core::process::{Verdict, judge};
use amps_core::run::Run;
use amps_core::session::{Binding, Ending, Session};
use amps_core::time::Moment;
use amps_engine::process;
use tokio::sync::Notify;

use crate::daemon::Daemon;
use crate::owners::{Owners, Watched};
use crate::recordings;
use crate::recovery;

/// How long a dead owner's connection may still hold its last words.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// The longest time between two tries to end a session whose store fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long an owner whose death the kernel tells may go without a beat. Its beats decide nothing;
/// by them it only notices a daemon that has stopped answering.
const UNASKED: Duration = Duration::from_secs(15 * 60);

/// Between two tries to hear of deaths when the machine is out of what that needs.
const HEAR_AGAIN: Duration = Duration::from_secs(1);

/// The open leases.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    held: Mutex<HashMap<SessionId, Held>>,
    owners: Owners,
    /// Told whenever a launcher's connection ends.
    disconnected: Notify,
    /// Told when a lease has come that only beats keep open.
    needed: Notify,
}

/// One open lease. Thousands are held for hours, so that one of this place owns nothing beside its
/// entry.
#[derive(Debug)]
struct Held {
    lease: Lease,
    binding: Binding,
    /// How many connections of the launcher are open. After it has connected again the old one
    /// may end later.
    connections: u32,
    /// Whether the last sign of life is newer than the store's.
    unsaved: bool,
    watch: Watch,
}

/// What tells that an owner has died.
#[derive(Debug)]
enum Watch {
    /// The kernel.
    Kernel(Watched),
    /// Its beats, by staying away: since this instant, in milliseconds since boot.
    Beats(u64),
    /// It has been told: the session is being ended.
    Dead,
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
        let connections = u32::from(connected);
        if let Some(held) = self.lock().get_mut(&id) {
            held.connections += connections;
            return;
        }
        let owner = run.lease.owner();
        let watch = match judge(&owner, &daemon.place, process::sight(owner.pid)) {
            Verdict::Dead(proof) => {
                tokio::spawn(end_vacated(Arc::clone(daemon), id, (proof, None)));
                Some(Watch::Dead)
            }
            Verdict::Alive { .. } => self.owners.watch(&owner).map(Watch::Kernel),
            Verdict::Unknown => None,
        };
        let needs_beats = watch.is_none();
        let mut lease = run.lease.clone();
        if lease.place == daemon.place {
            lease.place = daemon.place.clone();
        }
        let held = Held {
            lease,
            binding: session.binding,
            connections,
            unsaved: false,
            watch: watch.unwrap_or_else(|| Watch::Beats(daemon.clock.now().uptime_ms)),
        };
        self.lock().insert(id, held);
        if needs_beats {
            self.needed.notify_one();
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

    /// Returns the generation under which a session is held, and how long its owner may go without
    /// a beat.
    pub(crate) fn terms(&self, id: SessionId) -> Option<(u64, Duration)> {
        self.lock().get(&id).map(|held| {
            let ttl = held.lease.ttl;
            let unasked = match held.watch {
                Watch::Kernel(_) | Watch::Dead => ttl.max(UNASKED),
                Watch::Beats(_) => ttl,
            };
            (held.lease.generation, unasked)
        })
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
            .filter_map(|(id, held)| match held.watch {
                Watch::Beats(since) => Some((*id, held.lease.clone(), since)),
                Watch::Kernel(_) | Watch::Dead => None,
            })
            .collect()
    }

    /// Gives every lease that needs beats one fresh ttl.
    pub(crate) fn grant_fresh_ttls(&self, now: Moment) {
        for held in self.lock().values_mut() {
            if let Watch::Beats(since) = &mut held.watch {
                *since = now.uptime_ms;
            }
        }
    }

    /// Notes that at this instant the owners lived whose deaths the kernel would have told.
    fn mark_living(&self, at: Moment) {
        for held in self.lock().values_mut() {
            if let Watch::Kernel(_) = held.watch
                && held.lease.renew(held.lease.generation, at).is_ok()
            {
                held.unsaved = true;
            }
        }
    }

    /// Takes the sessions whose owners have died, as the kernel tells it, each with the exit of an
    /// agent that was its own owner, as far as the kernel shows it.
    fn take_vacated(&self) -> Vec<(SessionId, Option<Exit>)> {
        let dead = self.owners.take_dead();
        if dead.is_empty() {
            return Vec::new();
        }
        let mut held = self.lock();
        let vacated = held.iter_mut().filter_map(|(id, held)| match &held.watch {
            Watch::Kernel(watched) if dead.contains(&watched.number) => {
                held.watch = Watch::Dead;
                // At once: its parent is about to ask for it, and then nobody is shown it again.
                let exit = match held.binding {
                    Binding::Process => process::exit_shown(&held.lease.owner()),
                    Binding::Host | Binding::Launcher | Binding::Shell => None,
                };
                Some((*id, exit))
            }
            Watch::Kernel(_) | Watch::Beats(_) | Watch::Dead => None,
        });
        vacated.collect()
    }

    /// Waits until a lease has come that only beats keep open.
    pub(crate) async fn need_for_beats(&self) {
        self.needed.notified().await;
    }

    fn is_connected(&self, id: SessionId) -> bool {
        self.lock()
            .get(&id)
            .is_some_and(|held| held.connections > 0)
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

/// Ends the sessions of owners whose deaths the kernel tells, for as long as the daemon lives.
pub(crate) async fn watch_owners(daemon: Arc<Daemon>) {
    loop {
        if let Err(error) = daemon.leases.owners.death().await {
            tracing::error!(%error, "the deaths of owners are not heard");
            tokio::time::sleep(HEAR_AGAIN).await;
        }
        end_dead(&daemon);
    }
}

fn end_dead(daemon: &Arc<Daemon>) {
    for (id, exit) in daemon.leases.take_vacated() {
        let proof = (EvidenceKind::PidfdExit, exit);
        tokio::spawn(end_vacated(Arc::clone(daemon), id, proof));
    }
}

/// Notes which owners live, as far as the kernel tells of deaths.
pub(crate) fn note_living(daemon: &Arc<Daemon>) {
    // Read first: whoever is not among the dead that are taken afterwards lived then.
    let now = daemon.clock.now();
    end_dead(daemon);
    daemon.leases.mark_living(now);
}

/// Ends the session of an owner that is proven dead, after hearing what it said before. Of an agent
/// that was its own owner the exit may be known.
pub(crate) async fn end_vacated(
    daemon: Arc<Daemon>,
    id: SessionId,
    (proof, exit): (EvidenceKind, Option<Exit>),
) {
    daemon.leases.hear_last_words(id).await;
    recovery::deliver_spool(&daemon).await;
    let Some((binding, last_alive)) = daemon.leases.binding(id) else {
        return;
    };
    let now = daemon.clock.now();
    let ending = match (proof, binding) {
        (EvidenceKind::BootIdChanged, _) => Ending::MachineRestarted,
        (EvidenceKind::LeaseExpired, _) => Ending::LeaseExpired,
        (_, Binding::Shell) => Ending::ShellEnded,
        (_, Binding::Launcher | Binding::Host) => Ending::OwnerDead,
        (_, Binding::Process) => exit.map_or(Ending::ProcessEnded, Ending::Exited),
    };
    let evidence = Evidence {
        kind: proof,
        observed_at: now,
        last_alive: Some(last_alive),
        detail: detail(proof, binding, exit),
    };
    let mut pause = Duration::from_secs(1);
    let ended = loop {
        match daemon.end(id, ending, evidence.clone()).await {
            Ok(ended) => break ended,
            Err(fault) => {
                tracing::error!(session = %id, %fault, "a session with a dead owner could not be ended");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        if daemon.leases.binding(id).is_none() {
            return;
        }
    };
    if binding == Binding::Host {
        recovery::remove_dead_socket(daemon.home.host_socket(id)).await;
    }
    if ended.run.recording.is_some() {
        recordings::count(&daemon, id).await;
    }
}

fn detail(proof: EvidenceKind, binding: Binding, exit: Option<Exit>) -> String {
    let owner = match binding {
        Binding::Host => "the host",
        Binding::Launcher => "the launcher",
        Binding::Shell => "the shell",
        Binding::Process => "the process",
    };
    match proof {
        EvidenceKind::PidfdExit => match (binding, exit) {
            (_, Some(exit)) => format!("the kernel told that {owner} exited, and showed {exit}"),
            (Binding::Process, None) => {
                format!("the kernel told that {owner} exited, and how only to its parent")
            }
            (Binding::Host | Binding::Launcher | Binding::Shell, None) => {
                format!("the kernel told that {owner} exited")
            }
        },
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
    use amps_engine::clock::Clock;
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;

    fn at(uptime_ms: u64) -> Moment {
        Moment {
            at: Timestamp::UNIX_EPOCH,
            uptime_ms,
        }
    }

    fn id(number: u128) -> SessionId {
        SessionId::new(Uuid::from_u128(number))
    }

    fn held(number: u128, connections: u32, watch: Watch) -> Held {
        Held {
            lease: Lease {
                lease_id: LeaseId::new(Uuid::from_u128(number)),
                owner_pid: 1,
                owner_start_ticks: 1,
                place: Place {
                    host: "elsewhere".into(),
                    boot_id: BootId::new("b"),
                    pid_namespace: 1,
                },
                ttl: DEFAULT_TTL,
                last_heartbeat: at(0),
                generation: 1,
            },
            binding: Binding::Launcher,
            connections,
            unsaved: false,
            watch,
        }
    }

    #[test]
    fn a_launcher_that_connected_again_stays_connected_when_its_old_connection_ends() {
        let leases = Leases::default();
        leases.lock().insert(id(1), held(1, 2, Watch::Beats(0)));
        leases.disconnect(id(1));
        assert!(leases.is_connected(id(1)), "the new connection is open");
        leases.disconnect(id(1));
        assert!(!leases.is_connected(id(1)));
        leases.disconnect(id(1));
        assert!(!leases.is_connected(id(1)), "never fewer than none");
    }

    #[test]
    fn only_an_owner_that_the_kernel_watches_lives_and_rests_without_beats() {
        let leases = Leases::default();
        let own = process::identity(std::process::id(), &Clock::default()).unwrap();
        let watched = leases.owners.watch(&own).unwrap();
        let mut table = leases.lock();
        table.insert(id(1), held(1, 0, Watch::Kernel(watched)));
        table.insert(id(2), held(2, 0, Watch::Beats(0)));
        table.insert(id(3), held(3, 0, Watch::Dead));
        drop(table);
        leases.mark_living(at(7_000));
        let living = LeaseId::new(Uuid::from_u128(1));
        assert_eq!(leases.take_unsaved(), [(living, at(7_000))]);
        assert_eq!(leases.terms(id(1)), Some((1, UNASKED)));
        assert_eq!(leases.terms(id(2)), Some((1, DEFAULT_TTL)));
    }
}
