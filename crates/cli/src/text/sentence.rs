//! What statuses, reasons, evidence and events mean, in words.

use amps_core::capture::CaptureState;
use amps_core::checkpoint::Cause;
use amps_core::event::Fact;
use amps_core::evidence::EvidenceKind;
use amps_core::exit::Exit;
use amps_core::path::visible;
use amps_core::process::ProcessIdentity;
use amps_core::recording::Recording;
use amps_core::session::{Status, StatusReason};
use amps_core::snapshot::Oid;
use anstyle::Style;

use super::{brief, counted, worktree};
use crate::output::{BAD, FAINT, GOOD, LIVE, NOTABLE};

/// Returns how a status is shown.
pub(crate) fn style(status: Status) -> Style {
    match status {
        Status::Created | Status::Idle | Status::Abandoned => FAINT,
        Status::Active => LIVE,
        Status::Completed => GOOD,
        Status::Aborted => BAD,
        Status::Disconnected | Status::AwaitingInput => NOTABLE,
    }
}

/// Returns why a session has its status: `its agent exited with exit code 3`.
pub(crate) fn reason(reason: StatusReason, exit: Option<Exit>) -> String {
    let words = match reason {
        StatusReason::Exited => "the agent exited by itself",
        StatusReason::ExitedNonZero | StatusReason::KilledBySignal => {
            return match exit {
                Some(exit) => format!("the agent ended with {exit}"),
                None => "the agent failed".to_owned(),
            };
        }
        StatusReason::NotStarted => "the agent could not be started",
        StatusReason::TerminalClosed => "its terminal was closed",
        StatusReason::OwnerVanished => "the process that kept it open vanished without a word",
        StatusReason::MachineRestarted => "the machine was restarted while it was open",
        StatusReason::LeaseExpired => "nothing was heard of it until its lease expired",
        StatusReason::ShellEnded => "its shell ended without `amps session end`",
        StatusReason::EndedByUser => "a person ended it",
        StatusReason::ProcessEnded => "its process ended, and only the parent was told how",
        StatusReason::GateFailed => "its gate did not pass",
        StatusReason::AgentFailed => "its agent failed",
        StatusReason::TimedOut => "its agent, or its gate, took longer than it may",
        StatusReason::Stopped => "a person stopped its agent",
        StatusReason::NotCommitted => "what its agent did could not be committed",
        StatusReason::Conflict => "it is in conflict with its base",
        StatusReason::Merged => "its work was merged",
        StatusReason::GivenUp => "a person gave it up",
    };
    words.to_owned()
}

/// Returns where a session stands that has not ended.
pub(crate) fn standing(status: Status) -> &'static str {
    match status {
        Status::Created => "the agent has not been started yet",
        Status::Active => "the agent is running",
        Status::Idle => "its last iteration passed",
        Status::AwaitingInput => "it waits for a person",
        Status::Completed | Status::Aborted | Status::Disconnected | Status::Abandoned => {
            "it has ended"
        }
    }
}

/// Returns what a kind of evidence means.
pub(crate) fn evidence(kind: EvidenceKind) -> &'static str {
    match kind {
        EvidenceKind::WaitStatus => {
            "The launcher waited for the agent and was told its exit by the kernel."
        }
        EvidenceKind::PtyHangup => "The launcher was told by the kernel that its terminal is gone.",
        EvidenceKind::UserCommand => "A person said so.",
        EvidenceKind::StartFailed => "The launcher tried to start the agent and could not.",
        EvidenceKind::PidfdExit => {
            "The daemon held a handle on the process that kept the session open, and the kernel \
             told that it exited."
        }
        EvidenceKind::ProcessGone => {
            "No living process has the pid of the process that kept the session open."
        }
        EvidenceKind::StartTimeMismatch => {
            "The pid of the process that kept the session open belongs to one that started at \
             another time: the first is gone."
        }
        EvidenceKind::BootIdChanged => {
            "The machine has been restarted since, which no process outlives."
        }
        EvidenceKind::LockReleased => {
            "The kernel lock that the launcher held was free, which it is only after its death."
        }
        EvidenceKind::LeaseExpired => {
            "The process that kept the session open could not be looked at, and gave no sign of \
             life for the whole ttl of its lease."
        }
    }
}

