//! The base takes a branch in, and moves from what it names now or not at all.

use amps_core::landing::{MergeKind, MergePlan, Move, Refusal};
use amps_core::snapshot::Oid;

use super::branch::{course, require_branch, require_commits, short};
use super::checkout::{require_calm_worktree, require_movable, require_nothing_under_way};
use super::history::Touches;
use super::hooks::{run_hook, settle_message, with_trailers};
use super::merging::{Clash, Merged, merge_commits};
use super::writing::{Draft, Person, write_commits};
use super::{Ground, Hooks, LandingError};
use crate::git::Git;

/// How to merge.
#[derive(Clone, Debug, Default)]
pub struct MergeRequest {
    /// The full name of another base than the session's, if it is to be that.
    pub onto: Option<String>,
    /// Whether the base may simply go forward.
    pub fast_forward: FastForward,
    /// The message of a merge commit; what git would say if there is none.
    pub message: Option<String>,
    /// Whether `pre-merge-commit`, `prepare-commit-msg` and `commit-msg` run.
    pub hooks: Hooks,
    /// What to do where the worktree has work that is in no commit.
    pub uncommitted: Uncommitted,
}

/// Whether a branch is merged while its worktree has work that is in no commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Uncommitted {
    /// It is not.
    #[default]
    Refuse,
    /// It is; that work stays where it is, and is not part of what is merged.
    Leave,
}

impl Uncommitted {
    fn check(self, git: &Git, ground: &Ground) -> Result<(), LandingError> {
        match self {
            Self::Refuse => require_calm_worktree(git, ground),
            Self::Leave => require_nothing_under_way(git, ground),
        }
    }
}

/// Whether a base may go forward to the branch without a commit of both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FastForward {
    /// Where it can.
    #[default]
    Allowed,
    /// Never.
    Never,
}

/// Plans to merge the branch into its base.
pub fn plan_merge(
    git: &Git,
    ground: &Ground,
    request: &MergeRequest,
) -> Result<MergePlan, LandingError> {
    let base_ref = request.onto.as_ref().unwrap_or(&ground.base_ref);
    require_branch(base_ref)?;
    let tips = require_commits(git, ground, &[&ground.branch, base_ref])?;
    let (tip, base) = (&tips[0], &tips[1]);
    request.uncommitted.check(git, ground)?;
    if is_ancestor(git, ground, tip, base)? {
        return Err(Refusal::NothingToDo.into());
    }
    let forward = request.fast_forward == FastForward::Allowed;
    let (kind, to) = if forward && is_ancestor(git, ground, base, tip)? {
        (MergeKind::FastForward, tip.clone())
    } else {
        let commit = merge_commit(git, ground, request, base_ref, [base, tip])?;
        (MergeKind::Commit, commit)
    };
    require_movable(git, ground, base_ref, base, &to)?;
    let moved = Move {
        reference: base_ref.clone(),
        from: base.clone(),
        to,
    };
    let purpose = format!("amps merge: {}", short(&ground.branch));
    Ok(MergePlan {
        course: course(git, ground, purpose, moved)?,
        base_ref: base_ref.clone(),
        kind,
    })
}

fn merge_commit(
    git: &Git,
    ground: &Ground,
    request: &MergeRequest,
    base_ref: &str,
    [base, tip]: [&Oid; 2],
) -> Result<Oid, LandingError> {
    let tree = match merge_commits(git, ground, base, tip)? {
        Merged::Clean(tree) => tree,
        Merged::Conflict(clashes) => {
            return Err(conflict(git, ground, [base, tip], clashes)?.into());
        }
    };
    let message = match &request.message {
        Some(message) => message.clone(),
        None => format!(
            "Merge branch '{}' into {}",
            short(&ground.branch),
            short(base_ref)
        ),
    };
    let trailer = format!("Amps-Session: {}", ground.session);
    let message = with_trailers(git, ground, &message, &[trailer])?;
    if request.hooks == Hooks::Run {
        run_hook(git, ground, "pre-merge-commit", &[])?;
        request.uncommitted.check(git, ground)?;
    }
    let draft = Draft {
        tree,
        others: vec![tip.clone()],
        original: None,
        message: settle_message(git, ground, &message, "merge", request.hooks)?,
    };
    let person = Person::ask(git, ground)?;
    let written = write_commits(git, ground, &person, base, &[draft])?;
    Ok(written[0].clone())
}

/// Tells which paths keep two commits from being merged, and who wrote either side.
fn conflict(
    git: &Git,
    ground: &Ground,
    [ours, theirs]: [&Oid; 2],
    clashes: Vec<Clash>,
) -> Result<Refusal, LandingError> {
    let by_us = Touches::between(git, ground, ours, theirs)?;
    let by_them = Touches::between(git, ground, theirs, ours)?;
    let paths = clashes
        .into_iter()
        .map(|clash| clash.told(&by_us, &by_them));
    Ok(Refusal::Conflict {
        commit: None,
        paths: paths.collect(),
    })
}

/// Returns what the base names if it holds all of the branch.
pub fn has_landed(git: &Git, ground: &Ground) -> Result<Option<Oid>, LandingError> {
    let tips = require_commits(git, ground, &[&ground.branch, &ground.base_ref])?;
    let has_it = is_ancestor(git, ground, &tips[0], &tips[1])?;
    Ok(has_it.then(|| tips[1].clone()))
}

/// Returns whether a commit is reached by another.
pub(super) fn is_ancestor(
    git: &Git,
    ground: &Ground,
    one: &Oid,
    other: &Oid,
) -> Result<bool, LandingError> {
    let call = ground
        .call()
        .args(["merge-base", "--is-ancestor", one.as_str(), other.as_str()]);
    let output = git.output(&call)?;
    match output.status {
        Some(status) if status.code() == Some(1) => Ok(false),
        Some(status) if !status.success() => Err(output.into_error(&call, status).into()),
        _ => Ok(true),
    }
}
