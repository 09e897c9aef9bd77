//! Stores what becomes of the checkpoints of a run, each step in one transaction: first that one is
//! intended, then that it is kept and which others are let go, then that their references are gone.

use amps_core::checkpoint::{Cause, Checkpoint, Dated, Intent, thin};
use amps_core::event::Fact;
use amps_core::id::SessionId;
use amps_core::run::Run;
use amps_core::snapshot::Snapshot;
use amps_core::time::Moment;

use crate::ledger::{CheckpointStep, Ledger, LedgerError, Transition};

/// What a taker of checkpoints has to know.
#[derive(Clone, Debug)]
pub struct Before {
    /// The run.
    pub run: Run,
    /// Whether its session is final.
    pub is_final: bool,
    /// The snapshot before the one to take, and the reference that keeps it; `None` without a base.
    pub last: Option<(Snapshot, String)>,
}

/// Returns what there is before a checkpoint is taken.
pub fn before(ledger: &dyn Ledger, id: SessionId) -> Result<Before, LedgerError> {
    let (session, run) = ledger.session(id)?.ok_or(LedgerError::Unknown(id))?;
    let newest = ledger.checkpoints(id)?.pop();
    let newest = newest.map(|one| (one.snapshot, super::checkpoint_run::name_of(one.number)));
    let base = run.base.clone().map(|base| (base, "base".to_owned()));
    Ok(Before {
        is_final: session.status.is_final(),
        last: base.map(|base| newest.unwrap_or(base)),
        run,
    })
}

/// Stores that a checkpoint is about to be taken, under the next number.
pub fn intend(
    ledger: &mut dyn Ledger,
    id: SessionId,
    (cause, label): (Cause, Option<String>),
    taken_at: Moment,
) -> Result<Intent, LedgerError> {
    let (session, run) = ledger.session(id)?.ok_or(LedgerError::Unknown(id))?;
    let intent = Intent {
        number: ledger.next_checkpoint(id)?,
        taken_at,
        cause,
        label,
    };
    let mut transition = Transition::new(&session, &run, Vec::new(), taken_at);
    transition.checkpoint = Some(CheckpointStep::Intended(&intent));
    ledger.advance(&transition)?;
    Ok(intent)
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
