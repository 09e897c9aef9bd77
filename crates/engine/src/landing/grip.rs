//! Bringing a working tree from one commit to another, so that a kill at any point can be mended.
//!
//! A git that is killed leaves its lock on the index behind, and nobody can tell whose it was. So
//! the lock is ours: a second name of a file that says what we are at. Whoever finds both names
//! on one file knows that it is the rest of this very step. Git then works on a copy of the index,
//! which takes the place of the index as a whole at the end.

use std::fs;
use std::io;
use std::path::PathBuf;

use amps_core::landing::Refusal;
use amps_core::path::RawPath;
use amps_core::snapshot::Oid;

use super::LandingError;
use super::checkout::{Checkout, raw};
use crate::files;
use crate::git::parse::{Differing, SYMLINK, Version};
use crate::git::{Call, Git, GitError};
use crate::testing;

/// A working tree whose index nobody else can change.
#[derive(Debug)]
pub(super) struct Grip {
    checkout: Checkout,
    /// What says what we are at.
    token: PathBuf,
    lock: PathBuf,
    index: PathBuf,
    copy: PathBuf,
    is_resumed: bool,
}

/// What a grip found.
#[derive(Debug)]
pub(super) enum Hold {
    /// The working tree is held for this step.
    Held(Grip),
    /// A step like this was never begun here.
    Untouched,
}

impl Grip {
    fn new(checkout: Checkout) -> Self {
        let file = |name: &str| checkout.git_dir.join(name);
        Self {
            token: file("amps-landing"),
            lock: file("index.lock"),
            index: file("index"),
            copy: file("amps-landing.index"),
            checkout,
            is_resumed: false,
        }
    }

