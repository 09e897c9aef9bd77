//! Creates worktree sessions and takes them one step further.

use amps_core::event::Fact;
use amps_core::id::SessionId;
use amps_core::iteration::Iteration;
use amps_core::mask::mask;
use amps_core::time::Moment;
use amps_core::tool_call::ToolCall;
use amps_core::worktree::{Refused, Step, WorktreeSession};

use crate::ledger::{Ledger, LedgerError, WorktreeTransition};

/// The step was not taken.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The state does not allow it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The store failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Stores a new worktree session, known secrets masked. Told again, it changes nothing. Returns what
/// is stored.
pub fn open_worktree(
    ledger: &mut dyn Ledger,
    mut session: WorktreeSession,
    at: Moment,
) -> Result<WorktreeSession, LedgerError> {
    session.name = mask(&session.name).into_owned();
    session.prompt = mask(&session.prompt).into_owned();
    session.script = session.script.map(|script| mask(&script).into_owned());
    for words in [&mut session.tags, &mut session.context_ids] {
        for word in words {
            *word = mask(word).into_owned();
        }
    }
    let id = session.session_id;
    let mut facts = vec![Fact::WorktreeOpened {
        branch: session.branch.clone(),
        base: session.base.commit.clone(),
    }];
    let begun = session.operation.as_ref().map(|operation| operation.kind);
    facts.extend(begun.map(|operation| Fact::OperationBegun { operation }));
    ledger.open_worktree(&WorktreeTransition::new(&session, facts, at))?;
    ledger.worktree_session(id)?.ok_or(LedgerError::Unknown(id))
}

/// Takes a worktree session one step further. A step that was taken before changes nothing. Returns
/// what is stored.
pub fn step_worktree(
    ledger: &mut dyn Ledger,
    id: SessionId,
    step: &Step,
    at: Moment,
) -> Result<WorktreeSession, StepError> {
    let mut session = ledger
        .worktree_session(id)?
        .ok_or(LedgerError::Unknown(id))?;
    let before = session.clone();
    if session.project_id.is_none() {
        // It is known as soon as one of its runs has been looked at.
        session.project_id = ledger.project_at(&session.common_dir)?;
    }
    let facts = session.advance(step, at.at)?;
    let (iteration, tool_calls) = told_of(step);
    // Of an iteration that was judged already nothing is told any more.
    let iteration = iteration.filter(|_| !facts.is_empty());
    if session == before && iteration.is_none() {
        return Ok(session);
    }
    ledger.advance_worktree(&WorktreeTransition {
        session: &session,
        iteration: iteration.as_ref(),
        tool_calls: &tool_calls,
        facts,
        at,
    })?;
    Ok(session)
}

/// Returns the iteration that a step tells of, and its calls, known secrets masked.
fn told_of(step: &Step) -> (Option<Iteration>, Vec<ToolCall>) {
    match step {
        Step::Iterate { iteration } => (Some(masked(iteration)), Vec::new()),
        Step::Judge {
            iteration,
            tool_calls,
            ..
        } => (Some(masked(iteration)), tool_calls.clone()),
        Step::Begin { .. }
        | Step::Done { .. }
        | Step::Undone { .. }
        | Step::Conflict { .. }
        | Step::Resolve { .. }
        | Step::Merge { .. }
        | Step::GiveUp { .. } => (None, Vec::new()),
    }
}

/// Returns the iteration with every known secret masked.
pub fn masked(iteration: &Iteration) -> Iteration {
    let mut iteration = iteration.clone();
    let texts = [iteration.notes.as_mut(), iteration.answer.as_mut()];
    for text in texts.into_iter().flatten().chain(&mut iteration.errors) {
        *text = mask(text).into_owned();
    }
    iteration.prompt = mask(&iteration.prompt).into_owned();
    if let Some(gate) = &mut iteration.gate {
        gate.command = mask(&gate.command).into_owned();
        gate.log = mask(&gate.log).into_owned();
    }
    iteration
}
