//! What the last look at a tree found, for as long as the tree has not changed since.
//!
//! A launch waits for the state before the agent, and a prompt for the state after it. Mostly
//! nothing has changed since the state was last frozen; then looking at each file is enough, and
//! no process of git is needed.

mod footprint;
mod sources;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amps_core::snapshot::Workspace;
use rustix::fs::{FsWord, statfs};
use rustix::time::ClockId;

use self::footprint::Footprint;
use super::Cutoff;
use super::freeze::{Data, Frozen};
use super::look::{kernel_now, nanoseconds, native};
use crate::git::Git;

/// Trees that are remembered at a time.
const TREES: usize = 8;

/// Bytes of unstored contents that are worth remembering.
const MAX_INLINE: usize = 256 * 1024;

/// How far the two clocks of a look may be apart: one of them ticks.
const CLOCKS_APART: i128 = 50_000_000;

/// File systems whose times are this kernel's own, by the numbers of statfs(2): ext4, XFS, Btrfs,
/// tmpfs, overlayfs, F2FS, ZFS, bcachefs.
const DATED_HERE: [FsWord; 8] = [
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0x0102_1994,
    0x794c_7630,
    0xf2f5_2010,
    0x2fc1_2fc1,
    0xca45_1a4e,
];

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
    began: Beginning,
    frozen: Frozen,
    footprint: Footprint,
}

/// The beginning of a look at a tree, on the clock by which the kernel dates changes and on one
/// that nobody sets. Taken before the tree is frozen, it lets [`Memory::keep`] tell whether
/// anything has changed since.
#[derive(Clone, Copy, Debug)]
pub struct Beginning {
    /// Nanoseconds since 1970.
    dated: i128,
    /// Nanoseconds since the machine was started.
    uptime: i128,
}

impl Beginning {
    /// Returns the beginning of a look that starts now.
    pub fn now() -> Self {
        Self {
            dated: kernel_now(),
            uptime: nanoseconds(ClockId::Boottime),
        }
    }

    /// Returns before which time the kernel dated every change that was made before this look
    /// and before the instant of the cutoff.
    fn settled(self, cutoff: &Cutoff) -> i128 {
        let before = cutoff.certainly_before().unwrap_or(i128::MAX);
        before.min(self.dated)
    }

    /// Returns whether the clock that dates changes has been set back since: then a later change
    /// may bear an earlier time.
    fn was_set_back(self) -> bool {
        let now = Self::now();
        now.dated - self.dated < now.uptime - self.uptime - CLOCKS_APART
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
            .is_some_and(|instant| instant < tree.began.dated);
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
        (began, cutoff): (Beginning, &Cutoff),
    ) {
        if git.is_told_where()
            || !frozen.uncertain.is_empty()
            || inline(frozen) > MAX_INLINE
            || !is_dated_here(workspace)
        {
            return;
        }
        let Some(footprint) = Footprint::of(git, workspace, reference, began.settled(cutoff))
        else {
            return;
        };
        if began.was_set_back() {
            return;
        }
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

/// Returns whether this kernel dates the changes of a tree, and not some server.
fn is_dated_here(workspace: &Workspace) -> bool {
    statfs(native(&workspace.root)).is_ok_and(|system| DATED_HERE.contains(&system.f_type))
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
