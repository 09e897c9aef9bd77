//! Bringing paths back as a snapshot has them, never over newer work.
//!
//! Everything is checked before anything is written: what stands in the way must be something that
//! a snapshot of the run holds, or has to be saved first. The person's index is not touched.

mod place;
mod plan;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::os::unix::ffi::OsStringExt as _;

use amps_core::capture::{CaptureLimits, Side};
use amps_core::credential::looks_like_credential;
use amps_core::path::RawPath;
use amps_core::snapshot::{Oid, Snapshot, Workspace};

use self::plan::{InTheWay, Plan};
use super::freeze::{Body, Data, Frozen, freeze};
use super::hash::{Filter, Stored, Storing, Wanted, store};
use super::look::{Kind, Looker, Seen};
use super::{CaptureError, Cutoff, keep, tree};
use crate::git::parse::Version;
use crate::git::{Git, GitError};

/// What is to be brought back.
#[derive(Debug)]
pub struct Restore<'a> {
    /// The snapshot that has it.
    pub snapshot: &'a Snapshot,
    /// Snapshots whose contents may be overwritten, since they can be restored themselves.
    pub known: &'a [&'a Snapshot],
    /// Which paths.
    pub selection: Selection,
    /// How far to go.
    pub policy: RestorePolicy,
}

/// Which paths of a snapshot are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of them, but those that a sparse checkout keeps out of the working tree.
    All,
    /// These files, and all files below these folders.
    Paths(Vec<RawPath>),
}

/// How far a restore goes.
#[derive(Clone, Debug)]
pub enum RestorePolicy {
    /// Only tell what would be done.
    DryRun,
    /// Write, unless newer work is in the way.
    Careful,
    /// Write in any case, after newer work was kept under a reference of its own.
    Force {
        /// The reference below `refs/amps/` for the snapshot of what is there now.
        safety: String,
        /// Dates that snapshot.
        cutoff: Cutoff,
        /// The limits of that snapshot.
        limits: CaptureLimits,
    },
}

/// What a restore did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreReport {
    /// Paths written, or to be written; none when anything was refused.
    pub written: Vec<RawPath>,
    /// Paths that are as the snapshot has them.
    pub unchanged: Vec<RawPath>,
    /// Paths with newer work. If there is one, nothing was written, save for what is told as
    /// [`RestoreRefusal::Changing`].
    pub refused: Vec<RefusedPath>,
    /// Paths that the run had and this snapshot has not; they stay as they are.
    pub left_alone: Vec<RawPath>,
    /// Submodules, which are not brought back.
    pub submodules: Vec<RawPath>,
    /// Paths asked for that the snapshot does not have.
    pub not_found: Vec<RawPath>,
    /// The snapshot of what was there before, if one was taken.
    pub safety: Option<Snapshot>,
}

/// A path that stands in the way of a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedPath {
    /// The path.
    pub path: RawPath,
    /// Why it stays.
    pub reason: RestoreRefusal,
}

/// Why a path is not overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreRefusal {
    /// Its content is in no snapshot of the run.
    Newer,
    /// Its content cannot be kept in a snapshot, so not even force overwrites it.
    NotKept,
    /// It changed while the restore was running; what was written before that stays written.
    Changing,
}

/// Brings paths back as the snapshot has them.
pub fn restore(
    git: &Git,
    workspace: &Workspace,
    restore: &Restore<'_>,
) -> Result<RestoreReport, CaptureError> {
    let mut target = tree::files(git, workspace, restore.snapshot.tree.as_str())?;
    if restore.selection == Selection::All {
        let sparse = tree::sparse(git, workspace)?;
        target.retain(|path, _| !sparse.contains(path));
    }
    let known = known_versions(git, workspace, restore)?;
    let mut plan = Plan::make(workspace, &target, &restore.selection)?;
    let present = present_versions(git, workspace, &plan, &known)?;
    plan.settle(&present);
    let mut report = plan.report();
    report.left_alone = left_alone(workspace, restore, &known, &plan);
    let newer: BTreeMap<RawPath, InTheWay> = plan
        .in_the_way
        .iter()
        .filter(|(path, _)| !present.contains_key(*path))
        .map(|(path, thing)| (path.clone(), thing.clone()))
        .collect();
    if let RestorePolicy::Force {
        safety,
        cutoff,
        limits,
    } = &restore.policy
        && !newer.is_empty()
    {
        let mut frozen = freeze(git, workspace, Side::End, cutoff, limits)?;
        report.refused = include(git, workspace, &mut frozen, &newer, limits)?;
        if report.refused.is_empty() {
            report.safety = Some(keep(git, workspace, &frozen, safety, None)?);
        }
    } else {
        report.refused = refused(newer.into_keys().collect(), RestoreRefusal::Newer);
    }
    if !report.refused.is_empty() {
        report.written.clear();
    } else if !matches!(restore.policy, RestorePolicy::DryRun) {
        let placed = place::place(git, workspace, restore.snapshot, &plan)?;
        report.written = placed.written;
        report.refused = refused(placed.changing, RestoreRefusal::Changing);
    }
    Ok(report)
}

fn refused(paths: Vec<RawPath>, reason: RestoreRefusal) -> Vec<RefusedPath> {
    paths
        .into_iter()
        .map(|path| RefusedPath { path, reason })
        .collect()
}

type Versions = HashMap<RawPath, Vec<Version>>;

