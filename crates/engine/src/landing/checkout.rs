//! Where a branch is checked out, and whether it can be brought to another commit there.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use amps_core::landing::{Operation, Refusal};
use amps_core::path::RawPath;
use amps_core::snapshot::Oid;

use super::branch::{oids, unexpected};
use super::carry_out::take_turn;
use super::{Ground, LandingError};
use crate::git::parse::{Differing, GITLINK, Status, parse_diff, parse_status};
use crate::git::{Call, Git, GitError, quote};

/// A working tree in which a branch is checked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checkout {
    pub(super) root: PathBuf,
    pub(super) git_dir: PathBuf,
}

impl Checkout {
    fn at(git: &Git, root: &Path) -> Result<Self, GitError> {
        let call = Call::alone_within(root).args(["rev-parse", "--absolute-git-dir"]);
        let answer = git.run(&call)?;
        Ok(Self {
            root: root.to_owned(),
            git_dir: path(answer.strip_suffix(b"\n").unwrap_or(&answer)),
        })
    }

    /// Returns what of git waits for a person here.
    pub(super) fn operation(&self) -> Option<Operation> {
        const SIGNS: [(&str, Operation); 5] = [
            ("rebase-merge", Operation::Rebase),
            ("rebase-apply", Operation::Apply),
            ("MERGE_HEAD", Operation::Merge),
            ("CHERRY_PICK_HEAD", Operation::CherryPick),
            ("REVERT_HEAD", Operation::Revert),
        ];
        let sign = SIGNS
            .iter()
            .find(|(name, _)| self.git_dir.join(name).exists());
        sign.map(|(_, operation)| *operation)
    }

    fn status(&self, git: &Git) -> Result<Status, GitError> {
        let call = Call::alone_within(&self.root)
            .args(["status", "--porcelain=v2", "--branch", "-z", "--no-renames"])
            .args(["--untracked-files=all", "--no-ahead-behind"])
            .arg("--ignore-submodules=dirty");
        let answer = git.run(&call)?;
        parse_status(&answer).map_err(|found| GitError::Unexpected {
            arguments: call.shown(),
            found,
        })
    }

    /// Returns the tracked paths with changes in no commit, and the untracked ones.
    pub(super) fn changes(&self, git: &Git) -> Result<(Vec<RawPath>, Vec<RawPath>), GitError> {
        let status = self.status(git)?;
        let tracked = status.changes.into_iter().map(|changed| changed.path);
        Ok((tracked.collect(), status.untracked))
    }

    /// Refuses an operation of somebody, changes of tracked files, and of those that are to change
    /// also such that the person told git not to look at.
    pub(super) fn require_calm(
        &self,
        git: &Git,
        differing: &[Differing],
    ) -> Result<(), LandingError> {
        self.require_no_operation()?;
        let (tracked, _) = self.changes(git)?;
        self.require_none(tracked)?;
        Ok(self.require_none(self.edited_unseen(git, differing)?)?)
    }

    /// Returns the paths whose edits git does not tell of (`assume-unchanged`, `skip-worktree`) and
    /// still does not overwrite.
    fn edited_unseen(
        &self,
        git: &Git,
        differing: &[Differing],
    ) -> Result<Vec<RawPath>, LandingError> {
        let call = Call::alone_within(&self.root).args(["ls-files", "-v", "-z"]);
        let answer = git.run(&call)?;
        let unseen: BTreeSet<&[u8]> = answer
            .split(|byte| *byte == 0)
            .filter_map(|line| match line {
                [tag, b' ', path @ ..] if *tag == b'S' || tag.is_ascii_lowercase() => Some(path),
                _ => None,
            })
            .collect();
        let candidates: Vec<Differing> = differing
            .iter()
            .filter(|file| file.old.is_some() && unseen.contains(file.path.as_bytes()))
            .cloned()
            .collect();
        let hashes = self.hashes(git, &candidates)?;
        let found = candidates.into_iter().zip(hashes);
        // One that is not there is kept out of a sparse checkout.
        let edited = found.filter(|(file, hash)| {
            let known = file.old.as_ref().map(|version| &version.oid);
            hash.is_some() && hash.as_ref() != known
        });
        Ok(edited.map(|(file, _)| file.path).collect())
    }

    /// Returns the names that the contents at the paths would have; `None` where there is no file.
    pub(super) fn hashes(
        &self,
        git: &Git,
        differing: &[Differing],
    ) -> Result<Vec<Option<Oid>>, LandingError> {
        let mut hashes = vec![None; differing.len()];
        let mut names = String::new();
        let mut places = Vec::new();
        for (place, file) in differing.iter().enumerate() {
            let full = self.full(&file.path);
            let Some(metadata) = self.look(&file.path) else {
                continue;
            };
            if metadata.is_symlink() {
                let target =
                    fs::read_link(&full).map_err(|error| LandingError::io(&full, error))?;
                let target = raw(&target);
                let call = Call::alone_within(&self.root).args(["hash-object", "--stdin"]);
                let call = call.input(target.as_bytes());
                hashes[place] = oids(&call, &git.run(&call)?)?.pop();
            } else if metadata.is_file() {
                names.push_str(&quote::quoted(file.path.as_bytes()));
                names.push('\n');
                places.push(place);
            }
        }
        if !places.is_empty() {
            let call = Call::alone_within(&self.root).args(["hash-object", "--stdin-paths"]);
            let call = call.input(names.as_bytes());
            let found = oids(&call, &git.run(&call)?)?;
            for (place, oid) in places.into_iter().zip(found) {
                hashes[place] = Some(oid);
            }
        }
        Ok(hashes)
    }

