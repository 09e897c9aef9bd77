//! Time for the leases that only beats keep open, and the slow housekeeping of the rest.

use std::sync::Arc;
use std::time::Duration;

use amps_core::evidence::EvidenceKind;
use amps_core::id::SessionId;
use amps_core::lease::{Lease, LeaseVerdict};
use amps_core::process::{self, Verdict};
use amps_engine::files::{LockState, lock_state};
use amps_engine::process::sight;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use crate::checkpoints;
use crate::daemon::Daemon;
use crate::leases;
use crate::recovery;
use crate::terminals;

/// How often signs of life are stored and the spool is looked at.
const HOUSEKEEPING: Duration = Duration::from_secs(120);

/// Signs of life that are stored at a time: the store has other work.
const AT_A_TIME: usize = 500;

/// How often leases that need beats are judged.
const TICK: Duration = Duration::from_millis(500);

/// A suspension shorter than this is the clocks being read one after the other.
const NOTICED_SLEEP_MS: u64 = 250;

/// Stores signs of life, delivers late facts, tells git what it is owed and forgets terminals that
/// are gone, for as long as the daemon lives.
pub(crate) async fn keep_house(daemon: Arc<Daemon>) {
    let mut tick = interval(HOUSEKEEPING);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        save_heartbeats(&daemon).await;
        recovery::deliver_spool(&daemon).await;
        checkpoints::settle_beside(&daemon);
        let work = Arc::clone(&daemon);
        drop(spawn_blocking(move || terminals::forget_gone(&work.home, &work.place)).await);
    }
}

/// Stores the signs of life that the store does not have yet, and which owners live now.
pub(crate) async fn save_heartbeats(daemon: &Arc<Daemon>) {
    leases::note_living(daemon);
    for beats in daemon.leases.take_unsaved().chunks(AT_A_TIME) {
        let beats = beats.to_vec();
        if let Err(fault) = daemon
            .store(move |ledger| ledger.save_heartbeats(&beats))
            .await
        {
            tracing::warn!(%fault, "signs of life could not be stored");
        }
    }
}

/// Judges the leases that need beats, for as long as the daemon lives. Without any it sleeps.
pub(crate) async fn judge_leases(daemon: Arc<Daemon>) {
    loop {
        daemon.leases.need_for_beats().await;
        let mut slept = daemon.clock.suspended_ms();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let needing = daemon.leases.needing_beats();
            if needing.is_empty() {
                break;
            }
            let now_slept = daemon.clock.suspended_ms();
            if now_slept > slept + NOTICED_SLEEP_MS {
                tracing::info!(slept_ms = now_slept - slept, "the machine slept");
                daemon.leases.grant_fresh_ttls(daemon.clock.now());
                slept = now_slept;
                continue;
            }
            for (id, lease, granted) in needing {
                judge(&daemon, id, &lease, granted).await;
            }
        }
    }
}

async fn judge(daemon: &Arc<Daemon>, id: SessionId, lease: &Lease, granted: u64) {
    let owner = lease.owner();
    let owner = match process::judge(&owner, &daemon.place, sight(owner.pid)) {
        Verdict::Unknown => match lock_state(&daemon.home.lease_lock(lease.lease_id)) {
            LockState::Held => Verdict::Alive { stopped: false },
            LockState::Free => Verdict::Dead(EvidenceKind::LockReleased),
            LockState::Unknown => Verdict::Unknown,
        },
        seen => seen,
    };
    match lease.judge(owner, granted, daemon.clock.now()) {
        LeaseVerdict::Held => {}
        LeaseVerdict::Vacated(proof) => {
            leases::end_vacated(Arc::clone(daemon), id, (proof, None)).await;
        }
        LeaseVerdict::Expired => {
            let proof = (EvidenceKind::LeaseExpired, None);
            leases::end_vacated(Arc::clone(daemon), id, proof).await;
        }
    }
}
