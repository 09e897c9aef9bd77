//! Takes an open lease over after a restart of the daemon.

use amps_core::event::Fact;
use amps_core::id::SessionId;
use amps_core::run::Run;
use amps_core::session::Session;
use amps_core::time::Moment;

use crate::ledger::{Ledger, LedgerError, Transition};

/// Grants the lease anew under the next generation: what a holder says under the old one is
/// refused until it has opened its session again.
pub fn regrant_lease(
    ledger: &mut dyn Ledger,
    id: SessionId,
    now: Moment,
) -> Result<(Session, Run), LedgerError> {
    let (session, mut run) = ledger.session(id)?.ok_or(LedgerError::Unknown(id))?;
    run.lease.generation += 1;
    let fact = Fact::LeaseRegranted {
        generation: run.lease.generation,
    };
    // The last sign of life stays in the record until there is a new one: it bounds the time of
    // death if the owner is found to be dead.
    ledger.advance(&Transition::new(&session, &run, vec![fact], now))?;
    Ok((session, run))
}
