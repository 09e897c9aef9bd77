//! Taking one checkpoint: freeze, say that it is to be kept, keep it, say that it is, let others go.

use std::sync::Arc;

use amps_core::checkpoint::{Cause, Checkpoint, Intent};
use amps_core::error::ErrorCode;
use amps_core::id::SessionId;
use amps_core::run::Run;
use amps_core::snapshot::Snapshot;
use amps_core::time::Moment;
use amps_engine::capture::{CaptureError, Cutoff};
use amps_engine::ops::capture_run::FrozenSide;
use amps_engine::ops::checkpoint_run::{self, name_of};
use amps_engine::ops::store_checkpoint::{self, Intended};
use amps_engine::testing::point;
use amps_proto::fault::Fault;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::settle::{Makers, let_go, settle_intent};
use super::{Live, ended};
use crate::daemon::Daemon;

/// Why and for which instant a checkpoint is taken.
#[derive(Clone, Debug)]
pub(super) struct Occasion {
    pub(super) cause: Cause,
    pub(super) label: Option<String>,
    pub(super) at: Moment,
}

/// Takes a checkpoint of an open session; by time only if something has changed since the last one.
pub(super) async fn take(
    daemon: &Arc<Daemon>,
    live: &Live,
    id: SessionId,
    occasion: Occasion,
) -> Result<Option<Checkpoint>, Fault> {
    let _one_of_session = live.taking.lock().await;
    let _none_is_settled = daemon.checkpoints.taking.read().await;
    let _slot = daemon.checkpoints.slots.acquire().await;
    let Some((session, run)) = daemon.store(move |ledger| ledger.session(id)).await? else {
        return Err(ended(id));
    };
    if session.status.is_final() {
        return Err(ended(id));
    }
    let by_time = occasion.cause == Cause::Time;
    // What nobody waits for need not stand for the instant at which it was thought of.
    let at = if by_time {
        daemon.clock.now()
    } else {
        occasion.at
    };
    let began = Instant::now();
    let frozen = Arc::new(freeze(daemon, &run, at).await?);
    live.state().pace = began.elapsed();
    let mark = frozen.mark();
    let is_known = live.state().mark == Some(mark);
    // What changed last before an end is in the snapshot of the end.
    let is_over = !daemon.checkpoints.is_open(id);
    if by_time && (is_known || is_over) {
        point("checkpoint-unchanged");
        remember_unchanged(daemon, frozen, run).await?;
        return Ok(None);
    }
    let named = (occasion.cause, occasion.label);
    let intended = daemon
        .store(move |ledger| store_checkpoint::intend(ledger, id, named, at))
        .await?;
    let Some(Intended { intent, before }) = intended else {
        return Err(no_base(id));
    };
    point("checkpoint-intended");
    let same = is_known.then(|| before.clone());
    let snapshot = match keep(daemon, &run, (&frozen, same), &intent).await {
        Ok(snapshot) => snapshot,
        Err(fault) => {
            settle_intent(daemon, &run, intent, Makers::Gone).await.ok();
            return Err(fault);
        }
    };
    let number = intent.number;
    if by_time && checkpoint_run::is_same_state(&before, &snapshot) {
        let_go(daemon, &run, (number, snapshot)).await?;
        live.set_mark(mark);
        return Ok(None);
    }
    let checkpoint = store(daemon, &run, intent.kept(snapshot)).await?;
    live.set_mark(mark);
    daemon
        .captures
        .remember(daemon, frozen, run, name_of(number));
    Ok(Some(checkpoint))
}

async fn freeze(daemon: &Arc<Daemon>, run: &Run, at: Moment) -> Result<FrozenSide, Fault> {
    let (Some(workspace), Some(_)) = (run.workspace.clone(), &run.base) else {
        return Err(no_base(run.session_id));
    };
    let (tools, run) = (Arc::clone(&daemon.tools), run.clone());
    let cutoff = Cutoff::ended(at);
    blocking(move || checkpoint_run::freeze_checkpoint(&tools, &run, &workspace, &cutoff)).await
}

async fn keep(
    daemon: &Arc<Daemon>,
    run: &Run,
    (frozen, same): (&Arc<FrozenSide>, Option<Snapshot>),
    intent: &Intent,
) -> Result<Snapshot, Fault> {
    let (tools, run) = (Arc::clone(&daemon.tools), run.clone());
    let (frozen, intent) = (Arc::clone(frozen), intent.clone());
    let keep = move || {
        let state = (&*frozen, same.as_ref());
        checkpoint_run::keep_checkpoint(&tools, &run, state, &intent)
    };
    blocking(keep).await
}

/// Stores a checkpoint that git keeps, and lets go of those that make room for it.
pub(super) async fn store(
    daemon: &Arc<Daemon>,
    run: &Run,
    checkpoint: Checkpoint,
) -> Result<Checkpoint, Fault> {
    let id = run.session_id;
    let limits = (daemon.config.checkpoint.most, daemon.clock.now());
    let taken = checkpoint.clone();
    let thinned = daemon
        .store(move |ledger| store_checkpoint::store_checkpoint(ledger, id, &taken, limits))
        .await?;
    point("checkpoint-stored");
    tracing::debug!(session = %id, number = checkpoint.number, cause = %checkpoint.cause, "checkpoint");
    for one in thinned {
        // What cannot be done now is owed.
        let_go(daemon, run, (one.number, one.snapshot)).await.ok();
    }
    Ok(checkpoint)
}

/// Sees to it that the next look at a tree that has not changed need not ask git.
async fn remember_unchanged(
    daemon: &Arc<Daemon>,
    frozen: Arc<FrozenSide>,
    run: Run,
) -> Result<(), Fault> {
    if frozen.is_recalled() {
        return Ok(());
    }
    let of = run.clone();
    let before = daemon
        .store(move |ledger| store_checkpoint::before(ledger, &of))
        .await?;
    if let Some((_, kept_as)) = before {
        daemon.captures.remember(daemon, frozen, run, kept_as);
    }
    Ok(())
}

/// Does work with git beside everything else.
pub(super) async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, CaptureError> + Send + 'static,
) -> Result<R, Fault> {
    match spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Fault::of(ErrorCode::GitFailed, &error)
            .hint("the next checkpoint is tried in its turn")),
        Err(error) => Err(Fault::of(ErrorCode::Internal, &error)),
    }
}

fn no_base(id: SessionId) -> Fault {
    let id = id.short();
    let message = format!("the state before session {id} is not captured");
    Fault::new(ErrorCode::NotCaptured, message)
        .hint(format!("`amps explain {id}` tells what is owed and why"))
}
