//! Drives the captures of each session until nothing is owed.
//!
//! One driver a session takes the base, then the end, then what survivors changed; it reads what
//! is owed from the store each time, so a driver started after a crash goes on where the last one
//! ended.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amps_core::capture::{CaptureState, Failure};
use amps_core::evidence::EvidenceKind;
use amps_core::id::SessionId;
use amps_core::process::ProcessIdentity;
use amps_core::run::Run;
use amps_core::session::Session;
use amps_core::snapshot::Workspace;
use amps_core::time::Moment;
use amps_engine::capture::{CaptureError, Cutoff};
use amps_engine::ops::capture_run::{self, FrozenSide};
use amps_engine::testing::point;
use amps_proto::fault::Fault;
use jiff::SignedDuration;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::spawn_blocking;

use crate::daemon::Daemon;
use crate::survivors;

/// End captures at a time; more would only compete for the disk.
const END_SLOTS: usize = 2;

/// Between two attempts when the store cannot be asked.
const WITHOUT_STORE: Duration = Duration::from_secs(10);

/// The captures that are under way.
#[derive(Debug)]
pub(crate) struct Captures {
    drivers: Mutex<HashMap<SessionId, Driver>>,
    /// Sessions whose state can no longer be changed by what is done from now on.
    frozen: Mutex<HashSet<(SessionId, Half)>>,
    /// Counts changes of any of the above.
    progress: watch::Sender<u64>,
    end_slots: Semaphore,
}

/// The halves of a run that somebody may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Half {
    Base,
    End,
}

#[derive(Debug, Default)]
struct Driver {
    /// Whether something has come to be owed since the driver last looked.
    again: bool,
    /// Whether it waits: for the next attempt, or for survivors to end.
    waits: bool,
    /// Ends a wait before the next attempt.
    wake: Arc<Notify>,
}

impl Default for Captures {
    fn default() -> Self {
        Self {
            drivers: Mutex::default(),
            frozen: Mutex::default(),
            progress: watch::Sender::new(0),
            end_slots: Semaphore::new(END_SLOTS),
        }
    }
}

impl Captures {
    fn drivers(&self) -> MutexGuard<'_, HashMap<SessionId, Driver>> {
        self.drivers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn frozen(&self) -> MutexGuard<'_, HashSet<(SessionId, Half)>> {
        self.frozen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that whatever the session owes is done.
    pub(crate) fn see_to(&self, daemon: &Arc<Daemon>, id: SessionId) {
        self.see_to_with(daemon, id, None);
    }

    /// Begins the base of a session that is being opened. The launch may go on when the base is
    /// frozen; whoever lets it go on earlier sets the cutoff.
    pub(crate) fn begin(&self, daemon: &Arc<Daemon>, id: SessionId, cutoff: &Cutoff) {
        self.see_to_with(daemon, id, Some(cutoff.clone()));
    }

    fn see_to_with(&self, daemon: &Arc<Daemon>, id: SessionId, cutoff: Option<Cutoff>) {
        let mut drivers = self.drivers();
        if let Some(driver) = drivers.get_mut(&id) {
            driver.again = true;
            driver.waits = false;
            driver.wake.notify_one();
            return;
        }
        let driver = Driver::default();
        let wake = Arc::clone(&driver.wake);
        drivers.insert(id, driver);
        tokio::spawn(drive(Arc::clone(daemon), id, cutoff, wake));
    }

    /// Returns how many sessions have a capture under way or owed.
    pub(crate) fn count(&self) -> usize {
        self.drivers().len()
    }

    /// Waits until one half is frozen, at most `limit`. Returns whether it is.
    pub(crate) async fn wait_frozen(&self, id: SessionId, half: Half, limit: Duration) -> bool {
        let in_time = self
            .wait(limit, || {
                self.frozen().contains(&(id, half)) || self.rests(id)
            })
            .await;
        in_time && !self.rests_without(id, half)
    }

    /// Waits until nothing of the session is being captured, at most `limit`. What waits for
    /// another attempt or for survivors is not being captured.
    pub(crate) async fn wait_settled(&self, id: SessionId, limit: Duration) {
        self.wait(limit, || self.rests(id)).await;
    }

    /// Waits until nothing at all is being captured, at most `limit`.
    pub(crate) async fn wait_all_settled(&self, limit: Duration) {
        self.wait(limit, || self.drivers().values().all(|driver| driver.waits))
            .await;
    }

    fn rests(&self, id: SessionId) -> bool {
        self.drivers().get(&id).is_none_or(|driver| driver.waits)
    }

    fn rests_without(&self, id: SessionId, half: Half) -> bool {
        self.drivers().get(&id).is_some_and(|driver| driver.waits)
            && !self.frozen().contains(&(id, half))
    }

    fn set_waits(&self, id: SessionId, waits: bool) {
        if let Some(driver) = self.drivers().get_mut(&id) {
            driver.waits = waits;
        }
        self.tell();
    }

