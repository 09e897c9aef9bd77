//! Checkpoints of open sessions: by time, when the agent ends a turn, and when somebody asks.
//!
//! Recording may fail and the run may not, so nothing waits for a checkpoint but who asked for it:
//! one that fails is logged and taken at the next occasion. The end of a run is captured beside one
//! that is under way.

mod settle;
mod take;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amps_core::capture::CaptureState;
use amps_core::checkpoint::{Cause, Checkpoint, label};
use amps_core::error::ErrorCode;
use amps_core::id::SessionId;
use amps_core::run::Run;
use amps_core::session::Session;
use amps_core::time::Moment;
use amps_engine::ops::store_checkpoint;
use amps_proto::fault::Fault;
use amps_proto::response::Response;
use amps_proto::view::CheckpointView;
use tokio::sync::{Notify, RwLock, Semaphore};
use tokio::time::Instant;

pub(crate) use self::settle::settle_beside;
use self::take::{Occasion, take};
use crate::daemon::Daemon;
use crate::{faults, queries, turns};

/// Checkpoints at a time; more would only compete with the captures of ends.
const SLOTS: usize = 2;

/// A look at a tree that took this long is followed by a hundred times as long without one.
const REST: u32 = 100;

/// What tells of a turn within this time of the transcript tells of the same turn.
const SAME_TURN: Duration = Duration::from_secs(5);

/// How long a turn waits for a base that is being taken.
const BASE: Duration = Duration::from_secs(30);

/// The open sessions, and what is being taken of them.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    open: Mutex<HashMap<SessionId, Arc<Live>>>,
    slots: Semaphore,
    /// Held while a checkpoint is being taken; alone, while what earlier daemons left is settled.
    taking: RwLock<()>,
    /// Told when another look may have come to be due first.
    changed: Notify,
}

/// What is known of the checkpoints of one open session.
#[derive(Debug)]
struct Live {
    /// Whether there is a transcript to listen to.
    has_transcript: bool,
    /// Held while one is being taken.
    taking: tokio::sync::Mutex<()>,
    state: Mutex<LiveState>,
}

#[derive(Debug)]
struct LiveState {
    /// When the tree is looked at next.
    due: Instant,
    /// How long the last look took.
    pace: Duration,
    /// The state that was kept last, as far as this daemon knows it.
    mark: Option<u64>,
    /// Whether the agent tells of its turns itself: then its transcript is not listened to.
    tells: bool,
    /// When a turn was heard of by the transcript.
    heard: Option<Instant>,
}

/// Who tells that a turn has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Teller {
    /// The agent, or a hook of it, by a command.
    Agent,
    /// Its transcript.
    Transcript,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self {
            open: Mutex::default(),
            slots: Semaphore::new(SLOTS),
            taking: RwLock::default(),
            changed: Notify::new(),
        }
    }
}

impl Live {
    fn state(&self) -> MutexGuard<'_, LiveState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_mark(&self, mark: u64) {
        self.state().mark = Some(mark);
    }
}

