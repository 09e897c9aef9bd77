//! `amps export-cast`: a recording for other programs, known secrets masked.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use amps_core::error::ErrorCode;
use amps_core::event::{Event, Fact};
use amps_core::exit::Exit;
use amps_core::id::SessionId;
use amps_core::time::as_seconds;
use amps_engine::files;
use amps_engine::recording::{About, Exported, Journal, export};
use amps_proto::fault::Fault;
use amps_proto::request::Request;
use amps_proto::response::Response;
use amps_proto::view::{RunView, SessionView};
use serde::Serialize;

use crate::args::ExportCastArgs;
use crate::commands::play::{Missing, recorded};
use crate::context::Context;
use crate::error::Failure;
use crate::{Outcome, connect, output};

/// What `--json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    session_id: SessionId,
    out: &'a Path,
    /// Seconds.
    duration: f64,
    exit_code: Option<i32>,
    exit_signal: Option<i32>,
    /// Secrets that were masked.
    masked: u64,
    /// Bytes of output that could not be recorded.
    lost: u64,
    /// Whether the beginning was dropped at the limit.
    cut: bool,
    /// Whether the recording tells how it ended.
    whole: bool,
    skipped: Vec<Skipped<'a>>,
}

/// A part of the journal that was passed over.
#[derive(Serialize)]
struct Skipped<'a> {
    segment: &'a str,
    bytes: Option<u64>,
}

/// Exports a recording.
pub(crate) fn run(context: &Context, args: &ExportCastArgs) -> Outcome {
    let (view, journal) = recorded(context, &args.session)?;
    let about = About {
        marks: turns(context, &view, &journal)?,
        ..about(&view)
    };
    let out = args.out.as_deref();
    let exported = match out {
        Some(path) => to_file(&journal, &about, path)?,
        None => export(&journal, &about, &mut BufWriter::new(output::raw_answer()))?,
    };
    if !view.session.status.is_final() {
        output::say("amps: the session goes on: this is its recording so far");
    }
    let missing = Missing::of(&journal).and(exported.lost, &exported.skipped);
    missing.tell();
    if let Some(out) = out.filter(|_| args.json) {
        output::print_json(&answer(view.session.session_id, out, &journal, &exported))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn about(view: &SessionView) -> About {
    let shell = view.session.environment_snapshot.get("SHELL");
    let exit = |run: &RunView| {
        let signal = run.exit_signal.map(Exit::Signal);
        run.exit_code.map(Exit::Code).or(signal)
    };
    About {
        title: view.session.name.clone(),
        shell: shell.cloned(),
        exit: view.runs.last().and_then(exit),
        marks: Vec::new(),
    }
}

/// Returns the ends of the agent's turns, since the recording began.
fn turns(
    context: &Context,
    view: &SessionView,
    journal: &Journal,
) -> Result<Vec<(Duration, String)>, Failure> {
    let reference = view.session.session_id.to_string();
    let Response::Events { events } = connect::ask(context, Request::Events { reference })? else {
        return Err(connect::unexpected());
    };
    let header = journal.header();
    let turn = |event: &Event| match event.fact {
        Fact::TurnEnded { number } => Some((header.elapsed_at(event.at), format!("turn {number}"))),
        _ => None,
    };
    let mut turns: Vec<_> = events.iter().filter_map(turn).collect();
    turns.sort_by_key(|(at, _)| *at);
    Ok(turns)
}

/// Writes a file as a whole or not at all.
fn to_file(journal: &Journal, about: &About, path: &Path) -> Result<Exported, Failure> {
    let file = files::create_new(path).map_err(|error| match error.source.kind() {
        ErrorKind::AlreadyExists => {
            let message = format!("{} is there already", path.display());
            let fault = Fault::new(ErrorCode::WouldOverwrite, message);
            Failure::from(fault.hint("choose another name, or remove it first"))
        }
        _ => Failure::of(ErrorCode::FileFailed, &error),
    })?;
    write(journal, about, file).map_err(|source| {
        let error = files::FileError::new("write", path, source);
        files::remove(path).ok();
        let code = if error.is_full() {
            ErrorCode::DiskFull
        } else {
            ErrorCode::FileFailed
        };
        Failure::of(code, &error)
    })
}

fn write(journal: &Journal, about: &About, file: File) -> io::Result<Exported> {
    let mut out = BufWriter::new(file);
    let exported = export(journal, about, &mut out)?;
    out.flush()?;
    Ok(exported)
}

fn answer<'a>(
    session_id: SessionId,
    out: &'a Path,
    journal: &Journal,
    exported: &'a Exported,
) -> Answer<'a> {
    let skipped = exported.skipped.iter();
    Answer {
        session_id,
        out,
        duration: as_seconds(exported.duration),
        exit_code: exported.exit.and_then(Exit::code),
        exit_signal: exported.exit.and_then(Exit::signal),
        masked: exported.masked,
        lost: exported.lost,
        cut: journal.is_cut(),
        whole: exported.is_whole,
        skipped: skipped
            .map(|(segment, bytes)| Skipped {
                segment,
                bytes: *bytes,
            })
            .collect(),
    }
}
