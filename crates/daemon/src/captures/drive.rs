//! The work of one driver: whatever is owed next, until nothing is.

use std::sync::Arc;
use std::time::Duration;

use amps_core::capture::{CaptureState, Failure, Side};
use amps_core::evidence::EvidenceKind;
use amps_core::id::SessionId;
use amps_core::process::ProcessIdentity;
use amps_core::run::Run;
use amps_core::session::Session;
use amps_core::snapshot::Workspace;
use amps_core::time::Moment;
use amps_engine::capture::{CaptureError, Cutoff};
use amps_engine::ops::capture_run::{self, FrozenSide, Site, name_of};
use amps_engine::ops::store_capture;
use amps_engine::testing::point;
use amps_proto::fault::Fault;
use jiff::SignedDuration;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use super::{Freezing, Lead};
use crate::daemon::Daemon;
use crate::survivors;

/// Between two attempts when the store cannot be asked.
const WITHOUT_STORE: Duration = Duration::from_secs(10);

/// Between two attempts to find out which project a repository is.
const PROJECT_AGAIN: Duration = Duration::from_secs(600);

/// What a driver does next.
enum Next {
    Base,
    End,
    Patch,
    Project,
    Survivors,
    Nothing,
}

fn next(session: &Session, run: &Run) -> Next {
    if run.capture.base == CaptureState::Owed {
        Next::Base
    } else if run.capture.end == CaptureState::Owed {
        Next::End
    } else if session.project_id.is_none() && run.workspace.is_some() {
        Next::Project
    } else if run.capture.patch == CaptureState::Owed {
        Next::Patch
    } else if run.survivors.is_empty() {
        Next::Nothing
    } else {
        Next::Survivors
    }
}

/// Does what a session owes, one thing after the other.
pub(super) async fn drive(
    daemon: Arc<Daemon>,
    id: SessionId,
    lead: Option<Lead>,
    wake: Arc<Notify>,
) {
    let (mut known, mut begun, mut ahead) = (None, None, None);
    if let Some(lead) = lead {
        known = Some((lead.session, lead.run));
        begun = lead.base;
    }
    loop {
        let stored = match known.take() {
            Some(known) => Ok(Some(known)),
            None => daemon.store(move |ledger| ledger.session(id)).await,
        };
        let done = match stored {
            Ok(Some((session, run))) => {
                let next = next(&session, &run);
                daemon
                    .captures
                    .set_waits(id, matches!(next, Next::Survivors));
                match next {
                    Next::Base => base(&daemon, run, begun.take(), (&wake, &mut ahead)).await,
                    Next::End => end(&daemon, &session, run, ahead.take()).await,
                    Next::Patch => patch(&daemon, run).await,
                    Next::Project => project(&daemon, run, (&wake, &mut ahead)).await,
                    Next::Survivors => amendment(&daemon, run).await,
                    Next::Nothing if daemon.captures.finish(id) => return,
                    Next::Nothing => Ok(()),
                }
            }
            Ok(None) if daemon.captures.finish(id) => return,
            Ok(None) => Ok(()),
            Err(fault) => Err(fault.into()),
        };
        if let Err(stumbled) = done {
            rest(&daemon, id, stumbled, &wake).await;
        }
    }
}

/// Notes a failure and waits until it is time for the next attempt.
async fn rest(daemon: &Arc<Daemon>, id: SessionId, stumbled: Stumbled, wake: &Notify) {
    let Stumbled { failure, reason } = stumbled;
    match failure {
        Failure::Transient => tracing::warn!(session = %id, %reason, "capture failed"),
        // A folder that is never captured is nobody's fault.
        Failure::Permanent => tracing::info!(session = %id, %reason, "not captured"),
    }
    let now = daemon.clock.now();
    let delay = daemon
        .store(move |ledger| store_capture::store_failure(ledger, id, (failure, reason), now))
        .await;
    // Without the store nothing can be noted; the next attempt may find it again.
    if let Some(delay) = delay.unwrap_or(Some(WITHOUT_STORE)) {
        daemon.captures.set_waits(id, true);
        drop(tokio::time::timeout(delay, wake.notified()).await);
    }
}

/// A capture that did not work out.
struct Stumbled {
    failure: Failure,
    reason: String,
}

impl From<CaptureError> for Stumbled {
    fn from(error: CaptureError) -> Self {
        Self {
            failure: error.failure(),
            reason: crate::log::chain(&error),
        }
    }
}

