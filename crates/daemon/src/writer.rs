//! The one thread that owns the store. Whatever changes it is a job sent here, so transitions
//! have one order, and no job may wait for a child process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;

use amps_engine::ledger::Ledger;
use amps_engine::ledger::log::LogKeeper;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce(&mut dyn Ledger) + Send>;

/// Sends jobs to the store's thread.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    jobs: mpsc::Sender<Job>,
}

/// A job ended without a result: it panicked, or the store's thread has ended.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the store did not answer")]
pub(crate) struct NoAnswer;

impl Writer {
    /// Starts the thread. It ends when the last sender is gone. The keeper brings the store's log
    /// to the disk behind each job, not before its answer.
    pub(crate) fn start(ledger: Box<dyn Ledger>, keeper: LogKeeper) -> Self {
        let (jobs, received) = mpsc::channel::<Job>();
        thread::spawn(move || work(ledger, &received, keeper));
        Self { jobs }
    }

    /// Runs a job on the store and returns its result.
    pub(crate) async fn call<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut dyn Ledger) -> R + Send + 'static,
    ) -> Result<R, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |ledger| {
            // Nobody may be waiting any more; the job is done all the same.
            drop(answer.send(job(ledger)));
        });
        self.jobs.send(job).map_err(|_| NoAnswer)?;
        answered.await.map_err(|_| NoAnswer)
    }
}

fn work(mut ledger: Box<dyn Ledger>, jobs: &mpsc::Receiver<Job>, keeper: LogKeeper) {
    let (written, to_sync) = mpsc::sync_channel(1);
    let syncer = thread::spawn(move || bring_to_disk(&to_sync, &keeper));
    while let Ok(job) = jobs.recv() {
        if catch_unwind(AssertUnwindSafe(|| job(ledger.as_mut()))).is_err() {
            tracing::error!("a job of the store panicked");
        }
        // A full channel means that a sync is about to happen anyway.
        written.try_send(()).ok();
    }
    drop(written);
    drop(syncer.join());
}

/// Syncing takes seconds on a busy disk, so it has a thread of its own. Many commits share one.
fn bring_to_disk(to_sync: &mpsc::Receiver<()>, keeper: &LogKeeper) {
    while to_sync.recv().is_ok() {
        if let Err(error) = keeper.sync() {
            tracing::warn!(%error, "cannot bring the store to the disk");
        }
        if let Err(error) = keeper.bring_in() {
            let error = crate::log::chain(&error);
            tracing::warn!(%error, "the store's log could not be brought in");
        }
    }
}
