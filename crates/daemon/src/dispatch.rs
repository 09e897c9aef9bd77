//! Requests to operations: the one place that knows both.

use std::sync::Arc;
use std::time::Duration;

use amps_core::capture::CaptureState;
use amps_core::error::ErrorCode;
use amps_core::evidence::{Evidence, EvidenceKind};
use amps_core::facts::{EndFacts, OpenFacts, RecordFacts, StartFacts};
use amps_core::id::{LeaseId, SessionId};
use amps_core::mask::mask;
use amps_core::path::RawPath;
use amps_core::process::ProcessIdentity;
use amps_core::session::{Binding, Ending, Status};
use amps_core::time::Moment;
use amps_engine::capture::{Cutoff, LONGEST_LAG_MS, TICK};
use amps_engine::ops::capture_run::Site;
use amps_engine::ops::note_session::note_session;
use amps_engine::ops::open_session::{Opened, open_session, session_of_process};
use amps_engine::ops::record_terminal::record_terminal;
use amps_engine::ops::start_run::start_run;
use amps_proto::fault::Fault;
use amps_proto::request::{OPEN_DEADLINE, Request};
use amps_proto::response::{DaemonView, Response};
use amps_proto::version::PROTOCOL;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::captures::Begun;
use crate::checkpoints;
use crate::daemon::Daemon;
use crate::faults;
use crate::leases::RenewRefused;
use crate::queries;
use crate::recovery;
use crate::worktrees;

/// What an answer to a launcher may need to reach it.
const ON_THE_WAY: Duration = Duration::from_millis(500);

/// The longest that a question may wait for a capture, or for the end of a session.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Does what a connected client asks.
pub(crate) async fn answer(daemon: &Arc<Daemon>, request: Request) -> Result<Response, Fault> {
    match request {
        Request::Checkpoint {
            reference,
            cause,
            label,
            wait_ms,
        } => {
            let wait = Duration::from_millis(wait_ms).min(LONGEST_WAIT);
            checkpoints::ask(daemon, reference, (cause, label), wait).await
        }
        Request::Current { ancestors } => current(daemon, ancestors).await,
        Request::DaemonStatus => status(daemon).await,
        Request::End(facts) => end(daemon, facts).await,
        Request::Note { reference, text } => note(daemon, reference, text).await,
        Request::Open(facts) => open(daemon, *facts, false).await,
        Request::OpenWorktree { session, at } => worktrees::open(daemon, *session, at).await,
        Request::Recorded(facts) => recorded(daemon, facts).await,
        Request::Renew {
            session_id,
            lease_id,
            generation,
            at,
        } => renew(daemon, (session_id, lease_id), generation, at),
        Request::Started(facts) => started(daemon, facts).await,
        Request::StepWorktree {
            session_id,
            taken,
            at,
        } => worktrees::step(daemon, session_id, *taken, at).await,
        Request::Stop => {
            daemon.stop.notify_one();
            Ok(Response::Done)
        }
        Request::Show {
            ref reference,
            wait_ms,
        } => {
            settle(daemon, reference.clone(), Duration::from_millis(wait_ms)).await?;
            query(daemon, request).await
        }
        Request::Checkpoints { .. }
        | Request::Events { .. }
        | Request::Grounds
        | Request::List(_)
        | Request::Patch { .. }
        | Request::Worktrees => query(daemon, request).await,
        Request::Wait { reference, wait_ms } => {
            wait(daemon, reference, Duration::from_millis(wait_ms)).await
        }
    }
}

/// Hears a fact that was spooled: nobody waits for the answer.
pub(crate) async fn late(daemon: &Arc<Daemon>, request: Request) -> Result<Response, Fault> {
    match request {
        Request::Open(facts) => open(daemon, *facts, true).await,
        Request::Started(facts) => started(daemon, facts).await,
        Request::End(facts) => end(daemon, facts).await,
        Request::OpenWorktree { session, at } => worktrees::open(daemon, *session, at).await,
        Request::Recorded(facts) => recorded(daemon, facts).await,
        Request::StepWorktree {
            session_id,
            taken,
            at,
        } => worktrees::step(daemon, session_id, *taken, at).await,
        Request::Checkpoint { .. }
        | Request::Checkpoints { .. }
        | Request::Current { .. }
        | Request::DaemonStatus
        | Request::Events { .. }
        | Request::Grounds
        | Request::List(_)
        | Request::Note { .. }
        | Request::Patch { .. }
        | Request::Renew { .. }
        | Request::Show { .. }
        | Request::Stop
        | Request::Wait { .. }
        | Request::Worktrees => Err(Fault::new(ErrorCode::BadArgument, "this is no fact")),
    }
}

