//! What the parts of the daemon share.

use std::sync::{Arc, Mutex, PoisonError};

use amps_core::capture::CaptureState;
use amps_core::evidence::Evidence;
use amps_core::id::SessionId;
use amps_core::process::Place;
use amps_core::session::Ending;
use amps_core::time::Moment;
use amps_engine::clock::Clock;
use amps_engine::config::Config;
use amps_engine::home::Home;
use amps_engine::ledger::{Ledger, LedgerError};
use amps_engine::ops::capture_run::Tools;
use amps_engine::ops::end_session::{self, Ended};
use amps_proto::fault::Fault;
use tokio::sync::{Notify, broadcast};

use crate::captures::Captures;
use crate::checkpoints::Checkpoints;
use crate::faults;
use crate::leases::Leases;
use crate::turns::Turns;
use crate::writer::Writer;

/// Ends that may be told faster than somebody who waits for one hears them.
const ENDS: usize = 64;

/// The daemon of one home.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) home: Home,
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    /// From where this daemon looks at processes.
    pub(crate) place: Place,
    pub(crate) writer: Writer,
    pub(crate) leases: Leases,
    pub(crate) captures: Captures,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) turns: Turns,
    pub(crate) tools: Arc<Tools>,
    pub(crate) started: Moment,
    /// Held while late facts are being heard, so that each is heard once.
    pub(crate) hearing: tokio::sync::Mutex<()>,
    /// Tells which sessions come to their end.
    pub(crate) ends: broadcast::Sender<SessionId>,
    /// Tells the accept loop to end.
    pub(crate) stop: Notify,
    warnings: Mutex<Vec<String>>,
}

/// The parts that are made before the daemon.
pub(crate) struct Parts {
    pub(crate) home: Home,
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) writer: Writer,
    pub(crate) tools: Tools,
    pub(crate) warnings: Vec<String>,
}

impl Daemon {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            started: parts.clock.now(),
            place: parts.clock.place(),
            home: parts.home,
            config: parts.config,
            clock: parts.clock,
            writer: parts.writer,
            leases: Leases::default(),
            captures: Captures::default(),
            checkpoints: Checkpoints::default(),
            turns: Turns::default(),
            tools: Arc::new(parts.tools),
            hearing: tokio::sync::Mutex::default(),
            ends: broadcast::Sender::new(ENDS),
            stop: Notify::new(),
            warnings: Mutex::new(parts.warnings),
        })
    }

    /// Runs a job on the store.
    pub(crate) async fn store<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut dyn Ledger) -> Result<R, LedgerError> + Send + 'static,
    ) -> Result<R, Fault> {
        match self.writer.call(job).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(error)) => {
                tracing::error!(error = %crate::log::chain(&error), "the store failed");
                Err(faults::of_ledger(&error))
            }
            Err(error) => Err(faults::of_no_answer(error)),
        }
    }

    /// Brings a session to its end and sees to what it owes.
    pub(crate) async fn end(
        self: &Arc<Self>,
        id: SessionId,
        ending: Ending,
        evidence: Evidence,
    ) -> Result<Ended, Fault> {
        let kind = evidence.kind;
        let ended = self
            .store(move |ledger| end_session::end_session(ledger, id, ending, evidence))
            .await?;
        amps_engine::testing::point("end-stored");
        self.leases.release(id);
        self.checkpoints.release(self, id);
        drop(amps_engine::files::remove(
            &self.home.lease_lock(ended.run.lease.lease_id),
        ));
        // There may be nobody who waits.
        self.ends.send(id).ok();
        if ended.decided {
            tracing::info!(session = %id, status = %ended.session.status, evidence = %kind, "ended");
        }
        if ended.run.capture.end == CaptureState::Owed {
            self.captures
                .see_to_stored(self, &ended.session, &ended.run);
        }
        Ok(ended)
    }

    /// Returns what a person should know.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.warnings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
