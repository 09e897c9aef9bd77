//! `AGENT_CONTEXT/`: what an agent that reads files is told of its session.
//!
//! The folder is excluded from git, so it is never committed; a repository that has files of its
//! own there keeps them.

use std::fs;
use std::path::Path;

use amps_core::path::RawPath;

use super::{Refusal, WorktreeError};
use crate::capture::look::raw;
use crate::files::{self, FileError};
use crate::git::{Call, Git};

/// The folder, seen from the top of a worktree.
pub const CONTEXT_FOLDER: &str = "AGENT_CONTEXT";

/// The files in it.
const NAMES: [&str; 5] = [
    "SESSION.md",
    "DIFF_SUMMARY.txt",
    "ITERATION_LOG.md",
    "LAST_STATUS.json",
    "REBASE_HELP.md",
];

/// The texts that an agent finds. What is `None` is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContextFacts<'a> {
    /// What the session is and what is asked of it.
    pub session: Option<&'a str>,
    /// What it has changed so far.
    pub diff_summary: Option<&'a str>,
    /// What its iterations did.
    pub iteration_log: Option<&'a str>,
    /// How the last one ended, as JSON.
    pub last_status: Option<&'a str>,
    /// How to go on with a rebase that met conflicts.
    pub rebase_help: Option<&'a str>,
}

/// Writes the files, each as a whole. Refused where git tracks something in the folder.
pub fn write_context(
    git: &Git,
    worktree: &Path,
    facts: &ContextFacts<'_>,
) -> Result<(), WorktreeError> {
    let folder = worktree.join(CONTEXT_FOLDER);
    let tracked = Call::alone_within(worktree).args(["ls-files", "-z", "--", CONTEXT_FOLDER]);
    let is_link = fs::symlink_metadata(&folder).is_ok_and(|data| !data.is_dir());
    if is_link || !git.run(&tracked)?.is_empty() {
        return Err(Refusal::InTheWay { path: raw(&folder) }.into());
    }
    fs::create_dir_all(&folder).map_err(|source| FileError::new("create", &folder, source))?;
    let texts = [
        facts.session,
        facts.diff_summary,
        facts.iteration_log,
        facts.last_status,
        facts.rebase_help,
    ];
    for (name, text) in NAMES.into_iter().zip(texts) {
        let file = folder.join(name);
        match text {
            Some(text) => files::replace(&file, text.as_bytes(), 0o644)?,
            None => files::remove(&file)?,
        }
    }
    Ok(())
}

/// Returns whether a path is that of a file of ours, which can be written again at any time.
pub(super) fn is_context_file(path: &RawPath) -> bool {
    let name = path.as_bytes().strip_prefix(CONTEXT_FOLDER.as_bytes());
    let name = name.and_then(|rest| rest.strip_prefix(b"/"));
    name.is_some_and(|name| NAMES.iter().any(|ours| ours.as_bytes() == name))
}
