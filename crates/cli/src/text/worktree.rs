//! One worktree session as a page of text.

use amps_core::event::Fact;
use amps_core::iteration::{Iteration, Verdict};
use amps_core::path::visible;
use amps_core::session::Status;
use amps_core::usage::Usage;
use amps_core::worktree::{OperationKind, WorktreeSession};
use amps_proto::view::{IterationView, WorktreeView};

use super::table::{Cell, Table};
use super::{amount, brief, sentence};
use crate::output::{self, BAD, FAINT, GOOD, HEADING, LIVE, NOTABLE, Reader};

/// The most lines of a gate's log that are shown.
const LOG_LINES: usize = 20;

/// Returns everything about a worktree session.
pub(crate) fn page(view: &WorktreeView, reader: &Reader) -> String {
    let session = &view.session;
    let mut text = heading(session);
    text.push('\n');
    text.push_str(&particulars(session, reader));
    if !view.iterations.is_empty() {
        text.extend([format!("\n{HEADING}iterations{HEADING:#}\n")]);
        let mut table = Table::new(&["", "", "", "", "", ""]);
        for iteration in &view.iterations {
            table.row(iteration_cells(iteration, reader));
        }
        text.push_str(&table.text("  ", reader.width));
    }
    if session.status == Status::AwaitingInput {
        text.push_str(&troubles(view));
    }
    if !view.notes.is_empty() {
        text.extend([format!("\n{HEADING}notes{HEADING:#}\n")]);
    }
    for note in &view.notes {
        let at = reader.times.full(note.at);
        text.extend([format!("  {FAINT}{at}{FAINT:#}  {}\n", visible(&note.text))]);
    }
    text
}

/// Returns why a session has its status.
pub(crate) fn why(session: &WorktreeSession) -> String {
    match (session.status_reason, session.status) {
        (Some(reason), _) => sentence::reason(reason, None),
        (None, Status::Created) => "no iteration has begun yet".to_owned(),
        (None, status) => sentence::standing(status).to_owned(),
    }
}

/// Returns the heading: which session, its status and why it has it.
pub(crate) fn heading(session: &WorktreeSession) -> String {
    let name = visible(&session.name);
    let style = sentence::style(session.status);
    let why = why(session);
    format!(
        "{HEADING}session {}{HEADING:#}  {HEADING}{name}{HEADING:#}\n{style}{}{style:#}: {why}\n",
        session.session_id, session.status
    )
}

fn particulars(session: &WorktreeSession, reader: &Reader) -> String {
    let mut table = Table::new(&["", ""]);
    let mut row = |key: &'static str, value: String| {
        table.row(vec![Cell::styled(FAINT, key), value.into()]);
    };
    row("prompt", brief(&session.prompt, 400));
    row("agent", agent(session));
    row("worktree", session.worktree.to_string());
    row("branch", visible(short_branch(&session.branch)));
    row("base", base(session));
    let changes = session.changes;
    if changes.files > 0 {
        let words = amount(changes.files, changes.additions, changes.deletions);
        row("changed", words);
    }
    if let Some(script) = &session.script {
        row("gate", visible(script));
    }
    if let Some((first, count)) = session.ports {
        let last = first.saturating_add(count.saturating_sub(1));
        row("ports", format!("{first} to {last}"));
    }
    if let Some(thread) = &session.thread_id {
        row("thread", visible(thread.as_str()));
    }
    row("created", reader.times.full(session.created_at));
    if let Some(ended) = session.ended_at {
        row("ended", reader.times.full(ended));
    }
    if let Some(removed) = session.removed_at {
        row("removed", reader.times.full(removed));
    }
    if let Some(operation) = &session.operation {
        let since = reader.times.full(operation.begun_at);
        row(
            "under way",
            format!("{} since {since}", doing(operation.kind)),
        );
    }
    if !session.tags.is_empty() {
        row("tags", visible(&session.tags.join(", ")));
    }
    table.text("", None)
}

fn agent(session: &WorktreeSession) -> String {
    match &session.model {
        Some(model) => format!("{}, model {}", visible(&session.agent), visible(model)),
        None => visible(&session.agent),
    }
}

fn base(session: &WorktreeSession) -> String {
    let commit = sentence::head(session.base.commit.as_str());
    match &session.base.reference {
        Some(reference) => format!("{} at {commit}", visible(short_branch(reference))),
        None => commit.to_owned(),
    }
}

/// Returns a reference as people write it.
pub(crate) fn short_branch(reference: &str) -> &str {
    reference.strip_prefix("refs/heads/").unwrap_or(reference)
}