/// Returns what the snapshots of the run, and the commits they stand on, hold at each path.
fn known_versions(
    git: &Git,
    workspace: &Workspace,
    restore: &Restore<'_>,
) -> Result<Versions, GitError> {
    let mut trees: BTreeSet<&str> = BTreeSet::new();
    for snapshot in restore.known.iter().copied().chain([restore.snapshot]) {
        trees.insert(snapshot.tree.as_str());
        trees.extend(snapshot.head.as_ref().map(Oid::as_str));
    }
    let mut known = Versions::new();
    for name in trees {
        for (path, version) in tree::files(git, workspace, name)? {
            let versions = known.entry(path).or_default();
            if !versions.contains(&version) {
                versions.push(version);
            }
        }
    }
    Ok(known)
}

/// Returns the known version that each path in the way has now; those without one are newer work.
fn present_versions(
    git: &Git,
    workspace: &Workspace,
    plan: &Plan,
    known: &Versions,
) -> Result<HashMap<RawPath, Version>, CaptureError> {
    let mut present = HashMap::new();
    let mut files: Vec<Wanted> = Vec::new();
    for (path, thing) in &plan.in_the_way {
        match thing.kind {
            Kind::File => files.push(Wanted {
                path: path.clone(),
                filter: Filter::Apply,
            }),
            Kind::Link => {
                let oid = plan::link_name(git, workspace, &plan.full(path))?;
                accept(&mut present, path, thing, oid, known);
            }
            Kind::Folder | Kind::Special => {}
        }
    }
    // What a filter would change may still be exactly what a snapshot holds.
    for filter in [Filter::Apply, Filter::Bypass] {
        for wanted in &mut files {
            wanted.filter = filter;
        }
        let stored = store(git, workspace, &files, Storing::NameOnly)?;
        for (wanted, stored) in files.iter().zip(stored) {
            if let Stored::Blob(oid) = stored
                && let Some(thing) = plan.in_the_way.get(&wanted.path)
            {
                accept(&mut present, &wanted.path, thing, oid, known);
            }
        }
        files.retain(|wanted| !present.contains_key(&wanted.path));
    }
    Ok(present)
}

fn accept(
    present: &mut HashMap<RawPath, Version>,
    path: &RawPath,
    thing: &InTheWay,
    oid: Oid,
    known: &Versions,
) {
    let version = Version {
        mode: thing.mode,
        oid,
    };
    let is_known = known
        .get(path)
        .is_some_and(|versions| versions.contains(&version));
    if is_known {
        present.insert(path.clone(), version);
    }
}

/// Adds newer work to the snapshot of what is there now; returns what it cannot keep.
fn include(
    git: &Git,
    workspace: &Workspace,
    frozen: &mut Frozen,
    newer: &BTreeMap<RawPath, InTheWay>,
    limits: &CaptureLimits,
) -> Result<Vec<RefusedPath>, CaptureError> {
    let left_out: HashSet<RawPath> = frozen
        .left_out
        .iter()
        .map(|left| left.path.clone())
        .collect();
    let looker = Looker::below(&workspace.root);
    let mut not_kept = Vec::new();
    let mut wanted = Vec::new();
    for (path, thing) in newer {
        let may_be_kept = !left_out.contains(path) && !looks_like_credential(path.file_name());
        let is_kept = may_be_kept && matches!(frozen.edits.get(path), Some(Some(_)));
        match thing.kind {
            _ if is_kept => {}
            Kind::File if may_be_kept && thing.size <= limits.max_file_size => {
                wanted.push(Wanted {
                    path: path.clone(),
                    filter: Filter::Bypass,
                });
            }
            Kind::Link if may_be_kept => {
                let full = looker.full(path);
                let target =
                    fs::read_link(&full).map_err(|source| CaptureError::io(full, source))?;
                let body = Body::link(target.into_os_string().into_vec());
                frozen.edits.insert(path.clone(), Some(body));
            }
            _ => not_kept.push(path.clone()),
        }
    }
    let stored = store(git, workspace, &wanted, Storing::Keep)?;
    for (wanted, stored) in wanted.into_iter().zip(stored) {
        match (stored, newer.get(&wanted.path)) {
            (Stored::Blob(oid), Some(thing)) => {
                let body = Body {
                    mode: thing.mode,
                    data: Data::Stored(oid),
                };
                frozen.edits.insert(wanted.path, Some(body));
            }
            _ => not_kept.push(wanted.path),
        }
    }
    Ok(refused(not_kept, RestoreRefusal::NotKept))
}

/// Returns what the run had below the selection, this snapshot has not, and is there now.
fn left_alone(
    workspace: &Workspace,
    restore: &Restore<'_>,
    known: &Versions,
    plan: &Plan,
) -> Vec<RawPath> {
    let mut looker = Looker::below(&workspace.root);
    let mut paths: Vec<RawPath> = known
        .keys()
        .filter(|path| restore.selection.has(path))
        .filter(|path| !plan.has(path) && !plan.in_the_way.contains_key(*path))
        .filter(|path| matches!(looker.look(path), Seen::There(_)))
        .cloned()
        .collect();
    paths.sort();
    paths
}

impl Selection {
    pub(crate) fn has(&self, path: &RawPath) -> bool {
        match self {
            Self::All => true,
            Self::Paths(paths) => paths.iter().any(|wanted| path.is_within(wanted)),
        }
    }
}
