//! Where a repository keeps what: its own folders, and the one that we have in it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use amps_core::id::SessionId;
use amps_core::path::RawPath;

use super::{Refusal, WorktreeError};
use crate::capture::look::native;
use crate::files::{self, FileError};
use crate::git::{Call, Git};

/// A repository, seen from one of its working trees or from itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// The git directory that all its working trees share.
    pub common_dir: PathBuf,
    /// The top of the working tree it is seen from; `None` from within a bare repository.
    pub here: Option<PathBuf>,
    /// The git directory of that working tree.
    pub git_dir: PathBuf,
    /// The top of the main working tree; of a bare repository the repository itself.
    pub top: PathBuf,
}

impl Repository {
    /// Finds the repository of a folder.
    pub fn find(git: &Git, folder: &Path) -> Result<Self, WorktreeError> {
        let ask = |question: &str| {
            let call = Call::within(folder).args(["rev-parse", "--path-format=absolute", question]);
            git.run(&call).map(|answer| path_of(&answer))
        };
        let common_dir = match ask("--git-common-dir") {
            Ok(path) => path,
            Err(error) if error.stderr().contains("not a git repository") => {
                return Err(Refusal::NoRepository {
                    path: folder.to_owned(),
                }
                .into());
            }
            Err(error) => return Err(error.into()),
        };
        // Canonical, so that paths in plans compare with what git prints.
        let common_dir = files::canonical(&common_dir)?;
        let git_dir = files::canonical(&ask("--absolute-git-dir")?)?;
        let here = match ask("--show-toplevel") {
            Ok(path) if !path.as_os_str().is_empty() => Some(path),
            Ok(_) => None,
            Err(error) if error.stderr().contains("must be run in a work tree") => None,
            Err(error) => return Err(error.into()),
        };
        let top = top(git, &common_dir)?;
        Ok(Self {
            common_dir,
            here,
            git_dir,
            top,
        })
    }
}

/// Returns the top of the main working tree, or the repository itself where it is bare.
fn top(git: &Git, common_dir: &Path) -> Result<PathBuf, WorktreeError> {
    let ask = |arguments: &[&str]| {
        let call = Call::alone_within(common_dir)
            .variable("GIT_DIR", common_dir)
            .args(arguments);
        git.output(&call)
    };
    // A submodule's: its folder lies elsewhere.
    let elsewhere = ask(&["config", "--null", "--get", "core.worktree"])?.stdout;
    if let Some(path) = elsewhere.strip_suffix(b"\0") {
        return Ok(files::canonical(&common_dir.join(OsStr::from_bytes(path)))?);
    }
    let bare = ask(&["config", "--type=bool", "--get", "core.bare"])?.stdout;
    match common_dir.parent() {
        Some(parent) if bare != b"true\n" && common_dir.ends_with(".git") => Ok(parent.to_owned()),
        _ => Ok(common_dir.to_owned()),
    }
}

fn path_of(answer: &[u8]) -> PathBuf {
    let path = answer.strip_suffix(b"\n").unwrap_or(answer);
    PathBuf::from(OsStr::from_bytes(path))
}

/// The folder `amps` in the common git directory, which is ours.
#[derive(Clone, Debug)]
pub(super) struct Ours {
    common_dir: PathBuf,
}

impl Ours {
    pub(super) fn of(common_dir: &RawPath) -> Self {
        Self::at(&native(common_dir))
    }

    pub(super) fn at(common_dir: &Path) -> Self {
        Self {
            common_dir: common_dir.to_owned(),
        }
    }

    /// Returns a folder of ours, made if it is missing.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf, FileError> {
        let folder = self.common_dir.join("amps").join(name);
        files::create_private_folder(&folder)?;
        Ok(folder)
    }

    /// Returns the folder of ours without making it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.common_dir.join("amps").join(name)
    }

    /// Returns the folder in which a worktree is made ready before git sees it. It lies as deep as
    /// those that git sees.
    pub(super) fn unregistered(&self, admin: &str) -> PathBuf {
        self.path(&format!("new-{admin}"))
    }

    /// Returns the folder that git has for a worktree.
    pub(super) fn registered(&self, admin: &str) -> PathBuf {
        self.common_dir.join("worktrees").join(admin)
    }

    /// Returns the folder of a session's entry in the trash.
    pub(super) fn trash(&self, session: SessionId) -> PathBuf {
        self.path("trash").join(session.to_string())
    }

    /// Returns the note of what a session's worktree was furnished with.
    pub(super) fn furnished(&self, session: SessionId) -> PathBuf {
        self.path("furnished").join(format!("{session}.json"))
    }

    pub(super) fn common_dir(&self) -> &Path {
        &self.common_dir
    }
}
