//! Merges and rebases that are started for real, in the worktree, so that a person can resolve what
//! does not go together. One that somebody else started is never touched.

use std::fs;

use amps_core::capture::{CaptureLimits, Side};
use amps_core::landing::{ConflictedPath, Operation, Progress, Refusal, Started};
use amps_core::path::RawPath;
use amps_core::snapshot::{Oid, Snapshot, Workspace, WorkspaceKind};

use super::branch::{commits_of, merge_base, next_backup, require_branch, require_commits, short};
use super::checkout::{Checkout, raw, require_calm_worktree, worktree};
use super::history::{Line, Touches};
use super::merge::is_ancestor;
use super::{Ground, Hooks, LandingError};
use crate::capture::{Cutoff, freeze, keep, keep_again};
use crate::git::{Call, Git, GitError};
use crate::worktree::SessionLock;

/// Plans to start a merge of the base into the branch, or a rebase onto it; or of what `onto` names.
/// Store the plan before it is started: only with it is the operation known to be ours.
pub fn plan_start(
    git: &Git,
    ground: &Ground,
    operation: Operation,
    onto: Option<&str>,
) -> Result<Started, LandingError> {
    require_branch(&ground.branch)?;
    let onto = onto.unwrap_or(&ground.base_ref);
    let names = [ground.branch.as_str(), &ground.base_ref, onto];
    let tips = require_commits(git, ground, &names)?;
    let (from, base, onto) = (&tips[0], &tips[1], &tips[2]);
    let foot = merge_base(git, ground, from, base)?;
    if is_ancestor(git, ground, onto, from)? {
        return Err(Refusal::NothingToDo.into());
    }
    if operation == Operation::Rebase {
        // A rebase would leave out how merges were resolved.
        let line = Line::read(git, ground, from, base)?;
        if let Some(merge) = line.commits.iter().find(|commit| commit.parents.len() > 1) {
            return Err(Refusal::MergesAnother {
                merge: merge.oid.clone(),
                other: merge.parents[1].clone(),
            }
            .into());
        }
    }
    require_on_branch(git, ground)?;
    require_calm_worktree(git, ground)?;
    Ok(Started {
        operation,
        branch: ground.branch.clone(),
        from: from.clone(),
        onto: onto.clone(),
        foot,
    })
}

/// Starts what was planned, as the person would; started already, it only tells how far it is.
pub fn start(
    git: &Git,
    ground: &Ground,
    started: &Started,
    hooks: Hooks,
    lock: &SessionLock,
) -> Result<Progress, LandingError> {
    let checkout = require_worktree(git, ground)?;
    match whose(git, ground, &checkout, started)? {
        Whose::Ours => return progress(git, ground, &checkout),
        Whose::Others(operation) => return Err(not_ours(&checkout, operation)),
        Whose::Finished(to) => return Ok(Progress::Done { to }),
        Whose::Nobodys => {}
    }
    require_on_branch(git, ground)?;
    require_calm_worktree(git, ground)?;
    let tips = require_commits(git, ground, &[&ground.branch])?;
    if tips[0] != started.from {
        return Err(Refusal::Moved {
            reference: ground.branch.clone(),
            expected: started.from.clone(),
            found: tips.into_iter().next(),
        }
        .into());
    }
    let backup = next_backup(git, ground)?;
    keep_again(git, &workspace(ground, &checkout), &started.from, &backup)?;
    let message = format!(
        "Merge branch '{}' into {}",
        short(&ground.base_ref),
        short(&ground.branch)
    );
    let call = as_person(ground, lock);
    let call = match started.operation {
        Operation::Rebase => call
            .args(["rebase", "--merge", "--no-autostash", "--no-autosquash"])
            .args(["--no-update-refs", "--no-fork-point", "--no-rebase-merges"])
            .args(verify(hooks))
            .args(["--onto", started.onto.as_str(), started.foot.as_str()]),
        Operation::Merge | Operation::Apply | Operation::CherryPick | Operation::Revert => call
            .args(["merge", "--no-ff", "--no-edit", "--no-autostash"])
            .args(verify(hooks))
            .args(["-m", &message, started.onto.as_str()]),
    };
    run(git, ground, &checkout, &call)
}

/// How something stands that was to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It waits for a person.
    Waiting {
        /// The paths that are to be resolved.
        paths: Vec<RawPath>,
    },
    /// It has come to its end.
    Finished {
        /// What the branch names now.
        to: Oid,
    },
    /// It never was started, or somebody gave it up.
    Absent,
}

