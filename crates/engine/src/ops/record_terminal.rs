//! Records how much of an agent's terminal is recorded.

use amps_core::event::Fact;
use amps_core::facts::RecordFacts;

use crate::ledger::{Ledger, LedgerError, Transition};

/// Stores that a recording has begun, or, told again, how much there is of it. A final session
/// takes it too: the last of a recording reaches the disk after the agent has ended.
pub fn record_terminal(ledger: &mut dyn Ledger, facts: &RecordFacts) -> Result<(), LedgerError> {
    let id = facts.session_id;
    let (session, mut run) = ledger.session(id)?.ok_or(LedgerError::Unknown(id))?;
    let recording = Some(facts.recording);
    if run.recording == recording {
        return Ok(());
    }
    let fact = match run.recording {
        None => Fact::RecordingBegun,
        Some(_) => Fact::Recorded {
            recording: facts.recording,
        },
    };
    run.recording = recording;
    ledger.advance(&Transition::new(&session, &run, vec![fact], facts.at))
}
