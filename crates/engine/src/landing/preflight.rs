//! What can be known before a merge. Nothing is written, not even objects.

use amps_core::landing::{ConflictedPath, Preflight, SiblingConflict};
use amps_core::snapshot::Oid;

use super::branch::{commits_of, require_commits, unexpected};
use super::checkout::{require_movable, worktree};
use super::history::Touches;
use super::merging::{Clash, Merged, try_merges};
use super::{Ground, LandingError};
use crate::git::{Git, GitError};

/// Looks at everything that may keep the branch from being merged: its worktree, its base, and the
/// other live branches by their full names. One that is gone meanwhile has no conflict.
pub fn preflight(
    git: &Git,
    ground: &Ground,
    siblings: &[String],
) -> Result<Preflight, LandingError> {
    let tips = require_commits(git, ground, &[&ground.branch, &ground.base_ref])?;
    let (tip, base) = (&tips[0], &tips[1]);
    let names: Vec<&str> = siblings.iter().map(String::as_str).collect();
    let found = commits_of(git, ground, &names)?;
    let others: Vec<(&String, Oid)> = siblings
        .iter()
        .zip(found)
        .filter_map(|(name, oid)| Some((name, oid?)))
        .collect();
    let mut pairs = vec![(tip, base)];
    pairs.extend(others.iter().map(|(_, other)| (tip, other)));
    let mut merged = try_merges(git, ground, &pairs)?.into_iter();
    let (merged_tree, conflicts) = match merged.next() {
        Some(Merged::Clean(tree)) => (Some(tree), Vec::new()),
        Some(clashed) => (None, told(git, ground, [tip, base], clashed)?),
        None => (None, Vec::new()),
    };
    let mut in_siblings = Vec::new();
    for ((name, other), merged) in others.iter().zip(merged) {
        let paths = told(git, ground, [tip, other], merged)?;
        if !paths.is_empty() {
            in_siblings.push(SiblingConflict {
                branch: (*name).clone(),
                paths,
            });
        }
    }
    let (ahead, behind) = distance(git, ground, [tip, base])?;
    let checkout = worktree(git, ground)?;
    let (uncommitted, untracked) = match &checkout {
        Some(checkout) => checkout.changes(git)?,
        None => (Vec::new(), Vec::new()),
    };
    let base_refusals = match require_movable(git, ground, &ground.base_ref, base, tip) {
        Ok(()) => Vec::new(),
        Err(LandingError::Refused(refusal)) => vec![*refusal],
        Err(error) => return Err(error),
    };
    Ok(Preflight {
        branch: tip.clone(),
        base: base.clone(),
        ahead,
        behind,
        uncommitted,
        untracked,
        under_way: checkout.and_then(|checkout| checkout.operation()),
        merged_tree,
        conflicts,
        base_refusals,
        siblings: in_siblings,
    })
}

fn told(
    git: &Git,
    ground: &Ground,
    [ours, theirs]: [&Oid; 2],
    merged: Merged,
) -> Result<Vec<ConflictedPath>, GitError> {
    let Merged::Conflict(clashes) = merged else {
        return Ok(Vec::new());
    };
    let by_us = Touches::between(git, ground, ours, theirs)?;
    let by_them = Touches::between(git, ground, theirs, ours)?;
    let clashes = clashes.into_iter();
    Ok(clashes
        .map(|clash: Clash| clash.told(&by_us, &by_them))
        .collect())
}

/// Returns how many commits either has that the other has not.
fn distance(git: &Git, ground: &Ground, [ours, theirs]: [&Oid; 2]) -> Result<(u64, u64), GitError> {
    let call = ground
        .call()
        .args(["rev-list", "--left-right", "--count"])
        .arg(format!("{ours}...{theirs}"));
    let answer = git.run(&call)?;
    let text = String::from_utf8_lossy(&answer);
    let counts = text
        .trim()
        .split_once('\t')
        .and_then(|(ahead, behind)| Some((ahead.parse().ok()?, behind.parse().ok()?)));
    counts.ok_or_else(|| unexpected(&call, &answer))
}
