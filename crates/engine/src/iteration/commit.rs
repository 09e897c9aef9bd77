//! Commits whatever has changed in a worktree, on the branch of its session and nowhere else.
//!
//! By plumbing: no hook can refuse what an agent did, and the branch moves only from what it was
//! seen to name. A death at any point leaves the changes in the files.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use amps_core::credential::looks_like_credential;
use amps_core::path::RawPath;
use amps_core::snapshot::Oid;

use crate::files::pause;
use crate::git::{Call, Git, GitError};
use crate::worktree::{IndexLock, clear_stale_index_lock};

/// What in a git directory tells that something waits for a person.
const UNDER_WAY: [&str; 5] = [
    "MERGE_HEAD",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "rebase-merge",
    "rebase-apply",
];

/// The identity of commits where git knows none.
const NOBODY: [(&str, &str); 4] = [
    ("GIT_AUTHOR_NAME", "amps"),
    ("GIT_AUTHOR_EMAIL", "amps@localhost"),
    ("GIT_COMMITTER_NAME", "amps"),
    ("GIT_COMMITTER_EMAIL", "amps@localhost"),
];

/// How long a lock of the index is waited for that somebody may hold.
const OTHERS: Duration = Duration::from_secs(3);

/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(20);

/// Where a session works.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// Git.
    pub git: &'a Git,
    /// The top of its working tree.
    pub worktree: &'a Path,
    /// Its branch, as a full reference.
    pub branch: &'a str,
}

/// What came of committing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// What the branch names now.
    pub head: Oid,
    /// The new commit; `None` if nothing had changed.
    pub commit: Option<Oid>,
    /// What was not committed and stays as it is, in words.
    pub left: Vec<String>,
}

/// What has changed could not be committed. It is still in the files.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The worktree is gone.
    #[error("there is no worktree at {}", .0.display())]
    NoWorktree(PathBuf),
    /// Something else is checked out.
    #[error("{found} is checked out in the worktree, and not the branch of the session")]
    OtherHead {
        /// What.
        found: String,
    },
    /// A merge, a rebase or the like waits for a person.
    #[error("{found} is there: something waits in the worktree for a person")]
    UnderWay {
        /// What tells so.
        found: &'static str,
    },
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The index could not be copied.
    #[error("the index of the worktree cannot be copied")]
    NoCopy(#[source] std::io::Error),
}

impl Ground<'_> {
    fn call(&self) -> Call<'_> {
        // The person's variables may name another repository.
        Call::alone_within(self.worktree)
    }

    /// Returns what the branch names, if it is checked out and nothing else is under way.
    pub fn head(&self) -> Result<Oid, CommitError> {
        if !self.worktree.is_dir() {
            return Err(CommitError::NoWorktree(self.worktree.to_owned()));
        }
        let symbolic = self
            .git
            .output(&self.call().args(["symbolic-ref", "-q", "HEAD"]))?;
        let found = String::from_utf8_lossy(&symbolic.stdout).trim().to_owned();
        if found != self.branch {
            let found = if found.is_empty() {
                "a commit of no branch".to_owned()
            } else {
                found
            };
            return Err(CommitError::OtherHead { found });
        }
        let git_dir = self.line(&self.call().args(["rev-parse", "--absolute-git-dir"]))?;
        let git_dir = Path::new(OsStr::from_bytes(git_dir.as_bytes())).to_owned();
        free_index(&git_dir, self.worktree);
        if let Some(found) = UNDER_WAY
            .into_iter()
            .find(|name| git_dir.join(name).symlink_metadata().is_ok())
        {
            return Err(CommitError::UnderWay { found });
        }
        Ok(self.oid(&self.call().args(["rev-parse", "--verify", "HEAD^{commit}"]))?)
    }

    fn line(&self, call: &Call<'_>) -> Result<String, GitError> {
        let answer = self.git.run(call)?;
        Ok(String::from_utf8_lossy(&answer)
            .trim_end_matches('\n')
            .to_owned())
    }

    fn oid(&self, call: &Call<'_>) -> Result<Oid, GitError> {
        let arguments = call.shown();
        let found = self.line(call)?;
        Oid::parse(&found).ok_or(GitError::Unexpected { arguments, found })
    }

    fn write_commit(&self, tree: &Oid, parent: &Oid, message: &str) -> Result<Oid, GitError> {
        let call = || {
            self.call()
                .args([
                    "commit-tree",
                    tree.as_str(),
                    "-p",
                    parent.as_str(),
                    "-F",
                    "-",
                ])
                .input(message.as_bytes())
        };
        let known = self
            .git
            .output(&self.call().args(["var", "GIT_COMMITTER_IDENT"]))?;
        let mut call = call();
        if !known.status.is_some_and(|status| status.success()) {
            for (name, value) in NOBODY {
                call = call.variable(name, value);
            }
        }
        self.oid(&call)
    }
}