async fn open(daemon: &Arc<Daemon>, facts: OpenFacts, is_late: bool) -> Result<Response, Fault> {
    let id = facts.session_id;
    let connected = !is_late && facts.binding.reports_exit();
    let site = Site::from(&facts);
    let ttl = daemon.config.lease_ttl;
    if facts.binding == Binding::Process && facts.owner.place != daemon.place {
        let message = "the daemon runs in another pid namespace than the process";
        return Err(Fault::new(ErrorCode::ProcessUnfit, message)
            .hint("set AMPSM_CONFIG_DIR to a home whose daemon runs where the process does"));
    }
    let asked = daemon.clock.now();
    let mut cutoff = Cutoff::open(asked);
    let is_told_again = daemon.leases.terms(id).is_some();
    let mut begun =
        (!is_late && !is_told_again).then(|| Begun::freeze(daemon, site.clone(), cutoff.clone()));
    let opened = daemon
        .store(move |ledger| match session_of_process(ledger, &facts)? {
            Some(other) => Ok(Err(other)),
            None => open_session(ledger, facts, ttl, is_late).map(Ok),
        })
        .await?
        .map_err(has_session)?;
    amps_engine::testing::point("open-stored");
    let Opened {
        session,
        run,
        is_new,
    } = opened;
    if !session.status.is_final() {
        daemon.leases.hold(daemon, &session, &run, connected);
        daemon.checkpoints.hold(daemon, &session, &run);
    }
    if is_new {
        tracing::info!(session = %id, agent = %session.agent, is_late, "opened");
    }
    let stored = (run.lease.generation, run.lease.ttl);
    let now = daemon.clock.now();
    if now.since(asked) > daemon.config.capture.hold && begun.is_some() {
        // The store was slow: what the person did meanwhile was there before the agent too.
        cutoff = Cutoff::open(now);
        begun = Some(Begun::freeze(daemon, site.clone(), cutoff.clone()));
    }
    let waited = now.since(run.opened_at);
    let left = OPEN_DEADLINE.saturating_sub(waited + ON_THE_WAY);
    let owes_base = run.capture.base == CaptureState::Owed;
    let base_taken = match begun {
        _ if !owes_base => true,
        Some(begun) if is_new && !left.is_zero() => {
            daemon
                .captures
                .go_on(daemon, (session, run), begun.freezing);
            hold_launch(daemon, &site.cwd, begun.frozen, (&cutoff, left)).await
        }
        // The agent may be running already: the base is dated by its launch.
        _ => {
            daemon.captures.see_to(daemon, id);
            false
        }
    };
    let (generation, unasked) = daemon.leases.terms(id).unwrap_or(stored);
    Ok(Response::Opened {
        generation,
        beat: unasked / 3,
        base_taken,
    })
}

/// Returns the fault of a process that is to be given a session and has one.
fn has_session(other: SessionId) -> Fault {
    let id = other.short();
    Fault::new(
        ErrorCode::NotAllowed,
        format!("session {id} has this process already"),
    )
    .hint(format!("`amps show {id}` shows it"))
}

