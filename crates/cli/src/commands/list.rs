//! `amps list`: which sessions there are.

use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;

use amps_core::error::ErrorCode;
use amps_core::path::{RawPath, visible};
use amps_core::session::Status;
use amps_proto::fault::Fault;
use amps_proto::request::{Query, Request};
use amps_proto::response::Response;
use amps_proto::view::SessionRow;

use crate::args::ListArgs;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{FAINT, GOOD, Reader};
use crate::text::table::{Cell, Table};
use crate::text::{brief, command_line, counted, sentence, time};
use crate::{Outcome, connect, env, output};

/// Lists sessions.
pub(crate) fn run(context: &Context, args: &ListArgs) -> Outcome {
    let query = query(context, args)?;
    let is_narrowed = query
        != Query {
            limit: query.limit,
            ..Query::default()
        };
    let Response::Page { mut sessions } = connect::ask(context, Request::List(query))? else {
        return Err(connect::unexpected());
    };
    if args.held {
        sessions.retain(|row| row.held);
        sessions.truncate(match args.limit {
            0 => usize::MAX,
            limit => usize::try_from(limit).unwrap_or(usize::MAX),
        });
    }
    if args.output.json {
        output::print_json(&sessions)?;
    } else if sessions.is_empty() {
        output::say(if is_narrowed {
            "no session matches"
        } else {
            "no sessions yet; `amps run -- CMD` or `amps AGENT` records one"
        });
    } else {
        let reader = output::reader(context);
        output::print(&text(&sessions, &reader))?;
        let is_cut = usize::try_from(args.limit).is_ok_and(|limit| limit == sessions.len());
        if reader.width.is_some() && is_cut {
            let limit = counted(u64::from(args.limit), "session");
            output::say(&format!("at most {limit} shown; `-n 0` shows all"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn query(context: &Context, args: &ListArgs) -> Result<Query, Failure> {
    let mut status: Vec<Status> = (args.status.iter())
        .filter_map(|name| name.parse().ok())
        .collect();
    if args.disconnected {
        status.push(Status::Disconnected);
    }
    if args.held {
        status = vec![Status::Created, Status::Active];
    }
    let since = args.since.as_deref().map(|text| {
        time::parse_since(text, context.clock.now().at).ok_or_else(|| {
            Fault::new(
                ErrorCode::BadArgument,
                format!("`{}` is not a time", brief(text, 60)),
            )
            .hint("write how long ago (`2h`, `7d`), a day (`2026-01-31`) or a full time")
        })
    });
    let mut query = Query {
        status,
        project: None,
        within: None,
        agent: args.agent.clone(),
        tag: args.tag.clone(),
        since: since.transpose()?,
        by_impact: args.impact,
        // Which are held is looked at afterwards.
        limit: if args.held { 0 } else { args.limit },
    };
    match args.project.as_deref() {
        None => {}
        Some("") => {
            return Err(Fault::new(ErrorCode::BadArgument, "the project is empty")
                .hint("write its folder, the folder's name, or `.` for the current one")
                .into());
        }
        // A path is meant as the shell sees it: from the current folder.
        Some(path)
            if path == "." || path == ".." || path.starts_with("./") || path.starts_with("../") =>
        {
            let folder = env::current_folder().unwrap_or_default().join(path);
            let folder = std::fs::canonicalize(&folder).unwrap_or(folder);
            query.within = Some(RawPath::new(folder.as_os_str().as_bytes()));
        }
        Some(name) => query.project = Some(name.to_owned()),
    }
    Ok(query)
}

fn text(sessions: &[SessionRow], reader: &Reader) -> String {
    let titles = [
        "ID", "STATUS", "[AGENT]", "WHEN", "[TOOK]", "CHANGED", "SESSION",
    ];
    let mut table = Table::new(&titles);
    for row in sessions {
        table.row(cells(row, reader));
    }
    table.text("", reader.width)
}

fn cells(row: &SessionRow, reader: &Reader) -> Vec<Cell> {
    let took = row.duration_at(reader.times.now());
    vec![
        row.session_id.short().into(),
        Cell::styled(sentence::style(row.status), row.status.name()),
        brief(&row.agent, 16).into(),
        reader.times.ago(row.created_at).into(),
        took.map_or_else(nothing, |took| time::short(took).into()),
        changed(row),
        called(row),
    ]
}

fn nothing() -> Cell {
    Cell::styled(FAINT, "-")
}

fn changed(row: &SessionRow) -> Cell {
    let (Some(files), additions, deletions) = (
        row.files,
        row.additions.unwrap_or(0),
        row.deletions.unwrap_or(0),
    ) else {
        return nothing();
    };
    if files == 0 {
        return Cell::styled(FAINT, "nothing");
    }
    let mut cell: Cell = counted(files, "file").into();
    if additions > 0 {
        cell = cell.and(GOOD, format!(" +{additions}"));
    }
    if deletions > 0 {
        cell = cell.and(output::GONE, format!(" -{deletions}"));
    }
    cell
}

/// What a person calls the session, or else what was run.
fn called(row: &SessionRow) -> Cell {
    let command = command_line(&row.agent_command);
    let held = if row.held { "  (held)" } else { "" };
    match &row.name {
        Some(name) => Cell::from(visible(name)).and(FAINT, format!("  {command}{held}")),
        None => Cell::from(command).and(FAINT, held),
    }
}