impl From<Fault> for Stumbled {
    fn from(fault: Fault) -> Self {
        Self {
            failure: Failure::Transient,
            reason: fault.to_string(),
        }
    }
}

impl From<tokio::task::JoinError> for Stumbled {
    fn from(error: tokio::task::JoinError) -> Self {
        Self {
            failure: Failure::Transient,
            reason: error.to_string(),
        }
    }
}

async fn base(
    daemon: &Arc<Daemon>,
    run: Run,
    begun: Option<Freezing>,
    (wake, ahead): (&Notify, &mut Option<Ahead>),
) -> Result<(), Stumbled> {
    let id = run.session_id;
    let freezing = begun.unwrap_or_else(|| {
        // A base that is taken after a restart, or once more after a failure, is dated by the
        // launch: the agent may have acted since.
        let cutoff = Cutoff::passed(run.launched_at.unwrap_or(run.opened_at));
        let (tools, site) = (Arc::clone(&daemon.tools), Site::from(&run));
        spawn_blocking(move || capture_run::freeze_base(&tools, &site, &cutoff))
    });
    let frozen = Arc::new(freezing.await??);
    let (tools, kept, of) = (Arc::clone(&daemon.tools), Arc::clone(&frozen), run.clone());
    // At once, although the agent is starting: a base that a daemon has not kept when it dies can
    // only be guessed by the next one.
    let mut keeping = spawn_blocking(move || capture_run::keep_base(&tools, &of, &kept));
    let taken = loop {
        tokio::select! {
            kept = &mut keeping => break kept??,
            // A short run ends before its base is kept: its end is frozen meanwhile.
            () = wake.notified() => look_ahead(daemon, id, frozen.workspace(), ahead).await,
        }
    };
    let now = daemon.clock.now();
    daemon
        .store(move |ledger| store_capture::store_base(ledger, id, taken, now))
        .await?;
    point("base-stored");
    daemon.checkpoints.note_base(id, frozen.mark());
    daemon
        .captures
        .remember(daemon, frozen, run, name_of(Side::Base).to_owned());
    Ok(())
}

/// Freezes the end of a session that has come to it. What fails here is done again in its turn.
async fn look_ahead(
    daemon: &Arc<Daemon>,
    id: SessionId,
    workspace: &Workspace,
    ahead: &mut Option<Ahead>,
) {
    let Ok(Some((session, run))) = daemon.store(move |ledger| ledger.session(id)).await else {
        return;
    };
    if run.capture.end == CaptureState::Owed && ahead.is_none() {
        *ahead = freeze_end(daemon, &session, run, workspace.clone())
            .await
            .ok();
    }
}

/// Dates the end snapshot by what proved the end. An agent that was found dead later than it died
/// may have written until it was found; after a restart of the machine it wrote nothing.
fn end_cutoff(daemon: &Daemon, session: &Session) -> Cutoff {
    let now = daemon.clock.now();
    let Some(evidence) = &session.evidence else {
        return Cutoff::ended(now);
    };
    let found = evidence.observed_at;
    let last_alive = evidence.last_alive.map_or(found.at, |moment| moment.at);
    match evidence.kind {
        EvidenceKind::BootIdChanged => {
            let uptime = SignedDuration::from_millis(i64::try_from(now.uptime_ms).unwrap_or(0));
            let boot = now.at.checked_sub(uptime).unwrap_or(now.at);
            Cutoff::ended_between(last_alive.min(boot), Moment { at: boot, ..found })
        }
        EvidenceKind::ProcessGone
        | EvidenceKind::StartTimeMismatch
        | EvidenceKind::LockReleased
        | EvidenceKind::LeaseExpired => Cutoff::ended_between(last_alive, found),
        EvidenceKind::WaitStatus
        | EvidenceKind::PtyHangup
        | EvidenceKind::UserCommand
        | EvidenceKind::StartFailed
        | EvidenceKind::PidfdExit => Cutoff::ended(found),
    }
}