impl Checkpoints {
    fn open(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Live>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn live(&self, id: SessionId) -> Option<Arc<Live>> {
        self.open().get(&id).map(Arc::clone)
    }

    /// Returns whether a session is open.
    pub(crate) fn is_open(&self, id: SessionId) -> bool {
        self.open().contains_key(&id)
    }

    /// Takes checkpoints of a session from now on, for as long as it is open.
    pub(crate) fn hold(&self, daemon: &Arc<Daemon>, session: &Session, run: &Run) {
        let id = session.session_id;
        if self.is_open(id) {
            return;
        }
        let every = daemon.config.checkpoint.every.unwrap_or_default();
        let state = LiveState {
            due: Instant::now() + spread(id, every),
            pace: Duration::ZERO,
            mark: None,
            tells: false,
            heard: None,
        };
        let live = Live {
            has_transcript: turns::has_transcript(run),
            taking: tokio::sync::Mutex::default(),
            state: Mutex::new(state),
        };
        let is_first = {
            let mut open = self.open();
            open.insert(id, Arc::new(live));
            open.len() == 1
        };
        // Others are looked for before this one is due.
        if is_first {
            self.changed.notify_one();
        }
        turns::follow(daemon, run);
    }

    /// Lets go of a session that has ended.
    pub(crate) fn release(&self, daemon: &Arc<Daemon>, id: SessionId) {
        let live = self.open().remove(&id);
        if live.is_some_and(|live| live.has_transcript) {
            turns::leave(daemon, id);
        }
    }

    /// Notes the state of a base, which the first checkpoint is compared with.
    pub(crate) fn note_base(&self, id: SessionId, mark: u64) {
        if let Some(live) = self.live(id) {
            live.state().mark.get_or_insert(mark);
        }
    }

    /// Returns the session whose tree is looked at next, and when.
    fn next_due(&self) -> Option<(Instant, SessionId)> {
        let open = self.open();
        let due = open.iter().map(|(id, live)| (live.state().due, *id));
        due.min()
    }
}

/// Returns when a session is looked at first: between half of the time and all of it, so that those
/// which a new daemon takes over are not all due at once.
fn spread(id: SessionId, every: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    let thousandths = u32::try_from(hasher.finish() % 500).unwrap_or_default();
    every * (500 + thousandths) / 1_000
}

/// Looks at the trees of open sessions from time to time, one after the other.
pub(crate) async fn by_time(daemon: Arc<Daemon>) {
    let Some(every) = daemon.config.checkpoint.every else {
        return;
    };
    loop {
        let changed = daemon.checkpoints.changed.notified();
        let Some((due, id)) = daemon.checkpoints.next_due() else {
            changed.await;
            continue;
        };
        let now = Instant::now();
        if due > now {
            // No session that is opened meanwhile is due earlier than half of the time from then.
            drop(tokio::time::timeout_at(due.min(now + every / 2), changed).await);
            continue;
        }
        let Some(live) = daemon.checkpoints.live(id) else {
            continue;
        };
        let occasion = Occasion {
            cause: Cause::Time,
            label: None,
            at: daemon.clock.now(),
        };
        if let Err(fault) = take(&daemon, &live, id, occasion).await {
            match fault.code {
                ErrorCode::NotAllowed | ErrorCode::NotCaptured => {
                    tracing::debug!(session = %id, %fault, "no checkpoint by time");
                }
                _ => {
                    tracing::warn!(session = %id, %fault, causes = ?fault.causes, "no checkpoint");
                }
            }
        }
        let mut state = live.state();
        state.due = Instant::now() + every.max(state.pace * REST);
    }
}

/// Takes a checkpoint that somebody asks for, or hears from an agent that a turn has ended.
pub(crate) async fn ask(
    daemon: &Arc<Daemon>,
    reference: String,
    (cause, text): (Cause, Option<String>),
    wait: Duration,
) -> Result<Response, Fault> {
    let at = daemon.clock.now();
    let id = daemon
        .writer
        .call(move |ledger| queries::resolve(ledger, &reference))
        .await
        .map_err(faults::of_no_answer)??;
    let Some(live) = daemon.checkpoints.live(id) else {
        return Err(ended(id));
    };
    let label = text.as_deref().and_then(label);
    let work = Arc::clone(daemon);
    let occasion = Occasion { cause, label, at };
    let taking = tokio::spawn(async move {
        wait_for_base(&work, id).await;
        match cause {
            Cause::Turn => end_turn(&work, &live, (id, Teller::Agent), occasion).await,
            Cause::Asked | Cause::Time => take(&work, &live, id, occasion).await,
        }
    });
    match tokio::time::timeout(wait, taking).await {
        Ok(Ok(Ok(Some(taken)))) => Ok(Response::Checkpoint(Box::new(CheckpointView::from(taken)))),
        Ok(Ok(Ok(None))) => Ok(Response::None),
        Ok(Ok(Err(fault))) => Err(fault),
        Ok(Err(error)) => Err(Fault::of(ErrorCode::Internal, &error)),
        Err(_) => Ok(Response::Done),
    }
}

/// Hears from a transcript that a turn of the session's agent has ended.
pub(crate) async fn hear_turn(daemon: Arc<Daemon>, id: SessionId, at: Moment) {
    let Some(live) = daemon.checkpoints.live(id) else {
        return;
    };
    let occasion = Occasion {
        cause: Cause::Turn,
        label: None,
        at,
    };
    wait_for_base(&daemon, id).await;
    let taken = end_turn(&daemon, &live, (id, Teller::Transcript), occasion).await;
    if let Err(fault) = taken {
        tracing::warn!(session = %id, %fault, causes = ?fault.causes, "no checkpoint of a turn");
    }
}

/// Stores that a turn has ended and takes a checkpoint of it.
async fn end_turn(
    daemon: &Arc<Daemon>,
    live: &Live,
    (id, teller): (SessionId, Teller),
    occasion: Occasion,
) -> Result<Option<Checkpoint>, Fault> {
    let is_told_again = {
        let mut state = live.state();
        let heard = state.heard.take();
        match teller {
            Teller::Transcript if state.tells => return Ok(None),
            Teller::Transcript => {
                state.heard = Some(Instant::now());
                false
            }
            Teller::Agent => {
                state.tells = true;
                heard.is_some_and(|heard| heard.elapsed() < SAME_TURN)
            }
        }
    };
    if teller == Teller::Agent && live.has_transcript {
        turns::leave(daemon, id);
    }
    if is_told_again {
        let _taken = live.taking.lock().await;
        return daemon
            .store(move |ledger| ledger.newest_checkpoint(id))
            .await;
    }
    let at = occasion.at;
    let is_open = daemon
        .store(move |ledger| store_checkpoint::end_turn(ledger, id, at))
        .await?;
    if !is_open {
        return Err(ended(id));
    }
    amps_engine::testing::point("turn-stored");
    take(daemon, live, id, occasion).await
}

/// Waits for a base that is being taken: nothing can be compared without.
async fn wait_for_base(daemon: &Daemon, id: SessionId) {
    let owes_base = daemon
        .store(move |ledger| ledger.session(id))
        .await
        .is_ok_and(|found| found.is_some_and(|(_, run)| run.capture.base == CaptureState::Owed));
    if owes_base {
        daemon.captures.wait_settled(id, BASE).await;
    }
}

fn ended(id: SessionId) -> Fault {
    let message = format!("session {} has ended", id.short());
    Fault::new(ErrorCode::NotAllowed, message).hint(
        "checkpoints are taken while a session is open; `amps list --status active` shows which",
    )
}
