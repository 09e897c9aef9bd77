//! One session as a page of text.

use std::time::Duration;

use amps_core::capture::CaptureState;
use amps_core::changeset::{Change, Changeset, FileChange};
use amps_core::exit::Exit;
use amps_core::path::{RawPath, visible};
use amps_core::session::{Binding, Session, StatusReason};
use amps_core::snapshot::LeftOut;
use amps_proto::view::{LinkKind, RunView, SessionView};
use anstyle::Style;

use super::table::{Cell, Table};
use super::{amount, brief, command_line, counted, sentence};
use crate::output::{self, BAD, FAINT, GONE, GOOD, HEADING, NOTABLE, Reader};

/// The most lines that one list of a page takes.
const MOST: usize = 50;

/// Returns the heading: which session, its status and why it has it.
pub(crate) fn heading(view: &SessionView) -> String {
    let session = &view.session;
    let mut text = format!("{HEADING}session {}{HEADING:#}", session.session_id);
    if let Some(name) = &session.name {
        text.extend([format!("  {HEADING}{}{HEADING:#}", visible(name))]);
    }
    let style = sentence::style(session.status);
    let why = match session.status_reason {
        Some(reason) => sentence::reason(reason, exit(view)),
        None => sentence::standing(session.status).to_owned(),
    };
    text.extend([format!("\n{style}{}{style:#}: {why}\n", session.status)]);
    text
}

/// Returns the exit of the agent, where it is known.
pub(crate) fn exit(view: &SessionView) -> Option<Exit> {
    let run = view.runs.last()?;
    let code = run.exit_code.map(Exit::Code);
    code.or(run.exit_signal.map(Exit::Signal))
}

/// Returns everything about a session.
pub(crate) fn page(view: &SessionView, reader: &Reader) -> String {
    let mut text = heading(view);
    text.push('\n');
    text.push_str(&particulars(view, reader));
    for changeset in &view.changesets {
        text.push_str(&changes(
            changeset,
            &view.session.session_id.short(),
            reader,
        ));
    }
    if let Some(run) = view.runs.last() {
        let captured = run.capture.end == CaptureState::Done;
        if view.changesets.is_empty() && captured {
            text.push_str("\nnothing was changed\n");
        }
        text.push_str(&doubts(run));
        text.push_str(&owed(&view.session, run));
    }
    if !view.notes.is_empty() {
        text.extend([format!("\n{HEADING}notes{HEADING:#}\n")]);
    }
    for note in &view.notes {
        let at = reader.times.full(note.at);
        text.extend([format!("  {FAINT}{at}{FAINT:#}\n")]);
        for line in note.text.lines() {
            text.extend([format!("    {}\n", visible(line))]);
        }
    }
    text
}

fn particulars(view: &SessionView, reader: &Reader) -> String {
    let session = &view.session;
    let mut table = Table::new(&["", ""]);
    let mut row = |key: &'static str, value: String| {
        table.row(vec![Cell::styled(FAINT, key), value.into()]);
    };
    row("command", command_line(&session.agent_command));
    let root = session.project_root.as_ref();
    if let Some(root) = root {
        row("project", root.to_string());
    }
    if root != Some(&session.cwd) {
        row("folder", session.cwd.to_string());
    }
    let started = session.started_at.unwrap_or(session.created_at);
    row("started", reader.times.full(started));
    if let (Binding::Process, Some(run)) = (session.binding, view.runs.last()) {
        let since = run.lease.owner().started_at(run.lease.last_heartbeat);
        let words = format!(
            "to pid {}, which had been running since {}",
            run.lease.owner_pid,
            reader.times.full(since)
        );
        row("attached", words);
    }
    if session.binding == Binding::Host && !session.status.is_final() {
        let id = session.session_id.short();
        let pid = view.runs.last().map_or(0, |run| run.lease.owner_pid);
        row("held", format!("by pid {pid}; `amps attach {id}` shows it"));
    }
    if let Some(ended) = session.ended_at {
        row("ended", reader.times.full(ended));
    }
    if let Some(took) = took(view, reader) {
        let words = if session.status.is_final() {
            "took"
        } else {
            "so far"
        };
        row(words, output::duration(took));
    }
    if let Some(exit) = exit(view) {
        let exit = exit.to_string();
        row("exit", exit.trim_start_matches("exit ").to_owned());
    }
    if view.checkpoints > 0 {
        row("checkpoints", view.checkpoints.to_string());
    }
    if !session.tags.is_empty() {
        row("tags", visible(&session.tags.join(", ")));
    }
    for run in &view.runs {
        if !run.context_ids.is_empty() {
            row("context", visible(&run.context_ids.join(", ")));
        }
        if let Some(recording) = &run.recording {
            let amount = recording.known();
            let amount = amount.map_or_else(|| "so far".to_owned(), sentence::recorded);
            let id = session.session_id.short();
            row("recording", format!("{amount}; `amps play {id}`"));
        }
        for error in &run.errors {
            row("went wrong", visible(error));
        }
    }
    for link in &view.links {
        match link.kind {
            LinkKind::Overlaps => row(
                "overlaps",
                format!(
                    "session {}, in the same working tree at the same time",
                    link.session_id.short()
                ),
            ),
            LinkKind::RunOf => row(
                "run of",
                format!("worktree session {}", link.session_id.short()),
            ),
        }
    }
    // A value is never cut: it is what was asked for.
    table.text("", None)
}