/// Returns one event as a sentence.
pub(crate) fn event(fact: &Fact) -> String {
    match fact {
        Fact::Opened { owner } => format!("opened; kept open by {}", process(owner)),
        Fact::DeliveredLate => {
            "the launcher could reach no daemon then; it was told later".to_owned()
        }
        Fact::Started { agent: Some(agent) } => format!("agent started as {}", process(agent)),
        Fact::Started { agent: None } => "agent started".to_owned(),
        Fact::Attached {
            agent,
            running_since,
        } => format!(
            "attached to {}, which had been running since {running_since:.0}",
            process(agent)
        ),
        Fact::LeaseRegranted { generation } => format!(
            "a new daemon took the lease over and gave it one fresh ttl (generation {generation})"
        ),
        Fact::BaseCaptured { tree, uncertain } => base_captured(tree, *uncertain),
        Fact::Ended {
            status,
            reason,
            evidence,
        } => format!(
            "{status} ({reason}), as {} proved: {}",
            evidence.kind,
            visible(&evidence.detail)
        ),
        Fact::LateExit { exit } => format!("the agent's exit became known later: {exit}"),
        Fact::EndCaptured { tree, changeset_id } => format!(
            "state after the agent captured: tree {}; {}",
            head(tree.as_str()),
            match changeset_id {
                Some(id) => format!("changeset {}", id.short()),
                None => "nothing had changed".to_owned(),
            }
        ),
        Fact::CaptureFailed {
            attempts,
            reason,
            state,
        } => capture_failed(*attempts, reason, *state),
        Fact::CheckpointTaken {
            number,
            tree,
            cause,
        } => format!(
            "checkpoint {number} taken, {}: tree {}",
            self::cause(*cause),
            head(tree.as_str())
        ),
        Fact::Overlapped { with } => format!(
            "session {} was open in the same working tree at the same time",
            with.short()
        ),
        Fact::SurvivorsFound { pids } => format!("processes of the agent live on: {}", list(pids)),
        Fact::SurvivorsGone { changeset_id } => format!(
            "the processes that lived on are gone; {}",
            match changeset_id {
                Some(id) => format!("what they changed is changeset {}", id.short()),
                None => "they changed nothing more".to_owned(),
            }
        ),
        Fact::RecordingBegun => "the agent's terminal is being recorded".to_owned(),
        Fact::Recorded { recording } => {
            format!("recorded of the terminal: {}", recorded(*recording))
        }
        Fact::Noted { text } => noted(text),
        Fact::TurnEnded { number } => format!("the agent ended turn {number}"),
        Fact::WorktreeOpened { .. }
        | Fact::OperationBegun { .. }
        | Fact::OperationDone { .. }
        | Fact::OperationUndone { .. }
        | Fact::IterationBegun { .. }
        | Fact::IterationJudged { .. }
        | Fact::ConflictChanged { .. }
        | Fact::Merged { .. }
        | Fact::GivenUp { .. } => worktree::event(fact),
    }
}

fn noted(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    format!("note: {}", brief(&lines.join(" / "), 400))
}

fn base_captured(tree: &Oid, uncertain: usize) -> String {
    let doubt = match uncertain {
        0 => String::new(),
        _ => format!("; {} uncertain", counted(as_u64(uncertain), "path")),
    };
    format!(
        "state before the agent captured: tree {}{doubt}",
        head(tree.as_str())
    )
}

fn capture_failed(attempts: u32, reason: &str, state: CaptureState) -> String {
    format!(
        "capture failed ({}), {}: {}",
        counted(u64::from(attempts), "attempt"),
        match state {
            CaptureState::GivenUp => "given up",
            CaptureState::NotYet | CaptureState::Owed | CaptureState::Done => "tried again",
        },
        visible(reason)
    )
}

/// Returns how much of a terminal is recorded.
pub(crate) fn recorded(recording: Recording) -> String {
    let Recording { bytes, lost, cut } = recording;
    let mut text = counted(bytes, "byte");
    if lost > 0 {
        text.extend([format!(", {} lost", counted(lost, "byte"))]);
    }
    if cut {
        text.push_str(", without its beginning");
    }
    text
}

/// Returns the state of one half of a capture.
pub(crate) fn capture(state: CaptureState) -> &'static str {
    match state {
        CaptureState::NotYet => "not due yet",
        CaptureState::Owed => "owed",
        CaptureState::Done => "done",
        CaptureState::GivenUp => "given up",
    }
}

/// Returns why a checkpoint was taken.
fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Time => "as it was time for one",
        Cause::Turn => "as the agent had ended a turn",
        Cause::Asked => "as somebody asked for it",
    }
}

fn process(identity: &ProcessIdentity) -> String {
    format!("pid {} on {}", identity.pid, visible(&identity.place.host))
}

fn list(pids: &[u32]) -> String {
    let pids: Vec<String> = pids.iter().map(|pid| format!("pid {pid}")).collect();
    pids.join(", ")
}

/// Returns the beginning of an object name, as git shows it.
pub(crate) fn head(oid: &str) -> &str {
    oid.get(..10).unwrap_or(oid)
}

fn as_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
