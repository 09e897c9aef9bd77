//! opencode. Asked to continue a conversation from another folder it works in the old one, says
//! nothing and does not end.

use std::time::Duration;

use amps_core::exit::Exit;
use amps_core::tool_call::ToolOutcome;
use amps_core::turn::{AgentEvent, ThreadId};
use amps_core::usage::{Usage, Usd};
use jiff::Timestamp;
use serde_json::Value;

use super::json::{arguments, code, count, message, parse, text};
use super::words::Words;
use super::{Agent, Invocation, Reader, TurnOrder};

/// opencode.
#[derive(Debug)]
pub(super) struct Opencode;

impl Agent for Opencode {
    fn name(&self) -> &'static str {
        "opencode"
    }

    fn invocation(&self, order: &TurnOrder<'_>) -> Invocation {
        // Given as an argument, a prompt of several words would reach the model with quotes around
        // it. It may do what its configuration allows, by default nearly all.
        let words = Words::of(&["run", "--format", "json"])
            .option("--session", order.thread.map(ThreadId::as_str))
            .option("--model", order.model);
        Invocation {
            arguments: words.further(order.further),
            variables: Vec::new(),
            stdin: Some(order.prompt.to_owned()),
        }
    }

    fn interactive(
        &self,
        thread: Option<&ThreadId>,
        model: Option<&str>,
        further: &[String],
    ) -> Vec<String> {
        Words::default()
            .option("--session", thread.map(ThreadId::as_str))
            .option("--model", model)
            .further(further)
    }

    fn reader(&self, _order: &TurnOrder<'_>) -> Box<dyn Reader> {
        Box::new(Events)
    }
}

/// Hears `opencode run --format json`. A tool is told of when it is done, what was used after each
/// step, and the model never.
#[derive(Debug)]
struct Events;

impl Reader for Events {
    fn hear(&mut self, line: &[u8], events: &mut Vec<AgentEvent>) {
        let Some(line) = parse(line) else {
            return;
        };
        let thread = text(&line, "/sessionID").and_then(ThreadId::new);
        events.extend(thread.map(|thread| AgentEvent::Thread { thread }));
        match text(&line, "/type") {
            Some("text") => {
                let said = text(&line, "/part/text").filter(|said| !said.trim().is_empty());
                events.extend(said.map(|text| AgentEvent::Said {
                    text: text.to_owned(),
                }));
            }
            Some("tool_use") => {
                if let Some(part) = line.pointer("/part") {
                    hear_tool(part, events);
                }
            }
            Some("step_finish") => {
                events.extend(line.pointer("/part").map(|part| AgentEvent::Used {
                    usage: usage_of(part),
                }));
                // It never says that the turn ends: the last step is one that asks for no tool.
                let goes_on = [Some("tool-calls"), Some("unknown")];
                if !goes_on.contains(&text(&line, "/part/reason")) {
                    events.push(AgentEvent::TurnEnded);
                }
            }
            Some("error") => {
                let told = line.pointer("/error").and_then(message);
                let message = told.unwrap_or_else(|| "the agent does not say why".to_owned());
                events.push(AgentEvent::Failed { message });
            }
            _ => {}
        }
    }

    fn end(&mut self, _exit: Option<Exit>, _events: &mut Vec<AgentEvent>) {}
}

fn hear_tool(part: &Value, events: &mut Vec<AgentEvent>) {
    let call_id = text(part, "/callID").unwrap_or_default().to_owned();
    let instant = |place| part.pointer(place).and_then(Value::as_i64);
    let (start, end) = (instant("/state/time/start"), instant("/state/time/end"));
    let given = part.pointer("/state/input").unwrap_or(&Value::Null);
    events.push(AgentEvent::ToolBegan {
        call_id: call_id.clone(),
        name: text(part, "/tool").unwrap_or_default().to_owned(),
        arguments: arguments(given),
        began_at: start.and_then(|start| Timestamp::from_millisecond(start).ok()),
    });
    // A command that fails is a tool that completes.
    let exit_code = code(part, "/state/metadata/exit");
    let error = part.pointer("/state/error").and_then(message);
    let outcome = match text(part, "/state/status") {
        Some("completed") if exit_code.is_none_or(|code| code == 0) => ToolOutcome::Succeeded,
        Some("error") if error.as_deref().is_some_and(is_refusal) => ToolOutcome::Denied,
        Some("pending" | "running") => ToolOutcome::Unfinished,
        _ => ToolOutcome::Failed,
    };
    let taken = start.zip(end).and_then(|(start, end)| {
        let taken = u64::try_from(end.checked_sub(start)?).ok()?;
        Some(Duration::from_millis(taken))
    });
    events.push(AgentEvent::ToolEnded {
        call_id,
        outcome,
        exit_code,
        error,
        duration: taken,
    });
}

/// What it tells the model of a tool that was not allowed.
fn is_refusal(error: &str) -> bool {
    error.starts_with("The user rejected permission")
        || error.starts_with("The user has specified a rule which prevents")
}

/// Its output does not count the reasoning, and a model without a price costs 0.
fn usage_of(part: &Value) -> Usage {
    let reasoning = count(part, "/tokens/reasoning");
    let cost = part.pointer("/cost").and_then(Value::as_f64);
    let cost = cost.and_then(Usd::from_dollars);
    Usage {
        input_tokens: count(part, "/tokens/input"),
        output_tokens: count(part, "/tokens/output").saturating_add(reasoning),
        cache_read_tokens: count(part, "/tokens/cache/read"),
        cache_write_tokens: count(part, "/tokens/cache/write"),
        reasoning_tokens: reasoning,
        cost_usd: cost.filter(|cost| *cost > Usd::default()),
    }
}
