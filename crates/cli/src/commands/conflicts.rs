//! `amps conflicts`: which live sessions of a repository do not go together, and in which order to
//! merge them.

use std::process::ExitCode;

use amps_core::id::SessionId;
use amps_core::landing::{ConflictMatrix, Refusal};
use amps_core::path::{RawPath, visible};
use amps_core::session::Status;
use amps_core::worktree::WorktreeSession;
use amps_engine::git::Git;
use amps_engine::landing::conflicts;
use amps_engine::worktree::Repository;
use serde::Serialize;

use crate::args::ConflictsArgs;
use crate::commands::show;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{self, FAINT, HEADING, NOTABLE};
use crate::text::sentence;
use crate::text::table::{Cell, Table};
use crate::worktree::{self, landing};
use crate::{Outcome, env};

/// The most paths of a pair that are named.
const MOST: usize = 5;

/// The matrix, with sessions in the place of branches.
#[derive(Debug, Serialize)]
struct Matrix<'a> {
    sessions: Vec<Member<'a>>,
    pairs: Vec<Pair>,
    /// The sessions in the order in which to merge them.
    order: Vec<SessionId>,
}

/// A session of the matrix.
#[derive(Debug, Serialize)]
struct Member<'a> {
    session_id: SessionId,
    name: &'a str,
    branch: &'a str,
    status: Status,
}

/// Two sessions that do not go together.
#[derive(Debug, Serialize)]
struct Pair {
    sessions: [SessionId; 2],
    paths: Vec<RawPath>,
}

/// Shows the matrix of a repository.
pub(crate) fn run(context: &Context, args: &ConflictsArgs) -> Outcome {
    let git = worktree::git(context)?;
    let folder = env::current_folder().unwrap_or_default().join(&args.repo);
    let common_dir = worktree::raw(&Repository::find(&git, &folder)?.common_dir);
    let mut sessions = worktree::live(context)?;
    sessions.retain(|one| one.common_dir == common_dir && !one.status.is_final());
    let found = look(context, &git, &mut sessions)?;
    let matrix = matrix(&sessions, found);
    if args.output.json {
        output::print_json(&matrix)?;
    } else if sessions.is_empty() {
        output::say("no worktree session is open in this repository");
    } else {
        output::print(&text(context, &matrix, &sessions))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Compares all branches. Sessions whose branch is gone are passed over.
fn look(
    context: &Context,
    git: &Git,
    sessions: &mut Vec<WorktreeSession>,
) -> Result<ConflictMatrix, Failure> {
    loop {
        let Some(first) = sessions.first() else {
            return Ok(ConflictMatrix {
                branches: Vec::new(),
                pairs: Vec::new(),
                order: Vec::new(),
            });
        };
        let view = show::fetch_worktree(context, &first.session_id.to_string())?;
        let branches: Vec<String> = sessions.iter().map(|one| one.branch.clone()).collect();
        match conflicts(git, &landing::ground(&view), &branches) {
            Ok(matrix) => return Ok(matrix),
            Err(error) => match error.refusal() {
                Some(Refusal::Missing { reference }) => {
                    let before = sessions.len();
                    sessions.retain(|one| one.branch != *reference);
                    if sessions.len() == before {
                        return Err(error.into());
                    }
                }
                _ => return Err(error.into()),
            },
        }
    }
}

fn matrix(sessions: &[WorktreeSession], found: ConflictMatrix) -> Matrix<'_> {
    let id = |place: usize| sessions[place].session_id;
    Matrix {
        sessions: sessions
            .iter()
            .map(|session| Member {
                session_id: session.session_id,
                name: &session.name,
                branch: &session.branch,
                status: session.status,
            })
            .collect(),
        order: found.order.into_iter().map(id).collect(),
        pairs: found
            .pairs
            .into_iter()
            .map(|pair| Pair {
                sessions: [id(pair.one), id(pair.other)],
                paths: pair.paths,
            })
            .collect(),
    }
}

fn text(context: &Context, matrix: &Matrix<'_>, sessions: &[WorktreeSession]) -> String {
    let mut text = String::new();
    for pair in &matrix.pairs {
        let [one, other] = pair.sessions.map(|id| id.short());
        text.extend([format!(
            "{NOTABLE}{one} and {other}{NOTABLE:#} do not go together\n"
        )]);
        for path in pair.paths.iter().take(MOST) {
            text.extend([format!("  {path}\n")]);
        }
        if pair.paths.len() > MOST {
            text.extend([format!("  and {} more\n", pair.paths.len() - MOST)]);
        }
    }
    if matrix.pairs.is_empty() {
        text.push_str("all open sessions go together\n");
    }
    text.extend([format!("\n{HEADING}merge them in this order{HEADING:#}\n")]);
    let mut table = Table::new(&["", "", "", ""]);
    for (place, id) in (1_u32..).zip(&matrix.order) {
        let Some(session) = sessions.iter().find(|one| one.session_id == *id) else {
            continue;
        };
        table.row(vec![
            Cell::styled(FAINT, place.to_string()),
            id.short().into(),
            Cell::styled(sentence::style(session.status), session.status.name()),
            visible(&session.name).into(),
        ]);
    }
    text.push_str(&table.text("  ", output::reader(context).width));
    text
}
