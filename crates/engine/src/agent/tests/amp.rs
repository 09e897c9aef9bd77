//! Amp.

use amps_core::tool_call::ToolOutcome;

use super::{TurnOrder, calls, heard, thread, usage};

#[test]
fn what_each_answer_used_is_added_up_as_no_result_tells_it() {
    let answer = |part: &str, input: u64, output: u64| {
        format!(
            r#"{{"type":"assistant","message":{{"content":[{part}],"usage":{{"input_tokens":{input},
            "cache_read_input_tokens":200,"output_tokens":{output},"max_tokens":968000}}}},
            "parent_tool_use_id":null,"session_id":"T-1"}}"#
        )
    };
    let lines = [
        r#"{"type":"system","subtype":"init","session_id":"T-1","tools":[]}"#.to_owned(),
        answer(r#"{"type":"tool_use","id":"t1","name":"create_file","input":{"path":"a"}}"#, 1_000, 50),
        r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t1",
            "content":[{"type":"text","text":"no room"}],"is_error":true}]},"session_id":"T-1"}"#
            .to_owned(),
        answer(r#"{"type":"text","text":"Done."}"#, 1_000, 50),
        r#"{"type":"result","subtype":"success","is_error":false,"result":"Done.","session_id":"T-1"}"#
            .to_owned(),
    ];
    let turn = heard("amp", &TurnOrder::default(), &lines);
    assert!(turn.has_succeeded());
    assert_eq!(turn.thread, Some(thread("T-1")));
    assert_eq!(turn.usage, usage(2_000, 400, 100, None));
    assert_eq!(
        calls(&turn),
        [("create_file", ToolOutcome::Failed, None, Some("no room"))]
    );
    assert_eq!(turn.answer.as_deref(), Some("Done."));
}

#[test]
fn an_error_is_told_by_the_result() {
    let failed = r#"{"type":"result","subtype":"error_during_execution","is_error":true,"error":"no credits"}"#;
    let turn = heard("amp", &TurnOrder::default(), &[failed]);
    assert_eq!(turn.errors, ["no credits"]);
}
