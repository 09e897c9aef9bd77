//! What it means to land the work of a worktree session: plans, and why there is none.
//!
//! A plan is made first, stored by whoever asked, and then carried out. It names every reference
//! that is to move together with what that names now, so that carrying it out twice does no harm.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::changeset::CommitMade;
use crate::id::SessionId;
use crate::path::RawPath;
use crate::snapshot::Oid;

/// One reference that goes from one commit to another, and from no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The full name of the reference.
    pub reference: String,
    /// What it must name.
    pub from: Oid,
    /// What it is to name.
    pub to: Oid,
}

/// A commit that is kept under a reference of ours before anything moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// The full name of the reference, below `refs/amps/backup/`.
    pub reference: String,
    /// The commit.
    pub commit: Oid,
}

/// The part of every plan that is carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// What the reflog will say.
    pub purpose: String,
    /// What is kept first.
    pub backups: Vec<Backup>,
    /// What moves.
    pub moves: Vec<Move>,
}

/// A commit and the one that takes its place; the same one where nothing had to change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewritten {
    /// The commit of the branch.
    pub from: Oid,
    /// The commit that says the same in the new history.
    pub to: Oid,
}

/// What becomes of commits that a person made between those of the agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manual {
    /// They stay commits of their own.
    #[default]
    Preserve,
    /// They are folded into the one commit.
    Include,
}

/// All commits of the agent become one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SquashPlan {
    /// What is carried out.
    pub course: Course,
    /// The commit of the base on which the result stands.
    pub merge_base: Oid,
    /// The one commit.
    pub commit: Oid,
    /// What was folded into it, oldest first.
    pub folded: Vec<Oid>,
    /// The commits that stay their own, oldest first.
    pub manual: Vec<Rewritten>,
}

/// The commits of the branch go onto another commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebasePlan {
    /// What is carried out.
    pub course: Course,
    /// The commit on which the branch will stand.
    pub onto: Oid,
    /// The commits, oldest first.
    pub commits: Vec<Rewritten>,
    /// Commits whose changes are there already, so that nothing of them is left.
    pub dropped: Vec<Oid>,
}

/// The base takes the branch in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergePlan {
    /// What is carried out.
    pub course: Course,
    /// The reference that takes the branch in.
    pub base_ref: String,
    /// How.
    pub kind: MergeKind,
}

/// How a base takes a branch in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MergeKind {
    /// It names the commit of the branch.
    FastForward,
    /// It names a new commit of both.
    Commit,
}

/// A path that two sides changed in ways that do not go together, and who changed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictedPath {
    /// The path.
    pub path: RawPath,
    /// The kinds of conflict in git's words, such as `CONFLICT (contents)`.
    pub kinds: Vec<String>,
    /// The commits of the one side that touched it, newest first.
    pub ours: Vec<CommitMade>,
    /// The commits of the other side that touched it, newest first.
    pub theirs: Vec<CommitMade>,
}

/// The session and the iteration that a commit comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The worktree session.
    pub session_id: SessionId,
    /// Its iteration; `None` for a commit of several, such as a squashed one.
    pub iteration: Option<u32>,
}

/// Something of git that waits for a person in a working tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// A merge.
    Merge,
    /// A rebase.
    Rebase,
    /// Patches that are being applied.
    Apply,
    /// A cherry-pick.
    CherryPick,
    /// A revert.
    Revert,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Merge => "merge",
            Self::Rebase => "rebase",
            Self::Apply => "application of patches",
            Self::CherryPick => "cherry-pick",
            Self::Revert => "revert",
        })
    }
}

/// A merge or rebase that is started in the worktree for a person to resolve. By it, ours is told
/// apart from one that somebody else started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// What was started: a merge or a rebase.
    pub operation: Operation,
    /// The branch.
    pub branch: String,
    /// What the branch named before.
    pub from: Oid,
    /// What is merged in, or stood upon.
    pub onto: Oid,
    /// Where the branch left its base: what a rebase leaves behind.
    pub foot: Oid,
}

/// How far an operation of git has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "progress", rename_all = "kebab-case")]
pub enum Progress {
    /// It is done.
    Done {
        /// What the branch names now.
        to: Oid,
    },
    /// A person is to resolve these paths.
    Conflict {
        /// The paths.
        paths: Vec<RawPath>,
    },
}

