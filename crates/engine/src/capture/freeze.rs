//! The first half of a snapshot: what differs from HEAD, with its contents stored.

mod classify;
mod judge;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use amps_core::capture::{CaptureLimits, Side};
use amps_core::path::RawPath;
use amps_core::snapshot::{LeftOut, LeftOutReason, Oid, Workspace, WorkspaceKind};
use amps_core::time::Moment;

use super::bulk::read_plain;
use super::discover::require_small;
use super::eol::kept_crlf;
use super::hash::{Filter, Stored, Storing, Wanted, store};
use super::look::{Looker, Seen, stamp};
use super::{CaptureError, Cutoff};
use crate::git::parse::{REGULAR, SYMLINK, Status, Version, parse_status};
use crate::git::{Call, Git, GitError};

/// The state of a working tree with its contents stored, not yet kept by a commit.
#[derive(Clone, Debug)]
pub struct Frozen {
    pub(crate) head: Option<Oid>,
    pub(crate) branch: Option<String>,
    /// What makes HEAD's tree the tree of the working tree.
    pub(crate) edits: BTreeMap<RawPath, Option<Body>>,
    /// What makes HEAD's tree the tree of the index.
    pub(crate) staged: BTreeMap<RawPath, Option<Body>>,
    pub(crate) taken_at: Moment,
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) uncertain: Vec<RawPath>,
}

/// What stands at a path: its mode and content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Body {
    pub(crate) mode: u32,
    pub(crate) data: Data,
}

/// A content, stored or to be stored with the commit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Data {
    Stored(Oid),
    Inline(Vec<u8>),
}

impl Body {
    /// Makes a symbolic link.
    pub(crate) fn link(target: Vec<u8>) -> Self {
        Self {
            mode: SYMLINK,
            data: Data::Inline(target),
        }
    }
}

impl From<Version> for Body {
    fn from(version: Version) -> Self {
        Self {
            mode: version.mode,
            data: Data::Stored(version.oid),
        }
    }
}

/// A path that may differ from HEAD.
#[derive(Debug)]
struct Item {
    head: Option<Version>,
    index: Option<Version>,
    now: Now,
    doubtful: bool,
}

/// What is at a path of the working tree.
#[derive(Debug)]
enum Now {
    Is(Option<Body>),
    /// A file whose content is still to be stored.
    File {
        mode: u32,
    },
    /// Named without its content.
    LeftOut {
        reason: LeftOutReason,
        stamp: String,
    },
}

type Items = BTreeMap<RawPath, Item>;

impl Frozen {
    /// Returns whether the working tree and the index hold exactly what HEAD names.
    pub fn is_clean(&self) -> bool {
        self.edits.is_empty() && self.staged.is_empty()
    }

    /// Returns what the snapshot is dated.
    pub fn taken_at(&self) -> Moment {
        self.taken_at
    }

    /// Returns a mark of what the snapshot would hold, whenever it is dated. States with the same
    /// mark are the same; it means nothing to another process.
    pub fn mark(&self) -> u64 {
        let left_out = self.left_out.iter().map(|left| (&left.path, &left.stamp));
        let mut hasher = DefaultHasher::new();
        (&self.head, &self.branch, &self.edits, &self.staged).hash(&mut hasher);
        left_out.collect::<Vec<_>>().hash(&mut hasher);
        hasher.finish()
    }

    /// Returns whether HEAD's own commit says all there is to say.
    pub(super) fn is_head(&self) -> bool {
        self.is_clean() && self.left_out.is_empty() && self.uncertain.is_empty()
    }
}

/// Stores what differs from HEAD in the working tree and the index.
///
/// What changes after the instant of the cutoff while this runs is judged by
/// [`amps_core::capture::content_at`].
pub fn freeze(
    git: &Git,
    workspace: &Workspace,
    side: Side,
    cutoff: &Cutoff,
    limits: &CaptureLimits,
) -> Result<Frozen, CaptureError> {
    if workspace.kind == WorkspaceKind::Folder {
        require_small(workspace, limits.max_folder_files)?;
    }
    let (status, unread) = ask_status(git, workspace)?;
    let mut looker = Looker::below(&workspace.root);
    let staged: BTreeMap<_, _> = status
        .changes
        .iter()
        .filter(|change| change.staged)
        .map(|change| (change.path.clone(), change.index.clone().map(Body::from)))
        .collect();
    let mut items = classify::classify(git, workspace, &status, &mut looker, limits)?;
    let left_unread = classify::unread_folders(&mut looker, unread);
    store_files(git, workspace, &mut looker, &mut items)?;
    let mut looker = Looker::below(&workspace.root);
    let judge = judge::Judge {
        git,
        workspace,
        side,
        cutoff,
    };
    let head = judge.judge(status.head, &mut items, &mut looker)?;
    let mut frozen = Frozen {
        head,
        branch: status.branch,
        edits: BTreeMap::new(),
        staged,
        taken_at: cutoff.taken_at(),
        left_out: left_unread,
        uncertain: Vec::new(),
    };
    for (path, item) in items {
        frozen.take(path, item);
    }
    Ok(frozen)
}