/// The index of a worktree, or one beside it.
#[derive(Clone, Copy, Debug)]
struct Staging<'a> {
    ground: Ground<'a>,
    /// `None` for the worktree's own.
    index: Option<&'a Path>,
}

impl<'a> Staging<'a> {
    fn call(&self) -> Call<'a> {
        let call = Call::alone_within(self.ground.worktree);
        match self.index {
            Some(index) => call.variable("GIT_INDEX_FILE", index),
            None => call,
        }
    }

    /// Puts everything that has changed into the index, and returns what stays out.
    fn stage(&self, leavings: &[&str]) -> Result<Vec<String>, GitError> {
        self.ground
            .git
            .run(&self.call().args(["add", "--update"]))?;
        let mut call = self
            .call()
            .args(["ls-files", "--others", "--exclude-standard", "-z"]);
        for pattern in leavings {
            call = call.arg("--exclude").arg(pattern);
        }
        let answer = self.ground.git.run(&call)?;
        let mut staged = Vec::new();
        let mut left = Vec::new();
        for path in answer
            .split(|byte| *byte == 0)
            .filter(|path| !path.is_empty())
        {
            let shown = RawPath::new(path);
            if path.ends_with(b"/") {
                left.push(format!(
                    "{shown} was not committed: a repository of its own"
                ));
            } else if looks_like_credential(file_name(path)) {
                left.push(format!(
                    "{shown} was not committed: it looks like a credential"
                ));
            } else {
                staged.extend_from_slice(path);
                staged.push(0);
            }
        }
        if !staged.is_empty() {
            let call = self.call().args(["update-index", "--add", "-z", "--stdin"]);
            self.ground.git.run(&call.input(&staged))?;
        }
        Ok(left)
    }
}

/// Removes the lock of a git that was killed. One that works here at the moment, such as that of a
/// capture, may hold it, and is waited for; where it stays held, git says so.
fn free_index(git_dir: &Path, worktree: &Path) {
    let until = Instant::now() + OTHERS;
    while let Ok(IndexLock::Held) = clear_stale_index_lock(git_dir, worktree) {
        if Instant::now() >= until {
            return;
        }
        pause(LOOK);
    }
}

fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// Returns the tree of everything that is in the worktree and would be committed. The index is left
/// as it is; objects are written.
pub fn tree_of_files(ground: Ground<'_>, leavings: &[&str]) -> Result<Oid, CommitError> {
    let index = ground.line(&ground.call().args(["rev-parse", "--git-path", "index"]))?;
    let index = ground.worktree.join(OsStr::from_bytes(index.as_bytes()));
    let folder = tempfile::tempdir().map_err(CommitError::NoCopy)?;
    let copy = folder.path().join("index");
    // A worktree without an index has nothing in it.
    if index.exists() {
        std::fs::copy(&index, &copy).map_err(CommitError::NoCopy)?;
    }
    let staging = Staging {
        ground,
        index: Some(&copy),
    };
    staging.stage(leavings)?;
    Ok(ground.oid(&staging.call().arg("write-tree"))?)
}

/// Returns the tree of what is staged in the worktree.
pub fn tree_of_index(ground: Ground<'_>) -> Result<Oid, CommitError> {
    Ok(ground.oid(&ground.call().arg("write-tree"))?)
}

/// Commits everything that differs from the last commit, except what an agent leaves behind that is
/// not its work, given as patterns of `.gitignore`, and what looks like a credential. Makes no commit
/// if nothing does.
pub fn commit_all(
    ground: Ground<'_>,
    message: &str,
    leavings: &[&str],
) -> Result<Committed, CommitError> {
    let head = ground.head()?;
    let staging = Staging {
        ground,
        index: None,
    };
    let left = staging.stage(leavings)?;
    let tree = ground.oid(&ground.call().arg("write-tree"))?;
    let before = ground.oid(&ground.call().args(["rev-parse", "--verify", "HEAD^{tree}"]))?;
    if tree == before {
        return Ok(Committed {
            head,
            commit: None,
            left,
        });
    }
    let commit = ground.write_commit(&tree, &head, message)?;
    let (new, old) = (commit.as_str(), head.as_str());
    let call = ground.call().args(["update-ref", ground.branch, new, old]);
    ground.git.run(&call)?;
    Ok(Committed {
        head: commit.clone(),
        commit: Some(commit),
        left,
    })
}
