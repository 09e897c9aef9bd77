//! Answers that only read the store. They are given by the daemon, or, where none can run, from
//! the file itself.

use amps_core::error::ErrorCode;
use amps_core::event::{Event, Fact};
use amps_core::id::SessionId;
use amps_core::run::Run;
use amps_core::session::{Binding, Session};
use amps_core::time::as_seconds;
use amps_core::worktree::{Changes, WorktreeSession};
use amps_engine::home::Home;
use amps_engine::ledger::{Ledger, LedgerError, PageQuery, PageRow, Resolved, SqliteLedger};
use amps_proto::fault::Fault;
use amps_proto::request::{Query, Request};
use amps_proto::response::{PatchView, Response};
use amps_proto::view::{
    CheckpointView, IterationView, LinkKind, LinkView, NoteView, RunView, SessionRow, SessionView,
    WorktreeView,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::faults::of_ledger;

/// Answers a request that only reads, from the database of a home that no daemon serves. Requests
/// that change something are refused.
pub fn answer_from_file(home: &Home, request: &Request) -> Result<Response, Fault> {
    let ledger = SqliteLedger::open_read_only(&home.database()).map_err(|e| of_ledger(&e))?;
    answer(&ledger, request).unwrap_or_else(|| {
        Err(
            Fault::new(ErrorCode::DaemonUnreachable, "this needs the daemon")
                .hint("`amps daemon start` tells why there is none"),
        )
    })
}

/// Answers a request that only reads; `None` for any other.
pub(crate) fn answer(ledger: &dyn Ledger, request: &Request) -> Option<Result<Response, Fault>> {
    Some(match request {
        Request::Checkpoints { reference } => with(ledger, reference, |id| {
            let kept = ledger.checkpoints(id)?.into_iter();
            Ok(Response::Checkpoints {
                checkpoints: kept.map(CheckpointView::from).collect(),
            })
        }),
        Request::Events { reference } => with(ledger, reference, |id| {
            Ok(Response::Events {
                events: ledger.events(id)?,
            })
        }),
        Request::List(query) => list(ledger, query).map_err(|error| of_ledger(&error)),
        Request::Patch { reference } => with(ledger, reference, |id| patches(ledger, id)),
        Request::Show { reference, .. } => with(ledger, reference, |id| show(ledger, id)),
        Request::Worktrees => worktrees(ledger).map_err(|error| of_ledger(&error)),
        Request::Grounds => grounds(ledger).map_err(|error| of_ledger(&error)),
        Request::Checkpoint { .. }
        | Request::Current { .. }
        | Request::DaemonStatus
        | Request::End(_)
        | Request::Note { .. }
        | Request::Open(_)
        | Request::OpenWorktree { .. }
        | Request::Recorded(_)
        | Request::Renew { .. }
        | Request::Started(_)
        | Request::StepWorktree { .. }
        | Request::Stop
        | Request::Wait { .. } => return None,
    })
}

fn with(
    ledger: &dyn Ledger,
    reference: &str,
    answer: impl FnOnce(SessionId) -> Result<Response, LedgerError>,
) -> Result<Response, Fault> {
    let id = resolve(ledger, reference)?;
    answer(id).map_err(|error| of_ledger(&error))
}

/// Returns the one session that a reference means.
pub(crate) fn resolve(ledger: &dyn Ledger, reference: &str) -> Result<SessionId, Fault> {
    match ledger
        .resolve(reference)
        .map_err(|error| of_ledger(&error))?
    {
        Resolved::One(id) => Ok(id),
        Resolved::Nothing => Err(not_found(ledger, reference)),
        Resolved::Several(ids) => {
            let some = ids
                .iter()
                .map(SessionId::short)
                .collect::<Vec<_>>()
                .join(", ");
            Err(Fault::new(
                ErrorCode::Ambiguous,
                format!("`{}` means several sessions: {some}", brief(reference)),
            )
            .hint("type more characters of the id"))
        }
    }
}

fn not_found(ledger: &dyn Ledger, reference: &str) -> Fault {
    if reference.is_empty() {
        return Fault::new(ErrorCode::BadArgument, "the session is empty text")
            .hint("`amps list` shows what there is; `@` means the newest");
    }
    if reference.starts_with('@') && ledger.count().is_ok_and(|count| count == 0) {
        return Fault::new(ErrorCode::NotFound, "there is no session yet")
            .hint("`amps run -- CMD` or `amps AGENT` records one");
    }
    Fault::new(
        ErrorCode::NotFound,
        format!("there is no session `{}`", brief(reference)),
    )
    .hint("`amps list` shows what there is; `@` means the newest")
}

/// Returns what somebody typed in a form that fits into a message.
fn brief(reference: &str) -> String {
    const MOST: usize = 60;
    let short: String = reference.chars().take(MOST).collect();
    let dots = if short.len() < reference.len() {
        "…"
    } else {
        ""
    };
    format!("{}{dots}", amps_core::path::visible(&short))
}

fn worktrees(ledger: &dyn Ledger) -> Result<Response, LedgerError> {
    let sessions = ledger.live_worktree_sessions()?;
    Ok(Response::Worktrees { sessions })
}

fn grounds(ledger: &dyn Ledger) -> Result<Response, LedgerError> {
    let sessions = ledger.grounded_worktree_sessions()?;
    Ok(Response::Worktrees { sessions })
}

/// Returns everything about one session, of either kind.
pub(crate) fn show(ledger: &dyn Ledger, id: SessionId) -> Result<Response, LedgerError> {
    if ledger.worktree_session(id)?.is_some() {
        return Ok(Response::Worktree(Box::new(worktree_view(ledger, id)?)));
    }
    Ok(Response::Session(Box::new(view(ledger, id)?)))
}

/// Returns everything about one worktree session.
pub(crate) fn worktree_view(
    ledger: &dyn Ledger,
    id: SessionId,
) -> Result<WorktreeView, LedgerError> {
    let session = ledger
        .worktree_session(id)?
        .ok_or(LedgerError::Unknown(id))?;
    let mut calls = ledger.tool_calls(id)?;
    let iterations = ledger.iterations(id)?.into_iter().map(|iteration| {
        let own_calls = calls
            .iter()
            .take_while(|(number, _)| *number == iteration.number);
        let later = calls.split_off(own_calls.count());
        let own = std::mem::replace(&mut calls, later);
        IterationView {
            iteration,
            tool_calls: own.into_iter().map(|(_, call)| call).collect(),
        }
    });
    let iterations = iterations.collect();
    let mut runs = Vec::new();
    let mut changesets = Vec::new();
    for (number, (member, run)) in (1_u32..).zip(ledger.runs_of_worktree(id)?) {
        changesets.extend(ledger.changesets(member.session_id)?);
        runs.push(RunView {
            number,
            ..run.into()
        });
    }
    Ok(WorktreeView {
        session,
        iterations,
        runs,
        changesets,
        notes: ledger.events(id)?.into_iter().filter_map(note).collect(),
        links: links_of(LinkKind::Overlaps, ledger.overlaps(id)?),
    })
}

fn links_of(kind: LinkKind, others: Vec<SessionId>) -> Vec<LinkView> {
    let others = others.into_iter();
    others
        .map(|session_id| LinkView { kind, session_id })
        .collect()
}

/// Returns everything about one launched session.
pub(crate) fn view(ledger: &dyn Ledger, id: SessionId) -> Result<SessionView, LedgerError> {
    let (session, run) = ledger.session(id)?.ok_or(LedgerError::Unknown(id))?;
    let notes = ledger.events(id)?.into_iter().filter_map(note).collect();
    let run_of = session.worktree_session_id.into_iter().collect();
    let mut links = links_of(LinkKind::RunOf, run_of);
    links.extend(links_of(LinkKind::Overlaps, ledger.overlaps(id)?));
    Ok(SessionView {
        session,
        runs: vec![run.into()],
        changesets: ledger.changesets(id)?,
        notes,
        links,
        checkpoints: ledger.count_checkpoints(id)?,
    })
}

fn note(event: Event) -> Option<NoteView> {
    if let Fact::Noted { text } = event.fact {
        return Some(NoteView {
            at: event.at.at,
            text,
        });
    }
    None
}

fn patches(ledger: &dyn Ledger, id: SessionId) -> Result<Response, LedgerError> {
    let patches = ledger.patches(id)?.into_iter().map(|patch| PatchView {
        zlib_base64: STANDARD.encode(patch.zlib),
        truncated: patch.truncated,
    });
    Ok(Response::Patches {
        patches: patches.collect(),
    })
}

fn list(ledger: &dyn Ledger, query: &Query) -> Result<Response, LedgerError> {
    let query = PageQuery {
        status: query.status.clone(),
        project: query.project.clone(),
        within: query.within.clone(),
        agent: query.agent.clone(),
        tag: query.tag.clone(),
        since: query.since,
        by_impact: query.by_impact,
        limit: query.limit,
    };
    let sessions = ledger.page(&query)?.into_iter().map(row).collect();
    Ok(Response::Page { sessions })
}

fn row(row: PageRow) -> SessionRow {
    match row {
        PageRow::Launched {
            session,
            run,
            totals,
        } => launched_row(*session, &run, totals),
        PageRow::Worktree(session) => worktree_row(*session),
    }
}

fn launched_row(
    session: Session,
    run: &Run,
    (files, additions, deletions): (u64, u64, u64),
) -> SessionRow {
    let captured = run.end.is_some();
    SessionRow {
        session_id: session.session_id,
        name: session.name,
        kind: session.kind,
        status: session.status,
        status_reason: session.status_reason,
        agent: session.agent,
        agent_command: session.agent_command,
        project_id: session.project_id,
        project_root: session.project_root,
        created_at: session.created_at,
        started_at: session.started_at,
        ended_at: session.ended_at,
        duration: run.duration.map(as_seconds),
        exit_code: run.exit.and_then(amps_core::exit::Exit::code),
        exit_signal: run.exit.and_then(amps_core::exit::Exit::signal),
        files: captured.then_some(files),
        additions: captured.then_some(additions),
        deletions: captured.then_some(deletions),
        held: session.binding == Binding::Host && !session.status.is_final(),
        tags: session.tags,
    }
}

fn worktree_row(session: WorktreeSession) -> SessionRow {
    let Changes {
        files,
        additions,
        deletions,
    } = session.changes;
    SessionRow {
        session_id: session.session_id,
        name: Some(session.name),
        kind: session.kind,
        status: session.status,
        status_reason: session.status_reason,
        agent: session.agent,
        agent_command: vec![session.prompt],
        project_id: session.project_id,
        project_root: Some(session.project_root),
        created_at: session.created_at,
        started_at: session.started_at,
        ended_at: session.ended_at,
        duration: None,
        exit_code: None,
        exit_signal: None,
        files: Some(files),
        additions: Some(additions),
        deletions: Some(deletions),
        held: false,
        tags: session.tags,
    }
}