/// Finds out which project a repository is that was never seen before. A long history takes long to
/// ask: the end of the run is frozen meanwhile.
async fn project(
    daemon: &Arc<Daemon>,
    run: Run,
    (wake, ahead): (&Notify, &mut Option<Ahead>),
) -> Result<(), Stumbled> {
    let (id, workspace) = (run.session_id, run.workspace.clone());
    let tools = Arc::clone(&daemon.tools);
    let mut asking = spawn_blocking(move || capture_run::root_commits(&tools, &run));
    let roots = loop {
        tokio::select! {
            roots = &mut asking => break roots?,
            () = wake.notified() => if let Some(workspace) = &workspace {
                look_ahead(daemon, id, workspace, ahead).await;
            },
        }
    };
    let roots = match roots {
        Err(error) if error.failure() == Failure::Transient => Err(crate::log::chain(&error)),
        // Without its history the repository is known by its place alone.
        roots => Ok(roots.unwrap_or_default()),
    };
    let now = daemon.clock.now();
    let stored = match roots {
        Ok(roots) => daemon
            .store(move |ledger| store_capture::store_project(ledger, id, roots, now))
            .await
            .map_err(|fault| fault.to_string()),
        Err(reason) => Err(reason),
    };
    if let Err(reason) = stored {
        // Nothing of the run is missing: it is asked again, for as long as it takes.
        tracing::warn!(session = %id, %reason, "the project is not known");
        daemon.captures.set_waits(id, true);
        drop(tokio::time::timeout(PROJECT_AGAIN, wake.notified()).await);
    }
    Ok(())
}

/// The end of a run, frozen, with the processes that outlived it.
struct Ahead {
    frozen: Arc<FrozenSide>,
    survivors: Vec<ProcessIdentity>,
}

async fn freeze_end(
    daemon: &Arc<Daemon>,
    session: &Session,
    run: Run,
    workspace: Workspace,
) -> Result<Ahead, Stumbled> {
    let id = run.session_id;
    let cutoff = end_cutoff(daemon, session);
    let work = Arc::clone(daemon);
    let ahead = spawn_blocking(move || {
        // Looking for survivors comes first: one that ends between the two looks has left all it
        // did where the snapshot sees it.
        let survivors = survivors::now(&work, &run);
        let frozen = capture_run::freeze_end(&work.tools, &run, &workspace, &cutoff)?;
        work.captures.set_frozen(id);
        let frozen = Arc::new(frozen);
        Ok::<_, CaptureError>(Ahead { frozen, survivors })
    });
    Ok(ahead.await??)
}

async fn end(
    daemon: &Arc<Daemon>,
    session: &Session,
    run: Run,
    ahead: Option<Ahead>,
) -> Result<(), Stumbled> {
    let id = run.session_id;
    let slot = daemon.captures.end_slot().await;
    let ahead = match (ahead, run.workspace.clone()) {
        (Some(ahead), _) => Some(ahead),
        (None, Some(workspace)) => Some(freeze_end(daemon, session, run.clone(), workspace).await?),
        (None, None) => None,
    };
    let (frozen, survivors) = match ahead {
        Some(Ahead { frozen, survivors }) => (Some(frozen), survivors),
        None => (None, Vec::new()),
    };
    let taken = match &frozen {
        Some(frozen) => {
            let tools = Arc::clone(&daemon.tools);
            let (frozen, of) = (Arc::clone(frozen), run.clone());
            spawn_blocking(move || capture_run::finish_end(&tools, &of, &frozen)).await??
        }
        None => None,
    };
    drop(slot);
    let now = daemon.clock.now();
    daemon
        .store(move |ledger| store_capture::store_end(ledger, id, taken, survivors, now))
        .await?;
    point("end-captured");
    if let Some(frozen) = frozen {
        let kept_as = name_of(Side::End).to_owned();
        daemon.captures.remember(daemon, frozen, run, kept_as);
    }
    Ok(())
}

async fn patch(daemon: &Arc<Daemon>, run: Run) -> Result<(), Stumbled> {
    let id = run.session_id;
    let tools = Arc::clone(&daemon.tools);
    let patch = spawn_blocking(move || capture_run::make_patch(&tools, &run)).await??;
    let now = daemon.clock.now();
    daemon
        .store(move |ledger| store_capture::store_patch(ledger, id, patch.as_ref(), now))
        .await?;
    Ok(())
}

async fn amendment(daemon: &Arc<Daemon>, run: Run) -> Result<(), Stumbled> {
    let id = run.session_id;
    survivors::outlive(daemon, &run).await;
    let slot = daemon.captures.end_slot().await;
    let work = Arc::clone(daemon);
    let taken = spawn_blocking(move || {
        let cutoff = Cutoff::ended(work.clock.now());
        capture_run::take_amendment(&work.tools, &run, &cutoff)
    })
    .await??;
    drop(slot);
    let now = daemon.clock.now();
    daemon
        .store(move |ledger| store_capture::store_amendment(ledger, id, taken, now))
        .await?;
    Ok(())
}
