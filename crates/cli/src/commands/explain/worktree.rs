//! Why a worktree session stands where it does: how its last iteration ended, and what was done since.

use amps_core::event::{Event, Fact};
use amps_proto::view::WorktreeView;
use serde_json::json;

use crate::output::{FAINT, HEADING, Reader};
use crate::text::{sentence, worktree, wrapped};

/// Returns the explanation as text.
pub(super) fn in_words(view: &WorktreeView, events: &[Event], reader: &Reader) -> String {
    let mut text = worktree::heading(&view.session);
    text.push_str(&worktree::troubles(view));
    text.extend([format!("\n{HEADING}what happened last{HEADING:#}\n")]);
    for event in decisive(events) {
        let at = reader.times.precise(event.at.at);
        text.extend([format!("  {FAINT}{at}{FAINT:#}\n")]);
        text.push_str(&wrapped(
            &sentence::event(&event.fact),
            "    ",
            reader.width,
        ));
    }
    text
}

/// Returns the explanation as JSON.
pub(super) fn in_json(view: &WorktreeView, events: &[Event]) -> serde_json::Value {
    let session = &view.session;
    json!({
        "session_id": session.session_id,
        "status": session.status,
        "status_reason": session.status_reason,
        "reason": worktree::why(session),
        "iteration": view.iterations.last(),
        "operation": session.operation,
        "heard": decisive(events).collect::<Vec<_>>(),
    })
}

/// Returns the events since the last iteration began, which decided where the session stands.
fn decisive(events: &[Event]) -> impl Iterator<Item = &Event> {
    let begins = |event: &Event| matches!(event.fact, Fact::IterationBegun { .. });
    let from = events.iter().rposition(begins).unwrap_or(0);
    events.iter().skip(from)
}
