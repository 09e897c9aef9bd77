//! The sections `git`, `worktree` and `trash`: where worktree sessions work, what they find there,
//! and how long they can be brought back.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use amps_core::ground::FurnishPolicy;
use amps_core::time::parse_duration;
use serde::Deserialize;

use super::parse_size;

/// How the worktrees of sessions come and go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroundsConfig {
    /// The folder for worktrees, seen from the top of the repository.
    pub worktree_dir: PathBuf,
    /// The branch to begin from where the person is on none.
    pub default_base: String,
    /// What a new worktree is given.
    pub furnish: FurnishPolicy,
    /// How long a worktree stays in the trash.
    pub trash_keep: Duration,
}

impl Default for GroundsConfig {
    fn default() -> Self {
        Self {
            worktree_dir: PathBuf::from(".worktrees"),
            default_base: "main".to_owned(),
            furnish: FurnishPolicy::default(),
            trash_keep: Duration::from_secs(30 * 86_400),
        }
    }
}

/// Keys that this program does not act on are for others.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct GitSection {
    worktree_dir: Option<String>,
    default_base_branch: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WorktreeSection {
    copy: Vec<String>,
    link: Vec<String>,
    setup: Vec<String>,
    teardown: Vec<String>,
    max_copy: Option<String>,
    timeout: Option<String>,
    ports: Option<String>,
    first_port: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TrashSection {
    keep: Option<String>,
}

/// The three sections of the file.
pub(super) type Sections = (GitSection, WorktreeSection, TrashSection);

impl GroundsConfig {
    /// Takes the lists, which no variable stands for, and returns the values that one may override.
    pub(super) fn take(
        &mut self,
        (git, worktree, trash): Sections,
    ) -> [(&'static str, Option<String>); 7] {
        self.furnish.copy = worktree.copy;
        self.furnish.link = worktree.link;
        self.furnish.setup = worktree.setup;
        self.furnish.teardown = worktree.teardown;
        [
            ("git.worktree_dir", git.worktree_dir),
            ("git.default_base_branch", git.default_base_branch),
            ("worktree.max_copy", worktree.max_copy),
            ("worktree.timeout", worktree.timeout),
            ("worktree.ports", worktree.ports),
            ("worktree.first_port", worktree.first_port),
            ("trash.keep", trash.keep),
        ]
    }

    /// Sets one of these values. The error is the form that is expected; `None` for the key of
    /// another section.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Option<Result<(), &'static str>> {
        let value = value.trim();
        let duration = || parse_duration(value).ok_or("a duration such as 10m or 30d");
        let furnish = &mut self.furnish;
        Some(match key {
            "git.worktree_dir" => folder(value).map(|it| self.worktree_dir = it),
            "git.default_base_branch" if value.is_empty() => Err("a branch"),
            "git.default_base_branch" => {
                value.clone_into(&mut self.default_base);
                Ok(())
            }
            "worktree.max_copy" => parse_size(value)
                .ok_or("a size such as 4GiB")
                .map(|it| furnish.max_copy = it),
            "worktree.timeout" => duration().map(|it| furnish.timeout = it),
            "worktree.ports" => value
                .parse()
                .ok()
                .filter(|count| *count <= 1_000)
                .ok_or("a number of ports, at most 1000")
                .map(|it| furnish.ports = it),
            "worktree.first_port" => value
                .parse()
                .ok()
                .filter(|port| *port >= 1_024)
                .ok_or("a port from 1024 to 65535")
                .map(|it| furnish.first_port = it),
            "trash.keep" => duration().map(|it| self.trash_keep = it),
            _ => return None,
        })
    }
}

/// Reads a folder that does not lead above the repository; an absolute one lies elsewhere.
fn folder(value: &str) -> Result<PathBuf, &'static str> {
    let path = Path::new(value);
    let is_plain = |part: Component<'_>| !matches!(part, Component::ParentDir | Component::CurDir);
    if !value.is_empty() && path.components().all(is_plain) {
        Ok(path.to_owned())
    } else {
        Err("a folder below the repository, or an absolute one")
    }
}
