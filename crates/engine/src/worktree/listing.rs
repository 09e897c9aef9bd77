//! The worktrees that git knows.

use std::path::Path;

use amps_core::path::RawPath;

use super::refs;
use crate::git::{Git, GitError};

/// A worktree as git lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) path: RawPath,
    /// The full name of the branch that is checked out.
    pub(super) branch: Option<String>,
}

/// Returns the worktrees of a repository, the main one first.
pub(super) fn list(git: &Git, common_dir: &Path) -> Result<Vec<Listed>, GitError> {
    let call = refs::at(common_dir).args(["worktree", "list", "--porcelain", "-z"]);
    Ok(parse(&git.run(&call)?))
}

fn parse(answer: &[u8]) -> Vec<Listed> {
    let mut found: Vec<Listed> = Vec::new();
    for line in answer.split(|byte| *byte == 0) {
        if let Some(path) = line.strip_prefix(b"worktree ") {
            found.push(Listed {
                path: RawPath::new(path),
                branch: None,
            });
        } else if let Some(name) = line.strip_prefix(b"branch ")
            && let Some(last) = found.last_mut()
        {
            last.branch = Some(String::from_utf8_lossy(name).into_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worktrees_with_and_without_a_branch_are_read() {
        let answer = b"worktree /r\0HEAD abc\0branch refs/heads/main\0\0\
            worktree /r/a\nb\0HEAD abc\0detached\0locked why\0\0";
        let found = parse(answer);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].branch.as_deref(), Some("refs/heads/main"));
        assert_eq!(found[1].path, RawPath::new(*b"/r/a\nb"));
        assert_eq!(found[1].branch, None);
    }
}
