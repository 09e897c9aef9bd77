//! All commits of the agent become one, and those of the person stay their own.
//!
//! The end never changes: the last commit has the tree that the branch has now. From there each
//! commit of the person is taken back, newest first, so that it can stand after the one commit of
//! the agent. Where one cannot be taken back, because the agent built upon it, it and all older ones
//! stand before, on the merge base. `docs/design/009-landing.md` says why.

use amps_core::landing::{Manual, Move, Refusal, Rewritten, SquashPlan};
use amps_core::snapshot::Oid;

use super::authorship::Agents;
use super::branch::{course, merge_base, require_branch, require_commits, tree_of};
use super::checkout::require_calm_worktree;
use super::history::{Commit, Line, Touches};
use super::hooks::{run_hook, settle_message, with_trailers};
use super::merging::{Clash, Merged, merge_trees};
use super::writing::{Draft, Person, name_and_address, write_commits};
use super::{Ground, Hooks, LandingError};
use crate::git::Git;

/// How to squash.
#[derive(Clone, Debug)]
pub struct SquashRequest {
    /// The message of the one commit.
    pub message: String,
    /// What becomes of the person's commits.
    pub manual: Manual,
    /// Whether `pre-commit`, `prepare-commit-msg` and `commit-msg` run.
    pub hooks: Hooks,
}

/// Plans to make all commits of the agent since the merge base one commit.
pub fn plan_squash(
    git: &Git,
    ground: &Ground,
    request: &SquashRequest,
) -> Result<SquashPlan, LandingError> {
    require_branch(&ground.branch)?;
    let tips = require_commits(git, ground, &[&ground.branch, &ground.base_ref])?;
    let (tip, base) = (&tips[0], &tips[1]);
    let foot = merge_base(git, ground, tip, base)?;
    require_calm_worktree(git, ground)?;
    let line = Line::read(git, ground, tip, &foot)?;
    let agents = Agents::read(git, ground, &line)?;
    let (folded, manual): (Vec<_>, Vec<_>) = line
        .all()
        .into_iter()
        .partition(|commit| is_folded(commit, &agents, request.manual));
    let has_reason = match request.manual {
        Manual::Preserve => folded.iter().any(|commit| agents.made(commit)),
        Manual::Include => !folded.is_empty(),
    };
    let Some(last) = line.commits.last().filter(|_| has_reason) else {
        return Err(Refusal::NothingToDo.into());
    };
    let arranged = arrange(git, ground, &foot, last, &manual)?;
    let person = Person::ask(git, ground)?;
    let message = message(git, ground, request, &person, (&folded, &agents))?;
    let draft = Draft {
        tree: arranged.agents,
        others: line.foreign(),
        original: None,
        message,
    };
    let place = arranged.before.len();
    let mut drafts: Vec<Draft<'_>> = again(&manual[..place], arranged.before);
    drafts.push(draft);
    drafts.extend(again(&manual[place..], arranged.after));
    let mut written = write_commits(git, ground, &person, &foot, &drafts)?;
    let to = written[written.len() - 1].clone();
    let commit = written.remove(place);
    let moved = Move {
        reference: ground.branch.clone(),
        from: tip.clone(),
        to,
    };
    let purpose = format!("amps squash: {} commits into {commit}", folded.len());
    let manual = manual.iter().zip(written);
    Ok(SquashPlan {
        course: course(git, ground, purpose, moved)?,
        merge_base: foot,
        commit,
        folded: folded.iter().map(|commit| commit.oid.clone()).collect(),
        manual: manual
            .map(|(commit, to)| Rewritten {
                from: commit.oid.clone(),
                to,
            })
            .collect(),
    })
}

/// A merge is never a commit of its own afterwards: what it took in from the base is below the
/// result, what it took in from elsewhere becomes a parent of the one commit, and how it resolved
/// conflicts is part of the end that never changes.
fn is_folded(commit: &Commit, agents: &Agents<'_>, manual: Manual) -> bool {
    manual == Manual::Include || commit.parents.len() > 1 || agents.made(commit)
}

fn again<'a>(commits: &[&'a Commit], trees: Vec<Oid>) -> Vec<Draft<'a>> {
    let drafts = commits.iter().zip(trees);
    drafts
        .map(|(commit, tree)| Draft::again(commit, tree))
        .collect()
}

/// The trees of the new history. There are as many `before` and `after` as commits of the person.
struct Arranged {
    before: Vec<Oid>,
    agents: Oid,
    after: Vec<Oid>,
}

fn arrange(
    git: &Git,
    ground: &Ground,
    foot: &Oid,
    last: &Commit,
    manual: &[&Commit],
) -> Result<Arranged, LandingError> {
    let mut arranged = Arranged {
        before: Vec::new(),
        agents: last.tree.clone(),
        after: Vec::new(),
    };
    if manual.is_empty() {
        return Ok(arranged);
    }
    for commit in manual.iter().rev() {
        match merge_trees(git, ground, &commit.tree, &arranged.agents, &commit.before)? {
            Merged::Clean(without) => {
                arranged.after.push(arranged.agents);
                arranged.agents = without;
            }
            Merged::Conflict(_) => break,
        }
    }
    arranged.after.reverse();
    let mut tree = tree_of(git, ground, foot)?;
    for commit in &manual[..manual.len() - arranged.after.len()] {
        match merge_trees(git, ground, &commit.before, &tree, &commit.tree)? {
            Merged::Clean(with) => {
                arranged.before.push(with.clone());
                tree = with;
            }
            Merged::Conflict(clashes) => {
                let touches = Touches::between(git, ground, &last.oid, foot)?;
                return Err(conflict(commit, clashes, &touches).into());
            }
        }
    }
    Ok(arranged)
}

/// Tells which paths, and who else wrote them, keep a person's commit from standing on its own.
fn conflict(commit: &Commit, clashes: Vec<Clash>, touches: &Touches) -> Refusal {
    let told = commit.told();
    let paths = clashes.into_iter().map(|clash| {
        let mut path = clash.told(touches, &Touches::default());
        path.ours.retain(|other| other.oid != told.oid);
        path.theirs.push(told.clone());
        path
    });
    let paths = paths.collect();
    Refusal::Conflict {
        commit: Some(told),
        paths,
    }
}

/// Names the session and those whose commits are folded in, and asks the hooks.
fn message(
    git: &Git,
    ground: &Ground,
    request: &SquashRequest,
    person: &Person,
    (folded, agents): (&[&Commit], &Agents<'_>),
) -> Result<Vec<u8>, LandingError> {
    let mut trailers: Vec<String> = Vec::new();
    for commit in folded {
        let by = name_and_address(&commit.author);
        let trailer = format!("Co-authored-by: {}", String::from_utf8_lossy(by));
        let is_persons = commit.parents.len() < 2 && !agents.made(commit);
        if is_persons && by != person.own() && !trailers.contains(&trailer) {
            trailers.push(trailer);
        }
    }
    trailers.push(format!("Amps-Session: {}", ground.session));
    let message = with_trailers(git, ground, &request.message, &trailers)?;
    if request.hooks == Hooks::Run {
        run_hook(git, ground, "pre-commit", &[])?;
        // A hook that formats files has made work that is in no commit yet.
        require_calm_worktree(git, ground)?;
    }
    settle_message(git, ground, &message, "message", request.hooks)
}