    async fn wait(&self, limit: Duration, is_so: impl Fn() -> bool) -> bool {
        let mut progress = self.progress.subscribe();
        let waiting = async {
            loop {
                progress.mark_unchanged();
                if is_so() {
                    return;
                }
                if progress.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, waiting).await.is_ok()
    }

    fn tell(&self) {
        self.progress.send_modify(|count| *count += 1);
    }

    fn freeze(&self, id: SessionId, half: Half) {
        self.frozen().insert((id, half));
        self.tell();
    }

    /// Ends a driver that found nothing owed, unless something has come up since it looked.
    fn finish(&self, id: SessionId) -> bool {
        let mut drivers = self.drivers();
        if let Some(driver) = drivers.get_mut(&id).filter(|driver| driver.again) {
            driver.again = false;
            return false;
        }
        drivers.remove(&id);
        drop(drivers);
        self.frozen().retain(|(other, _)| *other != id);
        self.tell();
        true
    }
}

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

async fn drive(daemon: Arc<Daemon>, id: SessionId, mut cutoff: Option<Cutoff>, wake: Arc<Notify>) {
    let mut ahead = None;
    loop {
        let done = match daemon.store(move |ledger| ledger.session(id)).await {
            Ok(Some((session, run))) => {
                let next = next(&session, &run);
                daemon
                    .captures
                    .set_waits(id, matches!(next, Next::Survivors));
                match next {
                    Next::Base => base(&daemon, run, cutoff.take(), (&wake, &mut ahead)).await,
                    Next::End => end(&daemon, &session, run, ahead.take()).await,
                    Next::Patch => patch(&daemon, run).await,
                    Next::Project => project(&daemon, run).await,
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
    tracing::warn!(session = %id, %reason, "capture failed");
    let now = daemon.clock.now();
    let delay = daemon
        .store(move |ledger| capture_run::store_failure(ledger, id, (failure, reason), now))
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
    cutoff: Option<Cutoff>,
    (wake, ahead): (&Notify, &mut Option<Ahead>),
) -> Result<(), Stumbled> {
    let id = run.session_id;
    // A base that is taken after a restart, or once more after a failure, is dated by the launch:
    // the agent may have acted since.
    let launched = run.launched_at.unwrap_or(run.opened_at);
    let cutoff = cutoff.unwrap_or_else(|| Cutoff::passed(launched));
    let work = Arc::clone(daemon);
    point("base-begun");
    let (frozen, run) = spawn_blocking(move || {
        let frozen = capture_run::freeze_base(&work.tools, &run, &cutoff)?;
        work.captures.freeze(id, Half::Base);
        Ok::<_, CaptureError>((frozen, run))
    })
    .await??;
    let workspace = frozen.workspace().clone();
    let tools = Arc::clone(&daemon.tools);
    let mut keeping = spawn_blocking(move || capture_run::keep_base(&tools, &run, frozen));
    let taken = loop {
        tokio::select! {
            kept = &mut keeping => break kept??,
            // A short run ends before its base is kept: its end is frozen meanwhile.
            () = wake.notified() => look_ahead(daemon, id, &workspace, ahead).await,
        }
    };
    let now = daemon.clock.now();
    daemon
        .store(move |ledger| capture_run::store_base(ledger, id, taken, now))
        .await?;
    point("base-stored");
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

/// Finds out which project a repository is that was never seen before.
async fn project(daemon: &Arc<Daemon>, run: Run) -> Result<(), Stumbled> {
    let id = run.session_id;
    let tools = Arc::clone(&daemon.tools);
    let roots = spawn_blocking(move || capture_run::root_commits(&tools, &run)).await?;
    let now = daemon.clock.now();
    // Without its history the repository is known by its place alone.
    let roots = roots.unwrap_or_default();
    daemon
        .store(move |ledger| capture_run::store_project(ledger, id, roots, now))
        .await?;
    Ok(())
}

/// The end of a run, frozen, with the processes that outlived it.
struct Ahead {
    frozen: FrozenSide,
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
        work.captures.freeze(id, Half::End);
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
    let slot = daemon.captures.end_slots.acquire().await;
    let ahead = match (ahead, run.workspace.clone()) {
        (Some(ahead), _) => Some(ahead),
        (None, Some(workspace)) => Some(freeze_end(daemon, session, run.clone(), workspace).await?),
        (None, None) => None,
    };
    let (taken, survivors) = match ahead {
        Some(Ahead { frozen, survivors }) => {
            let tools = Arc::clone(&daemon.tools);
            let taken = spawn_blocking(move || capture_run::finish_end(&tools, &run, &frozen));
            (taken.await??, survivors)
        }
        None => (None, Vec::new()),
    };
    drop(slot);
    let now = daemon.clock.now();
    daemon
        .store(move |ledger| capture_run::store_end(ledger, id, taken, survivors, now))
        .await?;
    point("end-captured");
    Ok(())
}

async fn patch(daemon: &Arc<Daemon>, run: Run) -> Result<(), Stumbled> {
    let id = run.session_id;
    let tools = Arc::clone(&daemon.tools);
    let patch = spawn_blocking(move || capture_run::make_patch(&tools, &run)).await??;
    let now = daemon.clock.now();
    daemon
        .store(move |ledger| capture_run::store_patch(ledger, id, patch.as_ref(), now))
        .await?;
    Ok(())
}

async fn amendment(daemon: &Arc<Daemon>, run: Run) -> Result<(), Stumbled> {
    let id = run.session_id;
    survivors::outlive(daemon, &run).await;
    let slot = daemon.captures.end_slots.acquire().await;
    let work = Arc::clone(daemon);
    let taken = spawn_blocking(move || {
        let cutoff = Cutoff::ended(work.clock.now());
        capture_run::take_amendment(&work.tools, &run, &cutoff)
    })
    .await??;
    drop(slot);
    let now = daemon.clock.now();
    daemon
        .store(move |ledger| capture_run::store_amendment(ledger, id, taken, now))
        .await?;
    Ok(())
}
