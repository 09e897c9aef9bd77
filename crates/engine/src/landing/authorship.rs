//! Which commits of a branch are the agent's, and which session and iteration a commit comes from.

use std::collections::BTreeMap;

use amps_core::landing::Origin;
use amps_core::snapshot::Oid;

use super::branch::commits_of;
use super::history::{Commit, Line, read_commits};
use super::{Ground, LandingError};
use crate::git::{Git, GitError};

/// Tells the commits of the agent from those of a person.
#[derive(Debug)]
pub(super) struct Agents<'a> {
    ground: &'a Ground,
    /// Commits that the agent made itself and that the branch has not: a rebase may have copied them.
    copied: Vec<Commit>,
}

impl<'a> Agents<'a> {
    pub(super) fn read(git: &Git, ground: &'a Ground, line: &Line) -> Result<Self, GitError> {
        let is_there = |oid: &&Oid| line.commits.iter().any(|commit| commit.oid == **oid);
        let missing: Vec<&str> = ground
            .agent_commits
            .iter()
            .filter(|oid| !is_there(oid))
            .map(Oid::as_str)
            .collect();
        let copied = if missing.is_empty() {
            Vec::new()
        } else {
            let found = commits_of(git, ground, &missing)?;
            let found: Vec<Oid> = found.into_iter().flatten().collect();
            read_commits(git, ground, &found)?
        };
        Ok(Self { ground, copied })
    }

    /// Returns whether the agent made it, or whoever commits the agent's work. A copy of a commit has
    /// its author, date and message.
    pub(super) fn made(&self, commit: &Commit) -> bool {
        let is_copy =
            |known: &Commit| known.author == commit.author && known.message == commit.message;
        commit.parents.len() < 2
            && (commit.subject().starts_with(&self.ground.prefix)
                || self.ground.agent_commits.contains(&commit.oid)
                || self.copied.iter().any(is_copy))
    }
}

/// Reads in the messages of commits which sessions and iterations they come from. One that does not
/// say so, or is gone, is not among the answers.
pub fn origins(
    git: &Git,
    ground: &Ground,
    commits: &[Oid],
) -> Result<BTreeMap<Oid, Origin>, LandingError> {
    let names: Vec<&str> = commits.iter().map(Oid::as_str).collect();
    let found = commits_of(git, ground, &names)?;
    let found: Vec<Oid> = found.into_iter().flatten().collect();
    let read = read_commits(git, ground, &found)?.into_iter();
    Ok(read
        .filter_map(|commit| Some((commit.oid.clone(), origin(&commit.message)?)))
        .collect())
}

/// Returns what the trailers of a message say.
fn origin(message: &[u8]) -> Option<Origin> {
    let text = String::from_utf8_lossy(message);
    let value = |key: &str| {
        let mut lines = text.lines().rev();
        lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(':').map(str::trim))
    };
    Some(Origin {
        session_id: value("Amps-Session")?.parse().ok()?,
        iteration: value("Amps-Iteration").and_then(|number| number.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_trailer_of_a_message_says_where_a_commit_comes_from() {
        let id = "7b2c3d4e-0000-4000-8000-000000000001";
        let message = format!("amp: x\n\nAmps-Session: nobody\nAmps-Session: {id}\n");
        let found = origin(message.as_bytes()).unwrap();
        assert_eq!(
            (found.session_id.to_string().as_str(), found.iteration),
            (id, None)
        );
        let message = format!("amp: x\n\nAmps-Session: {id}\nAmps-Iteration: 3\n");
        assert_eq!(origin(message.as_bytes()).unwrap().iteration, Some(3));
        assert_eq!(origin(b"amp: x\n"), None);
    }
}