    /// Takes hold of a working tree for a step, or again after a kill.
    pub(super) fn take(checkout: Checkout, from: &Oid, to: &Oid) -> Result<Self, LandingError> {
        let grip = match Self::find(checkout.clone(), from, to)? {
            Hold::Held(grip) => return Ok(grip),
            Hold::Untouched => Self::new(checkout),
        };
        files::write_private(&grip.token, said(from, to).as_bytes())?;
        match fs::hard_link(&grip.token, &grip.lock) {
            Ok(()) => Ok(grip),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                files::remove(&grip.token)?;
                Err(Refusal::Locked {
                    file: raw(&grip.lock),
                }
                .into())
            }
            Err(source) => Err(LandingError::io(&grip.lock, source)),
        }
    }

    /// Finds the rest of this step, after a kill. The rest of another one is refused.
    pub(super) fn find(checkout: Checkout, from: &Oid, to: &Oid) -> Result<Hold, LandingError> {
        let mut grip = Self::new(checkout);
        let Ok(token) = fs::File::open(&grip.token) else {
            return Ok(Hold::Untouched);
        };
        if !files::is_at(&token, &grip.lock) {
            return Ok(Hold::Untouched);
        }
        let said_there =
            fs::read(&grip.token).map_err(|error| LandingError::io(&grip.token, error))?;
        if said_there != said(from, to).as_bytes() {
            return Err(Refusal::Unfinished {
                worktree: raw(&grip.checkout.root),
            }
            .into());
        }
        grip.is_resumed = true;
        Ok(Hold::Held(grip))
    }

    /// Brings the working tree from `other` to `target`. Refused, nothing has changed.
    pub(super) fn bring(
        &self,
        git: &Git,
        turn: &files::Lock,
        differing: &[Differing],
        [other, target]: [&Oid; 2],
    ) -> Result<(), LandingError> {
        if !self.is_resumed {
            self.checkout.require_calm(git, differing)?;
        }
        files::remove(&self.copy.with_extension("index.lock"))?;
        fs::copy(&self.index, &self.copy).map_err(|error| LandingError::io(&self.copy, error))?;
        let is_there = self.index_holds(git, target)?;
        if self.is_resumed {
            self.sweep(git, differing, is_there)?;
        }
        if is_there {
            self.put_back(git, turn)?;
        } else {
            self.checkout.require_room(differing)?;
            self.read_tree(git, turn, [other, target])?;
            testing::point("landing-tree");
        }
        fs::rename(&self.copy, &self.index).map_err(|error| LandingError::io(&self.index, error))
    }

    /// Lets others at the index again.
    pub(super) fn release(self) -> Result<(), LandingError> {
        files::remove(&self.copy)?;
        files::remove(&self.lock)?;
        Ok(files::remove(&self.token)?)
    }

    /// Returns whether this goes on after a kill.
    pub(super) fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Goes on as if after a kill: whatever was done is found by looking.
    pub(super) fn resumed(mut self) -> Self {
        self.is_resumed = true;
        self
    }

    fn call(&self) -> Call<'static> {
        Call::alone_within(&self.checkout.root).variable("GIT_INDEX_FILE", &self.copy)
    }

    fn index_holds(&self, git: &Git, commit: &Oid) -> Result<bool, GitError> {
        let call = self
            .call()
            .args([
                "diff-index",
                "--cached",
                "--quiet",
                "--ignore-submodules=none",
            ])
            .arg(commit.as_str());
        let output = git.output(&call)?;
        match output.status {
            Some(status) if status.code() == Some(1) => Ok(false),
            Some(status) if !status.success() => Err(output.into_error(&call, status)),
            _ => Ok(true),
        }
    }

    fn read_tree(
        &self,
        git: &Git,
        turn: &files::Lock,
        [other, target]: [&Oid; 2],
    ) -> Result<(), LandingError> {
        let call = self
            .call()
            .args(["read-tree", "-m", "-u", other.as_str(), target.as_str()])
            .input_file(turn.file());
        let output = git.output(&call)?;
        let Some(status) = output.status.filter(|status| !status.success()) else {
            return Ok(());
        };
        let error = output.into_error(&call, status);
        // Something changed between our look and git's: it is as if we had seen it. Git looks at all
        // before it writes any.
        self.checkout.require_none(not_uptodate(error.stderr()))?;
        let (_, untracked) = self.checkout.changes(git)?;
        if error.stderr().contains("would be overwritten") && !untracked.is_empty() {
            return Err(Refusal::InTheWay {
                worktree: raw(&self.checkout.root),
                paths: untracked,
            }
            .into());
        }
        Err(error.into())
    }

    /// Takes away what a killed git wrote of the side that the index does not have, so that what is
    /// left is the index's side with files missing. Every content that goes is in a commit.
    fn sweep(
        &self,
        git: &Git,
        differing: &[Differing],
        is_there: bool,
    ) -> Result<(), LandingError> {
        let mut written = Vec::new();
        let mut unknown = Vec::new();
        let hashes = self.checkout.hashes(git, differing)?;
        for (file, hash) in differing.iter().zip(hashes) {
            let Some(hash) = hash else { continue };
            let (kept, passing) = if is_there {
                (&file.new, &file.old)
            } else {
                (&file.old, &file.new)
            };
            if kept.as_ref().is_some_and(|version| version.oid == hash) {
                continue;
            }
            let is_known = match passing {
                Some(version) => {
                    version.oid == hash || self.is_cut_off(git, &file.path, version)?
                }
                None => false,
            };
            if is_known {
                written.push(&file.path);
            } else {
                unknown.push(file.path.clone());
            }
        }
        self.checkout.require_none(unknown)?;
        for path in written {
            let full = self.checkout.full(path);
            files::remove(&full)?;
            // A folder may stand where the index has a file.
            let folders = full.ancestors().skip(1);
            for folder in folders.take_while(|folder| *folder != self.checkout.root) {
                if fs::remove_dir(folder).is_err() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Returns whether a file is the beginning of a version, as a git leaves it that is killed while
    /// it writes.
    fn is_cut_off(
        &self,
        git: &Git,
        path: &RawPath,
        version: &Version,
    ) -> Result<bool, LandingError> {
        let full = self.checkout.full(path);
        if version.mode == SYMLINK || !full.is_file() {
            return Ok(false);
        }
        let part = fs::read(&full).map_err(|error| LandingError::io(&full, error))?;
        if part.is_empty() {
            return Ok(true);
        }
        let mut name = std::ffi::OsString::from("--path=");
        name.push(super::checkout::path(path.as_bytes()));
        let call = self
            .call()
            .args(["cat-file", "--filters"])
            .arg(name)
            .arg(version.oid.as_str());
        Ok(git.run(&call)?.starts_with(&part))
    }

    /// Writes the files that are missing, as the index has them.
    fn put_back(&self, git: &Git, turn: &files::Lock) -> Result<(), LandingError> {
        let call = self
            .call()
            .args(["checkout-index", "--index", "--quiet", "--all"])
            .input_file(turn.file());
        let output = git.output(&call)?;
        // It fails as well where it leaves a file alone because that is there.
        match output.status {
            Some(status) if status.code().is_none() => Err(output.into_error(&call, status).into()),
            _ => Ok(()),
        }
    }
}

/// Returns the paths that git does not overwrite, because they are edited.
fn not_uptodate(words: &str) -> Vec<RawPath> {
    let lines = words.lines();
    let entry = |line: &str| {
        let (_, rest) = line.split_once("Entry '")?;
        let (path, _) = rest.split_once("' not uptodate")?;
        Some(RawPath::new(path))
    };
    lines.filter_map(entry).collect()
}

/// What a step says it is at.
fn said(from: &Oid, to: &Oid) -> String {
    format!("from {from} to {to}\n")
}
