//! The stream that Claude Code writes, and Amp in the same form: one JSON object a line, its keys in
//! any order.
//!
//! One answer of the model comes as several lines of the same id, each with the same usage, which is
//! not final. A turn may have several results: with sub-agents in the background the agent begins
//! again by itself. A result says what was used since the last one, sub-agents included, or else
//! what was used without them, and the cost of the whole conversation. Amp's says nothing of that.

use std::collections::{HashMap, HashSet};

use amps_core::exit::Exit;
use amps_core::tool_call::ToolOutcome;
use amps_core::turn::{AgentEvent, ThreadId};
use amps_core::usage::{Usage, Usd};
use serde_json::Value;

use super::json::{arguments, count, list, message, parse, text};
use super::{Reader, TurnOrder};

/// The model of answers that the agent itself made up, to tell of an error.
const NO_MODEL: &str = "<synthetic>";

/// Hears such a stream.
#[derive(Debug)]
pub(super) struct StreamJson {
    ordered: Option<ThreadId>,
    /// What the conversation had cost when it was told last.
    cost: Option<Usd>,
    /// What answers used, by their ids, as long as no result has told better.
    answers: HashMap<String, Usage>,
    /// Calls that were refused.
    denied: HashSet<String>,
}

impl StreamJson {
    /// Begins to hear the turn that was ordered.
    pub(super) fn new(order: &TurnOrder<'_>) -> Self {
        Self {
            ordered: order.thread.cloned(),
            cost: order.known.cost_usd,
            answers: HashMap::new(),
            denied: HashSet::new(),
        }
    }

    fn hear_system(&mut self, line: &Value, events: &mut Vec<AgentEvent>) {
        match text(line, "/subtype") {
            Some("init") => name_model(text(line, "/model"), events),
            Some("permission_denied") => {
                let id = text(line, "/tool_use_id").unwrap_or_default();
                self.denied.insert(id.to_owned());
            }
            Some("api_retry") => {
                let (attempt, most) = (count(line, "/attempt"), count(line, "/max_retries"));
                let error = text(line, "/error").unwrap_or("an unknown error");
                let message = format!("attempt {attempt} of {most} after {error}");
                events.push(AgentEvent::Warned { message });
            }
            _ => {}
        }
    }

    fn hear_answer(&mut self, line: &Value, events: &mut Vec<AgentEvent>) {
        let is_inner = text(line, "/parent_tool_use_id").is_some();
        let model = text(line, "/message/model");
        if let Some(usage) = line.pointer("/message/usage") {
            let unnamed = || self.answers.len().to_string();
            let id = text(line, "/message/id").map_or_else(unnamed, str::to_owned);
            self.answers.insert(id, usage_of(usage));
        }
        if !is_inner {
            name_model(model, events);
        }
        for part in list(line, "/message/content") {
            match text(part, "/type") {
                Some("text") if !is_inner && model != Some(NO_MODEL) => {
                    let said = text(part, "/text").unwrap_or_default();
                    if !said.trim().is_empty() {
                        events.push(AgentEvent::Said {
                            text: said.to_owned(),
                        });
                    }
                }
                Some("tool_use") => events.push(AgentEvent::ToolBegan {
                    call_id: text(part, "/id").unwrap_or_default().to_owned(),
                    name: text(part, "/name").unwrap_or_default().to_owned(),
                    arguments: arguments(part.pointer("/input").unwrap_or(&Value::Null)),
                    began_at: None,
                }),
                _ => {}
            }
        }
    }

    fn hear_tools(&self, line: &Value, events: &mut Vec<AgentEvent>) {
        for part in list(line, "/message/content") {
            let Some(id) = text(part, "/tool_use_id") else {
                continue;
            };
            let mut about = list(line, "/tool_result_meta").iter();
            let is_refused = about.any(|about| {
                let decision = text(about, "/permission_decision/decision");
                text(about, "/id") == Some(id) && decision == Some("reject")
            });
            let has_failed = part.pointer("/is_error") == Some(&Value::Bool(true));
            let outcome = if is_refused || self.denied.contains(id) {
                ToolOutcome::Denied
            } else if has_failed {
                ToolOutcome::Failed
            } else {
                ToolOutcome::Succeeded
            };
            let said = said_by_tool(part).filter(|_| has_failed);
            events.push(AgentEvent::ToolEnded {
                call_id: id.to_owned(),
                outcome,
                exit_code: said.as_deref().and_then(exit_code),
                error: said,
                duration: None,
            });
        }
    }

