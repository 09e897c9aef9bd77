//! Takes the snapshots of a run and stores what they show.
//!
//! Each capture is in halves: the work with git runs beside the store and may take long; what it
//! found is then stored in one transaction. A half that was done before a crash is done again
//! with the same result.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use amps_core::capture::{CaptureLimits, CaptureState, Failure, Side, retry_delay};
use amps_core::changeset::Changeset;
use amps_core::event::Fact;
use amps_core::id::{ChangesetId, ProjectId, SessionId};
use amps_core::mask::mask;
use amps_core::path::RawPath;
use amps_core::process::ProcessIdentity;
use amps_core::run::Run;
use amps_core::snapshot::{Oid, Snapshot, Workspace};
use amps_core::time::Moment;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use jiff::Timestamp;
use uuid::Uuid;

use crate::capture::{self, CaptureError, Comparison, Cutoff, Frozen};
use crate::git::{Environment, Git};
use crate::ledger::{Ledger, LedgerError, ProjectSighting, StoredPatch, Transition};
use crate::testing::point;

/// What every capture needs.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The variables that git is given in every repository.
    pub environment: Environment,
    /// Where our own repositories lie, for folders that are in none.
    pub folders: PathBuf,
    /// Limits.
    pub limits: CaptureLimits,
}

/// What the look before the agent found.
#[derive(Clone, Debug)]
pub struct BaseTaken {
    /// Where the files live.
    pub workspace: Workspace,
    /// The state before the agent.
    pub snapshot: Snapshot,
}

/// What the look after the agent found.
#[derive(Clone, Debug)]
pub struct EndTaken {
    /// The state after the agent.
    pub snapshot: Snapshot,
    /// The difference from the state before, unless there is none.
    pub difference: Option<Changeset>,
    /// The patch, where it was made at once.
    pub patch: Option<StoredPatch>,
}

impl Tools {
    /// Looks for git each time: it may have been installed since.
    fn git(&self, variables: &BTreeMap<String, String>) -> Result<Git, CaptureError> {
        let mut environment = self.environment.clone();
        let passed = variables
            .iter()
            .map(|(name, value)| (OsString::from(name), value.into()));
        environment.passed.extend(passed);
        Ok(Git::find(environment)?)
    }
}

/// One side of a run, frozen: what is done from now on can no longer change what is recorded.
#[derive(Debug)]
pub struct FrozenSide {
    workspace: Workspace,
    state: Frozen,
}

impl FrozenSide {
    /// Returns where the files live.
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }
}

/// Finds where the files of a run live and freezes the state before the agent.
pub fn freeze_base(tools: &Tools, run: &Run, cutoff: &Cutoff) -> Result<FrozenSide, CaptureError> {
    let git = tools.git(&run.git_environment)?;
    let cwd = Path::new(OsStr::from_bytes(run.cwd.as_bytes()));
    let workspace = capture::discover(&git, cwd, &tools.folders)?;
    let state = capture::freeze(&git, &workspace, Side::Base, cutoff, &tools.limits)?;
    point("base-frozen");
    Ok(FrozenSide { workspace, state })
}

/// Makes the frozen state before the agent a snapshot.
pub fn keep_base(tools: &Tools, run: &Run, frozen: FrozenSide) -> Result<BaseTaken, CaptureError> {
    let git = tools.git(&run.git_environment)?;
    let FrozenSide { workspace, state } = frozen;
    let snapshot = keep(&git, &workspace, &state, &reference(run.session_id, "base"))?;
    point("base-kept");
    Ok(BaseTaken {
        workspace,
        snapshot,
    })
}

/// Freezes the state after the agent.
pub fn freeze_end(
    tools: &Tools,
    run: &Run,
    workspace: &Workspace,
    cutoff: &Cutoff,
) -> Result<FrozenSide, CaptureError> {
    let git = tools.git(&run.git_environment)?;
    let state = capture::freeze(&git, workspace, Side::End, cutoff, &tools.limits)?;
    point("end-frozen");
    Ok(FrozenSide {
        workspace: workspace.clone(),
        state,
    })
}

/// Makes the frozen state after the agent a snapshot and compares it with the base. Returns
/// `None` when the run has no base to compare with.
pub fn finish_end(
    tools: &Tools,
    run: &Run,
    frozen: &FrozenSide,
) -> Result<Option<EndTaken>, CaptureError> {
    let Some(base) = &run.base else {
        return Ok(None);
    };
    let git = tools.git(&run.git_environment)?;
    let workspace = &frozen.workspace;
    let snapshot = keep(
        &git,
        workspace,
        &frozen.state,
        &reference(run.session_id, "end"),
    )?;
    point("end-kept");
    let difference = difference((&git, workspace), run, (base, &snapshot))?;
    Ok(Some(EndTaken {
        snapshot,
        difference,
        patch: None,
    }))
}

