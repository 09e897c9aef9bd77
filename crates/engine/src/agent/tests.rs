//! What agents tell, in streams of the shapes that they have, and how they are started.

mod aider;
mod amp;
mod claude;
mod codex;
mod command;
mod gemini;
mod invocations;
mod opencode;

use std::time::Duration;

use amps_core::exit::Exit;
use amps_core::time::Moment;
use amps_core::tool_call::{ToolCall, ToolOutcome};
use amps_core::turn::{ThreadId, TurnRecord};
use amps_core::usage::{Usage, Usd};
use jiff::Timestamp;
use serde_json::Value;

use super::{Hearing, TurnOrder, named, names};

/// Hears the lines of one turn, a second apart, and its end.
fn heard_bytes(agent: &str, order: &TurnOrder<'_>, lines: &[&[u8]], exit: Exit) -> TurnRecord {
    let mut hearing = Hearing::new(named(agent).unwrap(), order);
    let mut now = Moment {
        at: Timestamp::UNIX_EPOCH,
        uptime_ms: 0,
    };
    for line in lines {
        hearing.hear(line, now);
        now.at += Duration::from_secs(1);
        now.uptime_ms += 1_000;
    }
    hearing.finish(Some(exit), now)
}

fn heard(agent: &str, order: &TurnOrder<'_>, lines: &[impl AsRef<str>]) -> TurnRecord {
    let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_ref().as_bytes()).collect();
    heard_bytes(agent, order, &lines, Exit::Code(0))
}

fn thread(id: &str) -> ThreadId {
    ThreadId::new(id).unwrap()
}

fn usage(input: u64, read: u64, output: u64, dollars: Option<f64>) -> Usage {
    Usage {
        input_tokens: input,
        output_tokens: output,
        cache_read_tokens: read,
        cost_usd: dollars.and_then(Usd::from_dollars),
        ..Usage::default()
    }
}

/// What a call of a tool comes to: name, outcome, exit code, error.
fn calls(turn: &TurnRecord) -> Vec<(&str, ToolOutcome, Option<i32>, Option<&str>)> {
    let told = |call: &'_ ToolCall| (call.outcome, call.exit_code);
    let calls = turn.tool_calls.iter().map(|call| {
        let (outcome, code) = told(call);
        (call.name.as_str(), outcome, code, call.error.as_deref())
    });
    calls.collect()
}

fn arguments(call: &ToolCall) -> Value {
    serde_json::from_str(&call.arguments).unwrap()
}

/// A stream that has no end, cut off in the middle of a call of a tool.
fn is_cut_short(turn: &TurnRecord) -> bool {
    let last = turn.tool_calls.last().map(|call| call.outcome);
    !turn.did_finish && last == Some(ToolOutcome::Unfinished) && !turn.has_succeeded()
}

#[test]
fn rubbish_tells_nothing_and_spoils_nothing() {
    let rubbish: [&[u8]; 12] = [
        b"",
        b"   ",
        b"Loading...",
        b"\xff\xfe\x00\x80",
        b"{",
        b"{\"type\":",
        b"[]",
        b"null",
        b"{\"type\":7,\"message\":[],\"item\":3,\"part\":\"x\",\"stats\":[1]}",
        b"{\"type\":\"result\",\"usage\":[],\"permission_denials\":{}}",
        b"{\"type\":\"tool_use\",\"part\":{\"state\":7},\"tool_id\":{}}",
        b"{\"type\":\"something-new\",\"session_id\":\"--help\",\"thread_id\":\"\"}",
    ];
    for agent in names() {
        let turn = heard_bytes(agent, &TurnOrder::default(), &rubbish, Exit::Code(7));
        assert_eq!(turn.thread, None, "{agent}");
        assert_eq!(turn.usage, Usage::default(), "{agent}");
        assert!(!turn.has_succeeded(), "{agent}");
    }
}

#[test]
fn a_turn_that_says_nothing_has_not_succeeded_except_where_only_the_exit_tells() {
    for agent in names() {
        let turn = heard(agent, &TurnOrder::default(), &[""; 0]);
        assert_eq!(turn.has_succeeded(), agent == "aider", "{agent}");
    }
}
