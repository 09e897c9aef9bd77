//! What a run still owes of its snapshots, when to try again, and which content is taken for a
//! path that changed while it was looked at.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How far the capture of a run has come. Work that is owed is part of the stored state, so
/// recovery is a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// The snapshot before the agent.
    pub base: CaptureState,
    /// The snapshot after it and the changeset between the two.
    pub end: CaptureState,
    /// The patch that the store keeps, made once the changeset is known.
    #[serde(default = "CaptureState::not_yet")]
    pub patch: CaptureState,
    /// Failed attempts in a row.
    pub attempts: u32,
    /// The last failure, or why it was given up.
    pub reason: Option<String>,
}

impl Default for Capture {
    fn default() -> Self {
        Self {
            base: CaptureState::Owed,
            end: CaptureState::NotYet,
            patch: CaptureState::NotYet,
            attempts: 0,
            reason: None,
        }
    }
}

/// How far one part of a capture has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CaptureState {
    /// Its time has not come.
    NotYet,
    /// To be done, or to be tried again.
    Owed,
    /// Done.
    Done,
    /// Given up, with a reason.
    GivenUp,
}

impl CaptureState {
    fn not_yet() -> Self {
        Self::NotYet
    }
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may work later: a full disk, a repository that is not mounted, a busy machine.
    Transient,
    /// It will never work: the folder is excluded, git refuses the repository.
    Permanent,
}

/// Failed attempts after which a capture is given up: about a day at the longest delay.
pub const MAX_ATTEMPTS: u32 = 150;

const LONGEST_DELAY: Duration = Duration::from_secs(600);

/// Returns how long to wait before the next attempt, or `None` to give up.
pub fn retry_delay(attempts: u32, failure: Failure) -> Option<Duration> {
    if failure == Failure::Permanent || attempts >= MAX_ATTEMPTS {
        return None;
    }
    let seconds = 1_u64
        .checked_shl(attempts.saturating_sub(1).min(20))
        .unwrap_or(u64::MAX);
    Some(Duration::from_secs(seconds).min(LONGEST_DELAY))
}

/// Limits of a capture. Every one is a key of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureLimits {
    /// How long the launch may wait for the base snapshot.
    pub hold: Duration,
    /// How long the prompt may wait for the end snapshot.
    pub exit_hold: Duration,
    /// The largest file that is kept, in bytes.
    pub max_file_size: u64,
    /// The largest number of files captured in a folder that is no repository.
    pub max_folder_files: usize,
    /// The largest patch kept in the store, in bytes before compression.
    pub max_patch_size: usize,
}

impl Default for CaptureLimits {
    fn default() -> Self {
        Self {
            hold: Duration::from_millis(50),
            exit_hold: Duration::from_millis(8),
            max_file_size: 32 * 1024 * 1024,
            max_folder_files: 20_000,
            max_patch_size: 4 * 1024 * 1024,
        }
    }
}

/// How a time that the kernel noted lies to an instant that has passed: the launch, or the end of
/// the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before it.
    Before,
    /// So shortly before it that the kernel's clock, which ticks, may have dated something later.
    Perhaps,
    /// At it or after it.
    After,
}

/// What the file system tells of a path, seen from an instant that has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// When the path, or for a missing path its folder, changed last.
    pub changed: When,
    /// When the path came into being; `None` where the file system does not keep birth times or
    /// the path is missing.
    pub born: Option<When>,
    /// Whether the index has the path.
    pub tracked: bool,
}

/// Which of the two snapshots is being taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Before the agent: what it does must not be taken for what was there.
    Base,
    /// After the agent: what it did must not be dropped.
    End,
}

/// Which content stands for a path at the instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// What is there now: nothing changed since.
    AsSeen,
    /// What the index has; nobody can know whether it was edited before the instant.
    FromIndex,
    /// None: the path did not exist.
    Absent,
    /// What is there now; nobody can know what was there at the instant.
    Uncertain,
}

/// Decides which content stands for a path at an instant that has passed.
///
/// An edit can only be dated by the kernel's change time, which no program can set back. Before
/// the agent, what may have been there already is taken to have been there, and marked: it is
/// never attributed to the run. After it, what may have been the agent's is never dropped.
pub fn content_at(side: Side, look: Look) -> Content {
    match (look.changed, side) {
        (When::Before, _) => Content::AsSeen,
        (When::Perhaps, _) => Content::Uncertain,
        (When::After, _) if !look.tracked && look.born == Some(When::After) => Content::Absent,
        (When::After, Side::Base) if look.tracked => Content::FromIndex,
        (When::After, _) => Content::Uncertain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_ten_minutes_and_end() {
        let delay = |attempts| retry_delay(attempts, Failure::Transient);
        assert_eq!(delay(1), Some(Duration::from_secs(1)));
        assert_eq!(delay(4), Some(Duration::from_secs(8)));
        assert_eq!(delay(11), Some(LONGEST_DELAY));
        assert_eq!(delay(149), Some(LONGEST_DELAY));
        assert_eq!(delay(150), None);
        assert_eq!(retry_delay(1, Failure::Permanent), None);
    }

    #[test]
    fn content_follows_the_table() {
        use When::{After, Before, Perhaps};
        let look = |changed, born, tracked| Look {
            changed,
            born,
            tracked,
        };
        for (seen, base, end) in [
            (look(Before, None, true), Content::AsSeen, Content::AsSeen),
            (
                look(Before, Some(Before), false),
                Content::AsSeen,
                Content::AsSeen,
            ),
            (
                look(Perhaps, Some(Perhaps), false),
                Content::Uncertain,
                Content::Uncertain,
            ),
            (
                look(Perhaps, None, true),
                Content::Uncertain,
                Content::Uncertain,
            ),
            (
                look(After, Some(After), true),
                Content::FromIndex,
                Content::Uncertain,
            ),
            (
                look(After, None, true),
                Content::FromIndex,
                Content::Uncertain,
            ),
            (
                look(After, Some(After), false),
                Content::Absent,
                Content::Absent,
            ),
            (
                look(After, Some(Perhaps), false),
                Content::Uncertain,
                Content::Uncertain,
            ),
            (
                look(After, Some(Before), false),
                Content::Uncertain,
                Content::Uncertain,
            ),
            (
                look(After, None, false),
                Content::Uncertain,
                Content::Uncertain,
            ),
        ] {
            assert_eq!(content_at(Side::Base, seen), base, "{seen:?}");
            assert_eq!(content_at(Side::End, seen), end, "{seen:?}");
        }
    }
}