/// Looks how something stands that was to be started, and changes nothing.
pub fn look(git: &Git, ground: &Ground, started: &Started) -> Result<Sight, LandingError> {
    let Some(checkout) = worktree(git, ground)? else {
        return Ok(Sight::Absent);
    };
    Ok(match whose(git, ground, &checkout, started)? {
        Whose::Ours => Sight::Waiting {
            paths: unmerged(git, &checkout)?,
        },
        Whose::Finished(to) => Sight::Finished { to },
        Whose::Others(_) | Whose::Nobodys => Sight::Absent,
    })
}

/// Goes on once the person has resolved and added the paths. Finished by the person, it is done.
pub fn go_on(
    git: &Git,
    ground: &Ground,
    started: &Started,
    hooks: Hooks,
    lock: &SessionLock,
) -> Result<Progress, LandingError> {
    let checkout = require_worktree(git, ground)?;
    match whose(git, ground, &checkout, started)? {
        Whose::Ours => {}
        Whose::Others(operation) => return Err(not_ours(&checkout, operation)),
        Whose::Finished(to) => return Ok(Progress::Done { to }),
        Whose::Nobodys => return Err(not_under_way(&checkout, started)),
    }
    let paths = unmerged(git, &checkout)?;
    if !paths.is_empty() {
        return Err(Refusal::Unresolved { paths }.into());
    }
    let call = as_person(ground, lock);
    let call = match started.operation {
        Operation::Rebase => call.args(["rebase", "--continue"]),
        Operation::Merge | Operation::Apply | Operation::CherryPick | Operation::Revert => call
            .args(["commit", "--no-edit", "--quiet"])
            .args(verify(hooks)),
    };
    run(git, ground, &checkout, &call)
}

/// Gives up what was started. What is in the worktree then is kept first, in the snapshot that is
/// returned; where there was nothing to give up, there is none.
pub fn abort(
    git: &Git,
    ground: &Ground,
    started: &Started,
    lock: &SessionLock,
    (cutoff, limits): (&Cutoff, &CaptureLimits),
) -> Result<Option<Snapshot>, LandingError> {
    let checkout = require_worktree(git, ground)?;
    match whose(git, ground, &checkout, started)? {
        Whose::Ours => {}
        Whose::Others(operation) => return Err(not_ours(&checkout, operation)),
        Whose::Finished(_) => return Err(not_under_way(&checkout, started)),
        Whose::Nobodys => {
            let tips = require_commits(git, ground, &[&ground.branch])?;
            return if tips[0] == started.from {
                Ok(None)
            } else {
                Err(not_under_way(&checkout, started))
            };
        }
    }
    let workspace = workspace(ground, &checkout);
    let frozen = freeze(git, &workspace, Side::End, cutoff, limits)?;
    let snapshot = keep(git, &workspace, &frozen, &next_backup(git, ground)?, None)?;
    // What was too large to be kept would be lost: untracked files stay, tracked ones do not.
    let (mut tracked, _) = checkout.changes(git)?;
    tracked.retain(|path| snapshot.left_out.iter().any(|left| left.path == *path));
    checkout.require_none(tracked)?;
    let verb = match started.operation {
        Operation::Rebase => "rebase",
        Operation::Merge | Operation::Apply | Operation::CherryPick | Operation::Revert => "merge",
    };
    git.run(&as_person(ground, lock).args([verb, "--abort"]))?;
    Ok(Some(snapshot))
}

/// A call of git that the person could have made. It holds the lock of the session until it has ended,
/// even if it outlives this process: nobody goes on with what it is still at.
fn as_person<'a>(ground: &Ground, lock: &'a SessionLock) -> Call<'a> {
    Call::alone_within(&ground.worktree)
        .as_person()
        .input_file(lock.file())
}

fn verify(hooks: Hooks) -> Option<&'static str> {
    (hooks == Hooks::Skip).then_some("--no-verify")
}

/// Who started what waits in the worktree.
enum Whose {
    Ours,
    Others(Operation),
    /// Nothing waits, and the branch holds what was to be taken in.
    Finished(Oid),
    Nobodys,
}

fn whose(
    git: &Git,
    ground: &Ground,
    checkout: &Checkout,
    started: &Started,
) -> Result<Whose, LandingError> {
    let says = |name: &str, what: &str| {
        let text = fs::read(checkout.git_dir.join(name)).unwrap_or_default();
        text.trim_ascii_end() == what.as_bytes()
    };
    let tips = require_commits(git, ground, &[&ground.branch])?;
    let (from, onto) = (started.from.as_str(), started.onto.as_str());
    match checkout.operation() {
        Some(operation) => {
            let is_ours = operation == started.operation
                && match operation {
                    Operation::Rebase => {
                        says("rebase-merge/orig-head", from)
                            && says("rebase-merge/onto", onto)
                            && says("rebase-merge/head-name", &started.branch)
                    }
                    Operation::Merge => says("MERGE_HEAD", onto) && tips[0] == started.from,
                    Operation::Apply | Operation::CherryPick | Operation::Revert => false,
                };
            Ok(if is_ours {
                Whose::Ours
            } else {
                Whose::Others(operation)
            })
        }
        None if tips[0] != started.from && is_ancestor(git, ground, &started.onto, &tips[0])? => {
            Ok(Whose::Finished(tips[0].clone()))
        }
        None => Ok(Whose::Nobodys),
    }
}

