//! `amps status`: how a worktree session stands, or all that are open in this repository.

use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;

use amps_core::path::RawPath;
use amps_core::worktree::WorktreeSession;
use amps_engine::iteration::{Standing, standing};
use amps_proto::view::WorktreeView;
use serde::Serialize;

use crate::args::StatusArgs;
use crate::commands::show;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{self, FAINT, HEADING, NOTABLE, Reader};
use crate::text::table::{Cell, Table};
use crate::text::{amount, counted, sentence, worktree as page};
use crate::{Outcome, env, worktree};

/// The most paths that are named.
const MOST: usize = 20;

/// A session and how its worktree stands.
#[derive(Serialize)]
struct Status<'a> {
    #[serde(flatten)]
    view: &'a WorktreeView,
    /// Null where the worktree cannot be looked at.
    tree: Option<Standing>,
}

/// Shows how a session stands.
pub(crate) fn run(context: &Context, args: &StatusArgs) -> Outcome {
    let reference = match &args.session {
        Some(reference) => Some(reference.clone()),
        None => here(context)?,
    };
    match reference {
        Some(reference) => one(context, &reference, args.output.json)?,
        None => all(context, args.output.json)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the session in whose worktree this process is.
fn here(context: &Context) -> Result<Option<String>, Failure> {
    let Some(folder) = env::current_folder() else {
        return Ok(None);
    };
    let folder = RawPath::new(folder.as_os_str().as_bytes());
    let around = worktree::live(context)?
        .into_iter()
        .filter(|session| folder.is_within(&session.worktree));
    let innermost = around.max_by_key(|session| session.worktree.as_bytes().len());
    Ok(innermost.map(|session| session.session_id.to_string()))
}

fn one(context: &Context, reference: &str, is_json: bool) -> Result<(), Failure> {
    let view = show::fetch_worktree(context, reference)?;
    let git = worktree::git(context)?;
    let folder = worktree::native(&view.session.worktree);
    let base = view.session.base.reference.as_deref();
    let base = base.unwrap_or(view.session.base.commit.as_str());
    let looked = standing(worktree::ground(&git, &folder, &view), base);
    let (tree, trouble) = match looked {
        Ok(tree) => (Some(tree), None),
        Err(error) => (None, Some(error)),
    };
    if is_json {
        return output::print_json(&Status { view: &view, tree });
    }
    let reader = output::reader(context);
    let mut text = page::page(&view, &reader);
    match (&tree, trouble) {
        (Some(tree), _) => text.push_str(&tree_text(tree)),
        (None, Some(error)) if view.session.removed_at.is_none() => {
            text.extend([format!("\n{NOTABLE}worktree{NOTABLE:#}  {error}\n")]);
        }
        (None, _) => {}
    }
    output::print(&text)
}

fn tree_text(tree: &Standing) -> String {
    let Standing {
        uncommitted,
        untracked,
        ahead,
        behind,
    } = tree;
    let mut text = format!(
        "\n{HEADING}to its base{HEADING:#}  {} ahead, {behind} behind\n",
        counted(*ahead, "commit")
    );
    if uncommitted.is_empty() && untracked.is_empty() {
        text.extend([format!("{FAINT}everything is committed{FAINT:#}\n")]);
    }
    for (title, paths) in [("not committed", uncommitted), ("not tracked", untracked)] {
        if paths.is_empty() {
            continue;
        }
        text.extend([format!("\n{HEADING}{title}{HEADING:#}\n")]);
        for path in paths.iter().take(MOST) {
            text.extend([format!("  {path}\n")]);
        }
        if paths.len() > MOST {
            text.extend([format!("  and {} more\n", paths.len() - MOST)]);
        }
    }
    text
}

fn all(context: &Context, is_json: bool) -> Result<(), Failure> {
    let mut sessions = worktree::live(context)?;
    let folder = env::current_folder();
    if let Some(repository) = folder.and_then(|folder| worktree::common_dir(context, &folder)) {
        sessions.retain(|session| session.common_dir == repository);
    }
    if is_json {
        return output::print_json(&sessions);
    }
    if sessions.is_empty() {
        output::say("no worktree session is open; `amps new --prompt TEXT` begins one");
        return Ok(());
    }
    let reader = output::reader(context);
    output::print(&table(&sessions, &reader))
}

fn table(sessions: &[WorktreeSession], reader: &Reader) -> String {
    let mut table = Table::new(&["ID", "STATUS", "TURNS", "CHANGED", "WHEN", "SESSION"]);
    for session in sessions {
        let changes = session.changes;
        let changed = if changes.files == 0 {
            Cell::styled(FAINT, "nothing")
        } else {
            amount(changes.files, changes.additions, changes.deletions).into()
        };
        table.row(vec![
            session.session_id.short().into(),
            Cell::styled(sentence::style(session.status), session.status.name()),
            session.last_iteration.to_string().into(),
            changed,
            reader.times.ago(session.created_at).into(),
            amps_core::path::visible(&session.name).into(),
        ]);
    }
    table.text("", reader.width)
}
