//! The difference between the base and the end snapshot of a run.

use serde::{Deserialize, Serialize};

use crate::id::{ChangesetId, RunId};
use crate::path::RawPath;
use crate::snapshot::Oid;

/// What a run changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changeset {
    /// Names the changeset.
    pub changeset_id: ChangesetId,
    /// The run that made it.
    pub run_id: RunId,
    /// Whether anything of it is incomplete or uncertain.
    pub partial: bool,
    /// Whether it holds what a survivor changed after the run had ended.
    pub amendment: bool,
    /// The files, by path.
    pub files: Vec<FileChange>,
    /// Lines added, over all text files.
    pub additions: u64,
    /// Lines deleted, over all text files.
    pub deletions: u64,
    /// Commits made during the run, oldest first.
    pub commits: Vec<CommitMade>,
    /// Symbols touched.
    pub symbols: Vec<String>,
}

/// One commit made during a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitMade {
    /// Its name.
    pub oid: Oid,
    /// The first line of its message, known secrets masked.
    pub subject: String,
}

/// One path of a changeset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "FileWire", into = "FileWire")]
pub struct FileChange {
    /// The path, relative to the top of the working tree.
    pub path: RawPath,
    /// Where it was before a rename.
    pub old_path: Option<RawPath>,
    /// What happened to it.
    pub change: Change,
    /// Lines added; `None` for a binary file.
    pub additions: Option<u64>,
    /// Lines deleted; `None` for a binary file.
    pub deletions: Option<u64>,
    /// The mode before, as git writes it in octal.
    pub old_mode: Option<String>,
    /// The mode after.
    pub new_mode: Option<String>,
    /// Whether the state on either side cannot be known for certain.
    pub uncertain: bool,
}

impl FileChange {
    /// Returns whether git takes the content for binary.
    pub fn is_binary(&self) -> bool {
        self.additions.is_none()
    }
}

/// What happened to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It is new.
    Added,
    /// Its content or mode is different.
    Modified,
    /// It is gone.
    Deleted,
    /// It came from another path.
    Renamed,
    /// It became another type of thing: file, symbolic link, submodule.
    Typechange,
}

impl Change {
    /// Returns the one-letter form that git uses.
    pub fn letter(self) -> char {
        match self {
            Self::Added => 'A',
            Self::Modified => 'M',
            Self::Deleted => 'D',
            Self::Renamed => 'R',
            Self::Typechange => 'T',
        }
    }
}

/// The form of the JSON contract: an exact `path_base64` beside a `path` that is not UTF-8.
#[derive(Serialize, Deserialize)]
struct FileWire {
    path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path_base64: Option<String>,
    old_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    old_path_base64: Option<String>,
    change: Change,
    additions: Option<u64>,
    deletions: Option<u64>,
    binary: bool,
    old_mode: Option<String>,
    new_mode: Option<String>,
    #[serde(default)]
    uncertain: bool,
}

impl From<FileChange> for FileWire {
    fn from(file: FileChange) -> Self {
        Self {
            binary: file.is_binary(),
            path: shown(&file.path),
            path_base64: file.path.base64_if_needed(),
            old_path: file.old_path.as_ref().map(shown),
            old_path_base64: file.old_path.as_ref().and_then(RawPath::base64_if_needed),
            change: file.change,
            additions: file.additions,
            deletions: file.deletions,
            old_mode: file.old_mode,
            new_mode: file.new_mode,
            uncertain: file.uncertain,
        }
    }
}

impl From<FileWire> for FileChange {
    fn from(wire: FileWire) -> Self {
        Self {
            path: RawPath::from_text(&wire.path, wire.path_base64.as_deref()),
            old_path: wire
                .old_path
                .map(|path| RawPath::from_text(&path, wire.old_path_base64.as_deref())),
            change: wire.change,
            additions: wire.additions,
            deletions: wire.deletions,
            old_mode: wire.old_mode,
            new_mode: wire.new_mode,
            uncertain: wire.uncertain,
        }
    }
}

/// UTF-8 paths travel as they are, JSON escapes what needs it; others as visible escapes.
fn shown(path: &RawPath) -> String {
    match std::str::from_utf8(path.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => path.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_path_survives_the_wire(path: Vec<u8>, old: Option<Vec<u8>>) {
            let file = FileChange {
                path: RawPath::new(path),
                old_path: old.map(RawPath::new),
                change: Change::Renamed,
                additions: None,
                deletions: None,
                old_mode: Some("100644".to_owned()),
                new_mode: Some("100755".to_owned()),
                uncertain: true,
            };
            let text = serde_json::to_string(&file).unwrap();
            prop_assert_eq!(serde_json::from_str::<FileChange>(&text).unwrap(), file);
        }
    }
}
