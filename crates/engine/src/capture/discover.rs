//! Which repository keeps the snapshots of a folder.

mod plain;

use std::fs::{self, DirBuilder};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use amps_core::path::RawPath;
use amps_core::snapshot::{Workspace, WorkspaceKind};

use self::plain::Plain;
use super::look::{native, raw};
use super::{CaptureError, Exclusion};
use crate::files;
use crate::git::{Call, Git, GitError};

/// The questions to `rev-parse`, the one that fails without a working tree last.
const QUESTIONS: [&str; 3] = ["--absolute-git-dir", "--git-common-dir", "--show-toplevel"];

/// Finds the workspace of a folder.
///
/// A folder in no repository gets a repository of ours below `folders_dir`, made at the first
/// call. Fails for good where nothing is to be captured: the root of the file system, the home
/// folder itself, the inside of a git directory, a repository that git refuses.
pub fn discover(git: &Git, cwd: &Path, folders_dir: &Path) -> Result<Workspace, CaptureError> {
    if !git.is_told_where() {
        let here = fs::canonicalize(cwd).map_err(|source| CaptureError::io(cwd, source))?;
        match plain::look(&here) {
            Plain::Repository(root) => {
                let git_dir = root.join(".git");
                let [root, git_dir] = [&root, &git_dir].map(|path| raw(path));
                let common_dir = git_dir.clone();
                return Ok(Workspace {
                    kind: WorkspaceKind::Repository,
                    root,
                    git_dir,
                    common_dir,
                });
            }
            Plain::Nothing => return folder(git, cwd, folders_dir),
            Plain::AskGit => {}
        }
    }
    let whole = ask(git, cwd, &QUESTIONS);
    match whole {
        Ok(answer) => {
            let lines: Vec<&[u8]> = lines(&answer).collect();
            if let [git_dir, common_dir, root] = lines[..] {
                return Ok(repository(root, git_dir, common_dir));
            }
            // A path with a line break in it: each has to be asked for alone.
            let mut answers = Vec::new();
            for question in QUESTIONS {
                answers.push(ask(git, cwd, &[question])?);
            }
            let [git_dir, common_dir, root] =
                [0, 1, 2].map(|place| answers[place].strip_suffix(b"\n").unwrap_or_default());
            Ok(repository(root, git_dir, common_dir))
        }
        Err(error) => match Refusal::of(&error) {
            Refusal::NoRepository => folder(git, cwd, folders_dir),
            Refusal::NoWorkingTree => Err(CaptureError::Excluded {
                path: cwd.to_owned(),
                reason: Exclusion::NoWorkingTree,
            }),
            Refusal::Git => Err(CaptureError::Refused {
                path: cwd.to_owned(),
                words: error.stderr().to_owned(),
            }),
            Refusal::Unclear => Err(error.into()),
        },
    }
}

fn ask(git: &Git, cwd: &Path, questions: &[&str]) -> Result<Vec<u8>, GitError> {
    let call = Call::within(cwd)
        .args(["rev-parse", "--path-format=absolute"])
        .args(questions);
    git.run(&call)
}

fn lines(answer: &[u8]) -> impl Iterator<Item = &[u8]> {
    let body = answer.strip_suffix(b"\n").unwrap_or(answer);
    body.split(|byte| *byte == b'\n')
}

fn repository(root: &[u8], git_dir: &[u8], common_dir: &[u8]) -> Workspace {
    Workspace {
        kind: WorkspaceKind::Repository,
        root: RawPath::new(root),
        git_dir: RawPath::new(git_dir),
        common_dir: RawPath::new(common_dir),
    }
}

/// Why git found no repository with a working tree.
enum Refusal {
    NoRepository,
    NoWorkingTree,
    Git,
    Unclear,
}

impl Refusal {
    fn of(error: &GitError) -> Self {
        let words = error.stderr();
        let says = |part: &str| words.contains(part);
        if says("not a git repository (or any ") {
            Self::NoRepository
        } else if says("must be run in a work tree") {
            Self::NoWorkingTree
        } else if words.is_empty() || says("Permission denied") || says("Input/output error") {
            Self::Unclear
        } else {
            Self::Git
        }
    }
}

fn folder(git: &Git, cwd: &Path, folders_dir: &Path) -> Result<Workspace, CaptureError> {
    let root = fs::canonicalize(cwd).map_err(|source| CaptureError::io(cwd, source))?;
    let home = git.home().and_then(|home| fs::canonicalize(home).ok());
    let excluded = |reason| CaptureError::Excluded {
        path: root.clone(),
        reason,
    };
    if root.parent().is_none() {
        return Err(excluded(Exclusion::FileSystemRoot));
    }
    if home.is_some_and(|home| home == root) {
        return Err(excluded(Exclusion::Home));
    }
    let keeper = folders_dir.join(fingerprint(root.as_os_str().as_bytes()));
    make(&keeper)?;
    let keeper = raw(&keeper);
    Ok(Workspace {
        kind: WorkspaceKind::Folder,
        root: raw(&root),
        git_dir: keeper.clone(),
        common_dir: keeper,
    })
}

/// Makes the repository of a folder; running twice, even at once, gives the same.
fn make(keeper: &Path) -> Result<(), CaptureError> {
    if keeper.join("refs").is_dir() && keeper.join("HEAD").is_file() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(keeper)
        .map_err(|source| CaptureError::io(keeper, source))?;
    // What `git init --bare --template=` makes, gitrepository-layout(5), without starting git
    // before the agent. HEAD comes last: with it the repository is whole.
    for name in ["objects", "refs"] {
        files::create_private_folder(&keeper.join(name)).map_err(CaptureError::from)?;
    }
    for (name, text) in [
        (
            "config",
            "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n",
        ),
        ("HEAD", "ref: refs/heads/main\n"),
    ] {
        files::replace(&keeper.join(name), text.as_bytes(), 0o600).map_err(CaptureError::from)?;
    }
    Ok(())
}

/// Names a folder by the 128-bit FNV-1a hash of its path, which stays the same on every build.
fn fingerprint(path: &[u8]) -> String {
    let hash = path.iter().fold(
        0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128,
        |hash, byte| {
            (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
        },
    );
    format!("{hash:032x}")
}

/// Fails when a folder that is in no repository holds too many files.
///
/// Repositories inside are not entered, since they are not captured.
pub(crate) fn require_small(workspace: &Workspace, most: usize) -> Result<(), CaptureError> {
    let root = native(&workspace.root);
    let mut seen = 0;
    let mut unread: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = unread.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            seen += 1;
            if seen > most {
                return Err(CaptureError::Excluded {
                    path: root,
                    reason: Exclusion::TooManyFiles(most),
                });
            }
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !path.join(".git").exists() {
                unread.push(path);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_the_published_hash() {
        assert_eq!(fingerprint(b""), "6c62272e07bb014262b821756295c58d");
        assert_eq!(fingerprint(b"a"), "d228cb696f1a8caf78912b704e4a8964");
    }
}
