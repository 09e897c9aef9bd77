//! Codex.

mod transcripts;

use std::ffi::OsString;

use amps_core::exit::Exit;
use amps_core::tool_call::ToolOutcome;
use amps_core::turn::{AgentEvent, ThreadId};
use amps_core::usage::Usage;
use serde_json::{Map, Value};

use super::json::{arguments, code, count, message, parse, text};
use super::transcripts::Transcripts;
use super::words::Words;
use super::{Agent, Invocation, Reader, TurnOrder};

/// Codex.
#[derive(Debug)]
pub(super) struct Codex;

/// The options that say where it may write, beside settings of that name.
const SANDBOX: [&str; 6] = [
    "--sandbox",
    "-s",
    "--approve-for-me",
    "--dangerously-bypass-approvals-and-sandbox",
    "sandbox_mode",
    "--profile",
];

impl Agent for Codex {
    fn name(&self) -> &'static str {
        "codex"
    }

    fn invocation(&self, order: &TurnOrder<'_>) -> Invocation {
        let words = match order.thread {
            Some(_) => Words::of(&["exec", "resume", "--json"]),
            None => Words::of(&["exec", "--json"]),
        };
        // A setting rather than `--sandbox`, which there is not for a thread that is resumed. What
        // needs an approval is refused in this form anyway.
        let words = words.option("--model", order.model).unless(
            &SANDBOX,
            order.further,
            &["-c", "sandbox_mode=workspace-write"],
        );
        let mut arguments = words.further(order.further);
        arguments.extend(order.thread.map(ThreadId::to_string));
        arguments.push("-".to_owned());
        Invocation {
            arguments,
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
        let words = match thread {
            Some(thread) => Words::of(&["resume", thread.as_str()]),
            None => Words::default(),
        };
        words.option("--model", model).further(further)
    }

    fn reader(&self, order: &TurnOrder<'_>) -> Box<dyn Reader> {
        Box::new(Events {
            ordered: order.thread.cloned(),
            known: order.known,
        })
    }

    fn transcripts(&self) -> Option<&dyn Transcripts> {
        Some(self)
    }

    fn noted_model(
        &self,
        thread: &ThreadId,
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Option<String> {
        transcripts::last_model(&self.folder(variable)?, thread)
    }

    fn continues_elsewhere(&self) -> bool {
        true
    }
}

/// Hears `codex exec --json`. Nothing in it names the model or tells a time, and what was used is told
/// for the whole thread.
#[derive(Debug)]
struct Events {
    ordered: Option<ThreadId>,
    /// What the thread had used when that was told last.
    known: Usage,
}

impl Reader for Events {
    fn hear(&mut self, line: &[u8], events: &mut Vec<AgentEvent>) {
        let Some(line) = parse(line) else {
            return;
        };
        match text(&line, "/type") {
            Some("thread.started") => {
                let thread = text(&line, "/thread_id").and_then(ThreadId::new);
                if let Some(thread) = thread {
                    // Another thread has used nothing yet.
                    if self.ordered.take().is_some_and(|ordered| ordered != thread) {
                        self.known = Usage::default();
                    }
                    events.push(AgentEvent::Thread { thread });
                }
            }
            Some("item.started") => events.extend(line.pointer("/item").and_then(began)),
            Some("item.completed") => {
                if let Some(item) = line.pointer("/item") {
                    hear_completed(item, events);
                }
            }
            Some("turn.completed") => {
                if let Some(usage) = line.pointer("/usage") {
                    let total = usage_of(usage);
                    let usage = total.since(self.known);
                    self.known = total;
                    events.push(AgentEvent::Used { usage });
                }
                events.push(AgentEvent::TurnEnded);
            }
            Some("turn.failed") => {
                let told = line.pointer("/error").and_then(message);
                let message = told.unwrap_or_else(|| "the agent does not say why".to_owned());
                events.extend([AgentEvent::Failed { message }, AgentEvent::TurnEnded]);
            }
            // It may try again: what is final is told by the end of the turn.
            Some("error") => events.extend(warned(&line)),
            _ => {}
        }
    }

    fn end(&mut self, _exit: Option<Exit>, _events: &mut Vec<AgentEvent>) {}
}

fn warned(about: &Value) -> Option<AgentEvent> {
    let message = message(about.pointer("/message")?)?;
    Some(AgentEvent::Warned { message })
}

/// Returns the call of a tool that an item stands for. Kinds that are not known are tools.
fn began(item: &Value) -> Option<AgentEvent> {
    let kind = text(item, "/type")?;
    let name = match kind {
        "agent_message" | "reasoning" | "error" | "todo_list" => return None,
        "mcp_tool_call" => {
            let part = |place| text(item, place).unwrap_or_default();
            format!("{}.{}", part("/server"), part("/tool"))
        }
        _ => kind.to_owned(),
    };
    let given = item.pointer("/arguments").cloned().unwrap_or_else(|| {
        let of_ours = [
            "id",
            "type",
            "status",
            "aggregated_output",
            "exit_code",
            "result",
            "error",
        ];
        let fields = item.as_object().into_iter().flatten();
        let given = fields.filter(|(name, _)| !of_ours.contains(&name.as_str()));
        Value::Object(
            given
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect::<Map<_, _>>(),
        )
    });
    Some(AgentEvent::ToolBegan {
        call_id: text(item, "/id").unwrap_or_default().to_owned(),
        name,
        arguments: arguments(&given),
        began_at: None,
    })
}

fn hear_completed(item: &Value, events: &mut Vec<AgentEvent>) {
    match text(item, "/type") {
        Some("agent_message") => {
            let said = text(item, "/text").filter(|said| !said.trim().is_empty());
            events.extend(said.map(|text| AgentEvent::Said {
                text: text.to_owned(),
            }));
        }
        // Whatever it is, the turn goes on.
        Some("error") => events.extend(warned(item)),
        _ => {
            // Some are told only when they are done.
            let Some(began) = began(item) else {
                return;
            };
            let outcome = match text(item, "/status") {
                Some("failed") => ToolOutcome::Failed,
                Some("declined") => ToolOutcome::Denied,
                Some("in_progress") => ToolOutcome::Unfinished,
                _ => ToolOutcome::Succeeded,
            };
            let told = item.pointer("/error").and_then(message);
            let said = || text(item, "/aggregated_output").map(|said| said.trim().to_owned());
            let error = told.or_else(said).filter(|error| !error.is_empty());
            events.extend([
                began,
                AgentEvent::ToolEnded {
                    call_id: text(item, "/id").unwrap_or_default().to_owned(),
                    outcome,
                    exit_code: code(item, "/exit_code"),
                    error: error.filter(|_| outcome != ToolOutcome::Succeeded),
                    duration: None,
                },
            ]);
        }
    }
}

/// Its input counts what came from a cache and what went into one.
fn usage_of(usage: &Value) -> Usage {
    let (read, write) = (
        count(usage, "/cached_input_tokens"),
        count(usage, "/cache_write_input_tokens"),
    );
    let input = count(usage, "/input_tokens");
    Usage {
        input_tokens: input.saturating_sub(read).saturating_sub(write),
        output_tokens: count(usage, "/output_tokens"),
        cache_read_tokens: read,
        cache_write_tokens: write,
        reasoning_tokens: count(usage, "/reasoning_output_tokens"),
        cost_usd: None,
    }
}
