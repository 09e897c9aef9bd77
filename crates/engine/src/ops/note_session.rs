//! Adds what a person wrote to the history of a session.

use amps_core::event::Fact;
use amps_core::id::SessionId;
use amps_core::mask::mask;
use amps_core::time::Moment;

use crate::ledger::{Ledger, LedgerError, Transition, WorktreeTransition};

/// Stores the note, known secrets masked. A final session takes notes too.
pub fn note_session(
    ledger: &mut dyn Ledger,
    id: SessionId,
    text: &str,
    now: Moment,
) -> Result<(), LedgerError> {
    let facts = vec![Fact::Noted {
        text: mask(text).into_owned(),
    }];
    if let Some(session) = ledger.worktree_session(id)? {
        return ledger.advance_worktree(&WorktreeTransition::new(&session, facts, now));
    }
    let (session, run) = ledger.session(id)?.ok_or(LedgerError::Unknown(id))?;
    ledger.advance(&Transition::new(&session, &run, facts, now))
}