/// Why something is not done. Nothing has changed, unless it says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "refusal", rename_all = "kebab-case")]
pub enum Refusal {
    /// A working tree has changes that are in no commit.
    #[error("{worktree} has changes that are not committed: {}", listed(paths))]
    Dirty {
        /// The working tree.
        worktree: RawPath,
        /// The paths.
        paths: Vec<RawPath>,
    },
    /// Files that git does not track stand where tracked ones are to be written.
    #[error("{worktree} has untracked files in the way: {}", listed(paths))]
    InTheWay {
        /// The working tree.
        worktree: RawPath,
        /// The paths.
        paths: Vec<RawPath>,
    },
    /// Something of git waits for a person in a working tree.
    #[error("a {operation} is under way in {worktree}")]
    UnderWay {
        /// The working tree.
        worktree: RawPath,
        /// What waits.
        operation: Operation,
    },
    /// Two sides do not go together.
    #[error("conflict in {}", listed(&paths.iter().map(|path| path.path.clone()).collect::<Vec<_>>()))]
    Conflict {
        /// The commit that could not be replayed; `None` where whole branches were merged.
        commit: Option<CommitMade>,
        /// The paths.
        paths: Vec<ConflictedPath>,
    },
    /// All is as it would be afterwards.
    #[error("there is nothing to do")]
    NothingToDo,
    /// A reference does not name what was expected: somebody moved it, and the plan is void.
    #[error("{reference} names {}, not {expected}", found.as_ref().map_or("nothing", Oid::as_str))]
    Moved {
        /// The reference.
        reference: String,
        /// What it should name.
        expected: Oid,
        /// What it names.
        found: Option<Oid>,
    },
    /// A reference names no commit.
    #[error("{reference} names no commit")]
    Missing {
        /// The reference.
        reference: String,
    },
    /// A reference that is to move is no local branch.
    #[error("{reference} is not a local branch")]
    NotABranch {
        /// The reference.
        reference: String,
    },
    /// A branch is checked out in a working tree that is not there.
    #[error("{reference} is checked out in {worktree}, which is not there")]
    CheckoutMissing {
        /// The branch.
        reference: String,
        /// The working tree.
        worktree: RawPath,
    },
    /// Something else than the branch is checked out in the worktree.
    #[error("{reference} is not checked out in {worktree}")]
    NotCheckedOut {
        /// The branch.
        reference: String,
        /// The working tree.
        worktree: RawPath,
    },
    /// Branch and base have no common history.
    #[error("the branch and its base have no commit in common")]
    NoMergeBase,
    /// Branch and base were merged into each other, so that no one commit is their merge base.
    #[error("the branch and its base have several merge bases")]
    SeveralMergeBases,
    /// The branch merged a side or another branch, whose commits have no place in one line.
    #[error("{merge} merges {other}, which cannot be replayed on one line")]
    MergesAnother {
        /// The merge.
        merge: Oid,
        /// The commit that was merged.
        other: Oid,
    },
    /// A hook of the repository said no.
    #[error("the hook {name} refused: {words}")]
    Hook {
        /// The hook.
        name: String,
        /// What it said.
        words: String,
    },
    /// A commit is to be signed and could not be.
    #[error("cannot sign: {words}")]
    CannotSign {
        /// What git said.
        words: String,
    },
    /// Git does not know who the person is.
    #[error("git knows no identity to commit with: {words}")]
    NoIdentity {
        /// What git said.
        words: String,
    },
    /// A commit needs a message.
    #[error("the message is empty")]
    EmptyMessage,
    /// Somebody holds a lock of git, or died holding it.
    #[error("{file} exists: git runs there, or was killed")]
    Locked {
        /// The lock file.
        file: RawPath,
    },
    /// Another plan was carried out in part in a working tree and has to be carried out first.
    #[error("another landing is unfinished in {worktree}")]
    Unfinished {
        /// The working tree.
        worktree: RawPath,
    },
    /// What is under way in the worktree is not what we started.
    #[error("the {operation} in {worktree} is not one that was started here")]
    NotOurs {
        /// The working tree.
        worktree: RawPath,
        /// What is under way.
        operation: Operation,
    },
    /// Nothing is under way in the worktree.
    #[error("no {operation} is under way in {worktree}")]
    NotUnderWay {
        /// The working tree.
        worktree: RawPath,
        /// What should be.
        operation: Operation,
    },
    /// Conflicts are still to be resolved.
    #[error("not resolved: {}", listed(paths))]
    Unresolved {
        /// The paths.
        paths: Vec<RawPath>,
    },
    /// No other repository is known to which something could be sent.
    #[error("{}", match name {
        Some(name) => format!("there is no remote {name}"),
        None => "no remote is the one to send it to".to_owned(),
    })]
    NoRemote {
        /// The name that was asked for.
        name: Option<String>,
    },
    /// The other repository did not take what was pushed.
    #[error("the push was rejected: {words}")]
    Rejected {
        /// What git said.
        words: String,
    },
}

