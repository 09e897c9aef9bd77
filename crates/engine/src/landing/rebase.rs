//! The commits of a branch go onto its base, or onto another commit, one by one and without a
//! working tree.

use amps_core::landing::{Move, RebasePlan, Refusal, Rewritten};
use amps_core::snapshot::Oid;

use super::branch::{course, merge_base, require_branch, require_commits, tree_of};
use super::checkout::{require_calm_worktree, require_movable};
use super::history::{Commit, Line, Touches};
use super::hooks::run_hook;
use super::merging::{Merged, merge_trees};
use super::writing::{Draft, Person, write_commits};
use super::{Ground, Hooks, LandingError};
use crate::git::Git;

/// Plans to put the commits since the merge base onto the base, or onto what `onto` names.
///
/// A merge of the base within the branch is replayed as what it left to the branch. A merge of
/// another branch is [`Refusal::MergesAnother`]: its commits are somebody else's.
pub fn plan_rebase(
    git: &Git,
    ground: &Ground,
    onto: Option<&str>,
    hooks: Hooks,
) -> Result<RebasePlan, LandingError> {
    require_branch(&ground.branch)?;
    let onto = onto.unwrap_or(&ground.base_ref);
    let names = [ground.branch.as_str(), &ground.base_ref, onto];
    let tips = require_commits(git, ground, &names)?;
    let (tip, base, onto) = (&tips[0], &tips[1], &tips[2]);
    let foot = merge_base(git, ground, tip, base)?;
    if foot == *onto {
        return Err(Refusal::NothingToDo.into());
    }
    require_calm_worktree(git, ground)?;
    let line = Line::read(git, ground, tip, base)?;
    line.require_own()?;
    if hooks == Hooks::Run {
        run_hook(git, ground, "pre-rebase", &[names[2].as_ref()])?;
    }
    let replayed = replay(git, ground, onto, &line.commits)?;
    let person = Person::ask(git, ground)?;
    let drafts: Vec<Draft<'_>> = replayed
        .kept
        .iter()
        .map(|(commit, tree)| Draft::again(commit, tree.clone()))
        .collect();
    let written = write_commits(git, ground, &person, onto, &drafts)?;
    let to = written.last().unwrap_or(onto).clone();
    if to == *tip {
        return Err(Refusal::NothingToDo.into());
    }
    require_movable(git, ground, &ground.branch, tip, &to)?;
    let moved = Move {
        reference: ground.branch.clone(),
        from: tip.clone(),
        to,
    };
    let kept = replayed.kept.iter().zip(written);
    Ok(RebasePlan {
        course: course(git, ground, format!("amps rebase: onto {onto}"), moved)?,
        onto: onto.clone(),
        commits: kept
            .map(|((commit, _), to)| Rewritten {
                from: commit.oid.clone(),
                to,
            })
            .collect(),
        dropped: replayed.dropped,
    })
}

struct Replayed<'a> {
    kept: Vec<(&'a Commit, Oid)>,
    dropped: Vec<Oid>,
}

fn replay<'a>(
    git: &Git,
    ground: &Ground,
    onto: &Oid,
    commits: &'a [Commit],
) -> Result<Replayed<'a>, LandingError> {
    let mut replayed = Replayed {
        kept: Vec::new(),
        dropped: Vec::new(),
    };
    let mut tree = tree_of(git, ground, onto)?;
    for commit in commits {
        if commit.parents.is_empty() {
            return Err(Refusal::NoMergeBase.into());
        }
        match merge_trees(git, ground, &commit.before, &tree, &commit.tree)? {
            Merged::Conflict(clashes) => {
                let told = commit.told();
                let theirs = Touches::between(git, ground, onto, &commit.oid)?;
                let paths = clashes.into_iter().map(|clash| {
                    let mut path = clash.told(&theirs, &Touches::default());
                    path.theirs.push(told.clone());
                    path
                });
                let paths = paths.collect();
                return Err(Refusal::Conflict {
                    commit: Some(told),
                    paths,
                }
                .into());
            }
            Merged::Clean(with) => {
                if with == tree && commit.tree != commit.before {
                    replayed.dropped.push(commit.oid.clone());
                } else {
                    replayed.kept.push((commit, with.clone()));
                    tree = with;
                }
            }
        }
    }
    Ok(replayed)
}
