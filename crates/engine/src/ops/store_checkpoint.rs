//! Stores what becomes of the checkpoints of a run, each step in one transaction: first that one is
//! intended, then that it is kept and which others are let go, then that their references are gone.

use amps_core::capture::Side;
use amps_core::checkpoint::{Cause, Checkpoint, Dated, Intent, thin};
use amps_core::event::Fact;
use amps_core::id::SessionId;
use amps_core::run::Run;
use amps_core::snapshot::Snapshot;
use amps_core::time::Moment;

use super::capture_run;
use super::checkpoint_run::name_of;
use crate::ledger::{CheckpointStep, Ledger, LedgerError, Transition};

/// A checkpoint that is to be taken, and what is before it.
#[derive(Clone, Debug)]
pub struct Intended {
    /// The checkpoint.
    pub intent: Intent,
    /// The snapshot before: of the last checkpoint, or the base.
    pub before: Snapshot,
}

/// Returns the snapshot before the next checkpoint, and the name of the reference that keeps it;
/// `None` without a base.
pub fn before(ledger: &dyn Ledger, run: &Run) -> Result<Option<(Snapshot, String)>, LedgerError> {
    let newest = ledger.newest_checkpoint(run.session_id)?;
    let newest = newest.map(|one| (one.snapshot, name_of(one.number)));
    let base = run.base.clone();
    Ok(newest.or_else(|| Some((base?, capture_run::name_of(Side::Base).to_owned()))))
}

/// Stores that a checkpoint is about to be taken, under the next number; `None` without a base.
pub fn intend(
    ledger: &mut dyn Ledger,
    id: SessionId,
    (cause, label): (Cause, Option<String>),
    taken_at: Moment,
) -> Result<Option<Intended>, LedgerError> {
    let (session, run) = ledger.session(id)?.ok_or(LedgerError::Unknown(id))?;
    let Some((before, _)) = before(ledger, &run)? else {
        return Ok(None);
    };
    let intent = Intent {
        number: ledger.next_checkpoint(id)?,
        taken_at,
        cause,
        label,
    };
    let mut transition = Transition::new(&session, &run, Vec::new(), taken_at);
    transition.checkpoint = Some(CheckpointStep::Intended(&intent));
    ledger.advance(&transition)?;
    Ok(Some(Intended { intent, before }))
}

/// Stores a checkpoint that was taken, and returns those that are let go for it: none once the
/// session is final.
pub fn store_checkpoint(
    ledger: &mut dyn Ledger,
    id: SessionId,
    checkpoint: &Checkpoint,
    (most, now): (usize, Moment),
) -> Result<Vec<Checkpoint>, LedgerError> {
    let (session, run) = ledger.session(id)?.ok_or(LedgerError::Unknown(id))?;
    let mut kept = ledger.checkpoints(id)?;
    let mut thinned = Vec::new();
    if !session.status.is_final() {
        let dated = kept.iter().chain([checkpoint]).map(Dated::from);
        thinned = thin(&dated.collect::<Vec<_>>(), now, most);
    }
    let fact = Fact::CheckpointTaken {
        number: checkpoint.number,
        tree: checkpoint.snapshot.tree.clone(),
        cause: checkpoint.cause,
    };
    let mut transition = Transition::new(&session, &run, vec![fact], now);
    transition.checkpoint = Some(CheckpointStep::Kept {
        checkpoint,
        thinned: &thinned,
    });
    ledger.advance(&transition)?;
    kept.retain(|one| thinned.contains(&one.number));
    Ok(kept)
}

/// Stores that nothing is left in git of a checkpoint that was let go, or never came to be.
pub fn forget_checkpoint(
    ledger: &mut dyn Ledger,
    id: SessionId,
    number: u32,
    now: Moment,
) -> Result<(), LedgerError> {
    let (session, run) = ledger.session(id)?.ok_or(LedgerError::Unknown(id))?;
    let mut transition = Transition::new(&session, &run, Vec::new(), now);
    transition.checkpoint = Some(CheckpointStep::Forgotten(number));
    ledger.advance(&transition)
}

/// Stores that the agent ended a turn. A session that is final hears of none: returns `false`.
pub fn end_turn(ledger: &mut dyn Ledger, id: SessionId, now: Moment) -> Result<bool, LedgerError> {
    let (session, mut run) = ledger.session(id)?.ok_or(LedgerError::Unknown(id))?;
    if session.status.is_final() {
        return Ok(false);
    }
    run.turns += 1;
    let fact = Fact::TurnEnded { number: run.turns };
    ledger.advance(&Transition::new(&session, &run, vec![fact], now))?;
    Ok(true)
}
