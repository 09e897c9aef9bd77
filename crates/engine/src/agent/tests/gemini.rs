//! Gemini CLI.

use amps_core::exit::Exit;
use amps_core::tool_call::ToolOutcome;
use amps_core::turn::TurnRecord;
use amps_core::usage::Usage;

use super::{TurnOrder, calls, heard, heard_bytes, is_cut_short, thread, usage};

const INIT: &str = r#"{"type":"init","session_id":"g1","model":"auto"}"#;

fn piece(text: &str) -> String {
    format!(r#"{{"type":"message","role":"assistant","content":"{text}","delta":true}}"#)
}

fn result(total: u64) -> String {
    format!(
        r#"{{"type":"result","status":"success","stats":{{"total_tokens":{total},
        "input_tokens":3600,"output_tokens":100,"cached":600,"input":3000,"models":{{
        "flash":{{"total_tokens":100}},"pro":{{"total_tokens":{total}}},"none":{{}}}}}}}}"#
    )
}

fn turn(lines: &[&str]) -> TurnRecord {
    heard("gemini", &TurnOrder::default(), lines)
}

#[test]
fn a_turn_is_heard_from_its_thread_to_its_end() {
    let turn = turn(&[
        INIT,
        r#"{"type":"message","role":"user","content":"do it"}"#,
        &piece("I will write a fi"),
        &piece("le."),
        r#"{"type":"tool_use","tool_name":"write_file","tool_id":"w1","parameters":{"file_path":"a"}}"#,
        r#"{"type":"tool_result","tool_id":"w1","status":"success"}"#,
        r#"{"type":"tool_use","tool_name":"read_file","tool_id":"r1","parameters":{"file_path":"b"}}"#,
        r#"{"type":"tool_result","tool_id":"r1","status":"error","output":"x","error":{"type":"file_not_found","message":"no b"}}"#,
        r#"{"type":"tool_use","tool_name":"run_shell_command","tool_id":"s1","parameters":{}}"#,
        r#"{"type":"tool_result","tool_id":"s1","status":"error","error":{"type":"policy_violation","message":"not allowed"}}"#,
        &piece("Do"),
        &piece("ne."),
        &result(3_700),
    ]);
    assert!(turn.has_succeeded());
    assert_eq!(turn.thread, Some(thread("g1")));
    assert_eq!(
        turn.model.as_deref(),
        Some("pro"),
        "what answered most, not its alias"
    );
    assert_eq!(turn.answer.as_deref(), Some("Done."));
    assert_eq!(turn.usage, usage(3_000, 600, 100, None));
    let told = [
        ("write_file", ToolOutcome::Succeeded, None, None),
        ("read_file", ToolOutcome::Failed, None, Some("no b")),
        (
            "run_shell_command",
            ToolOutcome::Denied,
            None,
            Some("not allowed"),
        ),
    ];
    assert_eq!(calls(&turn), told);
}

#[test]
fn reasoning_is_what_the_total_has_beyond_input_and_output() {
    let expected = Usage {
        reasoning_tokens: 40,
        ..usage(3_000, 600, 140, None)
    };
    assert_eq!(turn(&[INIT, &result(3_740)]).usage, expected);
}

#[test]
fn an_error_is_told_by_the_result_whatever_the_exit_code() {
    let failed = r#"{"type":"result","status":"error","error":{"type":"unknown","message":"[API Error]"},"stats":{}}"#;
    let lines = [INIT.as_bytes(), failed.as_bytes()];
    for exit in [Exit::Code(144), Exit::Code(0)] {
        let turn = heard_bytes("gemini", &TurnOrder::default(), &lines, exit);
        assert_eq!(turn.errors, ["[API Error]"]);
        assert!(turn.did_finish && !turn.has_succeeded());
    }
}

#[test]
fn what_was_said_in_pieces_is_kept_when_the_end_is_missing() {
    let cut = turn(&[INIT, &piece("half a th"), &piece("ought")]);
    assert_eq!(cut.answer.as_deref(), Some("half a thought"));
    assert!(!cut.did_finish);
    let begun = r#"{"type":"tool_use","tool_name":"x","tool_id":"s1","parameters":{}}"#;
    assert!(
        is_cut_short(&turn(&[INIT, begun])),
        "interrupted, it ends with 0"
    );
}
