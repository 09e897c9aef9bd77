//! opencode.

use std::time::Duration;

use amps_core::exit::Exit;
use amps_core::tool_call::ToolOutcome;
use amps_core::turn::TurnRecord;
use amps_core::usage::Usage;
use jiff::Timestamp;

use super::{TurnOrder, calls, heard, heard_bytes, thread, usage};

fn line(kind: &str, part: &str) -> String {
    format!(r#"{{"type":"{kind}","timestamp":1795247429415,"sessionID":"ses_1","part":{part}}}"#)
}

fn tool(state: &str) -> String {
    line(
        "tool_use",
        &format!(r#"{{"type":"tool","tool":"bash","callID":"c1","state":{state}}}"#),
    )
}

fn finished(reason: &str, reasoning: u64, cost: &str) -> String {
    line(
        "step_finish",
        &format!(
            r#"{{"reason":"{reason}","tokens":{{"input":1000,"output":50,"reasoning":{reasoning},
            "cache":{{"write":0,"read":200}}}},"cost":{cost}}}"#
        ),
    )
}

fn turn(lines: &[String]) -> TurnRecord {
    heard("opencode", &TurnOrder::default(), lines)
}

#[test]
fn steps_add_up_and_the_last_one_is_the_end() {
    let lines = [
        tool(
            r#"{"status":"completed","input":{"command":"exit 3"},"output":"","metadata":{"exit":3},
            "time":{"start":1795247430000,"end":1795247430750}}"#,
        ),
        finished("tool-calls", 0, "0.25"),
        line("text", r#"{"type":"text","text":"Done."}"#),
        finished("stop", 0, "0.5"),
    ];
    let whole = turn(&lines);
    assert!(whole.has_succeeded());
    assert_eq!(whole.thread, Some(thread("ses_1")));
    assert_eq!(whole.usage, usage(2_000, 400, 100, Some(0.75)));
    assert_eq!(whole.answer.as_deref(), Some("Done."));
    assert_eq!(
        calls(&whole),
        [("bash", ToolOutcome::Failed, Some(3), None)]
    );
    let call = &whole.tool_calls[0];
    assert_eq!(
        call.duration,
        Some(Duration::from_millis(750)),
        "by its own clock"
    );
    assert_eq!(
        call.started_at,
        Timestamp::from_second(1_795_247_430).unwrap()
    );
    assert!(
        !turn(&lines[..3]).did_finish,
        "the end of the stream is no end of the turn"
    );
}

#[test]
fn reasoning_is_counted_with_the_output_and_no_price_is_no_cost() {
    let expected = Usage {
        reasoning_tokens: 30,
        ..usage(1_000, 200, 80, None)
    };
    assert_eq!(turn(&[finished("stop", 30, "0")]).usage, expected);
}

#[test]
fn a_tool_fails_or_is_denied_by_what_is_told_of_it() {
    for (error, outcome) in [
        ("File not found", ToolOutcome::Failed),
        (
            "The user rejected permission to use this tool",
            ToolOutcome::Denied,
        ),
    ] {
        let state = format!(r#"{{"status":"error","input":{{}},"error":"{error}"}}"#);
        assert_eq!(
            calls(&turn(&[tool(&state)])),
            [("bash", outcome, None, Some(error))]
        );
    }
}

#[test]
fn an_error_is_told_by_its_message() {
    let failed = r#"{"type":"error","sessionID":"ses_1","error":{"name":"APIError","data":{"message":"bad key","statusCode":401}}}"#;
    let lines = [failed.as_bytes()];
    let turn = heard_bytes("opencode", &TurnOrder::default(), &lines, Exit::Code(1));
    assert_eq!(turn.errors, ["bad key"]);
    assert!(!turn.has_succeeded());
}
