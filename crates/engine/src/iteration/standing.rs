//! How a worktree stands at the moment: what is not committed, and how far it is from its base.

use amps_core::path::RawPath;
use serde::Serialize;

use super::{CommitError, Ground};
use crate::git::parse::parse_status;
use crate::git::{Call, GitError};

/// How a worktree stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Tracked files that differ from the last commit.
    pub uncommitted: Vec<RawPath>,
    /// Files that git does not track and does not ignore.
    pub untracked: Vec<RawPath>,
    /// Commits that the branch has and the base has not.
    pub ahead: u64,
    /// Commits that the base has and the branch has not.
    pub behind: u64,
}

/// Returns how a worktree stands to a base, given as a reference or commit.
pub fn standing(ground: Ground<'_>, base: &str) -> Result<Standing, CommitError> {
    if !ground.worktree.is_dir() {
        return Err(CommitError::NoWorktree(ground.worktree.to_owned()));
    }
    let call = Call::alone_within(ground.worktree).args([
        "status",
        "--porcelain=v2",
        "--branch",
        "-z",
        "--untracked-files=all",
        "--no-renames",
    ]);
    let answer = ground.git.run(&call)?;
    let status = parse_status(&answer).map_err(|found| GitError::Unexpected {
        arguments: call.shown(),
        found,
    })?;
    let range = format!("{base}...{}", ground.branch);
    let call = Call::alone_within(ground.worktree).args([
        "rev-list",
        "--left-right",
        "--count",
        &range,
        "--",
    ]);
    let answer = String::from_utf8_lossy(&ground.git.run(&call)?).into_owned();
    let mut counts = answer.split_whitespace().map(|count| count.parse().ok());
    let mut count = || counts.next().flatten().unwrap_or(0);
    let (behind, ahead) = (count(), count());
    let changed = status.changes.into_iter().map(|change| change.path);
    Ok(Standing {
        uncommitted: changed.collect(),
        untracked: status.untracked,
        ahead,
        behind,
    })
}
