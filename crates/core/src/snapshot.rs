//! The state of a working tree at one instant, kept as a git commit under `refs/amps/`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::path::RawPath;
use crate::time::Moment;

/// The name of a git object: 40 or 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Oid(String);

impl Oid {
    /// Reads an object name; `None` when the text is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = matches!(text.len(), 40 | 64)
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        fits.then(|| Self(text.to_owned()))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the files of a run live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// Whose repository keeps the snapshots.
    pub kind: WorkspaceKind,
    /// The top of the working tree.
    pub root: RawPath,
    /// The git directory of this working tree.
    pub git_dir: RawPath,
    /// The git directory that all working trees of the repository share.
    pub common_dir: RawPath,
}

/// Whose repository keeps the snapshots of a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkspaceKind {
    /// The person's own repository.
    Repository,
    /// A repository of ours, for a folder that is in none.
    Folder,
}

/// The state of a working tree at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The commit that HEAD named; `None` before the first commit and for a folder.
    pub head: Option<Oid>,
    /// The branch that HEAD named; `None` when detached.
    pub branch: Option<String>,
    /// The commit that keeps the tree reachable; HEAD's own when nothing differed from it.
    pub commit: Option<Oid>,
    /// The tree of all captured files.
    pub tree: Oid,
    /// When it was taken.
    pub taken_at: Moment,
    /// What was seen but not kept, and why.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// Paths whose content at `taken_at` nobody can know, because they changed between that
    /// instant and the look at them.
    #[serde(default)]
    pub uncertain: Vec<RawPath>,
}

/// A path that a snapshot names without keeping its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The path, relative to the top of the working tree.
    pub path: RawPath,
    /// Why it was left out.
    pub reason: LeftOutReason,
    /// Size and modification time, which tell that the path changed during a run.
    pub stamp: String,
}

/// Why a snapshot leaves a path out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftOutReason {
    /// An untracked file that looks like a credential.
    Credential,
    /// Larger than `capture.max_file_size`.
    TooLarge,
    /// A repository inside the working tree that is no submodule.
    NestedRepository,
    /// It could not be read.
    Unreadable,
}

impl fmt::Display for LeftOutReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Credential => "looks like a credential",
            Self::TooLarge => "too large",
            Self::NestedRepository => "nested repository",
            Self::Unreadable => "unreadable",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_full_object_names_are_object_names() {
        assert!(Oid::parse(&"a".repeat(40)).is_some());
        assert!(Oid::parse(&"0".repeat(64)).is_some());
        for text in [
            "",
            "HEAD",
            "abc",
            &"A".repeat(40),
            &"g".repeat(40),
            "--upload-pack=x",
        ] {
            assert_eq!(Oid::parse(text), None, "{text}");
        }
    }
}