/// Tells who wrote either side of paths that wait to be resolved. `ours` is what the branch is
/// brought together with, `theirs` the branch: all of it, or the commit that a rebase stopped at.
pub fn clashes(
    git: &Git,
    ground: &Ground,
    started: &Started,
    paths: &[RawPath],
) -> Result<Vec<ConflictedPath>, LandingError> {
    let (from, onto) = (&started.from, &started.onto);
    let by_them = match commits_of(git, ground, &["REBASE_HEAD"])?
        .into_iter()
        .next()
    {
        Some(Some(stopped)) if started.operation == Operation::Rebase => {
            Touches::of_one(git, ground, &stopped)?
        }
        _ => Touches::between(git, ground, from, onto)?,
    };
    let by_us = Touches::between(git, ground, onto, from)?;
    let clash = |path: &RawPath| ConflictedPath {
        path: path.clone(),
        kinds: Vec::new(),
        ours: by_us.of(path),
        theirs: by_them.of(path),
    };
    Ok(paths.iter().map(clash).collect())
}

/// Runs a step and tells where it ended: done, or with paths to resolve.
fn run(
    git: &Git,
    ground: &Ground,
    checkout: &Checkout,
    call: &Call<'_>,
) -> Result<Progress, LandingError> {
    let output = git.output(call)?;
    let Some(status) = output.status.filter(|status| !status.success()) else {
        return progress(git, ground, checkout);
    };
    let paths = unmerged(git, checkout)?;
    if paths.is_empty() {
        return Err(output.into_error(call, status).into());
    }
    Ok(Progress::Conflict { paths })
}

fn progress(git: &Git, ground: &Ground, checkout: &Checkout) -> Result<Progress, LandingError> {
    if checkout.operation().is_some() {
        let paths = unmerged(git, checkout)?;
        return Ok(Progress::Conflict { paths });
    }
    let tips = require_commits(git, ground, &[&ground.branch])?;
    Ok(Progress::Done {
        to: tips[0].clone(),
    })
}

fn unmerged(git: &Git, checkout: &Checkout) -> Result<Vec<RawPath>, GitError> {
    let call = Call::alone_within(&checkout.root).args(["diff", "--name-only", "-z"]);
    let answer = git.run(&call.arg("--diff-filter=U"))?;
    let names = answer.split(|byte| *byte == 0);
    Ok(names
        .filter(|name| !name.is_empty())
        .map(RawPath::new)
        .collect())
}

fn require_worktree(git: &Git, ground: &Ground) -> Result<Checkout, LandingError> {
    let found = worktree(git, ground)?;
    Ok(found.ok_or_else(|| Refusal::CheckoutMissing {
        reference: ground.branch.clone(),
        worktree: raw(&ground.worktree),
    })?)
}

/// Refuses a worktree in which something else than the session's branch is checked out.
fn require_on_branch(git: &Git, ground: &Ground) -> Result<(), LandingError> {
    let checkout = require_worktree(git, ground)?;
    let call = Call::alone_within(&checkout.root).args(["symbolic-ref", "--quiet", "HEAD"]);
    let head = git.output(&call)?.stdout;
    if head.trim_ascii_end() == ground.branch.as_bytes() {
        return Ok(());
    }
    checkout.require_no_operation()?;
    Err(Refusal::NotCheckedOut {
        reference: ground.branch.clone(),
        worktree: raw(&checkout.root),
    }
    .into())
}

fn workspace(ground: &Ground, checkout: &Checkout) -> Workspace {
    Workspace {
        kind: WorkspaceKind::Repository,
        root: raw(&checkout.root),
        git_dir: raw(&checkout.git_dir),
        common_dir: raw(&ground.common_dir),
    }
}

fn not_ours(checkout: &Checkout, operation: Operation) -> LandingError {
    Refusal::NotOurs {
        worktree: raw(&checkout.root),
        operation,
    }
    .into()
}

fn not_under_way(checkout: &Checkout, started: &Started) -> LandingError {
    Refusal::NotUnderWay {
        worktree: raw(&checkout.root),
        operation: started.operation,
    }
    .into()
}
