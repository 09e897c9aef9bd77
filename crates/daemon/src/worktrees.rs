//! Worktree sessions: what is told of them, and the watch over those who run their iterations.
//!
//! A runner tells how its iteration ended. Of one that is gone without a word the kernel tells, and
//! then the iteration is lost.

use std::sync::Arc;
use std::time::Duration;

use amps_core::error::ErrorCode;
use amps_core::id::SessionId;
use amps_core::iteration::{Iteration, Verdict};
use amps_core::process::{Verdict as Judgement, judge};
use amps_core::session::Status;
use amps_core::time::Moment;
use amps_core::worktree::{Refused, Step, WorktreeSession};
use amps_engine::ledger::LedgerError;
use amps_engine::ops::step_worktree::{StepError, open_worktree, step_worktree};
use amps_engine::process;
use amps_proto::fault::Fault;
use amps_proto::response::Response;

use crate::daemon::Daemon;
use crate::faults;
use crate::owners;
use crate::queries;
use crate::recovery;

/// Between two looks at a runner of whose death the kernel does not tell.
const LOOK: Duration = Duration::from_secs(5);

/// Between two tries to store that an iteration is lost.
const AGAIN: Duration = Duration::from_secs(5);

/// Stores a new worktree session.
pub(crate) async fn open(
    daemon: &Daemon,
    session: WorktreeSession,
    at: Moment,
) -> Result<Response, Fault> {
    let id = session.session_id;
    tracing::info!(session = %id, "worktree session opened");
    let stored = daemon.store(move |ledger| {
        open_worktree(ledger, session, at)?;
        queries::worktree_view(ledger, id)
    });
    Ok(Response::Worktree(Box::new(stored.await?)))
}

/// Takes one step.
pub(crate) async fn step(
    daemon: &Arc<Daemon>,
    id: SessionId,
    step: Step,
    at: Moment,
) -> Result<Response, Fault> {
    let begun = match &step {
        Step::Iterate { iteration } => Some((**iteration).clone()),
        _ => None,
    };
    let taken = daemon
        .writer
        .call(move |ledger| {
            step_worktree(ledger, id, &step, at).map_err(|error| fault(&error))?;
            queries::worktree_view(ledger, id).map_err(|error| faults::of_ledger(&error))
        })
        .await
        .map_err(faults::of_no_answer)??;
    if let Some(iteration) = begun {
        watch(daemon, id, iteration);
    }
    daemon.ends.send(id).ok();
    Ok(Response::Worktree(Box::new(taken)))
}

fn fault(error: &StepError) -> Fault {
    match error {
        StepError::Ledger(error) => faults::of_ledger(error),
        StepError::Refused(refused) => {
            let fault = Fault::of(ErrorCode::NotAllowed, refused);
            match refused {
                Refused::Active => fault.hint("wait for its iteration, or `amps stop` it"),
                Refused::Busy => fault.hint("try again when it is done"),
                Refused::Final(_) | Refused::NotActive => fault,
            }
        }
    }
}

/// Takes up the watch over the iterations that are under way.
pub(crate) async fn recover(daemon: &Arc<Daemon>) -> Result<(), Fault> {
    let under_way = daemon.store(|ledger| {
        let live = ledger.live_worktree_sessions()?;
        let active = live
            .into_iter()
            .filter(|session| session.status == Status::Active);
        let latest = active.map(|session| {
            let id = session.session_id;
            let mut iterations = ledger.iterations(id)?;
            Ok(iterations.pop().map(|iteration| (id, iteration)))
        });
        latest
            .filter_map(Result::transpose)
            .collect::<Result<Vec<_>, LedgerError>>()
    });
    for (id, iteration) in under_way.await? {
        watch(daemon, id, iteration);
    }
    Ok(())
}

fn watch(daemon: &Arc<Daemon>, id: SessionId, iteration: Iteration) {
    tokio::spawn(lose(Arc::clone(daemon), id, iteration));
}

/// Waits until the runner of an iteration is gone, and notes the iteration as lost unless its end
/// has been told.
async fn lose(daemon: Arc<Daemon>, id: SessionId, mut iteration: Iteration) {
    gone(&daemon, &iteration).await;
    recovery::deliver_spool(&daemon).await;
    iteration.verdict = Some(Verdict::Lost);
    iteration
        .errors
        .push("the process that ran the iteration is gone without a word".to_owned());
    loop {
        let now = daemon.clock.now();
        iteration.ended_at = Some(now.at);
        let step = Step::Judge {
            iteration: Box::new(iteration.clone()),
            tool_calls: Vec::new(),
            changes: None,
        };
        let stored = daemon
            .writer
            .call(move |ledger| step_worktree(ledger, id, &step, now));
        match stored.await {
            Ok(Ok(_) | Err(StepError::Refused(_))) => break,
            Ok(Err(error)) => {
                tracing::error!(session = %id, %error, "a lost iteration is not stored");
            }
            Err(error) => {
                tracing::error!(session = %id, %error, "a lost iteration is not stored");
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
    daemon.ends.send(id).ok();
}

/// Returns when the runner of an iteration is proven dead.
async fn gone(daemon: &Daemon, iteration: &Iteration) {
    let runner = &iteration.runner;
    if owners::exit_of(runner).await.is_some() {
        return;
    }
    let is_dead = || {
        let sighting = process::sight(runner.pid);
        matches!(judge(runner, &daemon.place, sighting), Judgement::Dead(_))
    };
    while !is_dead() {
        tokio::time::sleep(LOOK).await;
    }
}
