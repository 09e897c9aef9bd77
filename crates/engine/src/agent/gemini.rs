//! Gemini CLI. Its conversations belong to a folder.

use amps_core::exit::Exit;
use amps_core::tool_call::ToolOutcome;
use amps_core::turn::{AgentEvent, ThreadId};
use amps_core::usage::Usage;
use serde_json::Value;

use super::json::{arguments, count, message, parse, text};
use super::words::Words;
use super::{Agent, Invocation, Reader, TurnOrder};

/// Gemini CLI.
#[derive(Debug)]
pub(super) struct Gemini;

/// The options that say what it may do without asking; two of them contradict each other.
const PERMISSIONS: [&str; 3] = ["--approval-mode", "--yolo", "-y"];

/// It starts itself once more, and the first of the two does not pass on a SIGTERM.
const ONE_PROCESS: (&str, &str) = ("GEMINI_CLI_NO_RELAUNCH", "true");

impl Agent for Gemini {
    fn name(&self) -> &'static str {
        "gemini"
    }

    fn invocation(&self, order: &TurnOrder<'_>) -> Invocation {
        let new_thread = order.new_thread.filter(|_| order.thread.is_none());
        let new_thread = new_thread.map(|id| id.to_string());
        let words = Words::of(&["--output-format", "stream-json"])
            .option("--resume", order.thread.map(ThreadId::as_str))
            .option("--session-id", new_thread.as_deref())
            .option("--model", order.model)
            .unless(
                &PERMISSIONS,
                order.further,
                &["--approval-mode", "auto_edit"],
            );
        Invocation {
            arguments: words.further(order.further),
            variables: vec![ONE_PROCESS],
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
            .option("--resume", thread.map(ThreadId::as_str))
            .option("--model", model)
            .further(further)
    }

    fn reader(&self, _order: &TurnOrder<'_>) -> Box<dyn Reader> {
        Box::new(Events::default())
    }
}

/// Hears `gemini --output-format stream-json`. What it says comes in pieces, a tool that ran a command
/// has always succeeded, and what was used is told once, for this run.
#[derive(Debug, Default)]
struct Events {
    said: String,
}

impl Events {
    fn hear_line(&mut self, line: &Value, events: &mut Vec<AgentEvent>) {
        let kind = text(line, "/type");
        if kind == Some("message") {
            if text(line, "/role") == Some("assistant") {
                if line.pointer("/delta") != Some(&Value::Bool(true)) {
                    self.say(events);
                }
                self.said
                    .push_str(text(line, "/content").unwrap_or_default());
            }
            return;
        }
        self.say(events);
        match kind {
            Some("init") => {
                let thread = text(line, "/session_id").and_then(ThreadId::new);
                events.extend(thread.map(|thread| AgentEvent::Thread { thread }));
                let model = text(line, "/model").map(str::to_owned);
                events.extend(model.map(|model| AgentEvent::Model { model }));
            }
            Some("tool_use") => events.push(AgentEvent::ToolBegan {
                call_id: text(line, "/tool_id").unwrap_or_default().to_owned(),
                name: text(line, "/tool_name").unwrap_or_default().to_owned(),
                arguments: arguments(line.pointer("/parameters").unwrap_or(&Value::Null)),
                began_at: None,
            }),
            Some("tool_result") => {
                let outcome = match (text(line, "/status"), text(line, "/error/type")) {
                    (Some("success"), _) => ToolOutcome::Succeeded,
                    (_, Some("policy_violation")) => ToolOutcome::Denied,
                    _ => ToolOutcome::Failed,
                };
                events.push(AgentEvent::ToolEnded {
                    call_id: text(line, "/tool_id").unwrap_or_default().to_owned(),
                    outcome,
                    exit_code: None,
                    error: line.pointer("/error").and_then(message),
                    duration: None,
                });
            }
            // It tells of these and goes on.
            Some("error") => {
                events.extend(message(line).map(|message| AgentEvent::Warned { message }));
            }
            Some("result") => hear_result(line, events),
            _ => {}
        }
    }

    /// Tells what was said in pieces.
    fn say(&mut self, events: &mut Vec<AgentEvent>) {
        let text = std::mem::take(&mut self.said);
        if !text.trim().is_empty() {
            events.push(AgentEvent::Said { text });
        }
    }
}

impl Reader for Events {
    fn hear(&mut self, line: &[u8], events: &mut Vec<AgentEvent>) {
        if let Some(line) = parse(line) {
            self.hear_line(&line, events);
        }
    }

    fn end(&mut self, _exit: Option<Exit>, events: &mut Vec<AgentEvent>) {
        self.say(events);
    }
}

fn hear_result(line: &Value, events: &mut Vec<AgentEvent>) {
    if let Some(stats) = line.pointer("/stats") {
        // Asked for an alias, it tells only here who answered: most of it, if several did.
        let models = stats.pointer("/models").and_then(Value::as_object);
        let models = models.into_iter().flatten();
        let used = models.filter(|(_, stats)| count(stats, "/total_tokens") > 0);
        let most = used.max_by_key(|(_, stats)| count(stats, "/total_tokens"));
        events.extend(most.map(|(model, _)| AgentEvent::Model {
            model: model.clone(),
        }));
        events.push(AgentEvent::Used {
            usage: usage_of(stats),
        });
    }
    if text(line, "/status") != Some("success") {
        let told = line.pointer("/error").and_then(message);
        let message = told.unwrap_or_else(|| "the agent does not say why".to_owned());
        events.push(AgentEvent::Failed { message });
    }
    events.push(AgentEvent::TurnEnded);
}

/// Its input counts what came from a cache, and its output does not count the reasoning, which is only
/// in the total.
fn usage_of(stats: &Value) -> Usage {
    let (input, output) = (
        count(stats, "/input_tokens"),
        count(stats, "/output_tokens"),
    );
    let cached = count(stats, "/cached");
    let total = count(stats, "/total_tokens");
    let reasoning = total.saturating_sub(input).saturating_sub(output);
    Usage {
        input_tokens: input.saturating_sub(cached),
        output_tokens: output.saturating_add(reasoning),
        cache_read_tokens: cached,
        cache_write_tokens: 0,
        reasoning_tokens: reasoning,
        cost_usd: None,
    }
}