    /// Refuses an operation of somebody.
    pub(super) fn require_no_operation(&self) -> Result<(), Refusal> {
        match self.operation() {
            None => Ok(()),
            Some(operation) => Err(Refusal::UnderWay {
                worktree: raw(&self.root),
                operation,
            }),
        }
    }

    pub(super) fn require_none(&self, paths: Vec<RawPath>) -> Result<(), Refusal> {
        if paths.is_empty() {
            Ok(())
        } else {
            Err(Refusal::Dirty {
                worktree: raw(&self.root),
                paths,
            })
        }
    }

    /// Refuses files that no commit has where new ones are to be written, ignored ones too: git
    /// would overwrite those.
    pub(super) fn require_room(&self, differing: &[Differing]) -> Result<(), Refusal> {
        let leaving: BTreeSet<&RawPath> = differing
            .iter()
            .filter(|file| file.new.is_none())
            .map(|file| &file.path)
            .collect();
        let coming = differing.iter().filter(|file| file.old.is_none());
        let paths: Vec<RawPath> = coming
            .filter(|file| self.is_in_the_way(file, &leaving))
            .map(|file| file.path.clone())
            .collect();
        if paths.is_empty() {
            return Ok(());
        }
        Err(Refusal::InTheWay {
            worktree: raw(&self.root),
            paths,
        })
    }

    fn is_in_the_way(&self, coming: &Differing, leaving: &BTreeSet<&RawPath>) -> bool {
        let name = coming.path.as_bytes();
        let folders = name.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        for (end, _) in folders {
            let folder = RawPath::new(&name[..end]);
            match fs::symlink_metadata(self.full(&folder)) {
                Err(_) => return false,
                Ok(metadata) if metadata.is_dir() => {}
                Ok(_) => return !leaving.contains(&folder),
            }
        }
        match fs::symlink_metadata(self.full(&coming.path)) {
            Err(_) => false,
            Ok(metadata) if metadata.is_dir() => {
                coming.new.as_ref().is_none_or(|new| new.mode != GITLINK)
                    && self.holds_others(&coming.path, leaving)
            }
            Ok(_) => true,
        }
    }

    /// Returns whether a folder holds anything but files that are to leave.
    fn holds_others(&self, folder: &RawPath, leaving: &BTreeSet<&RawPath>) -> bool {
        let Ok(entries) = fs::read_dir(self.full(folder)) else {
            return true;
        };
        for entry in entries {
            let Ok(entry) = entry else { return true };
            let mut inner = folder.as_bytes().to_vec();
            inner.push(b'/');
            inner.extend(entry.file_name().as_bytes());
            let inner = RawPath::new(inner);
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let is_other = if is_folder {
                self.holds_others(&inner, leaving)
            } else {
                !leaving.contains(&inner)
            };
            if is_other {
                return true;
            }
        }
        false
    }

    /// Looks at a path without following a link, not even one in the place of a folder above it:
    /// what is behind that is somebody else's.
    pub(super) fn look(&self, path: &RawPath) -> Option<fs::Metadata> {
        let name = path.as_bytes();
        let mut above = name.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let is_below_folders = above.all(|(end, _)| {
            let folder = self.full(&RawPath::new(&name[..end]));
            fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir())
        });
        let found = is_below_folders.then(|| fs::symlink_metadata(self.full(path)));
        found.and_then(Result::ok)
    }

    pub(super) fn full(&self, path: &RawPath) -> PathBuf {
        self.root.join(OsStr::from_bytes(path.as_bytes()))
    }
}

/// Returns the session's worktree; `None` when it is gone.
pub(super) fn worktree(git: &Git, ground: &Ground) -> Result<Option<Checkout>, GitError> {
    if ground.worktree.is_dir() {
        Checkout::at(git, &ground.worktree).map(Some)
    } else {
        Ok(None)
    }
}

/// Refuses unless all that is in the session's worktree is in a commit, and nothing waits there.
pub(super) fn require_calm_worktree(git: &Git, ground: &Ground) -> Result<(), LandingError> {
    require_not_rebased(ground, &ground.branch)?;
    let Some(checkout) = worktree(git, ground)? else {
        return Ok(());
    };
    checkout.require_no_operation()?;
    let (mut paths, untracked) = checkout.changes(git)?;
    paths.extend(untracked);
    Ok(checkout.require_none(paths)?)
}

