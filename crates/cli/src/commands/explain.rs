//! `amps explain`: which evidence led to a status, or what an error code means.

mod worktree;

use std::process::ExitCode;
use std::time::Duration;

use amps_core::error::ErrorCode;
use amps_core::event::{Event, Fact};
use amps_core::evidence::{Evidence, EvidenceKind};
use amps_core::id::SessionId;
use amps_core::path::visible;
use amps_proto::fault::Fault;
use amps_proto::request::Request;
use amps_proto::response::Response;
use amps_proto::view::{SessionView, WorktreeView};
use serde_json::json;

use crate::args::ExplainArgs;
use crate::commands::show;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{FAINT, HEADING, Reader};
use crate::text::table::Table;
use crate::text::{brief, sentence, session, time, wrapped};
use crate::{Outcome, connect, output};

/// Explains a session or an error code.
pub(crate) fn run(context: &Context, args: &ExplainArgs) -> Outcome {
    let code: Option<ErrorCode> = args.subject.parse().ok();
    // In small letters it may also be the beginning of an id.
    if let Some(code) = code
        && args.subject.starts_with('E')
    {
        return explain_code(code, args.output.json);
    }
    let json = args.output.json;
    match (show::ask_settled(context, &args.subject), code) {
        (Ok(Response::Session(view)), _) => explain_session(context, &view, json),
        (Ok(Response::Worktree(view)), _) => explain_worktree(context, &view, json),
        (Ok(_), _) => Err(connect::unexpected()),
        (Err(Failure::Fault(fault)), Some(code)) if fault.code == ErrorCode::NotFound => {
            explain_code(code, args.output.json)
        }
        (Err(Failure::Fault(fault)), None)
            if fault.code == ErrorCode::NotFound && looks_like_code(&args.subject) =>
        {
            let message = format!(
                "`{}` is no error code and no session",
                brief(&args.subject, 60)
            );
            let all = ErrorCode::ALL.iter().map(|code| code.number());
            let hint = format!("the codes are {}", all.collect::<Vec<_>>().join(" "));
            Err(Fault::new(ErrorCode::NotFound, message).hint(hint).into())
        }
        (Err(failure), _) => Err(failure),
    }
}

