//! What the last look at a tree found, for as long as the tree has not changed since.
//!
//! A launch waits for the state before the agent, and a prompt for the state after it. Mostly
//! nothing has changed since the state was last frozen; then looking at each file is enough, and
//! no process of git is needed.

mod footprint;
mod sources;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use amps_core::snapshot::Workspace;

use self::footprint::Footprint;
use super::freeze::{Data, Frozen};
use super::{Cutoff, TICK};
use crate::git::Git;

/// Trees that are remembered at a time.
const TREES: usize = 8;

/// Bytes of unstored contents that are worth remembering.
const MAX_INLINE: usize = 256 * 1024;

/// The trees that were frozen last. Clones share what they remember.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    trees: Arc<Mutex<VecDeque<Arc<Tree>>>>,
}

/// A tree as it was frozen.
#[derive(Debug)]
struct Tree {
    workspace: Workspace,
    git: Git,
    began: Instant,
    frozen: Frozen,
    footprint: Footprint,
}

/// An instant of the clock by which the kernel dates changes, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(i128);

impl Instant {
    /// Returns the instant that is now. Taken before a tree is frozen, it lets [`Memory::keep`]
    /// tell whether anything has changed since.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self(since.map_or(0, |since| {
            i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)
        }))
    }

    /// Returns before which time the kernel must have dated a change that was made before this
    /// instant and before that of the cutoff.
    fn settled(self, cutoff: &Cutoff) -> i128 {
        let tick = i128::try_from(TICK.as_nanos()).unwrap_or_default();
        let before = cutoff.certainly_before().unwrap_or(i128::MAX);
        before.min(self.0 - tick)
    }
}

impl Memory {
    fn trees(&self) -> MutexGuard<'_, VecDeque<Arc<Tree>>> {
        self.trees.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the state of a tree as it was frozen before, if all that it depends on still looks
    /// the same.
    pub fn recall(&self, git: &Git, workspace: &Workspace, cutoff: &Cutoff) -> Option<Frozen> {
        let tree = self.find(git, workspace)?;
        // A snapshot of an instant before that state must not show what came in between.
        let is_older = cutoff
            .nanoseconds()
            .is_some_and(|instant| instant < tree.began.0);
        if is_older || !tree.footprint.stands() {
            return None;
        }
        let mut frozen = tree.frozen.clone();
        frozen.taken_at = cutoff.taken_at();
        Some(frozen)
    }

    /// Remembers a state whose contents a reference keeps, unless part of the tree has changed
    /// since `began`, just before the state was frozen, or since the instant that it stands for.
    pub fn keep(
        &self,
        (git, workspace): (&Git, &Workspace),
        (frozen, reference): (&Frozen, &str),
        (began, cutoff): (Instant, &Cutoff),
    ) {
        if git.is_told_where() || !frozen.uncertain.is_empty() || inline(frozen) > MAX_INLINE {
            return;
        }
        let Some(footprint) = Footprint::of(git, workspace, reference, began.settled(cutoff))
        else {
            return;
        };
        let tree = Arc::new(Tree {
            workspace: workspace.clone(),
            git: git.clone(),
            began,
            frozen: frozen.clone(),
            footprint,
        });
        let mut trees = self.trees();
        trees.retain(|known| !known.is_of(git, workspace));
        trees.push_front(tree);
        trees.truncate(TREES);
    }

    fn find(&self, git: &Git, workspace: &Workspace) -> Option<Arc<Tree>> {
        let mut trees = self.trees();
        let place = trees.iter().position(|tree| tree.is_of(git, workspace))?;
        let tree = trees.remove(place)?;
        trees.push_front(Arc::clone(&tree));
        Some(tree)
    }
}

impl Tree {
    fn is_of(&self, git: &Git, workspace: &Workspace) -> bool {
        self.workspace == *workspace && self.git == *git
    }
}

fn inline(frozen: &Frozen) -> usize {
    let bodies = frozen.edits.values().chain(frozen.staged.values());
    bodies
        .flatten()
        .map(|body| match &body.data {
            Data::Inline(bytes) => bytes.len(),
            Data::Stored(_) => 0,
        })
        .sum()
}