/// Takes what survivors changed after the end snapshot.
pub fn take_amendment(
    tools: &Tools,
    run: &Run,
    cutoff: &Cutoff,
) -> Result<Option<EndTaken>, CaptureError> {
    let (Some(workspace), Some(end)) = (&run.workspace, &run.end) else {
        return Ok(None);
    };
    let git = tools.git(&run.git_environment)?;
    let name = reference(run.session_id, "amendment");
    let state = capture::freeze(&git, workspace, Side::End, cutoff, &tools.limits)?;
    let snapshot = keep(&git, workspace, &state, &name)?;
    let mut difference = difference((&git, workspace), run, (end, &snapshot))?;
    if let Some(changeset) = &mut difference {
        // Days may lie between the two, and others work in the same tree: what changed meanwhile
        // may be the survivors' work, nobody can know.
        changeset.amendment = true;
        changeset.partial = true;
        for file in &mut changeset.files {
            file.uncertain = true;
        }
    }
    let patch = match &difference {
        Some(_) => Some(patch_of(tools, (&git, workspace), (end, &snapshot))?),
        None => None,
    };
    Ok(Some(EndTaken {
        snapshot,
        difference,
        patch,
    }))
}

/// A run that no store knows yet.
#[derive(Clone, Debug)]
pub struct Alone {
    /// Its session.
    pub session_id: SessionId,
    /// The folder in which the agent is started.
    pub cwd: RawPath,
    /// Variables that tell git where the repository is.
    pub git_environment: BTreeMap<String, String>,
}

/// Takes one snapshot of a run that no store knows yet, under the reference where its capture
/// will find it once the facts have been delivered.
pub fn take_alone(
    tools: &Tools,
    alone: &Alone,
    side: Side,
    cutoff: &Cutoff,
    frozen: impl FnOnce(),
) -> Result<Snapshot, CaptureError> {
    let git = tools.git(&alone.git_environment)?;
    let cwd = Path::new(OsStr::from_bytes(alone.cwd.as_bytes()));
    let workspace = capture::discover(&git, cwd, &tools.folders)?;
    let which = match side {
        Side::Base => "base",
        Side::End => "end",
    };
    let state = capture::freeze(&git, &workspace, side, cutoff, &tools.limits)?;
    frozen();
    keep(
        &git,
        &workspace,
        &state,
        &reference(alone.session_id, which),
    )
}

/// Makes a frozen state a snapshot. A reference that a capture before a crash left behind was
/// nearer to the instant than a new look: it stands.
fn keep(
    git: &Git,
    workspace: &Workspace,
    state: &Frozen,
    name: &str,
) -> Result<Snapshot, CaptureError> {
    match capture::keep(git, workspace, state, name, None) {
        Err(CaptureError::Taken { name, holds }) => {
            capture::adopt(git, workspace, &name, state.taken_at())?
                .ok_or(CaptureError::Taken { name, holds })
        }
        kept => kept,
    }
}

fn difference(
    (git, workspace): (&Git, &Workspace),
    run: &Run,
    (before, after): (&Snapshot, &Snapshot),
) -> Result<Option<Changeset>, CaptureError> {
    let comparison = Comparison {
        base: before,
        end: after,
        started_at: run.launched_at.unwrap_or(run.opened_at).at,
        changeset_id: ChangesetId::new(Uuid::new_v4()),
        run_id: run.run_id,
    };
    let changeset = capture::compare(git, workspace, &comparison)?;
    if changeset.files.is_empty() && changeset.commits.is_empty() && !changeset.partial {
        return Ok(None);
    }
    Ok(Some(changeset))
}

/// Makes the patch of a run's changeset, so that the record outlives its repository.
pub fn make_patch(tools: &Tools, run: &Run) -> Result<Option<StoredPatch>, CaptureError> {
    let (Some(workspace), Some(base), Some(end)) = (&run.workspace, &run.base, &run.end) else {
        return Ok(None);
    };
    let git = tools.git(&run.git_environment)?;
    Ok(Some(patch_of(tools, (&git, workspace), (base, end))?))
}

fn patch_of(
    tools: &Tools,
    (git, workspace): (&Git, &Workspace),
    (before, after): (&Snapshot, &Snapshot),
) -> Result<StoredPatch, CaptureError> {
    let patch = capture::patch(git, workspace, before, after, tools.limits.max_patch_size)?;
    Ok(StoredPatch {
        zlib: compressed(&patch.bytes),
        truncated: patch.truncated,
    })
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(bytes)
        .and_then(|()| encoder.finish())
        .expect("writing into memory never fails")
}

/// Returns the reference that keeps one snapshot of a session.
pub fn reference(session: SessionId, which: &str) -> String {
    format!("refs/amps/sessions/{session}/{which}")
}

/// Returns the commits without a parent that HEAD of a run's repository descends from.
pub fn root_commits(tools: &Tools, run: &Run) -> Result<Vec<Oid>, CaptureError> {
    let Some(workspace) = &run.workspace else {
        return Ok(Vec::new());
    };
    capture::root_commits(&tools.git(&run.git_environment)?, workspace)
}

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
