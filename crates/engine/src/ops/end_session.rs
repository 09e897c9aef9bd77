//! Brings a session to its one final status.

use amps_core::capture::CaptureState;
use amps_core::event::Fact;
use amps_core::evidence::{Evidence, EvidenceKind};
use amps_core::id::SessionId;
use amps_core::run::Run;
use amps_core::session::{Ending, Input, Refused, Session, step};
use amps_core::time::Moment;

use crate::ledger::{Ledger, LedgerError, Transition};

/// What became of the ending.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The session with the status in force.
    pub session: Session,
    /// Its run.
    pub run: Run,
    /// Whether this ending decided the status; otherwise the session had been final before.
    pub decided: bool,
}

/// Ends the session. The end snapshot is owed from then on. A session that is final already keeps
/// its status, and an exit that was not known before is added to its history.
pub fn end_session(
    ledger: &mut dyn Ledger,
    id: SessionId,
    ending: Ending,
    evidence: Evidence,
) -> Result<Ended, LedgerError> {
    let (mut session, mut run) = ledger.session(id)?.ok_or(LedgerError::Unknown(id))?;
    let (status, reason) = match step(session.status, Input::Ended(ending)) {
        Ok((status, reason)) => (status, reason),
        Err(Refused::Final(_) | Refused::AlreadyActive) => {
            return add_late_exit(ledger, (session, run), ending, evidence.observed_at);
        }
    };
    let start = run.launched_at.unwrap_or(run.opened_at);
    let end = end_moment(&evidence);
    let same_boot = evidence.kind != EvidenceKind::BootIdChanged;
    let ended_at = if same_boot {
        end.wall_time_after(start)
    } else {
        end.at.max(start.at)
    };
    session.status = status;
    session.status_reason = reason;
    session.ended_at = Some(ended_at);
    session.evidence = Some(evidence.clone());
    run.status = status;
    run.ended_at = Some(ended_at);
    run.duration = same_boot.then(|| end.since(start));
    run.exit = ending.exit();
    if ending == Ending::NotStarted {
        run.capture.base = CaptureState::NotYet;
        run.capture.end = CaptureState::NotYet;
    } else if run.capture.base != CaptureState::GivenUp {
        run.capture.end = CaptureState::Owed;
        run.capture.attempts = 0;
    }
    let at = evidence.observed_at;
    let facts = reason
        .map(|reason| Fact::Ended {
            status,
            reason,
            evidence,
        })
        .into_iter()
        .collect();
    ledger.advance(&Transition::new(&session, &run, facts, at))?;
    Ok(Ended {
        session,
        run,
        decided: true,
    })
}

/// The kernel dates a death that it tells of itself; otherwise the owner was last known to be
/// alive at its last sign of life, and calling it alive until the observation would invent time.
fn end_moment(evidence: &Evidence) -> Moment {
    match evidence.kind {
        EvidenceKind::WaitStatus
        | EvidenceKind::PtyHangup
        | EvidenceKind::UserCommand
        | EvidenceKind::StartFailed
        | EvidenceKind::PidfdExit
        | EvidenceKind::LockReleased => evidence.observed_at,
        EvidenceKind::ProcessGone
        | EvidenceKind::StartTimeMismatch
        | EvidenceKind::BootIdChanged
        | EvidenceKind::LeaseExpired => evidence.last_alive.unwrap_or(evidence.observed_at),
    }
}

fn add_late_exit(
    ledger: &mut dyn Ledger,
    (session, run): (Session, Run),
    ending: Ending,
    at: Moment,
) -> Result<Ended, LedgerError> {
    if let Some(exit) = ending.exit().filter(|exit| run.exit != Some(*exit)) {
        let late = Fact::LateExit { exit };
        let known = ledger.events(session.session_id)?;
        if known.iter().all(|event| event.fact != late) {
            ledger.advance(&Transition::new(&session, &run, vec![late], at))?;
        }
    }
    Ok(Ended {
        session,
        run,
        decided: false,
    })
}
