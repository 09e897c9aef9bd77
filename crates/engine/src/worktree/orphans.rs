//! What git has of worktree sessions beside what is known of them.

use std::fs;
use std::path::Path;

use amps_core::ground::{CreationPlan, Orphan};
use amps_core::path::RawPath;

use super::refs;
use super::repository::Ours;
use super::{WorktreeError, listing};
use crate::capture::look::{native, raw};
use crate::git::Git;

/// Where branches of ours are.
const BRANCHES: [&str; 3] = [
    "refs/heads/amp/",
    "refs/heads/amps/",
    "refs/heads/amp-sessions/",
];

/// Compares git with the sessions of a repository that are known. It reports; nothing is touched.
/// `worktrees` is the folder in which worktrees of ours are made.
pub fn find_orphans(
    git: &Git,
    common_dir: &Path,
    worktrees: &Path,
    known: &[CreationPlan],
) -> Result<Vec<Orphan>, WorktreeError> {
    let ours = Ours::at(common_dir);
    let listed = listing::list(git, common_dir)?;
    let mut branches = Vec::new();
    for folder in BRANCHES {
        branches.extend(refs::below(git, common_dir, folder)?);
    }
    let mut orphans = Vec::new();
    let mut seen = Vec::new();
    for plan in known {
        let session = plan.session;
        let admin = ours.registered(&plan.admin);
        let root = super::survey::noted_root(&admin);
        let path = root.as_deref().map_or_else(|| plan.worktree.clone(), raw);
        seen.push(path.clone());
        if !branches.iter().any(|tip| tip.name == plan.branch)
            && refs::read(git, common_dir, &plan.branch)?.is_none()
        {
            orphans.push(Orphan::BranchGone { session });
        }
        if fs::symlink_metadata(native(&path)).is_err() {
            orphans.push(Orphan::FolderGone { session });
        } else if root.is_none() {
            orphans.push(Orphan::Unregistered { session });
        } else if path != plan.worktree {
            let path = path.clone();
            orphans.push(Orphan::Moved { session, path });
        }
        let here = listed.iter().find(|listed| listed.path == path);
        if let Some(here) = here.filter(|here| here.branch.as_ref() != Some(&plan.branch)) {
            let branch = here.branch.clone();
            orphans.push(Orphan::OtherBranch { session, branch });
        }
    }
    let is_ours = |name: &String| BRANCHES.iter().any(|folder| name.starts_with(folder));
    let folder: RawPath = raw(worktrees);
    // The first is the main one.
    for listed in listed.iter().skip(1).filter(|it| !seen.contains(&it.path)) {
        if listed.path.is_within(&folder) || listed.branch.as_ref().is_some_and(is_ours) {
            orphans.push(Orphan::Worktree {
                path: listed.path.clone(),
                branch: listed.branch.clone(),
            });
        }
    }
    let is_known = |name: &String| known.iter().any(|plan| plan.branch == *name);
    let left = branches.into_iter().filter(|tip| !is_known(&tip.name));
    orphans.extend(left.map(|tip| Orphan::Branch { tip }));
    Ok(orphans)
}
