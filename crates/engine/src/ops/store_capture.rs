//! Stores what the captures of a run found, each in one transaction.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use amps_core::capture::{CaptureState, Failure, retry_delay};
use amps_core::event::Fact;
use amps_core::id::{ProjectId, SessionId};
use amps_core::mask::mask;
use amps_core::path::RawPath;
use amps_core::process::ProcessIdentity;
use amps_core::snapshot::Oid;
use amps_core::time::Moment;
use jiff::Timestamp;
use uuid::Uuid;

use super::capture_run::{BaseTaken, EndTaken};
use crate::ledger::{Ledger, LedgerError, ProjectSighting, StoredPatch, Transition};

/// Stores what the look before the agent found, and marks runs that overlap in the same tree.
pub fn store_base(
    ledger: &mut dyn Ledger,
    id: SessionId,
    taken: BaseTaken,
    now: Moment,
) -> Result<(), LedgerError> {
    let (mut session, mut run) = ledger.session(id)?.ok_or(LedgerError::Unknown(id))?;
    session.project_id = ledger.project_at(&taken.workspace.common_dir)?;
    session.project_root = Some(taken.workspace.root.clone());
    let others = ledger.runs_in(&taken.workspace.root, run.opened_at.at)?;
    // A session that is delivered late may have ended before another was opened.
    let until = run.ended_at.unwrap_or(Timestamp::MAX);
    let mut overlaps = Vec::new();
    for other in others {
        let opened = ledger.session(other)?.map(|(_, run)| run.opened_at.at);
        if other != id && opened.is_some_and(|opened| opened <= until) {
            overlaps.push(other);
        }
    }
    let fact = Fact::BaseCaptured {
        tree: taken.snapshot.tree.clone(),
        uncertain: taken.snapshot.uncertain.len(),
    };
    run.workspace = Some(taken.workspace);
    run.base = Some(taken.snapshot);
    run.capture.base = CaptureState::Done;
    run.capture.attempts = 0;
    run.capture.reason = None;
    let mut transition = Transition::new(&session, &run, vec![fact], now);
    transition.overlaps = &overlaps;
    ledger.advance(&transition)
}

/// Stores the project of a session whose repository was not known before.
pub fn store_project(
    ledger: &mut dyn Ledger,
    id: SessionId,
    root_commits: Vec<Oid>,
    now: Moment,
) -> Result<(), LedgerError> {
    let (mut session, run) = ledger.session(id)?.ok_or(LedgerError::Unknown(id))?;
    let Some(workspace) = &run.workspace else {
        return Ok(());
    };
    let sighting = ProjectSighting {
        fresh_id: ProjectId::new(Uuid::new_v4()),
        common_dir: workspace.common_dir.clone(),
        root_commits,
        at: now.at,
    };
    let is_gone = |folder: &RawPath| {
        // A folder that cannot be looked at is unknown, not gone.
        Path::new(OsStr::from_bytes(folder.as_bytes()))
            .try_exists()
            .is_ok_and(|exists| !exists)
    };
    session.project_id = Some(ledger.project(&sighting, &is_gone)?);
    ledger.advance(&Transition::new(&session, &run, Vec::new(), now))
}

/// Stores what the look after the agent found, and the processes that outlived it.
pub fn store_end(
    ledger: &mut dyn Ledger,
    id: SessionId,
    taken: Option<EndTaken>,
    survivors: Vec<ProcessIdentity>,
    now: Moment,
) -> Result<(), LedgerError> {
    let (session, mut run) = ledger.session(id)?.ok_or(LedgerError::Unknown(id))?;
    let Some(EndTaken {
        snapshot,
        difference,
        ..
    }) = taken
    else {
        run.capture.end = CaptureState::GivenUp;
        return ledger.advance(&Transition::new(&session, &run, Vec::new(), now));
    };
    let changeset_id = difference.as_ref().map(|changeset| changeset.changeset_id);
    let mut facts = vec![Fact::EndCaptured {
        tree: snapshot.tree.clone(),
        changeset_id,
    }];
    if !survivors.is_empty() {
        let pids = survivors.iter().map(|process| process.pid).collect();
        facts.push(Fact::SurvivorsFound { pids });
    }
    run.end = Some(snapshot);
    run.capture.end = CaptureState::Done;
    if changeset_id.is_some() {
        run.capture.patch = CaptureState::Owed;
    }
    run.capture.attempts = 0;
    run.capture.reason = None;
    run.changeset_id = changeset_id;
    run.survivors = survivors;
    let mut transition = Transition::new(&session, &run, facts, now);
    transition.changeset = difference.as_ref();
    ledger.advance(&transition)
}

/// Stores the patch of a run's changeset.
pub fn store_patch(
    ledger: &mut dyn Ledger,
    id: SessionId,
    patch: Option<&StoredPatch>,
    now: Moment,
) -> Result<(), LedgerError> {
    let (session, mut run) = ledger.session(id)?.ok_or(LedgerError::Unknown(id))?;
    run.capture.patch = CaptureState::Done;
    let mut transition = Transition::new(&session, &run, Vec::new(), now);
    transition.patch = run.changeset_id.zip(patch);
    ledger.advance(&transition)
}

/// Stores what survivors changed, once they are gone.
pub fn store_amendment(
    ledger: &mut dyn Ledger,
    id: SessionId,
    taken: Option<EndTaken>,
    now: Moment,
) -> Result<(), LedgerError> {
    let (session, mut run) = ledger.session(id)?.ok_or(LedgerError::Unknown(id))?;
    run.survivors.clear();
    let (difference, patch) = taken.map_or((None, None), |taken| (taken.difference, taken.patch));
    let changeset_id = difference.as_ref().map(|changeset| changeset.changeset_id);
    let fact = Fact::SurvivorsGone { changeset_id };
    let mut transition = Transition::new(&session, &run, vec![fact], now);
    transition.changeset = difference.as_ref();
    transition.patch = changeset_id.zip(patch.as_ref());
    ledger.advance(&transition)
}

/// Stores that a capture failed. Returns how long to wait before trying again; `None` when it is
/// given up.
pub fn store_failure(
    ledger: &mut dyn Ledger,
    id: SessionId,
    (failure, reason): (Failure, String),
    now: Moment,
) -> Result<Option<std::time::Duration>, LedgerError> {
    let (session, mut run) = ledger.session(id)?.ok_or(LedgerError::Unknown(id))?;
    run.capture.attempts += 1;
    let delay = retry_delay(run.capture.attempts, failure);
    let state = if delay.is_some() {
        CaptureState::Owed
    } else {
        CaptureState::GivenUp
    };
    if state == CaptureState::GivenUp {
        run.errors
            .push(format!("the capture was given up: {reason}"));
        run.survivors.clear();
        for part in [
            &mut run.capture.base,
            &mut run.capture.end,
            &mut run.capture.patch,
        ] {
            if *part == CaptureState::Owed {
                *part = CaptureState::GivenUp;
            }
        }
    }
    let reason = mask(&reason).into_owned();
    let told_before = run.capture.reason.as_ref() == Some(&reason);
    run.capture.reason = Some(reason.clone());
    let fact = Fact::CaptureFailed {
        attempts: run.capture.attempts,
        reason,
        state,
    };
    // The same failure again and again is one line of history, not a hundred.
    let facts = if told_before && state == CaptureState::Owed {
        Vec::new()
    } else {
        vec![fact]
    };
    ledger.advance(&Transition::new(&session, &run, facts, now))?;
    Ok(delay)
}
