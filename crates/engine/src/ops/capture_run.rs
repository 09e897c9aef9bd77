//! Takes the snapshots of a run.
//!
//! The work with git runs beside the store and may take long; what it found is then stored by
//! [`super::store_capture`]. What was done before a crash is done again with the same result.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use amps_core::capture::{CaptureLimits, Side};
use amps_core::changeset::Changeset;
use amps_core::facts::OpenFacts;
use amps_core::id::{ChangesetId, SessionId};
use amps_core::path::RawPath;
use amps_core::run::Run;
use amps_core::snapshot::{Oid, Snapshot, Workspace};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use uuid::Uuid;

use crate::capture::{self, Beginning, CaptureError, Comparison, Cutoff, Frozen, Memory};
use crate::git::{Environment, Git};
use crate::ledger::StoredPatch;
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
    /// The trees that have been frozen already.
    pub memory: Memory,
}

/// The folder of a run, and the variables that tell git where its repository is.
#[derive(Clone, Debug)]
pub struct Site {
    /// The folder in which the agent is started.
    pub cwd: RawPath,
    /// The variables.
    pub git_environment: BTreeMap<String, String>,
}

impl From<&OpenFacts> for Site {
    fn from(facts: &OpenFacts) -> Self {
        Self {
            cwd: facts.cwd.clone(),
            git_environment: facts.git_environment.clone(),
        }
    }
}

impl From<&Run> for Site {
    fn from(run: &Run) -> Self {
        Self {
            cwd: run.cwd.clone(),
            git_environment: run.git_environment.clone(),
        }
    }
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
    pub(super) fn git(&self, variables: &BTreeMap<String, String>) -> Result<Git, CaptureError> {
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
    pub(super) state: Frozen,
    /// When git began to look, and for which instant; `None` for a state that was remembered.
    looked: Option<(Beginning, Cutoff)>,
}

impl FrozenSide {
    /// Returns where the files live.
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// Returns whether the state was remembered, and git not asked.
    pub fn is_recalled(&self) -> bool {
        self.looked.is_none()
    }

    /// Returns a mark of the state, the same for the same state.
    pub fn mark(&self) -> u64 {
        self.state.mark()
    }

    pub(super) fn freeze(
        tools: &Tools,
        (git, workspace): (&Git, Workspace),
        side: Side,
        cutoff: &Cutoff,
    ) -> Result<Self, CaptureError> {
        if let Some(state) = tools.memory.recall(git, &workspace, cutoff) {
            return Ok(Self {
                workspace,
                state,
                looked: None,
            });
        }
        let began = Beginning::now();
        let state = capture::freeze(git, &workspace, side, cutoff, &tools.limits)?;
        Ok(Self {
            workspace,
            state,
            looked: Some((began, cutoff.clone())),
        })
    }

    /// Remembers the state, kept under this reference of the session, for the next time that this
    /// tree is frozen. Not in a hurry: it asks git what the state depends on.
    pub fn remember(&self, tools: &Tools, run: &Run, kept_as: &str) {
        if let (Some((began, cutoff)), Ok(git)) = (&self.looked, tools.git(&run.git_environment)) {
            let reference = reference(run.session_id, kept_as);
            tools.memory.keep(
                (&git, &self.workspace),
                (&self.state, &reference),
                (*began, cutoff),
            );
        }
    }
}

/// Finds where the files of a run live and freezes the state before the agent.
pub fn freeze_base(
    tools: &Tools,
    site: &Site,
    cutoff: &Cutoff,
) -> Result<FrozenSide, CaptureError> {
    point("base-begun");
    let git = tools.git(&site.git_environment)?;
    let cwd = Path::new(OsStr::from_bytes(site.cwd.as_bytes()));
    let workspace = capture::discover(&git, cwd, &tools.folders)?;
    let frozen = FrozenSide::freeze(tools, (&git, workspace), Side::Base, cutoff)?;
    point("base-frozen");
    Ok(frozen)
}

/// Makes the frozen state before the agent a snapshot.
pub fn keep_base(tools: &Tools, run: &Run, frozen: &FrozenSide) -> Result<BaseTaken, CaptureError> {
    let git = tools.git(&run.git_environment)?;
    let FrozenSide {
        workspace, state, ..
    } = frozen;
    let name = reference(run.session_id, name_of(Side::Base));
    let snapshot = keep(&git, workspace, state, &name)?;
    point("base-kept");
    Ok(BaseTaken {
        workspace: workspace.clone(),
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
    let frozen = FrozenSide::freeze(tools, (&git, workspace.clone()), Side::End, cutoff)?;
    point("end-frozen");
    Ok(frozen)
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
        &reference(run.session_id, name_of(Side::End)),
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

/// Takes one snapshot of a run that no store knows yet, under the reference where its capture
/// will find it once the facts have been delivered.
pub fn take_alone(
    tools: &Tools,
    (session_id, site): (SessionId, &Site),
    side: Side,
    cutoff: &Cutoff,
    frozen: impl FnOnce(),
) -> Result<Snapshot, CaptureError> {
    let git = tools.git(&site.git_environment)?;
    let cwd = Path::new(OsStr::from_bytes(site.cwd.as_bytes()));
    let workspace = capture::discover(&git, cwd, &tools.folders)?;
    let state = capture::freeze(&git, &workspace, side, cutoff, &tools.limits)?;
    frozen();
    let name = reference(session_id, name_of(side));
    keep(&git, &workspace, &state, &name)
}

/// Returns how the reference of a side of a run is called.
pub fn name_of(side: Side) -> &'static str {
    match side {
        Side::Base => "base",
        Side::End => "end",
    }
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