impl Frozen {
    fn take(&mut self, path: RawPath, item: Item) {
        if item.doubtful {
            self.uncertain.push(path.clone());
        }
        let body = match item.now {
            Now::Is(body) => body,
            Now::LeftOut { reason, stamp } => {
                self.left_out.push(LeftOut {
                    path: path.clone(),
                    reason,
                    stamp,
                });
                item.index.or_else(|| item.head.clone()).map(Body::from)
            }
            Now::File { .. } => return,
        };
        if body != item.head.map(Body::from) {
            self.edits.insert(path, body);
        }
    }
}

/// Asks what differs; returns also the folders that could not be read.
fn ask_status(git: &Git, workspace: &Workspace) -> Result<(Status, Vec<RawPath>), CaptureError> {
    let call = Call::at(workspace).args([
        "status",
        "--porcelain=v2",
        "--branch",
        "-z",
        "--untracked-files=all",
        "--no-renames",
        "--no-ahead-behind",
        "--ignore-submodules=dirty",
    ]);
    let output = git.output(&call)?;
    if let Some(status) = output.status
        && !status.success()
    {
        return Err(output.into_error(&call, status).into());
    }
    let unread = classify::parse_unread(&output.stderr);
    let status = parse_status(&output.stdout).map_err(|found| GitError::Unexpected {
        arguments: call.shown(),
        found,
    })?;
    Ok((status, unread))
}

/// Reads the contents that go into the commit as they are.
fn read_files(
    git: &Git,
    workspace: &Workspace,
    looker: &Looker,
    items: &mut Items,
) -> Result<(), GitError> {
    let files = items
        .iter()
        .filter(|(_, item)| matches!(item.now, Now::File { .. }));
    let paths: Vec<&RawPath> = files.map(|(path, _)| path).collect();
    for (path, content) in read_plain(git, workspace, looker, &paths)? {
        if let Some(item) = items.get_mut(&path)
            && let Now::File { mode } = item.now
        {
            item.now = Now::Is(Some(Body {
                mode,
                data: Data::Inline(content),
            }));
        }
    }
    Ok(())
}

/// Stores or reads the contents of all files that differ from the index.
fn store_files(
    git: &Git,
    workspace: &Workspace,
    looker: &mut Looker,
    items: &mut Items,
) -> Result<(), CaptureError> {
    read_files(git, workspace, looker, items)?;
    let tracked = items.iter().filter_map(|(path, item)| {
        (matches!(item.now, Now::File { .. }) && item.index.is_some()).then_some(path)
    });
    let kept = kept_crlf(git, workspace, looker, tracked)?;
    let mut wanted: Vec<Wanted> = items
        .iter()
        .filter(|(_, item)| matches!(item.now, Now::File { .. }))
        .map(|(path, _)| Wanted {
            path: path.clone(),
            filter: if kept.contains(path) {
                Filter::Bypass
            } else {
                Filter::Apply
            },
        })
        .collect();
    wanted.sort_by_key(|wanted| wanted.filter == Filter::Bypass);
    let stored = store(git, workspace, &wanted, Storing::Keep)?;
    for (wanted, stored) in wanted.into_iter().zip(stored) {
        let Some(item) = items.get_mut(&wanted.path) else {
            continue;
        };
        let mode = match item.now {
            Now::File { mode } => mode,
            _ => REGULAR,
        };
        item.now = match stored {
            Stored::Blob(oid) => Now::Is(Some(Body {
                mode,
                data: Data::Stored(oid),
            })),
            Stored::Vanished => Now::Is(None),
            Stored::Unreadable => Now::LeftOut {
                reason: LeftOutReason::Unreadable,
                stamp: match looker.look(&wanted.path) {
                    Seen::There(metadata) => stamp(&metadata),
                    Seen::Missing | Seen::Unknown => String::new(),
                },
            },
        };
    }
    Ok(())
}
