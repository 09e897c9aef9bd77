//! Records that the agent of a session has been started, or that one which ran already is attached.

use amps_core::event::Fact;
use amps_core::facts::StartFacts;
use amps_core::run::Run;
use amps_core::session::{Binding, Input, Refused, Session, step};

use crate::ledger::{Ledger, LedgerError, Transition};

/// Stores the start. Told again, or after the end, it changes nothing; the stored state is
/// returned either way.
pub fn start_run(
    ledger: &mut dyn Ledger,
    facts: &StartFacts,
) -> Result<(Session, Run), LedgerError> {
    let id = facts.session_id;
    let (mut session, mut run) = ledger.session(id)?.ok_or(LedgerError::Unknown(id))?;
    let status = match step(session.status, Input::Started) {
        Ok((status, _)) => status,
        Err(Refused::Final(_) | Refused::AlreadyActive) => return Ok((session, run)),
    };
    let started_at = facts.launched_at.wall_time_after(run.opened_at);
    session.status = status;
    session.started_at = Some(started_at);
    run.status = status;
    run.started_at = Some(started_at);
    run.launched_at = Some(facts.launched_at);
    run.agent_process.clone_from(&facts.agent);
    let fact = match (session.binding, facts.agent.clone()) {
        (Binding::Process, Some(agent)) => Fact::Attached {
            running_since: agent.started_at(facts.launched_at),
            agent,
        },
        (_, agent) => Fact::Started { agent },
    };
    ledger.advance(&Transition::new(
        &session,
        &run,
        vec![fact],
        facts.launched_at,
    ))?;
    Ok((session, run))
}
