//! Codex.

use amps_core::exit::Exit;
use amps_core::tool_call::ToolOutcome;
use amps_core::turn::TurnRecord;
use amps_core::usage::Usage;
use serde_json::json;

use super::{TurnOrder, arguments, calls, heard, heard_bytes, is_cut_short, thread, usage};

const STARTED: &str = r#"{"type":"thread.started","thread_id":"x1"}"#;
const BEGUN: &str = r#"{"type":"turn.started"}"#;

fn completed(input: u64, cached: u64, output: u64) -> String {
    format!(
        r#"{{"type":"turn.completed","usage":{{"input_tokens":{input},
        "cached_input_tokens":{cached},"output_tokens":{output},"reasoning_output_tokens":0}}}}"#
    )
}

fn command(event: &str, exit: &str, status: &str) -> String {
    format!(
        r#"{{"type":"item.{event}","item":{{"id":"item_1","type":"command_execution",
        "command":"make","aggregated_output":"no rule\n","exit_code":{exit},"status":"{status}"}}}}"#
    )
}

fn turn(lines: &[&str]) -> TurnRecord {
    heard("codex", &TurnOrder::default(), lines)
}

#[test]
fn a_turn_is_heard_from_its_thread_to_its_end() {
    let turn = turn(&[
        STARTED,
        BEGUN,
        r#"{"type":"item.completed","item":{"id":"item_0","type":"agent_message","text":"I look."}}"#,
        &command("started", "null", "in_progress"),
        &command("completed", "2", "failed"),
        r#"{"type":"item.completed","item":{"id":"item_2","type":"reasoning","text":"Hm."}}"#,
        r#"{"type":"item.completed","item":{"id":"item_3","type":"agent_message","text":"No rule."}}"#,
        &completed(3_600, 600, 100),
    ]);
    assert!(turn.has_succeeded());
    assert_eq!(turn.thread, Some(thread("x1")));
    assert_eq!(turn.model, None, "it does not tell");
    assert_eq!(turn.answer.as_deref(), Some("No rule."));
    assert_eq!(
        turn.usage,
        usage(3_000, 600, 100, None),
        "input without the cache"
    );
    let failed = (
        "command_execution",
        ToolOutcome::Failed,
        Some(2),
        Some("no rule"),
    );
    assert_eq!(calls(&turn), [failed]);
    assert_eq!(arguments(&turn.tool_calls[0]), json!({"command": "make"}));
    assert_eq!(turn.tool_calls[0].duration.map(|it| it.as_secs()), Some(1));
}

#[test]
fn the_total_of_a_thread_is_not_what_its_last_turn_used() {
    let (id, other) = (thread("x1"), thread("x2"));
    let order = TurnOrder {
        thread: Some(&id),
        known: usage(3_000, 600, 100, None),
        ..TurnOrder::default()
    };
    let lines = [STARTED, BEGUN, &completed(7_200, 1_200, 250)];
    let resumed = heard("codex", &order, &lines);
    assert_eq!(resumed.usage, usage(3_000, 600, 150, None));
    let elsewhere = TurnOrder {
        thread: Some(&other),
        ..order
    };
    let anew = heard("codex", &elsewhere, &lines);
    assert_eq!(
        anew.usage,
        usage(6_000, 1_200, 250, None),
        "it began another thread"
    );
    assert_eq!(anew.thread, Some(id), "and said so");
}

#[test]
fn what_went_into_a_cache_is_counted_once_and_reasoning_is_part_of_the_output() {
    let line = r#"{"type":"turn.completed","usage":{"input_tokens":1000,"cached_input_tokens":200,
        "cache_write_input_tokens":300,"output_tokens":50,"reasoning_output_tokens":30}}"#;
    let expected = Usage {
        cache_write_tokens: 300,
        reasoning_tokens: 30,
        ..usage(500, 200, 50, None)
    };
    assert_eq!(turn(&[line]).usage, expected);
}

#[test]
fn tools_of_every_kind_are_calls() {
    let turn = turn(&[
        STARTED,
        r#"{"type":"item.completed","item":{"id":"i1","type":"file_change","status":"completed",
            "changes":[{"path":"a","kind":"add"}]}}"#,
        r#"{"type":"item.started","item":{"id":"i2","type":"mcp_tool_call","server":"docs","tool":"find",
            "arguments":{"q":"x"},"status":"in_progress"}}"#,
        r#"{"type":"item.completed","item":{"id":"i2","type":"mcp_tool_call","server":"docs","tool":"find",
            "arguments":{"q":"x"},"error":{"message":"no server"},"status":"failed"}}"#,
        r#"{"type":"item.completed","item":{"id":"i3","type":"web_search","query":"y"}}"#,
        r#"{"type":"item.completed","item":{"id":"i4","type":"command_execution","command":"rm",
            "aggregated_output":"","exit_code":null,"status":"declined"}}"#,
        r#"{"type":"item.completed","item":{"id":"i5","type":"todo_list","items":[]}}"#,
        r#"{"type":"item.completed","item":{"id":"i6","type":"error","message":"a setting is old"}}"#,
    ]);
    let told: Vec<_> = calls(&turn);
    assert_eq!(
        told,
        [
            ("file_change", ToolOutcome::Succeeded, None, None),
            ("docs.find", ToolOutcome::Failed, None, Some("no server")),
            ("web_search", ToolOutcome::Succeeded, None, None),
            ("command_execution", ToolOutcome::Denied, None, None),
        ]
    );
    assert_eq!(arguments(&turn.tool_calls[1]), json!({"q": "x"}));
    assert_eq!(turn.warnings, ["a setting is old"]);
}

#[test]
fn trying_again_is_a_warning_and_the_end_of_the_turn_an_error() {
    let turn = turn(&[
        STARTED,
        BEGUN,
        r#"{"type":"error","message":"Reconnecting... 1/2 (401 Unauthorized)"}"#,
        r#"{"type":"turn.failed","error":{"message":"{\"error\": {\"message\": \"bad key\"}}"}}"#,
    ]);
    assert_eq!(turn.errors, ["bad key"]);
    assert_eq!(turn.warnings, ["Reconnecting... 1/2 (401 Unauthorized)"]);
    assert!(turn.did_finish);
}

#[test]
fn a_turn_that_is_killed_leaves_its_call_unfinished() {
    let begun = command("started", "null", "in_progress");
    let lines = [STARTED.as_bytes(), begun.as_bytes()];
    let turn = heard_bytes("codex", &TurnOrder::default(), &lines, Exit::Signal(15));
    assert!(is_cut_short(&turn));
    assert_eq!(turn.usage, Usage::default());
}
