//! What git has not been told of checkpoints: because it could not be, or because the daemon that
//! wanted to was gone.

use std::sync::Arc;
use std::time::Duration;

use amps_core::checkpoint::Intent;
use amps_core::run::Run;
use amps_core::snapshot::Snapshot;
use amps_engine::capture::CaptureError;
use amps_engine::ledger::OwedCheckpoint;
use amps_engine::ops::{checkpoint_run, store_checkpoint};
use amps_proto::fault::Fault;

use super::take::{blocking, store};
use crate::daemon::Daemon;

/// How long a git may go on that outlives the daemon which started it, as long as any call may take.
const OUTLIVING: Duration = Duration::from_secs(600);

/// Whether the git that was to make a reference may still be at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Makers {
    /// It may.
    MayLive,
    /// It has ended.
    Gone,
}

/// Settles all that is owed, beside everything else, unless a checkpoint is being taken: then it is
/// done the next time.
pub(crate) fn settle_beside(daemon: &Arc<Daemon>) {
    let daemon = Arc::clone(daemon);
    tokio::spawn(async move { settle(&daemon).await });
}

async fn settle(daemon: &Arc<Daemon>) {
    let owed = || daemon.store(|ledger| ledger.owed_checkpoints());
    if !owed().await.is_ok_and(|owed| !owed.is_empty()) {
        return;
    }
    let Ok(_alone) = daemon.checkpoints.taking.try_write() else {
        return;
    };
    for (id, owed) in owed().await.unwrap_or_default() {
        let Ok(Some((_, run))) = daemon.store(move |ledger| ledger.session(id)).await else {
            continue;
        };
        let settled = match owed {
            OwedCheckpoint::Intended(intent) => {
                settle_intent(daemon, &run, intent, Makers::MayLive).await
            }
            OwedCheckpoint::Thinned(one) => let_go(daemon, &run, (one.number, one.snapshot)).await,
        };
        if let Err(fault) = settled {
            tracing::warn!(session = %id, %fault, causes = ?fault.causes, "a reference is owed");
        }
    }
}

/// Keeps a checkpoint that came to be although nobody was there to say so, or forgets one that never
/// will.
pub(super) async fn settle_intent(
    daemon: &Arc<Daemon>,
    run: &Run,
    intent: Intent,
    makers: Makers,
) -> Result<(), Fault> {
    let (tools, of, sought) = (Arc::clone(&daemon.tools), run.clone(), intent.clone());
    let find = move || checkpoint_run::find_checkpoint(&tools, &of, &sought);
    if let Some(snapshot) = blocking(find).await? {
        store(daemon, run, intent.kept(snapshot)).await?;
        return Ok(());
    }
    let now = daemon.clock.now();
    let is_of_this_boot = now.uptime_ms >= intent.taken_at.uptime_ms;
    let may_come = is_of_this_boot && now.since(intent.taken_at) < OUTLIVING;
    if makers == Makers::MayLive && may_come {
        return Ok(());
    }
    forget(daemon, run, intent.number).await
}

/// Deletes the reference of a checkpoint, and what the store has of it once that is done.
pub(super) async fn let_go(
    daemon: &Arc<Daemon>,
    run: &Run,
    (number, snapshot): (u32, Snapshot),
) -> Result<(), Fault> {
    let (tools, of) = (Arc::clone(&daemon.tools), run.clone());
    let delete = move || match checkpoint_run::let_go_checkpoint(&tools, &of, (number, &snapshot)) {
        Err(CaptureError::Taken { name, .. }) => {
            tracing::warn!(%name, "a reference names something else by now and is left");
            Ok(())
        }
        done => done,
    };
    blocking(delete).await?;
    forget(daemon, run, number).await
}

async fn forget(daemon: &Arc<Daemon>, run: &Run, number: u32) -> Result<(), Fault> {
    let (id, now) = (run.session_id, daemon.clock.now());
    daemon
        .store(move |ledger| store_checkpoint::forget_checkpoint(ledger, id, number, now))
        .await
}
