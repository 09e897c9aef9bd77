//! What changed between two snapshots.

use std::collections::{BTreeMap, HashSet};

use amps_core::changeset::{Changeset, FileChange};
use amps_core::id::{ChangesetId, RunId};
use amps_core::path::RawPath;
use amps_core::snapshot::{LeftOut, Oid, Snapshot, Workspace};
use jiff::Timestamp;

use super::CaptureError;
use super::commits::commits_between;
use crate::git::parse::parse_diff;
use crate::git::{Call, Git, GitError};

/// What is compared, and for which run.
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    /// The snapshot before.
    pub base: &'a Snapshot,
    /// The snapshot after.
    pub end: &'a Snapshot,
    /// When the run started.
    pub started_at: Timestamp,
    /// Names the changeset.
    pub changeset_id: ChangesetId,
    /// The run.
    pub run_id: RunId,
}

/// Returns what changed between two snapshots, with the commits made meanwhile and no symbols.
pub fn compare(
    git: &Git,
    workspace: &Workspace,
    comparison: &Comparison<'_>,
) -> Result<Changeset, CaptureError> {
    let Comparison { base, end, .. } = comparison;
    let doubtful: HashSet<&RawPath> = base.uncertain.iter().chain(&end.uncertain).collect();
    let files = changed_files(git, workspace, [&base.tree, &end.tree], &doubtful)?;
    let commits = commits_between(git, workspace, base, end, comparison.started_at)?;
    let sum = |count: fn(&FileChange) -> Option<u64>| files.iter().filter_map(count).sum();
    Ok(Changeset {
        changeset_id: comparison.changeset_id,
        run_id: comparison.run_id,
        partial: files.iter().any(|file| file.uncertain)
            || left_out_changed(&base.left_out, &end.left_out),
        amendment: false,
        additions: sum(|file| file.additions),
        deletions: sum(|file| file.deletions),
        files,
        commits,
        symbols: Vec::new(),
    })
}

/// Returns how many files differ between the two trees of each pair.
pub fn count_changes(
    git: &Git,
    workspace: &Workspace,
    pairs: &[(&Oid, &Oid)],
) -> Result<Vec<u64>, CaptureError> {
    let headings: Vec<String> = pairs
        .iter()
        .map(|(from, to)| format!("{from} {to}"))
        .collect();
    let input = headings.join("\n") + "\n";
    let call = Call::at(workspace)
        .args(["diff-tree", "--stdin", "-r", "--name-only", "-M"])
        .args(["--no-ext-diff", "--no-textconv", "--ignore-submodules=none"])
        .input(input.as_bytes());
    let answer = git.run(&call)?;
    // Each pair comes back as a line before its paths, which are quoted where they need it.
    let mut awaited = headings.iter().peekable();
    let mut counts = Vec::with_capacity(pairs.len());
    for line in answer.split(|byte| *byte == b'\n') {
        if awaited
            .next_if(|heading| heading.as_bytes() == line)
            .is_some()
        {
            counts.push(0);
        } else if let Some(count) = counts.last_mut().filter(|_| !line.is_empty()) {
            *count += 1;
        }
    }
    counts.resize(pairs.len(), 0);
    Ok(counts)
}

/// Returns what changed between two trees, or between those of two commits.
pub fn changed_between(
    git: &Git,
    workspace: &Workspace,
    from: &Oid,
    to: &Oid,
) -> Result<Vec<FileChange>, CaptureError> {
    changed_files(git, workspace, [from, to], &HashSet::new())
}

fn changed_files(
    git: &Git,
    workspace: &Workspace,
    [from, to]: [&Oid; 2],
    uncertain: &HashSet<&RawPath>,
) -> Result<Vec<FileChange>, CaptureError> {
    if from == to {
        return Ok(Vec::new());
    }
    let call = Call::at(workspace)
        .args([
            "diff-tree",
            "-r",
            "-z",
            "-M",
            "--raw",
            "--numstat",
            "--no-abbrev",
        ])
        .args(["--no-ext-diff", "--no-textconv", "--ignore-submodules=none"])
        .args([from.as_str(), to.as_str()]);
    let answer = git.run(&call)?;
    let differing = parse_diff(&answer).map_err(|found| GitError::Unexpected {
        arguments: call.shown(),
        found,
    })?;
    let mut files: Vec<FileChange> = differing
        .into_iter()
        .map(|file| {
            let doubtful = [Some(&file.path), file.old_path.as_ref()]
                .iter()
                .flatten()
                .any(|path| uncertain.contains(path));
            file.into_file(doubtful)
        })
        .collect();
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// Returns whether something that is named without its content came, went or changed.
fn left_out_changed(base: &[LeftOut], end: &[LeftOut]) -> bool {
    let stamps = |all: &'_ [LeftOut]| -> BTreeMap<RawPath, String> {
        all.iter()
            .map(|left| (left.path.clone(), left.stamp.clone()))
            .collect()
    };
    stamps(base) != stamps(end)
}