fn looks_like_code(subject: &str) -> bool {
    let digits = subject.strip_prefix(['e', 'E']).unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn explain_code(code: ErrorCode, json: bool) -> Outcome {
    let page = page(code);
    if json {
        let number = code.number();
        output::print_json(&json!({ "code": number, "title": code.title(), "page": page }))?;
    } else {
        output::print(page)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn events(context: &Context, id: SessionId) -> Result<Vec<Event>, Failure> {
    let reference = id.to_string();
    match connect::ask(context, Request::Events { reference })? {
        Response::Events { events } => Ok(events),
        _ => Err(connect::unexpected()),
    }
}

fn explain_worktree(context: &Context, view: &WorktreeView, json: bool) -> Outcome {
    let events = events(context, view.session.session_id)?;
    if json {
        output::print_json(&worktree::in_json(view, &events))?;
    } else {
        output::print(&worktree::in_words(view, &events, &output::reader(context)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn explain_session(context: &Context, view: &SessionView, json: bool) -> Outcome {
    let events = events(context, view.session.session_id)?;
    if json {
        output::print_json(&in_json(view, &events))?;
    } else {
        output::print(&in_words(view, &events, &output::reader(context)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns whether an event tells something about the end beside the status itself.
fn is_heard(fact: &Fact) -> bool {
    match fact {
        Fact::DeliveredLate
        | Fact::LeaseRegranted { .. }
        | Fact::LateExit { .. }
        | Fact::CaptureFailed { .. }
        | Fact::Overlapped { .. }
        | Fact::SurvivorsFound { .. }
        | Fact::SurvivorsGone { .. } => true,
        Fact::Opened { .. }
        | Fact::Started { .. }
        | Fact::Attached { .. }
        | Fact::BaseCaptured { .. }
        | Fact::Ended { .. }
        | Fact::EndCaptured { .. }
        | Fact::RecordingBegun
        | Fact::Recorded { .. }
        | Fact::Noted { .. }
        | Fact::CheckpointTaken { .. }
        | Fact::TurnEnded { .. }
        | Fact::WorktreeOpened { .. }
        | Fact::OperationBegun { .. }
        | Fact::OperationDone { .. }
        | Fact::OperationUndone { .. }
        | Fact::IterationBegun { .. }
        | Fact::IterationJudged { .. }
        | Fact::ConflictChanged { .. }
        | Fact::Merged { .. }
        | Fact::GivenUp { .. } => false,
    }
}

fn in_words(view: &SessionView, events: &[Event], reader: &Reader) -> String {
    let mut text = session::heading(view);
    match &view.session.evidence {
        Some(evidence) => text.push_str(&proof(evidence, view, reader)),
        None => text.push_str(&lease(view, reader)),
    }
    let heard: Vec<&Event> = events
        .iter()
        .filter(|event| is_heard(&event.fact))
        .collect();
    if !heard.is_empty() {
        text.extend([format!("\n{HEADING}also heard{HEADING:#}\n")]);
    }
    for event in heard {
        let at = reader.times.precise(event.at.at);
        text.extend([format!("  {FAINT}{at}{FAINT:#}\n")]);
        text.push_str(&wrapped(
            &sentence::event(&event.fact),
            "    ",
            reader.width,
        ));
    }
    if let Some(run) = view.runs.last() {
        text.push_str(&session::owed(&view.session, run));
    }
    text
}

fn proof(evidence: &Evidence, view: &SessionView, reader: &Reader) -> String {
    let Evidence {
        kind,
        observed_at,
        last_alive,
        detail,
    } = evidence;
    let mut text = format!("\n{HEADING}evidence{HEADING:#}  {kind}\n");
    text.push_str(&wrapped(sentence::evidence(*kind), "  ", reader.width));
    let words = format!("Observed: {}.", visible(detail));
    text.push_str(&wrapped(&words, "  ", reader.width));
    let mut table = Table::new(&["", ""]);
    let mut row = |key: &str, at| table.row(vec![key.into(), reader.times.precise(at).into()]);
    let interval = Interval::of(evidence);
    if let (false, Some(alive)) = (interval.is_exact, last_alive) {
        row("last known alive", alive.at);
    }
    row("observed", observed_at.at);
    if let Some(ended) = view.session.ended_at {
        row("recorded as the end", ended);
    }
    text.extend([format!(
        "\n{HEADING}when{HEADING:#}\n{}",
        table.text("  ", reader.width)
    )]);
    let words = match (interval.is_exact, interval.length) {
        (true, _) => "It was observed as it happened.".to_owned(),
        (false, Some(length)) => format!(
            "The true end lies between the last sign of life and the observation, {} apart.",
            time::short(length)
        ),
        (false, None) => "Nobody knows how long before the observation it ended.".to_owned(),
    };
    text.push_str(&wrapped(&words, "  ", reader.width));
    text
}

/// The time in which the true end lies.
struct Interval {
    /// Whether the observation is the end itself.
    is_exact: bool,
    /// How long it is, by the clock that cannot be set back.
    length: Option<Duration>,
}

impl Interval {
    fn of(evidence: &Evidence) -> Self {
        let is_exact = match evidence.kind {
            EvidenceKind::WaitStatus
            | EvidenceKind::PtyHangup
            | EvidenceKind::UserCommand
            | EvidenceKind::StartFailed
            | EvidenceKind::PidfdExit => true,
            EvidenceKind::ProcessGone
            | EvidenceKind::StartTimeMismatch
            | EvidenceKind::BootIdChanged
            | EvidenceKind::LockReleased
            | EvidenceKind::LeaseExpired => false,
        };
        let observed = evidence.observed_at;
        let length = match evidence.last_alive {
            _ if is_exact => Some(Duration::ZERO),
            // The clock that cannot be set back does not compare across boots.
            Some(alive) if evidence.kind == EvidenceKind::BootIdChanged => {
                Duration::try_from(observed.at.duration_since(alive.at)).ok()
            }
            alive => alive.map(|alive| observed.since(alive)),
        };
        Self { is_exact, length }
    }

    fn json(&self, evidence: &Evidence) -> serde_json::Value {
        let observed = evidence.observed_at.at;
        let alive = evidence.last_alive.map(|alive| alive.at);
        json!({
            "from": if self.is_exact { Some(observed) } else { alive },
            "to": observed,
            "seconds": self.length.map(|length| length.as_secs_f64()),
        })
    }
}

/// An open session: what keeps it open.
fn lease(view: &SessionView, reader: &Reader) -> String {
    let Some(run) = view.runs.last() else {
        return String::new();
    };
    let lease = &run.lease;
    format!(
        "\n{HEADING}kept open by{HEADING:#}  pid {} on {}\n  last sign of life  {}\n  \
         its lease of {} is renewed as long as that process lives\n",
        lease.owner_pid,
        visible(&lease.place.host),
        reader.times.precise(lease.last_heartbeat.at),
        time::short(lease.ttl),
    )
}

fn in_json(view: &SessionView, events: &[Event]) -> serde_json::Value {
    let session = &view.session;
    let evidence = session.evidence.as_ref();
    let run = view.runs.last();
    let heard: Vec<&Event> = events
        .iter()
        .filter(|event| is_heard(&event.fact))
        .collect();
    json!({
        "session_id": session.session_id,
        "status": session.status,
        "status_reason": session.status_reason,
        "reason": match session.status_reason {
            Some(reason) => sentence::reason(reason, session::exit(view)),
            None => sentence::standing(session.status).to_owned(),
        },
        "evidence": evidence,
        "meaning": evidence.map(|evidence| sentence::evidence(evidence.kind)),
        "interval": evidence.map(|evidence| Interval::of(evidence).json(evidence)),
        "lease": run.map(|run| &run.lease),
        "heard": heard,
        "capture": run.map(|run| &run.capture),
    })
}

macro_rules! pages {
    ($($name:ident $number:literal)*) => {
        /// Returns the page of an error.
        fn page(code: ErrorCode) -> &'static str {
            match code {
                $(ErrorCode::$name => include_str!(
                    concat!("../../../../docs/errors/", $number, ".md")
                ),)*
            }
        }
    };
}

pages! {
    RepositoryInvalid "E001"
    StoreDamaged "E003"
    WorktreeFailed "E004"
    NotFound "E010"
    Ambiguous "E011"
    AgentNotFound "E012"
    AgentNotExecutable "E013"
    HomeNotWritable "E014"
    DiskFull "E015"
    DaemonUnreachable "E016"
    DaemonVersion "E017"
    NotAllowed "E018"
    NotCaptured "E019"
    WouldOverwrite "E020"
    ConfigInvalid "E021"
    GitFailed "E022"
    BadArgument "E023"
    StoreFailed "E024"
    FileFailed "E025"
    ProcessUnfit "E026"
    KeyboardTaken "E027"
    HostUnreachable "E028"
    Held "E029"
    Conflict "E030"
    GateNotPassed "E031"
    Internal "E070"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_begins_with_its_code_and_title_and_ends_with_what_to_do() {
        for code in ErrorCode::ALL {
            let page = page(*code);
            let heading = format!("# {code}: {}\n", code.title());
            assert!(page.starts_with(&heading), "{code}: {page}");
            assert!(page.contains("\n## What to do\n"), "{code}");
        }
    }
}
