//! What comes of the events of a turn.

use super::*;
use crate::usage::Usd;

fn at(milliseconds: u64) -> Moment {
    let at = Timestamp::UNIX_EPOCH + Duration::from_millis(milliseconds);
    Moment {
        at,
        uptime_ms: 50_000 + milliseconds,
    }
}

fn began(call_id: &str) -> AgentEvent {
    AgentEvent::ToolBegan {
        call_id: call_id.to_owned(),
        name: "Bash".to_owned(),
        arguments: "{}".to_owned(),
        began_at: None,
    }
}

fn ended(call_id: &str, outcome: ToolOutcome) -> AgentEvent {
    AgentEvent::ToolEnded {
        call_id: call_id.to_owned(),
        outcome,
        exit_code: None,
        error: None,
        duration: None,
    }
}

fn said(text: &str) -> AgentEvent {
    AgentEvent::Said {
        text: text.to_owned(),
    }
}

fn failed(message: impl Into<String>) -> AgentEvent {
    AgentEvent::Failed {
        message: message.into(),
    }
}

fn record(events: impl IntoIterator<Item = AgentEvent>) -> TurnRecord {
    let mut log = TurnLog::new(None);
    for (number, event) in (0..).zip(events) {
        log.note(event, at(1_000 * number));
    }
    log.finish(Some(Exit::Code(0)))
}

#[test]
fn a_call_is_timed_from_its_beginning_to_its_end() {
    let turn = record([began("a"), began("b"), ended("a", ToolOutcome::Failed)]);
    let calls: Vec<_> = turn.tool_calls.iter().collect();
    assert_eq!(calls[0].duration, Some(Duration::from_secs(2)));
    assert_eq!(calls[0].outcome, ToolOutcome::Failed);
    assert_eq!((calls[1].number, calls[1].started_at), (2, at(1_000).at));
    assert_eq!(
        (calls[1].outcome, calls[1].duration),
        (ToolOutcome::Unfinished, None)
    );
}

#[test]
fn a_clock_that_is_set_back_changes_no_duration() {
    let mut log = TurnLog::new(None);
    log.note(began("a"), at(9_000));
    let earlier = Moment {
        at: Timestamp::UNIX_EPOCH,
        ..at(10_000)
    };
    log.note(ended("a", ToolOutcome::Succeeded), earlier);
    let turn = log.finish(None);
    assert_eq!(turn.tool_calls[0].duration, Some(Duration::from_secs(1)));
}

#[test]
fn a_call_told_twice_is_one_and_its_end_can_be_corrected() {
    let turn = record([
        began("a"),
        began("a"),
        ended("a", ToolOutcome::Failed),
        ended("a", ToolOutcome::Denied),
        ended("never begun", ToolOutcome::Failed),
    ]);
    assert_eq!(turn.tool_calls.len(), 1);
    assert_eq!(turn.tool_calls[0].outcome, ToolOutcome::Denied);
    assert_eq!(
        turn.tool_calls[0].duration,
        Some(Duration::from_secs(2)),
        "the first end"
    );
}

#[test]
fn calls_without_an_id_are_each_their_own() {
    assert_eq!(record([began(""), began("")]).tool_calls.len(), 2);
}

#[test]
fn calls_beyond_the_most_are_counted() {
    let names = (0..MOST_TOOL_CALLS + 3).map(|number| began(&number.to_string()));
    let turn = record(names);
    assert_eq!(
        (turn.tool_calls.len(), turn.further_tool_calls),
        (MOST_TOOL_CALLS, 3)
    );
}

#[test]
fn what_was_said_last_is_the_answer_and_lines_are_one() {
    let line = |text: &str| AgentEvent::Wrote {
        text: text.to_owned(),
    };
    assert_eq!(
        record([said("one"), said("two")]).answer.as_deref(),
        Some("two")
    );
    let turn = record([line(""), line("one"), line(""), line("two"), line("")]);
    assert_eq!(turn.answer.as_deref(), Some("one\n\ntwo"));
    assert_eq!(record([line("")]).answer, None);
    let long = record((0..10_000).map(|number| line(&format!("{number} {}", "é".repeat(20)))));
    let answer = long.answer.unwrap();
    assert!(answer.len() <= LONGEST_ANSWER, "{}", answer.len());
    assert!(answer.contains("9999 é"), "its end is kept");
}

#[test]
fn a_turn_that_goes_on_after_its_end_has_not_finished() {
    let model = || AgentEvent::Model {
        model: "m".to_owned(),
    };
    assert!(record([model(), said("done"), AgentEvent::TurnEnded]).did_finish);
    assert!(!record([AgentEvent::TurnEnded, model()]).did_finish);
    assert!(record([AgentEvent::TurnEnded, model(), AgentEvent::TurnEnded]).did_finish);
    assert!(!record([said("done")]).did_finish);
}

