//! What a branch holds: how much it changed, and which commits its agents made themselves.

use std::collections::BTreeSet;

use amps_core::snapshot::Oid;
use amps_core::worktree::Changes;

use super::{CommitError, Ground, REFLOG_ACTION};
use crate::git::{Call, GitError};

/// Returns how much a commit changed since it and the base, given by any name, had a commit in common.
pub fn changes(ground: Ground<'_>, base: &str, head: &Oid) -> Result<Changes, GitError> {
    let range = format!("{base}...{head}");
    let call = Call::alone_within(ground.worktree)
        .args([
            "diff",
            "--numstat",
            "-z",
            "-M",
            "--no-ext-diff",
            "--no-textconv",
        ])
        .arg(range);
    let answer = ground.git.run(&call)?;
    let mut changes = Changes::default();
    // Of a file that was renamed two more fields follow, its names, which have no tab in front.
    for field in answer.split(|byte| *byte == 0) {
        let field = String::from_utf8_lossy(field);
        let mut counts = field.splitn(3, '\t');
        if let (Some(additions), Some(deletions), Some(_)) =
            (counts.next(), counts.next(), counts.next())
        {
            changes.files += 1;
            // Of a binary file there is a dash.
            changes.additions += additions.parse().unwrap_or(0);
            changes.deletions += deletions.parse().unwrap_or(0);
        }
    }
    Ok(changes)
}

/// Returns, for people, what the branch changed in which file since it and the base had a commit in
/// common.
pub fn summary(ground: Ground<'_>, base: &Oid) -> Result<String, GitError> {
    let range = format!("{base}...HEAD");
    let call = Call::alone_within(ground.worktree)
        .args(["diff", "--stat=100", "-M", "--no-ext-diff", "--no-textconv"])
        .arg(range);
    Ok(String::from_utf8_lossy(&ground.git.run(&call)?).into_owned())
}

/// Returns the commits between two that an agent made itself during an iteration, newest first. The
/// reflog of the worktree tells them from those that a person made meanwhile.
pub fn agent_commits(ground: Ground<'_>, from: &Oid, to: &Oid) -> Result<Vec<Oid>, CommitError> {
    if from == to {
        return Ok(Vec::new());
    }
    let log = Call::alone_within(ground.worktree).args(["log", "-g", "--format=%H %gs", "HEAD"]);
    let log = ground.git.output(&log)?;
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    let marked: BTreeSet<&str> = log
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(_, words)| words.starts_with(REFLOG_ACTION))
        .map(|(oid, _)| oid)
        .collect();
    let range = format!("{from}..{to}");
    let call = Call::alone_within(ground.worktree).args(["rev-list", &range]);
    let answer = ground.git.run(&call)?;
    let answer = String::from_utf8_lossy(&answer);
    let made = answer.lines().filter(|oid| marked.contains(oid));
    Ok(made.filter_map(Oid::parse).collect())
}
