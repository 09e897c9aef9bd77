//! Paths that two sides changed, with the turns that wrote either side.

use std::collections::BTreeMap;

use amps_core::changeset::CommitMade;
use amps_core::id::SessionId;
use amps_core::landing::{ConflictedPath, Origin};
use amps_core::path::{RawPath, visible};
use amps_core::snapshot::Oid;
use amps_engine::git::Git;
use amps_engine::landing::{Ground, origins};
use amps_proto::view::WorktreeView;
use serde::Serialize;

use crate::error::Failure;
use crate::output::{FAINT, NOTABLE};
use crate::text::brief;
use crate::text::sentence::head;

/// The most commits of a side that are shown.
const MOST: usize = 5;

/// A path that two sides changed.
#[derive(Debug, Serialize)]
pub(crate) struct Conflict {
    path: RawPath,
    /// The kinds of conflict in git's words; empty where git was not asked.
    kinds: Vec<String>,
    sides: [Side; 2],
}

/// What one side did to a path.
#[derive(Debug, Serialize)]
struct Side {
    /// Which side it is.
    of: String,
    /// Newest first.
    commits: Vec<Written>,
}

/// A commit, and where it comes from.
#[derive(Debug, Serialize)]
struct Written {
    #[serde(flatten)]
    commit: CommitMade,
    session_id: Option<SessionId>,
    iteration: Option<u32>,
}

/// Turns commits into turns, by their messages and by the records of sessions.
pub(crate) fn told(
    git: &Git,
    (ground, views): (&Ground, &[&WorktreeView]),
    (paths, names): (&[ConflictedPath], [&str; 2]),
) -> Result<Vec<Conflict>, Failure> {
    let of_both = paths
        .iter()
        .flat_map(|path| path.ours.iter().chain(&path.theirs));
    let mut commits: Vec<Oid> = of_both.map(|commit| commit.oid.clone()).collect();
    commits.sort();
    commits.dedup();
    let mut known = if commits.is_empty() {
        BTreeMap::new()
    } else {
        origins(git, ground, &commits)?
    };
    known.extend(recorded(views));
    let side = |of: &str, commits: &[CommitMade]| Side {
        of: of.to_owned(),
        commits: commits
            .iter()
            .map(|commit| written(commit, &known))
            .collect(),
    };
    let told = paths.iter().map(|path| Conflict {
        path: path.path.clone(),
        kinds: path.kinds.clone(),
        sides: [side(names[0], &path.ours), side(names[1], &path.theirs)],
    });
    Ok(told.collect())
}

/// Returns the commits that the records name.
fn recorded(views: &[&WorktreeView]) -> BTreeMap<Oid, Origin> {
    let mut known = BTreeMap::new();
    for view in views {
        for iteration in view.iterations.iter().map(|view| &view.iteration) {
            let origin = Origin {
                session_id: view.session.session_id,
                iteration: Some(iteration.number),
            };
            let made = iteration.commit.iter().chain(&iteration.agent_commits);
            known.extend(made.map(|oid| (oid.clone(), origin)));
        }
    }
    known
}

fn written(commit: &CommitMade, known: &BTreeMap<Oid, Origin>) -> Written {
    let origin = known.get(&commit.oid);
    Written {
        commit: commit.clone(),
        session_id: origin.map(|origin| origin.session_id),
        iteration: origin.and_then(|origin| origin.iteration),
    }
}

/// Returns conflicts as text.
pub(crate) fn text(conflicts: &[Conflict]) -> String {
    let mut text = String::new();
    for Conflict { path, kinds, sides } in conflicts {
        text.extend([format!("{NOTABLE}conflict{NOTABLE:#}  {path}")]);
        if !kinds.is_empty() {
            text.extend([format!("  {FAINT}{}{FAINT:#}", visible(&kinds.join(", ")))]);
        }
        text.push('\n');
        let width = sides.iter().map(|side| side.of.len()).max().unwrap_or(0);
        for side in sides {
            side.show(width, &mut text);
        }
    }
    text
}

impl Side {
    fn show(&self, width: usize, text: &mut String) {
        let of = visible(&self.of);
        for written in self.commits.iter().take(MOST) {
            let oid = head(written.commit.oid.as_str());
            let subject = brief(&written.commit.subject, 80);
            text.extend([format!(
                "  {of:width$}  {NOTABLE}{oid}{NOTABLE:#} {subject}"
            )]);
            text.push_str(&written.origin());
            text.push('\n');
        }
        let more = self.commits.len().saturating_sub(MOST);
        if more > 0 {
            text.extend([format!("  {of:width$}  and {more} more commits\n")]);
        }
    }
}

impl Written {
    fn origin(&self) -> String {
        let Some(session) = self.session_id else {
            return String::new();
        };
        let session = session.short();
        let turn = match self.iteration {
            Some(number) => format!("iteration {number} of session {session}"),
            None => format!("session {session}"),
        };
        format!("  {FAINT}{turn}{FAINT:#}")
    }
}