    fn hear_result(&mut self, line: &Value, events: &mut Vec<AgentEvent>) {
        let usage = self.used(line);
        events.push(AgentEvent::Used { usage });
        for denial in list(line, "/permission_denials") {
            events.push(AgentEvent::ToolEnded {
                call_id: text(denial, "/tool_use_id").unwrap_or_default().to_owned(),
                outcome: ToolOutcome::Denied,
                exit_code: None,
                error: None,
                duration: None,
            });
        }
        // It may be of the subtype "success" all the same.
        if line.pointer("/is_error") == Some(&Value::Bool(true)) {
            let mut errors: Vec<String> =
                list(line, "/errors").iter().filter_map(message).collect();
            if errors.is_empty() {
                let places = ["/result", "/error", "/subtype"];
                let told = places
                    .iter()
                    .find_map(|place| message(line.pointer(place)?));
                errors.push(told.unwrap_or_else(|| "the agent does not say why".to_owned()));
            }
            events.extend(
                errors
                    .into_iter()
                    .map(|message| AgentEvent::Failed { message }),
            );
        }
        events.push(AgentEvent::TurnEnded);
    }

    /// Returns what was used since the last result.
    fn used(&mut self, result: &Value) -> Usage {
        let answers = std::mem::take(&mut self.answers);
        let total = result.pointer("/total_cost_usd").and_then(Value::as_f64);
        let total = total.and_then(Usd::from_dollars);
        let before = self.cost;
        self.cost = total.or(before);
        let models = result.pointer("/model_usage_since_last_result");
        if let Some(models) = models.and_then(Value::as_object) {
            return models.values().map(usage_of_model).sum();
        }
        let Some(usage) = result.pointer("/usage") else {
            return answers.into_values().sum();
        };
        let cost = |cost_usd| Usage {
            cost_usd,
            ..Usage::default()
        };
        Usage {
            cost_usd: cost(total).since(cost(before)).cost_usd,
            ..usage_of(usage)
        }
    }
}

impl Reader for StreamJson {
    fn hear(&mut self, line: &[u8], events: &mut Vec<AgentEvent>) {
        let Some(line) = parse(line) else {
            return;
        };
        let kind = text(&line, "/type");
        // A result may name a conversation that was asked for and that there is not.
        let thread = text(&line, "/session_id").filter(|_| kind != Some("result"));
        if let Some(thread) = thread.and_then(ThreadId::new) {
            // Another conversation has cost nothing yet.
            if self.ordered.take().is_some_and(|ordered| ordered != thread) {
                self.cost = None;
            }
            events.push(AgentEvent::Thread { thread });
        }
        match kind {
            Some("system") => self.hear_system(&line, events),
            Some("assistant") => self.hear_answer(&line, events),
            Some("user") => self.hear_tools(&line, events),
            Some("result") => self.hear_result(&line, events),
            Some("error") => {
                events.extend(message(&line).map(|message| AgentEvent::Failed { message }));
            }
            _ => {}
        }
    }

    fn end(&mut self, _exit: Option<Exit>, events: &mut Vec<AgentEvent>) {
        if !self.answers.is_empty() {
            let usage = self.answers.drain().map(|(_, usage)| usage).sum();
            events.push(AgentEvent::Used { usage });
        }
    }
}

fn name_model(model: Option<&str>, events: &mut Vec<AgentEvent>) {
    if let Some(model) = model.filter(|model| *model != NO_MODEL) {
        events.push(AgentEvent::Model {
            model: model.to_owned(),
        });
    }
}

fn usage_of(usage: &Value) -> Usage {
    Usage {
        input_tokens: count(usage, "/input_tokens"),
        output_tokens: count(usage, "/output_tokens"),
        cache_read_tokens: count(usage, "/cache_read_input_tokens"),
        cache_write_tokens: count(usage, "/cache_creation_input_tokens"),
        reasoning_tokens: count(usage, "/output_tokens_details/thinking_tokens"),
        cost_usd: None,
    }
}

fn usage_of_model(usage: &Value) -> Usage {
    let cost = usage.pointer("/costUSD").and_then(Value::as_f64);
    Usage {
        input_tokens: count(usage, "/inputTokens"),
        output_tokens: count(usage, "/outputTokens"),
        cache_read_tokens: count(usage, "/cacheReadInputTokens"),
        cache_write_tokens: count(usage, "/cacheCreationInputTokens"),
        reasoning_tokens: count(usage, "/thinkingTokens"),
        cost_usd: cost.and_then(Usd::from_dollars),
    }
}

/// Returns what a tool said: a text, or the first one of a list of parts.
fn said_by_tool(part: &Value) -> Option<String> {
    let content = part.pointer("/content")?;
    let of_parts = || {
        list(part, "/content")
            .iter()
            .find_map(|part| text(part, "/text"))
    };
    content.as_str().or_else(of_parts).map(str::to_owned)
}

/// Returns the exit code that the first line of what a shell said names.
fn exit_code(said: &str) -> Option<i32> {
    let first = said.lines().next()?;
    first.strip_prefix("Exit code ")?.trim().parse().ok()
}