fn took(view: &SessionView, reader: &Reader) -> Option<Duration> {
    let run = view.runs.last()?;
    if let Some(seconds) = run.duration {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let start = view
        .session
        .started_at
        .filter(|_| !view.session.status.is_final())?;
    Duration::try_from(reader.times.now().duration_since(start)).ok()
}

fn changes(changeset: &Changeset, id: &str, reader: &Reader) -> String {
    let title = if changeset.amendment {
        "changed after the end, by what lived on"
    } else {
        "changed"
    };
    let files = u64::try_from(changeset.files.len()).unwrap_or(u64::MAX);
    let mut text = format!(
        "\n{HEADING}{title}{HEADING:#}  {}",
        amount(files, changeset.additions, changeset.deletions)
    );
    if changeset.partial {
        text.extend([format!("  {NOTABLE}(not complete){NOTABLE:#}")]);
    }
    text.push('\n');
    let mut table = Table::new(&["", "", ""]);
    for file in changeset.files.iter().take(MOST) {
        table.row(file_cells(file));
    }
    text.push_str(&table.text("  ", reader.width));
    text.push_str(&rest(
        changeset.files.len(),
        "file",
        &format!("`amps diff {id} --stat`"),
    ));
    if !changeset.commits.is_empty() {
        text.extend([format!("\n{HEADING}commits{HEADING:#}\n")]);
    }
    let mut table = Table::new(&["", ""]);
    for commit in changeset.commits.iter().take(MOST) {
        table.row(vec![
            Cell::styled(NOTABLE, sentence::head(commit.oid.as_str())),
            visible(&commit.subject).into(),
        ]);
    }
    text.push_str(&table.text("  ", reader.width));
    text.push_str(&rest(changeset.commits.len(), "commit", "`--json`"));
    text
}

/// Returns the cells of one changed file: letter, counts, path.
pub(crate) fn file_cells(file: &FileChange) -> Vec<Cell> {
    let style = match file.change {
        Change::Added => GOOD,
        Change::Deleted => BAD,
        Change::Modified | Change::Renamed | Change::Typechange => NOTABLE,
    };
    let counts = match (file.additions, file.deletions) {
        (Some(0), Some(0)) => Cell::default(),
        (Some(added), Some(deleted)) => {
            Cell::styled(GOOD, format!("+{added}")).and(GONE, format!(" -{deleted}"))
        }
        _ => Cell::styled(FAINT, "binary"),
    };
    let mut path = Cell::from(match &file.old_path {
        Some(old) => format!("{old} => {}", file.path),
        None => file.path.to_string(),
    });
    if let (Some(old), Some(new)) = (&file.old_mode, &file.new_mode)
        && old != new
        && file.change != Change::Added
        && file.change != Change::Deleted
    {
        path = path.and(FAINT, format!("  (mode {old} => {new})"));
    }
    if file.uncertain {
        path = path.and(NOTABLE, "  (uncertain)");
    }
    let letter = file.change.letter();
    vec![Cell::styled(style, letter.to_string()), counts, path]
}

fn rest(count: usize, noun: &str, how: &str) -> String {
    match u64::try_from(count.saturating_sub(MOST)).unwrap_or(u64::MAX) {
        0 => String::new(),
        more => format!(
            "  … and {}; {how} shows all\n",
            counted(more, &format!("more {noun}"))
        ),
    }
}

/// What a capture saw and could not keep, or could not be sure of.
fn doubts(run: &RunView) -> String {
    let mut left_out: Vec<&LeftOut> = Vec::new();
    let mut uncertain: Vec<&RawPath> = Vec::new();
    for snapshot in [&run.base, &run.end].into_iter().flatten() {
        left_out.extend(&snapshot.left_out);
        uncertain.extend(&snapshot.uncertain);
    }
    left_out.sort_by(|one, other| one.path.cmp(&other.path));
    left_out.dedup_by(|one, other| one.path == other.path);
    uncertain.sort();
    uncertain.dedup();
    let mut text = String::new();
    if !left_out.is_empty() {
        text.extend([format!("\n{HEADING}left out of the record{HEADING:#}\n")]);
    }
    for left in left_out.iter().take(MOST) {
        text.extend([format!(
            "  {}  {FAINT}{}{FAINT:#}\n",
            left.path, left.reason
        )]);
    }
    text.push_str(&rest(left_out.len(), "path", "`--json`"));
    if !uncertain.is_empty() {
        text.extend([format!(
            "\n{HEADING}uncertain{HEADING:#}  changed while the record was made; whose change it is \
             cannot be known\n"
        )]);
    }
    for path in uncertain.iter().take(MOST) {
        text.extend([format!("  {path}\n")]);
    }
    text.push_str(&rest(uncertain.len(), "path", "`--json`"));
    text
}

/// Returns what is still owed, or was given up, and why.
pub(crate) fn owed(session: &Session, run: &RunView) -> String {
    let capture = &run.capture;
    let mut text = String::new();
    for (which, state) in [("before", capture.base), ("after", capture.end)] {
        let style = match state {
            CaptureState::Done => continue,
            CaptureState::NotYet => continue,
            CaptureState::Owed if session.status.is_final() || capture.attempts > 0 => NOTABLE,
            CaptureState::Owed => Style::new(),
            CaptureState::GivenUp => BAD,
        };
        let state = sentence::capture(state);
        text.extend([format!(
            "\nthe state {which} the agent is {style}{state}{style:#}"
        )]);
        if capture.attempts > 0 {
            let attempts = counted(u64::from(capture.attempts), "attempt");
            text.extend([format!(" after {attempts}")]);
        }
        if let Some(reason) = &capture.reason {
            text.extend([format!(": {}", brief(reason, 600))]);
        }
        text.push('\n');
    }
    if text.is_empty() && session.status_reason == Some(StatusReason::NotStarted) {
        text.push_str("\nnothing was captured, since the agent never ran\n");
    }
    text
}
