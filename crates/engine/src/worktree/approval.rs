//! Commands that come with a repository run only after the person approved exactly these bytes
//! for that repository.
//!
//! An approval holds the approved text itself, one line for each, so that a person can read what
//! was approved and take it back by deleting the line.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use amps_core::path::RawPath;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::capture::look::raw;
use crate::files::{self, FileError};

/// What a person has approved, kept in the home.
#[derive(Clone, Debug)]
pub struct Approvals {
    file: PathBuf,
}

/// Whether commands may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// The person approved exactly this.
    Given,
    /// Another text of this repository was approved, so the person is asked about a change.
    Changed,
    /// Nothing of this repository was approved.
    None,
}

#[derive(Serialize, Deserialize)]
struct Line {
    repository: RawPath,
    content: String,
    approved_at: Timestamp,
}

impl Approvals {
    /// Takes the approvals in this file, which need not exist.
    pub fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// Returns whether this text was approved for the repository with this common directory.
    pub fn approval(&self, common_dir: &Path, content: &str) -> Result<Approval, FileError> {
        let text = match fs::read_to_string(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Approval::None),
            Err(source) => return Err(FileError::new("read", &self.file, source)),
        };
        let repository = raw(common_dir);
        // A line that cannot be read approves nothing.
        let approved = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Line>(line).ok())
            .filter(|line| line.repository == repository);
        let mut found = Approval::None;
        for line in approved {
            if line.content == content {
                return Ok(Approval::Given);
            }
            found = Approval::Changed;
        }
        Ok(found)
    }

    /// Notes that the person approves this text for the repository.
    pub fn approve(
        &self,
        common_dir: &Path,
        content: &str,
        now: Timestamp,
    ) -> Result<(), FileError> {
        if self.approval(common_dir, content)? == Approval::Given {
            return Ok(());
        }
        let line = Line {
            repository: raw(common_dir),
            content: content.to_owned(),
            approved_at: now,
        };
        let line = serde_json::to_string(&line)
            .map_err(|error| FileError::new("write", &self.file, error.into()))?;
        files::append_line(&self.file, &line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exactly_the_approved_text_of_that_repository_is_approved() {
        let home = tempfile::tempdir().unwrap();
        let approvals = Approvals::new(home.path().join("approvals.jsonl"));
        let (here, there) = (Path::new("/r/.git"), Path::new("/s/.git"));
        let given = |repository, content| approvals.approval(repository, content).unwrap();
        assert_eq!(given(here, "setup: [make]\n"), Approval::None);
        for _ in 0..2 {
            approvals
                .approve(here, "setup: [make]\n", Timestamp::UNIX_EPOCH)
                .unwrap();
        }
        assert_eq!(given(here, "setup: [make]\n"), Approval::Given);
        assert_eq!(given(here, "setup: [make ]\n"), Approval::Changed);
        assert_eq!(given(there, "setup: [make]\n"), Approval::None);
        let text = fs::read_to_string(home.path().join("approvals.jsonl")).unwrap();
        assert_eq!(text.lines().count(), 1, "approved once");
    }
}
