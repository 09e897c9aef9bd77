//! Which commits were made during a run.

use amps_core::changeset::CommitMade;
use amps_core::mask::mask;
use amps_core::snapshot::{Oid, Snapshot, Workspace};
use jiff::Timestamp;

use super::{CaptureError, head};
use crate::git::{Call, Git, GitError};

/// Returns the commits made between two snapshots, oldest first.
///
/// They are reachable from where HEAD was during the run, which holds those that were amended or
/// reset away too; not from where it was before; and not older than the run, so that what was
/// merely fetched or checked out does not count.
pub(crate) fn commits_between(
    git: &Git,
    workspace: &Workspace,
    base: &Snapshot,
    end: &Snapshot,
    started_at: Timestamp,
) -> Result<Vec<CommitMade>, CaptureError> {
    let first = started_at.as_second();
    let mut tips: Vec<Oid> = head::moves_until(git, workspace, end.taken_at.at)?
        .into_iter()
        .filter(|moved| moved.at.as_second() >= first)
        .filter_map(|moved| moved.new)
        .chain(end.head.clone())
        .filter(|tip| base.head.as_ref() != Some(tip))
        .collect();
    tips.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    tips.dedup();
    if tips.is_empty() {
        return Ok(Vec::new());
    }
    let mut revisions = String::new();
    for tip in &tips {
        revisions.push_str(tip.as_str());
        revisions.push('\n');
    }
    if let Some(base) = &base.head {
        revisions.push('^');
        revisions.push_str(base.as_str());
        revisions.push('\n');
    }
    let call = Call::at(workspace)
        .args(["rev-list", "--ignore-missing", "--topo-order", "--reverse"])
        .args([
            "--no-commit-header",
            "--encoding=UTF-8",
            "--format=%H %ct %s",
        ])
        .arg(format!("--max-age={first}"))
        .arg("--stdin")
        .input(revisions.as_bytes());
    let answer = git.run(&call)?;
    let text = String::from_utf8_lossy(&answer);
    let mut commits = Vec::new();
    for line in text.lines() {
        let (oid, at, subject) = parse_commit(line).ok_or_else(|| GitError::Unexpected {
            arguments: call.shown(),
            found: line.to_owned(),
        })?;
        // In the very second of the start, only the object itself can tell.
        let is_older = at == first
            && head::born(workspace, &oid).is_some_and(|born| born < started_at.as_nanosecond());
        if at >= first && !is_older {
            commits.push(CommitMade {
                oid,
                subject: mask(subject).into_owned(),
            });
        }
    }
    Ok(commits)
}

fn parse_commit(line: &str) -> Option<(Oid, i64, &str)> {
    let mut fields = line.splitn(3, ' ');
    let oid = Oid::parse(fields.next()?)?;
    let at = fields.next()?.parse().ok()?;
    Some((oid, at, fields.next()?))
}