fn iteration_cells(view: &IterationView, reader: &Reader) -> Vec<Cell> {
    let Iteration {
        number,
        verdict,
        commit,
        prompt,
        usage,
        ..
    } = &view.iteration;
    let (style, word) = verdict_word(*verdict);
    let commit = commit
        .as_ref()
        .map_or("-", |oid| sentence::head(oid.as_str()));
    vec![
        number.to_string().into(),
        Cell::styled(style, word),
        Cell::styled(NOTABLE, commit),
        reader.times.ago(view.iteration.started_at).into(),
        used(*usage).into(),
        brief(prompt, 200).into(),
    ]
}

/// Returns how an iteration ended, and how that is shown.
pub(crate) fn verdict_word(verdict: Option<Verdict>) -> (anstyle::Style, &'static str) {
    match verdict {
        None => (LIVE, "running"),
        Some(Verdict::Passed) => (GOOD, "passed"),
        Some(Verdict::GateFailed) => (BAD, "gate failed"),
        Some(Verdict::AgentFailed) => (BAD, "agent failed"),
        Some(Verdict::TimedOut) => (BAD, "timed out"),
        Some(Verdict::Stopped) => (NOTABLE, "stopped"),
        Some(Verdict::Lost) => (NOTABLE, "lost"),
        Some(Verdict::NotCommitted) => (BAD, "not committed"),
    }
}

/// Returns tokens and cost on one line; nothing where the agent told nothing.
pub(crate) fn used(usage: Usage) -> String {
    if usage == Usage::default() {
        return String::new();
    }
    let read = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens;
    let mut text = format!("{read} in, {} out", usage.output_tokens);
    if let Some(cost) = usage.cost_usd {
        text.extend([format!(", ${:.4}", cost.dollars())]);
    }
    text
}

/// Returns what keeps a session from going on by itself.
pub(crate) fn troubles(view: &WorktreeView) -> String {
    let Some(IterationView { iteration, .. }) = view.iterations.last() else {
        return String::new();
    };
    let mut text = String::new();
    for error in &iteration.errors {
        text.extend([format!("\n{BAD}went wrong{BAD:#}  {}\n", visible(error))]);
    }
    if let Some(gate) = iteration.gate.as_ref().filter(|gate| !gate.has_passed()) {
        let exit = gate.exit.map_or_else(
            || "did not come to its end".to_owned(),
            |exit| format!("ended with {exit}"),
        );
        let took = output::duration(gate.duration);
        text.extend([format!("\n{BAD}gate{BAD:#}  {exit} after {took}\n")]);
        text.push_str(&tail(&gate.log));
    }
    text
}

/// Returns the last lines of a log, indented.
pub(crate) fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let from = lines.len().saturating_sub(LOG_LINES);
    let shown = lines.iter().skip(from);
    shown
        .map(|line| format!("    {}\n", visible(line)))
        .collect()
}

/// Returns what is done, as it is said while it is.
fn doing(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Create => "being created",
        OperationKind::Squash => "being squashed",
        OperationKind::Rebase => "being rebased",
        OperationKind::Merge => "being merged",
        OperationKind::Remove => "being removed",
    }
}

/// Returns what happened to a worktree session as a sentence.
pub(super) fn event(fact: &Fact) -> String {
    match fact {
        Fact::WorktreeOpened { branch, base } => format!(
            "created on branch {} from {}",
            visible(short_branch(branch)),
            sentence::head(base.as_str())
        ),
        Fact::OperationBegun { operation } => doing(*operation).to_owned(),
        Fact::OperationDone { detail, .. } => visible(detail),
        Fact::OperationUndone { operation, detail } => {
            format!("not done, {}: {}", doing(*operation), visible(detail))
        }
        Fact::IterationBegun { number, run } => {
            format!(
                "iteration {number} began; its run is session {}",
                run.short()
            )
        }
        Fact::IterationJudged {
            number,
            verdict,
            commit,
        } => {
            let commit = commit.as_ref().map_or_else(
                || "nothing was committed".to_owned(),
                |oid| format!("commit {}", sentence::head(oid.as_str())),
            );
            format!(
                "iteration {number} {}; {commit}",
                verdict_word(Some(*verdict)).1
            )
        }
        Fact::ConflictChanged { is_open, detail } => {
            let what = if *is_open {
                "conflict"
            } else {
                "conflict resolved"
            };
            format!("{what}: {}", visible(detail))
        }
        Fact::Merged { into, commit } => format!(
            "merged into {}, which is {} now",
            visible(short_branch(into)),
            sentence::head(commit.as_str())
        ),
        Fact::GivenUp { reason } => match reason {
            Some(reason) => format!("given up: {}", visible(reason)),
            None => "given up".to_owned(),
        },
        _ => String::new(),
    }
}