/// Returns at most five paths on one line.
fn listed(paths: &[RawPath]) -> String {
    const SHOWN: usize = 5;
    let mut shown: Vec<String> = paths.iter().take(SHOWN).map(RawPath::to_string).collect();
    let more = paths.len().saturating_sub(SHOWN);
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    shown.join(", ")
}

/// What can be known before a merge, without changing anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preflight {
    /// What the branch names.
    pub branch: Oid,
    /// What the base names.
    pub base: Oid,
    /// Commits of the branch that the base has not.
    pub ahead: u64,
    /// Commits of the base that the branch has not.
    pub behind: u64,
    /// Tracked paths with changes in no commit.
    pub uncommitted: Vec<RawPath>,
    /// Paths that git does not track and does not ignore.
    pub untracked: Vec<RawPath>,
    /// What waits for a person in the worktree.
    pub under_way: Option<Operation>,
    /// The tree that the base would have; `None` where the two do not go together.
    pub merged_tree: Option<Oid>,
    /// What does not go together with the base.
    pub conflicts: Vec<ConflictedPath>,
    /// Why the base could not move now, where it is checked out.
    pub base_refusals: Vec<Refusal>,
    /// What does not go together with other branches; those without conflict are not listed.
    pub siblings: Vec<SiblingConflict>,
}

/// What does not go together with another live branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiblingConflict {
    /// The other branch.
    pub branch: String,
    /// The paths; `ours` is this branch, `theirs` the other.
    pub paths: Vec<ConflictedPath>,
}

/// Which of many branches do not go together, and an order in which to merge them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictMatrix {
    /// The branches, as they were given.
    pub branches: Vec<String>,
    /// The pairs with conflicts, by the places of their branches, the smaller first.
    pub pairs: Vec<ConflictPair>,
    /// The places of all branches, in the order in which to merge them.
    pub order: Vec<usize>,
}

/// Two branches that do not go together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictPair {
    /// The place of the one.
    pub one: usize,
    /// The place of the other.
    pub other: usize,
    /// The paths.
    pub paths: Vec<RawPath>,
}

/// Returns an order in which to merge branches: always the one next that stands against the fewest
/// paths of those still waiting; of equals, the first.
pub fn merge_order(branches: usize, pairs: &[ConflictPair]) -> Vec<usize> {
    let mut waiting: BTreeSet<usize> = (0..branches).collect();
    let mut order = Vec::with_capacity(branches);
    let against = |branch: usize, waiting: &BTreeSet<usize>| -> (usize, usize) {
        let met = pairs.iter().filter(|pair| {
            (pair.one == branch && waiting.contains(&pair.other))
                || (pair.other == branch && waiting.contains(&pair.one))
        });
        met.fold((0, 0), |(branches, paths), pair| {
            (branches + 1, paths + pair.paths.len())
        })
    };
    while let Some(next) = waiting
        .iter()
        .copied()
        .min_by_key(|branch| (against(*branch, &waiting), *branch))
    {
        waiting.remove(&next);
        order.push(next);
    }
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair(one: usize, other: usize) -> ConflictPair {
        ConflictPair {
            one,
            other,
            paths: vec![RawPath::new(*b"a")],
        }
    }

    #[test]
    fn the_branch_with_the_fewest_conflicts_is_merged_first() {
        let pairs = [pair(0, 1), pair(0, 2), pair(0, 3), pair(1, 2)];
        assert_eq!(merge_order(5, &pairs), [4, 3, 0, 1, 2]);
        assert_eq!(merge_order(0, &[]), [] as [usize; 0]);
    }

    #[test]
    fn a_refusal_survives_the_store_and_shows_no_control_character() {
        let refusal = Refusal::Dirty {
            worktree: RawPath::new(*b"/w\n"),
            paths: (0..7).map(|n| RawPath::new(format!("a\n{n}"))).collect(),
        };
        let text = serde_json::to_string(&refusal).unwrap();
        assert_eq!(serde_json::from_str::<Refusal>(&text).unwrap(), refusal);
        let shown = refusal.to_string();
        assert!(!shown.chars().any(char::is_control) && shown.ends_with("and 2 more"));
    }

    proptest! {
        #[test]
        fn an_order_names_every_branch_once(
            branches in 0_usize..12,
            pairs in proptest::collection::vec((0_usize..12, 0_usize..12), 0..40),
        ) {
            let pairs: Vec<_> = pairs.into_iter().map(|(one, other)| pair(one, other)).collect();
            let mut order = merge_order(branches, &pairs);
            order.sort_unstable();
            prop_assert_eq!(order, (0..branches).collect::<Vec<_>>());
        }
    }
}
