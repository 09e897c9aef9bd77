//! Drives the captures of each session until nothing is owed.
//!
//! One driver a session takes the base, then the end, then what survivors changed. Unless it was
//! given what has just been stored, it reads what is owed from the store, so a driver started
//! after a crash goes on where the last one ended.

mod drive;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use amps_core::id::SessionId;
use amps_core::path::RawPath;
use amps_core::run::Run;
use amps_core::session::Session;
use amps_engine::capture::{CaptureError, Cutoff};
use amps_engine::ops::capture_run::{self, FrozenSide, Site};
use tokio::sync::{Notify, Semaphore, SemaphorePermit, oneshot, watch};
use tokio::task::{JoinHandle, spawn_blocking};

use self::drive::drive;
use crate::daemon::Daemon;

/// End captures at a time; more would only compete for the disk.
const END_SLOTS: usize = 2;

/// How long a capture waits for its slot. One that hangs must not hold up the others for ever.
const SLOT_PATIENCE: Duration = Duration::from_secs(10);

/// Folders whose pace is known at a time.
const PACES: usize = 256;

/// The captures that are under way.
#[derive(Debug)]
pub(crate) struct Captures {
    drivers: Mutex<HashMap<SessionId, Driver>>,
    /// Sessions whose end can no longer be changed by what is done from now on.
    frozen: Mutex<HashSet<SessionId>>,
    /// How long git took last to freeze the state before an agent, by the agent's folder.
    paces: Mutex<HashMap<RawPath, Duration>>,
    /// Counts changes of any of the above.
    progress: watch::Sender<u64>,
    end_slots: Semaphore,
    /// Taken while a state is being remembered: what nobody waits for is done one at a time.
    remembering: Arc<Semaphore>,
}

/// A base that is being frozen.
type Freezing = JoinHandle<Result<FrozenSide, CaptureError>>;

/// A base that was begun before its session was stored.
pub(crate) struct Begun {
    pub(crate) freezing: Freezing,
    /// Tells whether the base could be frozen, as soon as that is known.
    pub(crate) frozen: oneshot::Receiver<bool>,
}

impl Begun {
    /// Begins to freeze the base of a session that is being opened, beside the store. The launch
    /// may go on when the base is frozen; whoever lets it go on earlier sets the cutoff.
    pub(crate) fn freeze(daemon: &Arc<Daemon>, site: Site, cutoff: Cutoff) -> Self {
        let work = Arc::clone(daemon);
        let (tell, frozen) = oneshot::channel();
        let freezing = spawn_blocking(move || {
            let began = Instant::now();
            let frozen = capture_run::freeze_base(&work.tools, &site, &cutoff);
            // What was remembered says nothing of how long git takes.
            if frozen.as_ref().is_ok_and(|frozen| !frozen.is_recalled()) {
                work.captures.note_pace(site.cwd, began.elapsed());
            }
            // The session may have been told before: then nobody waits.
            tell.send(frozen.is_ok()).ok();
            frozen
        });
        Self { freezing, frozen }
    }
}

/// What a driver begins with instead of asking the store.
struct Lead {
    session: Session,
    run: Run,
    base: Option<Freezing>,
}

#[derive(Debug, Default)]
struct Driver {
    /// Whether something has come to be owed since the driver last looked.
    again: bool,
    /// Whether it waits: for the next attempt, or for survivors to end.
    waits: bool,
    /// Ends a wait before the next attempt, or has the end frozen beside other work.
    wake: Arc<Notify>,
}

impl Default for Captures {
    fn default() -> Self {
        Self {
            drivers: Mutex::default(),
            frozen: Mutex::default(),
            paces: Mutex::default(),
            progress: watch::Sender::new(0),
            end_slots: Semaphore::new(END_SLOTS),
            remembering: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Captures {
    fn drivers(&self) -> MutexGuard<'_, HashMap<SessionId, Driver>> {
        self.drivers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn frozen(&self) -> MutexGuard<'_, HashSet<SessionId>> {
        self.frozen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn paces(&self) -> MutexGuard<'_, HashMap<RawPath, Duration>> {
        self.paces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that whatever the session owes is done.
    pub(crate) fn see_to(&self, daemon: &Arc<Daemon>, id: SessionId) {
        self.drive(daemon, id, None);
    }

    /// Sees to a session whose records have just been stored.
    pub(crate) fn see_to_stored(&self, daemon: &Arc<Daemon>, session: &Session, run: &Run) {
        let lead = Lead {
            session: session.clone(),
            run: run.clone(),
            base: None,
        };
        self.drive(daemon, session.session_id, Some(lead));
    }

    /// Makes the base that was begun the base of its session, now that this is stored.
    pub(crate) fn go_on(
        &self,
        daemon: &Arc<Daemon>,
        (session, run): (Session, Run),
        base: Freezing,
    ) {
        let id = session.session_id;
        let base = Some(base);
        self.drive(daemon, id, Some(Lead { session, run, base }));
    }

    fn drive(&self, daemon: &Arc<Daemon>, id: SessionId, lead: Option<Lead>) {
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
        tokio::spawn(drive(Arc::clone(daemon), id, lead, wake));
    }

    /// Returns how long git took last to freeze the state of a folder before an agent.
    pub(crate) fn pace(&self, cwd: &RawPath) -> Option<Duration> {
        self.paces().get(cwd).copied()
    }

    fn note_pace(&self, cwd: RawPath, pace: Duration) {
        let mut paces = self.paces();
        if paces.len() >= PACES {
            paces.clear();
        }
        paces.insert(cwd, pace);
    }

    /// Remembers a state, kept under this reference of its session, for the next look at the same
    /// tree, when all who wait have been answered. Of several at once only the first is remembered.
    pub(crate) fn remember(
        &self,
        daemon: &Daemon,
        frozen: Arc<FrozenSide>,
        run: Run,
        kept_as: String,
    ) {
        if frozen.is_recalled() {
            return;
        }
        if let Ok(alone) = Arc::clone(&self.remembering).try_acquire_owned() {
            let tools = Arc::clone(&daemon.tools);
            drop(spawn_blocking(move || {
                frozen.remember(&tools, &run, &kept_as);
                drop(alone);
            }));
        }
    }

    /// Waits for a slot in which an end may be captured, but not for ever.
    async fn end_slot(&self) -> Option<SemaphorePermit<'_>> {
        let slot = tokio::time::timeout(SLOT_PATIENCE, self.end_slots.acquire());
        slot.await.ok()?.ok()
    }

    /// Returns how many sessions have a capture under way or owed.
    pub(crate) fn count(&self) -> usize {
        self.drivers().len()
    }

    /// Waits until the end of a session is frozen, at most `limit`, or until nothing of it is
    /// being captured.
    pub(crate) async fn wait_frozen(&self, id: SessionId, limit: Duration) {
        self.wait(limit, || self.frozen().contains(&id) || self.rests(id))
            .await;
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

    fn set_waits(&self, id: SessionId, waits: bool) {
        if let Some(driver) = self.drivers().get_mut(&id) {
            driver.waits = waits;
        }
        self.tell();
    }

    async fn wait(&self, limit: Duration, is_so: impl Fn() -> bool) {
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
        tokio::time::timeout(limit, waiting).await.ok();
    }

    fn tell(&self) {
        self.progress.send_modify(|count| *count += 1);
    }

    fn set_frozen(&self, id: SessionId) {
        self.frozen().insert(id);
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
        self.frozen().remove(&id);
        self.tell();
        true
    }
}