/// Refuses while something waits for a person in the session's worktree.
pub(super) fn require_nothing_under_way(git: &Git, ground: &Ground) -> Result<(), LandingError> {
    require_not_rebased(ground, &ground.branch)?;
    match worktree(git, ground)? {
        Some(checkout) => Ok(checkout.require_no_operation()?),
        None => Ok(()),
    }
}

/// Refuses unless a branch can go from one commit to another wherever it is checked out.
pub(super) fn require_movable(
    git: &Git,
    ground: &Ground,
    reference: &str,
    from: &Oid,
    to: &Oid,
) -> Result<(), LandingError> {
    require_not_rebased(ground, reference)?;
    let checkouts = checkouts(git, ground, reference)?;
    if checkouts.is_empty() {
        return Ok(());
    }
    let differing = differing(git, ground, from, to)?;
    // While another landing is carried out, a working tree is between two commits. Where nothing can
    // be written, none is.
    let _turn = take_turn(ground).ok();
    for checkout in checkouts {
        checkout.require_calm(git, &differing)?;
        checkout.require_room(&differing)?;
    }
    Ok(())
}

/// Returns the working trees in which a branch is checked out.
pub(super) fn checkouts(
    git: &Git,
    ground: &Ground,
    reference: &str,
) -> Result<Vec<Checkout>, LandingError> {
    let call =
        Call::alone_within(&ground.common_dir).args(["worktree", "list", "--porcelain", "-z"]);
    let answer = git.run(&call)?;
    let mut found = Vec::new();
    let mut root: &[u8] = b"";
    let mut holds = false;
    let mut is_forgotten = false;
    // An empty field ends what is said of one working tree.
    for field in answer.split(|byte| *byte == 0) {
        if let Some(path) = field.strip_prefix(b"worktree ") {
            (root, holds, is_forgotten) = (path, false, false);
        } else if let Some(name) = field.strip_prefix(b"branch ") {
            holds = name == reference.as_bytes();
        } else if field.starts_with(b"prunable") {
            is_forgotten = true;
        } else if field.is_empty() && holds && !is_forgotten {
            found.push(path(root));
            holds = false;
        }
    }
    found
        .iter()
        .map(|root| {
            if root.is_dir() {
                return Ok(Checkout::at(git, root)?);
            }
            // It may be on a disk that is not there now, with an index that would be left behind.
            Err(Refusal::CheckoutMissing {
                reference: reference.to_owned(),
                worktree: raw(root),
            }
            .into())
        })
        .collect()
}

/// Returns the tops of the working trees in which a branch is checked out.
pub fn checked_out_in(
    git: &Git,
    ground: &Ground,
    reference: &str,
) -> Result<Vec<PathBuf>, LandingError> {
    let found = checkouts(git, ground, reference)?;
    Ok(found.into_iter().map(|checkout| checkout.root).collect())
}

/// Refuses a branch that somebody rebases in any working tree: it would be overwritten at the end.
pub(super) fn require_not_rebased(ground: &Ground, reference: &str) -> Result<(), Refusal> {
    let linked = fs::read_dir(ground.common_dir.join("worktrees"));
    let linked = linked
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    for git_dir in [ground.common_dir.clone()].into_iter().chain(linked) {
        for (folder, operation) in [
            ("rebase-merge", Operation::Rebase),
            ("rebase-apply", Operation::Apply),
        ] {
            let name = fs::read(git_dir.join(folder).join("head-name")).unwrap_or_default();
            if name.trim_ascii_end() == reference.as_bytes() {
                return Err(Refusal::UnderWay {
                    worktree: raw(&root_of(&git_dir)),
                    operation,
                });
            }
        }
    }
    Ok(())
}

/// Returns the working tree of a git directory, as far as it says where that is.
fn root_of(git_dir: &Path) -> PathBuf {
    let link = fs::read(git_dir.join("gitdir")).unwrap_or_default();
    let link = path(link.strip_suffix(b"\n").unwrap_or(&link));
    let dot_git = if link.is_absolute() { &link } else { git_dir };
    dot_git.parent().unwrap_or(dot_git).to_owned()
}

/// Returns what differs between two commits, path by path.
pub(super) fn differing(
    git: &Git,
    ground: &Ground,
    from: &Oid,
    to: &Oid,
) -> Result<Vec<Differing>, GitError> {
    let call = ground
        .call()
        .args([
            "diff-tree",
            "-r",
            "-z",
            "--raw",
            "--no-renames",
            "--no-abbrev",
        ])
        .args(["--no-ext-diff", "--no-textconv", "--ignore-submodules=none"])
        .args([from.as_str(), to.as_str()]);
    let answer = git.run(&call)?;
    parse_diff(&answer).map_err(|found| unexpected(&call, found.as_bytes()))
}

/// Returns the path of bytes.
pub(super) fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// Returns the bytes of a path.
pub(super) fn raw(path: &Path) -> RawPath {
    RawPath::new(path.as_os_str().as_bytes())
}
