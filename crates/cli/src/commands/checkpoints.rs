//! `amps checkpoints`: the snapshots that were taken while a session was open.

use std::process::ExitCode;

use amps_core::checkpoint::Cause;
use amps_core::error::ErrorCode;
use amps_core::path::visible;
use amps_core::snapshot::Snapshot;
use amps_engine::capture;
use amps_engine::git::Git;
use amps_proto::fault::Fault;
use amps_proto::request::Request;
use amps_proto::response::Response;
use amps_proto::view::{CheckpointView, RunView, SessionView};

use crate::args::CheckpointsArgs;
use crate::commands::show;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{FAINT, NOTABLE};
use crate::text::table::{Cell, Table};
use crate::{Outcome, connect, output};

/// The most numbers that a hint lists.
const MOST: usize = 20;

/// Lists the checkpoints of a session.
pub(crate) fn run(context: &Context, args: &CheckpointsArgs) -> Outcome {
    let view = show::fetch(context, &args.session, 0)?;
    let run = view.runs.last().ok_or_else(connect::unexpected)?;
    let mut checkpoints = fetch(context, &view)?;
    count_files(context, run, &mut checkpoints);
    if args.output.json {
        output::print_json(&checkpoints)?;
    } else if checkpoints.is_empty() {
        output::say("no checkpoint was taken");
    } else {
        output::print(&table(context, &checkpoints))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks for the checkpoints of a session.
pub(crate) fn fetch(context: &Context, view: &SessionView) -> Result<Vec<CheckpointView>, Failure> {
    let reference = view.session.session_id.to_string();
    match connect::ask(context, Request::Checkpoints { reference })? {
        Response::Checkpoints { checkpoints } => Ok(checkpoints),
        _ => Err(connect::unexpected()),
    }
}

/// Returns the snapshot of the checkpoint of this number.
pub(crate) fn find<'a>(
    view: &SessionView,
    checkpoints: &'a [CheckpointView],
    number: u32,
) -> Result<&'a Snapshot, Failure> {
    let found = checkpoints.iter().find(|one| one.number == number);
    if let Some(found) = found {
        return Ok(&found.snapshot);
    }
    let id = view.session.session_id.short();
    let newest = checkpoints.last().map(|one| one.number);
    let message = if number > 0 && newest.is_some_and(|newest| number < newest) {
        format!("checkpoint {number} of session {id} is not kept any more")
    } else {
        format!("session {id} has no checkpoint {number}")
    };
    let hint = if checkpoints.is_empty() {
        "it has none; `amps diff` shows all that a session changed".to_owned()
    } else {
        format!(
            "it has {}; `amps checkpoints {id}` lists them",
            listed(checkpoints)
        )
    };
    Err(Fault::new(ErrorCode::NotFound, message).hint(hint).into())
}

/// Lists numbers, the newest of too many.
fn listed(checkpoints: &[CheckpointView]) -> String {
    let from = checkpoints.len().saturating_sub(MOST);
    let newest = checkpoints.get(from..).unwrap_or_default().iter();
    let numbers: Vec<String> = newest.map(|one| one.number.to_string()).collect();
    let dots = if from > 0 { "… " } else { "" };
    format!("{dots}{}", numbers.join(", "))
}

/// Counts the files that differ from the checkpoint before, where the repository can be asked.
fn count_files(context: &Context, run: &RunView, checkpoints: &mut [CheckpointView]) {
    let (Some(workspace), Some(base)) = (&run.workspace, &run.base) else {
        return;
    };
    let Ok(git) = Git::find(context.git_environment()) else {
        return;
    };
    let trees = [&base.tree].into_iter();
    let trees: Vec<_> = trees
        .chain(checkpoints.iter().map(|one| &one.snapshot.tree))
        .collect();
    let pairs: Vec<_> = trees
        .iter()
        .copied()
        .zip(trees.iter().skip(1).copied())
        .collect();
    let Some(workspace) = capture::reach(&git, workspace, &[]) else {
        return;
    };
    if let Ok(counts) = capture::count_changes(&git, &workspace, &pairs) {
        for (one, count) in checkpoints.iter_mut().zip(counts) {
            one.files = Some(count);
        }
    }
}

fn table(context: &Context, checkpoints: &[CheckpointView]) -> String {
    let reader = output::reader(context);
    let mut table = Table::new(&["NUMBER", "TAKEN", "CAUSE", "FILES", "LABEL"]);
    for one in checkpoints {
        let style = match one.cause {
            Cause::Time => FAINT,
            Cause::Turn | Cause::Asked => NOTABLE,
        };
        let files = one
            .files
            .map_or_else(|| "-".to_owned(), |files| files.to_string());
        table.row(vec![
            one.number.to_string().into(),
            reader.times.ago(one.taken_at).into(),
            Cell::styled(style, one.cause.to_string()),
            files.into(),
            visible(one.label.as_deref().unwrap_or_default()).into(),
        ]);
    }
    table.text("", reader.width)
}