/// Holds up a launch until its base is frozen, for as long as that may take and is of use.
/// Returns whether the base is frozen.
async fn hold_launch(
    daemon: &Daemon,
    cwd: &RawPath,
    frozen: oneshot::Receiver<bool>,
    (cutoff, left): (&Cutoff, Duration),
) -> bool {
    let longest = daemon.config.capture.hold.min(left).saturating_sub(TICK);
    // Waiting in vain helps nobody: what takes longer is judged by the instant of the launch. But
    // what is remembered comes quickly.
    let is_slow = daemon.captures.pace(cwd).is_some_and(|pace| pace > longest);
    let hold = if is_slow { longest.min(TICK) } else { longest };
    if let Ok(told) = tokio::time::timeout(hold, frozen).await {
        // A base that failed is taken once more, dated by the launch.
        return told.unwrap_or(false);
    }
    cutoff.set(daemon.clock.now());
    for _ in 0..LONGEST_LAG_MS {
        if cutoff.has_come() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    false
}

async fn started(daemon: &Arc<Daemon>, facts: StartFacts) -> Result<Response, Fault> {
    daemon
        .store(move |ledger| start_run(ledger, &facts))
        .await?;
    amps_engine::testing::point("start-stored");
    Ok(Response::Done)
}

async fn recorded(daemon: &Arc<Daemon>, facts: RecordFacts) -> Result<Response, Fault> {
    daemon
        .store(move |ledger| record_terminal(ledger, &facts))
        .await?;
    Ok(Response::Done)
}

fn renew(
    daemon: &Daemon,
    (session, lease): (SessionId, LeaseId),
    generation: u64,
    at: Moment,
) -> Result<Response, Fault> {
    match daemon.leases.renew(session, lease, generation, at) {
        Ok(()) => Ok(Response::Done),
        Err(RenewRefused::NotHeld) => Err(Fault::new(
            ErrorCode::NotAllowed,
            "the lease is not open any more",
        )),
        Err(RenewRefused::Stale(error)) => Err(Fault::of(ErrorCode::NotAllowed, &error)),
    }
}

async fn end(daemon: &Arc<Daemon>, facts: EndFacts) -> Result<Response, Fault> {
    let id = facts.session_id;
    let kind = match facts.ending {
        Ending::Exited(_) => EvidenceKind::WaitStatus,
        Ending::TerminalClosed(_) => EvidenceKind::PtyHangup,
        Ending::NotStarted => EvidenceKind::StartFailed,
        Ending::Declared(_) => EvidenceKind::UserCommand,
        Ending::OwnerDead
        | Ending::MachineRestarted
        | Ending::LeaseExpired
        | Ending::ShellEnded
        | Ending::ProcessEnded => {
            return Err(Fault::new(
                ErrorCode::BadArgument,
                "only the daemon observes this ending",
            ));
        }
    };
    let evidence = Evidence {
        kind,
        observed_at: facts.at,
        last_alive: Some(facts.at),
        detail: mask(&facts.detail).into_owned(),
    };
    let ended = daemon.end(id, facts.ending, evidence).await?;
    if ended.run.capture.end == CaptureState::Owed {
        let hold = daemon.config.capture.exit_hold;
        let pace = daemon.captures.pace(&ended.run.cwd);
        // What cannot be done in time is dated by the end; the prompt need not wait for it.
        if pace.is_none_or(|pace| pace <= hold) {
            daemon.captures.wait_frozen(id, hold).await;
        }
    }
    Ok(Response::Ended {
        status: ended.session.status,
    })
}

async fn note(daemon: &Daemon, reference: String, text: String) -> Result<Response, Fault> {
    let now = daemon.clock.now();
    let outcome = daemon.writer.call(move |ledger| {
        let id = queries::resolve(ledger, &reference)?;
        note_session(ledger, id, &text, now).map_err(|error| faults::of_ledger(&error))
    });
    outcome.await.map_err(faults::of_no_answer)??;
    Ok(Response::Done)
}

async fn current(daemon: &Daemon, ancestors: Vec<ProcessIdentity>) -> Result<Response, Fault> {
    let view = daemon.store(move |ledger| {
        let open = ledger.open_runs()?;
        let nearest = ancestors.iter().find_map(|ancestor| {
            open.iter().find(|(session, run)| {
                session.binding == Binding::Shell && run.lease.owner() == *ancestor
            })
        });
        nearest
            .map(|(session, _)| queries::view(ledger, session.session_id))
            .transpose()
    });
    Ok(view
        .await?
        .map_or(Response::None, |view| Response::Session(Box::new(view))))
}

async fn status(daemon: &Arc<Daemon>) -> Result<Response, Fault> {
    recovery::deliver_spool(daemon).await;
    let sessions = daemon.store(|ledger| ledger.count()).await?;
    Ok(Response::Daemon(DaemonView {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: PROTOCOL,
        home: daemon.home.folder().display().to_string(),
        uptime: daemon.clock.now().since(daemon.started),
        leases: count(daemon.leases.count()),
        captures_owed: count(daemon.captures.count()),
        sessions,
        warnings: daemon.warnings(),
    }))
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

async fn settle(daemon: &Daemon, reference: String, wait: Duration) -> Result<(), Fault> {
    if wait.is_zero() {
        return Ok(());
    }
    let id = resolve(daemon, reference).await?;
    daemon
        .captures
        .wait_settled(id, wait.min(LONGEST_WAIT))
        .await;
    Ok(())
}

/// Answers when a session is final, or no iteration of it is under way; or after the longest wait.
async fn wait(daemon: &Arc<Daemon>, reference: String, wait: Duration) -> Result<Response, Fault> {
    recovery::deliver_spool(daemon).await;
    let id = resolve(daemon, reference).await?;
    let deadline = Instant::now() + wait.min(LONGEST_WAIT);
    // Before the first look, so that no end is missed.
    let mut ends = daemon.ends.subscribe();
    loop {
        let shown = daemon
            .store(move |ledger| queries::show(ledger, id))
            .await?;
        amps_engine::testing::point("wait-looked");
        let is_over = match &shown {
            Response::Session(view) => view.session.status.is_final(),
            Response::Worktree(view) => view.session.status != Status::Active,
            _ => true,
        };
        if is_over || !has_ended(&mut ends, id, deadline).await {
            return Ok(shown);
        }
    }
}

/// Waits until a session has ended, or may have. Returns whether that was before the deadline.
async fn has_ended(
    ends: &mut broadcast::Receiver<SessionId>,
    id: SessionId,
    deadline: Instant,
) -> bool {
    loop {
        match timeout_at(deadline, ends.recv()).await {
            Ok(Ok(ended)) if ended != id => {}
            Ok(Ok(_) | Err(RecvError::Lagged(_))) => return true,
            Ok(Err(RecvError::Closed)) | Err(_) => return false,
        }
    }
}

async fn resolve(daemon: &Daemon, reference: String) -> Result<SessionId, Fault> {
    daemon
        .writer
        .call(move |ledger| queries::resolve(ledger, &reference))
        .await
        .map_err(faults::of_no_answer)?
}

async fn query(daemon: &Arc<Daemon>, request: Request) -> Result<Response, Fault> {
    recovery::deliver_spool(daemon).await;
    let answer = daemon
        .writer
        .call(move |ledger| queries::answer(ledger, &request))
        .await;
    answer
        .map_err(faults::of_no_answer)?
        .unwrap_or(Ok(Response::None))
}
