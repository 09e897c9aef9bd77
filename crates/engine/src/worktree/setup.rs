//! Commands that make a new worktree ready to work in, and clean up behind it.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use amps_core::ground::FurnishPolicy;
use serde::Deserialize;

use super::approval::{Approval, Approvals};
use super::{Refusal, WorktreeError};
use crate::capture::look::is_missing;
use crate::exec::{Contained, ContainedEnd};
use crate::files::{self, FileError};

/// The file with the commands of a repository, seen from the top of a working tree.
pub const SETUP_FILE: &str = ".amps/worktree.yaml";
/// The largest such file that is read.
const LARGEST: u64 = 256 * 1024;

/// Commands of one origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commands {
    /// To run in a new worktree, in this order.
    pub setup: Vec<String>,
    /// To run before it is removed.
    pub teardown: Vec<String>,
}

/// A command that was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRun {
    /// The command.
    pub command: String,
    /// How it ended.
    pub ended: ContainedEnd,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetupFile {
    #[serde(default)]
    setup: Vec<String>,
    #[serde(default)]
    teardown: Vec<String>,
}

impl From<&FurnishPolicy> for Commands {
    /// Takes the commands that the person has configured: they need no approval.
    fn from(policy: &FurnishPolicy) -> Self {
        Self {
            setup: policy.setup.clone(),
            teardown: policy.teardown.clone(),
        }
    }
}

/// Returns the text of the file with the commands that come with a repository, to be shown to the
/// person; `None` where there is none.
pub fn repository_commands(worktree: &Path) -> Result<Option<String>, WorktreeError> {
    let path = worktree.join(SETUP_FILE);
    let mut text = String::new();
    match fs::File::open(&path).and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text)) {
        Ok(_) if text.len() as u64 > LARGEST => Err(malformed("it is too long").into()),
        Ok(_) => Ok(Some(text)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(source) => Err(FileError::new("read", &path, source).into()),
    }
}

impl Commands {
    /// Reads the commands of a repository, if exactly this text was approved for it. What runs is
    /// what was approved: the file is not looked at again.
    pub fn approved(
        text: &str,
        common_dir: &Path,
        approvals: &Approvals,
    ) -> Result<Self, WorktreeError> {
        if approvals.approval(common_dir, text)? != Approval::Given {
            return Err(Refusal::NotApproved { file: SETUP_FILE }.into());
        }
        let file: SetupFile =
            serde_saphyr::from_str(text).map_err(|error| malformed(&error.to_string()))?;
        Ok(Self {
            setup: file.setup,
            teardown: file.teardown,
        })
    }
}

fn malformed(problem: &str) -> Refusal {
    Refusal::Malformed {
        file: SETUP_FILE,
        problem: problem.to_owned(),
    }
}

/// Runs commands one after the other by `sh` in a worktree until one fails, which is an error.
/// They see only the given variables, and what they print is appended to the log.
pub fn run_commands(
    commands: &[String],
    worktree: &Path,
    variables: &[(String, String)],
    limit: Duration,
    log: &Path,
) -> Result<Vec<CommandRun>, WorktreeError> {
    let mut runs = Vec::new();
    for command in commands {
        let output =
            files::open_to_append(log).map_err(|source| FileError::new("open", log, source))?;
        let contained = Contained {
            command,
            folder: worktree,
            variables,
            limit,
        };
        let ended = contained.run(&output)?;
        if ended != ContainedEnd::Code(0) {
            return Err(Refusal::CommandFailed {
                command: amps_core::path::visible(command),
                ended: ended.to_string(),
            }
            .into());
        }
        runs.push(CommandRun {
            command: command.clone(),
            ended,
        });
    }
    Ok(runs)
}