#[test]
fn a_turn_succeeds_by_its_end_its_errors_and_its_exit_together() {
    let turn = record([AgentEvent::TurnEnded]);
    assert!(turn.has_succeeded());
    for exit in [Some(Exit::Code(1)), Some(Exit::Signal(15)), None] {
        let turn = TurnRecord {
            exit,
            ..turn.clone()
        };
        assert!(!turn.has_succeeded(), "{exit:?}");
    }
    assert!(!record([failed("no"), AgentEvent::TurnEnded]).has_succeeded());
    assert!(!record([]).has_succeeded());
}

#[test]
fn the_first_thread_counts_and_the_last_model() {
    let thread = |id: &str| AgentEvent::Thread {
        thread: ThreadId::new(id).unwrap(),
    };
    let model = |name: &str| AgentEvent::Model {
        model: name.to_owned(),
    };
    let turn = record([thread("one"), model("m1"), thread("two"), model("m2")]);
    assert_eq!(turn.thread, ThreadId::new("one"));
    assert_eq!(turn.model.as_deref(), Some("m2"));
    let ordered = TurnLog::new(Some("ordered")).finish(None);
    assert_eq!(ordered.model.as_deref(), Some("ordered"));
}

#[test]
fn errors_are_bounded_and_not_repeated() {
    let turn = record(
        (0..100).flat_map(|number| [failed(format!("{number}")), failed(format!("{number}"))]),
    );
    assert_eq!(turn.errors.len(), MOST_MESSAGES);
    assert_eq!(turn.errors.last().map(String::as_str), Some("99"));
    let turn = record([failed("x".repeat(1 << 20))]);
    assert!(turn.errors[0].len() < LONGEST_TEXT + 8);
}

#[test]
fn secrets_are_masked_in_all_that_is_noted_and_shown() {
    let secret = "TOKEN=abcdefghijklmnop";
    let mut log = TurnLog::new(None);
    let shown = log.note(said(secret), at(0));
    assert_eq!(shown, said("TOKEN=[masked]"));
    log.note(failed(secret), at(0));
    log.note(began("a"), at(0));
    let mut end = ended("a", ToolOutcome::Failed);
    if let AgentEvent::ToolEnded { error, .. } = &mut end {
        *error = Some(secret.to_owned());
    }
    log.note(end, at(0));
    let turn = log.finish(None);
    let kept = serde_json::to_string(&turn).unwrap();
    assert!(!kept.contains("abcdefgh"), "{kept}");
    assert_eq!(turn.tool_calls[0].error.as_deref(), Some("TOKEN=[masked]"));
}

#[test]
fn a_secret_at_the_cut_is_masked() {
    let text = format!("{} TOKEN=abcdefghijklmnop", "x".repeat(20));
    assert_eq!(
        bounded(&text, 32),
        format!("{} TOKEN=[mask…", "x".repeat(20))
    );
    assert_eq!(bounded("short", 32), "short");
    assert_eq!(bounded("éé", 3), "é…");
}

#[test]
fn an_id_that_could_be_taken_for_an_option_is_none() {
    for text in [
        "",
        "-c",
        "--resume",
        "a b",
        "a\nb",
        "a\u{7}",
        &"x".repeat(201),
    ] {
        assert_eq!(ThreadId::new(text), None, "{text:?}");
    }
    for text in [
        "ses_02ea688cffe",
        "T-0000-1",
        "2ad489f7-b16f-43b0-b308-0a914b51dae5",
    ] {
        let id = ThreadId::new(text).unwrap();
        let written = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<ThreadId>(&written).unwrap(), id);
    }
    assert!(serde_json::from_str::<ThreadId>("\"-x\"").is_err());
}

#[test]
fn events_and_records_are_read_as_they_are_written() {
    let usage = Usage {
        input_tokens: 3,
        cost_usd: Usd::from_dollars(0.5),
        ..Usage::default()
    };
    let events = [
        began("a"),
        ended("a", ToolOutcome::Denied),
        AgentEvent::Used { usage },
        AgentEvent::TurnEnded,
    ];
    for event in &events {
        let text = serde_json::to_string(event).unwrap();
        assert_eq!(
            &serde_json::from_str::<AgentEvent>(&text).unwrap(),
            event,
            "{text}"
        );
    }
    let turn = record(events);
    let text = serde_json::to_string(&turn).unwrap();
    assert_eq!(serde_json::from_str::<TurnRecord>(&text).unwrap(), turn);
    assert_eq!(
        serde_json::from_str::<TurnRecord>("{}").unwrap(),
        TurnRecord::default()
    );
}
