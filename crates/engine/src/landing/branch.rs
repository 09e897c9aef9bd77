//! Where branch and base stand: what they name, and what they have in common.

use amps_core::landing::{Backup, Course, Move, Refusal};
use amps_core::snapshot::Oid;

use super::{Ground, LandingError};
use crate::git::{Call, Git, GitError};

/// Returns the commits that names stand for, in their order; `None` for one that names no commit.
pub(super) fn commits_of(
    git: &Git,
    ground: &Ground,
    names: &[&str],
) -> Result<Vec<Option<Oid>>, GitError> {
    peel(git, ground, names, "commit")
}

/// Returns the commit that a name stands for, if it does.
pub fn commit_of(git: &Git, ground: &Ground, name: &str) -> Result<Option<Oid>, LandingError> {
    let found = commits_of(git, ground, &[name])?;
    Ok(found.into_iter().next().flatten())
}

/// Returns the tree of a commit.
pub(super) fn tree_of(git: &Git, ground: &Ground, commit: &Oid) -> Result<Oid, LandingError> {
    let found = content_of(git, ground, commit.as_str())?;
    Ok(found.ok_or_else(|| Refusal::Missing {
        reference: commit.to_string(),
    })?)
}

/// Returns the tree of the commit that a name stands for, if it does: its content, and nothing else.
pub fn content_of(git: &Git, ground: &Ground, name: &str) -> Result<Option<Oid>, LandingError> {
    let found = peel(git, ground, &[name], "tree")?;
    Ok(found.into_iter().next().flatten())
}

fn peel(
    git: &Git,
    ground: &Ground,
    names: &[&str],
    kind: &str,
) -> Result<Vec<Option<Oid>>, GitError> {
    let peeled = names.iter().map(|name| format!("{name}^{{{kind}}}\n"));
    let questions = peeled.collect::<Vec<_>>().concat();
    let call = ground
        .call()
        .args(["cat-file", "--batch-check=%(objectname)", "--buffer"])
        .input(questions.as_bytes());
    let answer = git.run(&call)?;
    let text = String::from_utf8_lossy(&answer);
    let found: Vec<_> = text.lines().map(Oid::parse).collect();
    if found.len() == names.len() {
        Ok(found)
    } else {
        Err(unexpected(&call, &answer))
    }
}

/// Returns the commits of names that must have one.
pub(super) fn require_commits(
    git: &Git,
    ground: &Ground,
    names: &[&str],
) -> Result<Vec<Oid>, LandingError> {
    let found = commits_of(git, ground, names)?;
    let found = found.into_iter().zip(names).map(|(oid, name)| {
        oid.ok_or_else(|| Refusal::Missing {
            reference: (*name).to_owned(),
        })
    });
    Ok(found.collect::<Result<_, _>>()?)
}

/// Returns the one merge base of two commits.
pub(super) fn merge_base(
    git: &Git,
    ground: &Ground,
    one: &Oid,
    other: &Oid,
) -> Result<Oid, LandingError> {
    let call = ground
        .call()
        .args(["merge-base", "--all", one.as_str(), other.as_str()]);
    let output = git.output(&call)?;
    match output.status {
        Some(status) if !status.success() && status.code() != Some(1) => {
            return Err(output.into_error(&call, status).into());
        }
        _ => {}
    }
    let bases = oids(&call, &output.stdout)?;
    match <[Oid; 1]>::try_from(bases) {
        Ok([base]) => Ok(base),
        Err(bases) if bases.is_empty() => Err(Refusal::NoMergeBase.into()),
        Err(_) => Err(Refusal::SeveralMergeBases.into()),
    }
}

/// Returns the names of objects that git printed, one a line.
pub(super) fn oids(call: &Call<'_>, answer: &[u8]) -> Result<Vec<Oid>, GitError> {
    let text = String::from_utf8_lossy(answer);
    let read = text.lines().map(Oid::parse).collect::<Option<_>>();
    read.ok_or_else(|| unexpected(call, answer))
}

/// Complains about an answer.
pub(super) fn unexpected(call: &Call<'_>, answer: &[u8]) -> GitError {
    let beginning = &answer[..answer.len().min(200)];
    GitError::Unexpected {
        arguments: call.shown(),
        found: amps_core::path::RawPath::new(beginning).to_string(),
    }
}

/// Returns the commit at which a tip left another, each by any name.
pub fn left_base_at(
    git: &Git,
    ground: &Ground,
    tip: &str,
    base: &str,
) -> Result<Oid, LandingError> {
    let tips = require_commits(git, ground, &[tip, base])?;
    merge_base(git, ground, &tips[0], &tips[1])
}

/// Returns what was kept last before something of the session moved: after a merge, what the base
/// named before.
pub fn last_backup(git: &Git, ground: &Ground) -> Result<Option<Oid>, LandingError> {
    let Some(last) = last_number(git, ground)? else {
        return Ok(None);
    };
    let name = format!("{}{last}", backups(ground));
    commit_of(git, ground, &name)
}

/// Makes the course of one move, with a backup under the next free number.
pub(super) fn course(
    git: &Git,
    ground: &Ground,
    purpose: String,
    moved: Move,
) -> Result<Course, GitError> {
    let reference = next_backup(git, ground)?;
    Ok(Course {
        purpose,
        backups: vec![Backup {
            reference,
            commit: moved.from.clone(),
        }],
        moves: vec![moved],
    })
}

/// Returns the next free name for a backup of the session.
pub(super) fn next_backup(git: &Git, ground: &Ground) -> Result<String, GitError> {
    let last = last_number(git, ground)?.unwrap_or(0);
    Ok(format!("{}{}", backups(ground), last + 1))
}

/// Returns where the backups of the session are.
fn backups(ground: &Ground) -> String {
    format!("refs/amps/backup/{}/", ground.session)
}

fn last_number(git: &Git, ground: &Ground) -> Result<Option<u32>, GitError> {
    let folder = backups(ground);
    let call = ground
        .call()
        .args(["for-each-ref", "--format=%(refname)", &folder]);
    let answer = git.run(&call)?;
    let text = String::from_utf8_lossy(&answer);
    Ok(text
        .lines()
        .filter_map(|name| name.strip_prefix(&folder)?.split('/').next()?.parse().ok())
        .max())
}

/// Returns the name of a branch as people say it.
pub(super) fn short(reference: &str) -> &str {
    reference
        .strip_prefix("refs/heads/")
        .or_else(|| reference.strip_prefix("refs/remotes/"))
        .unwrap_or(reference)
}

/// Refuses a reference that is no local branch.
pub(super) fn require_branch(reference: &str) -> Result<(), Refusal> {
    if reference.starts_with("refs/heads/") {
        Ok(())
    } else {
        Err(Refusal::NotABranch {
            reference: reference.to_owned(),
        })
    }
}
