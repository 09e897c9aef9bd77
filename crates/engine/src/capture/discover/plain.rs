//! Finding an ordinary repository without asking git, which would double the time that a launch
//! waits. Whatever is not ordinary is left for git to decide.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What a look upwards from a folder found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plain {
    /// The top of a working tree with its repository in `.git`.
    Repository(PathBuf),
    /// No repository up to the root of the file system.
    Nothing,
    /// Something that only git can judge.
    AskGit,
}

/// Looks upwards from a folder whose path holds no symbolic links.
///
/// Ordinary is a folder `.git` with `HEAD`, `objects` and `refs`, owned by this user, on one file
/// system, whose configuration moves nothing: gitrepository-layout(5), git-config(1).
pub(super) fn look(from: &Path) -> Plain {
    let Ok(start) = from.metadata() else {
        return Plain::AskGit;
    };
    for folder in from.ancestors() {
        let Ok(data) = folder.metadata() else {
            return Plain::AskGit;
        };
        if data.dev() != start.dev() || is_repository(folder) {
            return Plain::AskGit;
        }
        let git_dir = folder.join(".git");
        match git_dir.symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Ok(own) if own.is_dir() && is_ordinary(&git_dir, [&data, &own]) => {
                return Plain::Repository(folder.to_owned());
            }
            _ => return Plain::AskGit,
        }
    }
    Plain::Nothing
}

fn is_repository(folder: &Path) -> bool {
    folder.join("HEAD").symlink_metadata().is_ok() && folder.join("objects").is_dir()
}

fn is_ordinary(git_dir: &Path, owned: [&Metadata; 2]) -> bool {
    let user = rustix::process::geteuid().as_raw();
    // Read generously: asking git once too often costs a millisecond.
    let moves = |config: &str| {
        let config = config.to_ascii_lowercase();
        let is_bare = |line: &str| line.contains("bare") && line.replace(' ', "") != "bare=false";
        config.contains("worktree")
            || config.contains("include")
            || config.lines().any(|line| is_bare(line.trim()))
    };
    owned.iter().all(|data| data.uid() == user)
        && is_repository(git_dir)
        && git_dir.join("refs").is_dir()
        && !git_dir.join("commondir").exists()
        && fs::read_to_string(git_dir.join("config")).is_ok_and(|config| !moves(&config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(at: &Path, config: &str) {
        for part in [".git/objects", ".git/refs", "deep/er"] {
            fs::create_dir_all(at.join(part)).unwrap();
        }
        for (name, text) in [("HEAD", "ref: refs/heads/main\n"), ("config", config)] {
            crate::files::replace(&at.join(".git").join(name), text.as_bytes(), 0o644).unwrap();
        }
    }

    #[test]
    fn an_ordinary_repository_is_found_from_below() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        repository(&top, "[core]\n\tbare = false\n\tfilemode = true\n");
        assert_eq!(look(&top.join("deep/er")), Plain::Repository(top.clone()));
        assert_eq!(look(&top), Plain::Repository(top.clone()));
        assert_eq!(
            look(&top.join(".git/refs")),
            Plain::AskGit,
            "inside the git directory"
        );
    }

    #[test]
    fn whatever_moves_something_is_left_to_git() {
        for config in [
            "[core]\n\tworktree = /elsewhere\n",
            "[core] worktree = /elsewhere\n",
            "[core]\n\tbare = true\n",
            "[include]\n\tpath = more\n",
            "[includeIf \"gitdir:/x\"]\n\tpath = more\n",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let top = folder.path().canonicalize().unwrap();
            repository(&top, config);
            assert_eq!(look(&top), Plain::AskGit, "{config}");
        }
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        crate::files::replace(&top.join(".git"), b"gitdir: /elsewhere\n", 0o644).unwrap();
        assert_eq!(look(&top), Plain::AskGit, "a linked working tree");
    }
}
