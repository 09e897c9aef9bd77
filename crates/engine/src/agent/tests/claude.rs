//! Claude Code.

use amps_core::exit::Exit;
use amps_core::tool_call::ToolOutcome;
use amps_core::turn::TurnRecord;

use super::{TurnOrder, arguments, calls, heard, heard_bytes, is_cut_short, thread, usage};

const INIT: &str = r#"{"type":"system","subtype":"init","session_id":"c1","model":"opus-5"}"#;

fn answer(id: &str, part: &str) -> String {
    format!(
        r#"{{"type":"assistant","message":{{"id":"{id}","model":"opus-5","content":[{part}],
        "usage":{{"input_tokens":1000,"cache_read_input_tokens":200,"output_tokens":1}}}},
        "parent_tool_use_id":null,"session_id":"c1"}}"#
    )
}

fn says(id: &str, text: &str) -> String {
    answer(id, &format!(r#"{{"type":"text","text":"{text}"}}"#))
}

fn calls_tool(id: &str, call: &str, command: &str) -> String {
    let input = format!(r#"{{"command":"{command}"}}"#);
    answer(
        id,
        &format!(r#"{{"type":"tool_use","id":"{call}","name":"Bash","input":{input}}}"#),
    )
}

fn tool_ends(call: &str, is_error: bool, said: &str) -> String {
    format!(
        r#"{{"type":"user","message":{{"role":"user","content":[{{"type":"tool_result",
        "tool_use_id":"{call}","is_error":{is_error},"content":"{said}"}}]}},"session_id":"c1"}}"#
    )
}

/// A result as it is today, its type at the end.
fn result(more: &str, tokens: [u64; 3], dollars: f64, total: f64) -> String {
    let [input, read, output] = tokens;
    let since = format!(
        r#"{{"opus-5":{{"inputTokens":{input},"outputTokens":{output},
        "cacheReadInputTokens":{read},"costUSD":{dollars}}}}}"#
    );
    format!(
        r#"{{"total_cost_usd":{total},"usage":{{"input_tokens":{input},"output_tokens":{output},
        "cache_read_input_tokens":{read}}},"is_error":false,"subtype":"success","session_id":"c1",
        "model_usage_since_last_result":{since},{more}"type":"result"}}"#
    )
}

fn turn(lines: &[String]) -> TurnRecord {
    heard("claude", &TurnOrder::default(), lines)
}

#[test]
fn a_turn_is_heard_from_its_thread_to_its_end() {
    let turn = turn(&[
        INIT.to_owned(),
        says("m1", "I will look."),
        calls_tool("m1", "t1", "ls"),
        tool_ends("t1", false, "a.txt"),
        says("m2", "There is one file."),
        result("", [2_000, 400, 150], 0.25, 0.25),
    ]);
    assert!(turn.has_succeeded());
    assert_eq!(turn.thread, Some(thread("c1")));
    assert_eq!(turn.model.as_deref(), Some("opus-5"));
    assert_eq!(turn.answer.as_deref(), Some("There is one file."));
    assert_eq!(turn.usage, usage(2_000, 400, 150, Some(0.25)));
    assert_eq!(calls(&turn), [("Bash", ToolOutcome::Succeeded, None, None)]);
    assert_eq!(arguments(&turn.tool_calls[0])["command"], "ls");
    assert_eq!(turn.tool_calls[0].duration.map(|it| it.as_secs()), Some(1));
}

#[test]
fn the_cost_of_a_turn_is_not_that_of_the_conversation() {
    let known = usage(2_000, 400, 150, Some(0.25));
    let id = thread("c1");
    let order = TurnOrder {
        thread: Some(&id),
        known,
        ..TurnOrder::default()
    };
    let told = result("", [1_000, 200, 50], 0.5, 0.75);
    // As before there was a difference to be told, and as it would be if it were not told.
    let untold = told.replace("model_usage_since_last_result", "model_usage_of_old");
    for result in [&told, &untold] {
        let turn = heard("claude", &order, &[INIT, &says("m1", "hi"), result]);
        assert_eq!(turn.usage, usage(1_000, 200, 50, Some(0.5)), "{result}");
    }
    let other = thread("another");
    let elsewhere = TurnOrder {
        thread: Some(&other),
        ..order
    };
    let turn = heard("claude", &elsewhere, &[INIT, &untold]);
    assert_eq!(
        turn.usage.cost_usd,
        usage(0, 0, 0, Some(0.75)).cost_usd,
        "a new conversation"
    );
}

#[test]
fn usage_that_is_not_final_is_counted_only_where_nothing_better_is_told() {
    let lines = [
        INIT.to_owned(),
        says("m1", "one"),
        says("m1", "two"),
        calls_tool("m2", "t1", "sleep 100"),
    ];
    let cut = heard_bytes(
        "claude",
        &TurnOrder::default(),
        &lines.each_ref().map(String::as_bytes),
        Exit::Code(143),
    );
    assert_eq!(
        cut.usage,
        usage(2_000, 400, 2, None),
        "of two answers, each once"
    );
    assert!(is_cut_short(&cut));
    let mut whole = lines.to_vec();
    whole.push(result("", [2_000, 400, 150], 0.25, 0.25));
    assert_eq!(turn(&whole).usage, usage(2_000, 400, 150, Some(0.25)));
}

