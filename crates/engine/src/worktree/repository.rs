//! Where a repository keeps what: its own folders, and the one that we have in it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use amps_core::id::SessionId;
use amps_core::path::RawPath;

use super::{Refusal, WorktreeError, refs};
use crate::capture::look::native;
use crate::files::{self, FileError};
use crate::git::{Call, Git, GitError};

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
        let [git_dir, common_dir, here] = places(git, folder).map_err(|error| {
            if error.stderr().contains("not a git repository") {
                let path = folder.to_owned();
                return WorktreeError::from(Refusal::NoRepository { path });
            }
            error.into()
        })?;
        let here = Some(here).filter(|path| !path.as_os_str().is_empty());
        // Canonical, so that paths in plans compare with what git prints.
        let common_dir = files::canonical(&common_dir)?;
        let git_dir = files::canonical(&git_dir)?;
        let top = match &here {
            Some(top) if git_dir == common_dir => top.clone(),
            _ => top(git, &common_dir)?,
        };
        Ok(Self {
            common_dir,
            here,
            git_dir,
            top,
        })
    }
}

/// Asks for the git directory, the common one, and the top of the working tree, which is empty
/// where there is none.
fn places(git: &Git, folder: &Path) -> Result<[PathBuf; 3], GitError> {
    const QUESTIONS: [&str; 3] = ["--absolute-git-dir", "--git-common-dir", "--show-toplevel"];
    let ask = |questions: &[&str]| {
        let call = Call::within(folder).args(["rev-parse", "--path-format=absolute"]);
        let call = call.args(questions);
        let output = git.output(&call)?;
        match output.status {
            // The last question, the only one that is refused there, has no answer.
            Some(status) if !status.success() => {
                let stdout = output.stdout.clone();
                let error = output.into_error(&call, status);
                let is_bare = error.stderr().contains("must be run in a work tree");
                if is_bare { Ok(stdout) } else { Err(error) }
            }
            _ => Ok(output.stdout),
        }
    };
    let answer = ask(&QUESTIONS)?;
    let mut lines: Vec<&[u8]> = answer.split_inclusive(|byte| *byte == b'\n').collect();
    if lines.len() == 2 {
        lines.push(b"");
    }
    if let [git_dir, common_dir, top] = lines[..] {
        return Ok([git_dir, common_dir, top].map(path_of));
    }
    // A path with a line break in it: each has to be asked for alone.
    let [git_dir, common_dir, top] = QUESTIONS.map(|question| ask(&[question]));
    Ok([path_of(&git_dir?), path_of(&common_dir?), path_of(&top?)])
}

/// Returns the top of the main working tree, or the repository itself where it is bare.
fn top(git: &Git, common_dir: &Path) -> Result<PathBuf, WorktreeError> {
    let ask = |arguments: &[&str]| git.output(&refs::at(common_dir).args(arguments));
    // A submodule's: its folder lies elsewhere.
    let elsewhere = ask(&["config", "--null", "--get", "core.worktree"])?.stdout;
    if let Some(path) = elsewhere.strip_suffix(b"\0") {
        let path = common_dir.join(OsStr::from_bytes(path));
        return Ok(files::canonical(&path)?);
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