#[test]
fn a_turn_with_a_sub_agent_has_several_results_that_add_up() {
    let inner = calls_tool("m9", "t2", "ls").replace(
        r#""parent_tool_use_id":null"#,
        r#""parent_tool_use_id":"t1""#,
    );
    let inner_says = says("m10", "inner").replace(
        r#""parent_tool_use_id":null"#,
        r#""parent_tool_use_id":"t1""#,
    );
    // The usage beside it leaves the sub-agent out.
    let first = result("", [3_700, 1_000, 165], 0.5, 0.5)
        .replace(r#""input_tokens":3700"#, r#""input_tokens":2000"#);
    let second = format!(
        r#"{{"type":"result","is_error":false,"total_cost_usd":0.5,"session_id":"c1",
        "usage":{{"input_tokens":1000,"output_tokens":50}},"model_usage_since_last_result":{}}}"#,
        "{}"
    );
    let lines = [
        INIT.to_owned(),
        calls_tool("m1", "t1", "Agent"),
        tool_ends("t1", false, "started"),
        says("m2", "The other works."),
        inner,
        tool_ends("t2", false, "a"),
        inner_says,
        first,
        INIT.to_owned(),
        says("m3", "Done."),
        second,
    ];
    let all = turn(&lines);
    assert_eq!(all.usage, usage(3_700, 1_000, 165, Some(0.5)));
    assert_eq!(all.tool_calls.len(), 2, "those of the sub-agent too");
    assert_eq!(all.answer.as_deref(), Some("Done."), "not of the sub-agent");
    assert!(all.has_succeeded());
    assert!(!turn(&lines[..9]).did_finish, "it had begun again");
}

#[test]
fn a_failed_command_tells_its_exit_code() {
    let turn = turn(&[
        INIT.to_owned(),
        calls_tool("m1", "t1", "false"),
        tool_ends("t1", true, "Exit code 3\\nno such thing"),
        result("", [1, 0, 1], 0.0, 0.0),
    ]);
    let told = Some("Exit code 3\nno such thing");
    assert_eq!(calls(&turn), [("Bash", ToolOutcome::Failed, Some(3), told)]);
    assert!(turn.has_succeeded(), "the turn went on");
}

#[test]
fn a_tool_that_was_refused_is_denied_however_that_is_told() {
    let refused = tool_ends("t1", true, "Permission has been denied");
    let meta = r#""tool_result_meta":[{"id":"t1","permission_decision":{"decision":"reject"}}],"#;
    let by_meta = refused.replacen('{', &format!("{{{meta}"), 1);
    let notice = r#"{"type":"system","subtype":"permission_denied","tool_use_id":"t1"}"#;
    let denials = r#""permission_denials":[{"tool_name":"Bash","tool_use_id":"t1"}],"#;
    let plain = result("", [1, 0, 1], 0.0, 0.0);
    for told in [
        vec![by_meta, plain.clone()],
        vec![notice.to_owned(), refused.clone(), plain],
        vec![refused, result(denials, [1, 0, 1], 0.0, 0.0)],
    ] {
        let mut lines = vec![INIT.to_owned(), calls_tool("m1", "t1", "rm -r /")];
        lines.extend(told);
        let turn = turn(&lines);
        assert_eq!(
            turn.tool_calls[0].outcome,
            ToolOutcome::Denied,
            "{lines:#?}"
        );
        assert!(turn.has_succeeded(), "the turn went on");
    }
}

#[test]
fn an_error_is_one_although_the_result_calls_itself_a_success() {
    let made_up = says("m1", "API Error: 401").replace("opus-5", "<synthetic>");
    let failed = r#"{"type":"result","subtype":"success","is_error":true,"result":"API Error: 401","usage":{}}"#;
    let retry = r#"{"type":"system","subtype":"api_retry","attempt":3,"max_retries":10,"error":"rate_limit"}"#;
    let turn = turn(&[INIT, retry, &made_up, failed].map(str::to_owned));
    assert_eq!(turn.errors, ["API Error: 401"]);
    assert_eq!(turn.warnings, ["attempt 3 of 10 after rate_limit"]);
    assert_eq!(turn.answer, None, "the agent made it up");
    assert_eq!(turn.model.as_deref(), Some("opus-5"));
    assert!(turn.did_finish && !turn.has_succeeded());
}

#[test]
fn a_conversation_that_there_is_not_is_not_taken_for_one() {
    let failed = r#"{"type":"result","subtype":"error_during_execution","is_error":true,"session_id":"c9",
        "errors":["No conversation found"],"usage":{},"total_cost_usd":0}"#;
    let turn = turn(&[failed.to_owned()]);
    assert_eq!(turn.thread, None);
    assert_eq!(turn.errors, ["No conversation found"]);
}

#[test]
fn an_interrupted_turn_ends_with_0_and_has_not_succeeded() {
    let turn = turn(&[INIT.to_owned(), calls_tool("m1", "t1", "sleep 100")]);
    assert_eq!(turn.exit, Some(Exit::Code(0)));
    assert!(is_cut_short(&turn));
}

#[test]
fn half_a_character_does_not_lose_the_result() {
    let whole = result(r#""result":"cut \ud83d","#, [7, 0, 1], 0.0, 0.0);
    assert_eq!(turn(std::slice::from_ref(&whole)).usage.input_tokens, 7);
    let spoilt = [
        b"{\"x\":\"\xff\xfe\",",
        whole.trim_start_matches('{').as_bytes(),
    ]
    .concat();
    let order = TurnOrder::default();
    let turn = heard_bytes("claude", &order, &[&spoilt], Exit::Code(0));
    assert_eq!(turn.usage.input_tokens, 7);
}
