//! What an agent tells while it runs one turn, and the record that comes of it. The same for every
//! agent: each has its own way of telling, and all of them come down to these events.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::mask::mask;
use crate::time::{Moment, optional_seconds};
use crate::tool_call::{ToolCall, ToolOutcome};
use crate::usage::Usage;

/// The most bytes of an answer that are kept: its end.
const LONGEST_ANSWER: usize = 64 * 1024;
/// The most bytes of one message, name or error.
const LONGEST_TEXT: usize = 2 * 1024;
/// The most calls of tools that a turn keeps, the first ones.
const MOST_TOOL_CALLS: usize = 2_000;
/// The most errors and the most warnings that a turn keeps, the last ones.
const MOST_MESSAGES: usize = 20;

/// Names a conversation with an agent, as the agent itself said. It can be given to the agent again
/// as an argument of a command line: it never looks like an option.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ThreadId(String);

/// The text names no thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a thread")]
pub struct InvalidThreadId;

impl ThreadId {
    /// The most bytes of an id.
    const LONGEST: usize = 200;

    /// Takes what an agent said; `None` if that can be no id.
    pub fn new(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= Self::LONGEST && !text.starts_with('-');
        let is_word = text.chars().all(|c| !c.is_whitespace() && !c.is_control());
        (fits && is_word).then(|| Self(text.to_owned()))
    }

    /// Returns the id as the agent said it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for ThreadId {
    type Error = InvalidThreadId;

    fn try_from(text: String) -> Result<Self, InvalidThreadId> {
        Self::new(&text).ok_or(InvalidThreadId)
    }
}

impl From<ThreadId> for String {
    fn from(id: ThreadId) -> Self {
        id.0
    }
}

/// One thing that an agent told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum AgentEvent {
    /// The conversation has this id.
    Thread {
        /// The id.
        thread: ThreadId,
    },
    /// This model answers.
    Model {
        /// Its name.
        model: String,
    },
    /// A tool was called. Told twice it is still one call.
    ToolBegan {
        /// The agent's id of the call.
        call_id: String,
        /// The tool.
        name: String,
        /// What it was given, as bounded JSON.
        arguments: String,
        /// When, if the agent told it.
        began_at: Option<Timestamp>,
    },
    /// A call has ended. Told again, it is corrected.
    ToolEnded {
        /// The agent's id of the call.
        call_id: String,
        /// How.
        outcome: ToolOutcome,
        /// The exit code of the command that it ran.
        exit_code: Option<i32>,
        /// What went wrong.
        error: Option<String>,
        /// How long it took, if the agent told it.
        #[serde(default, with = "optional_seconds")]
        duration: Option<Duration>,
    },
    /// The agent said something whole: if it is the last, it is the answer.
    Said {
        /// What it said.
        text: String,
    },
    /// The agent wrote a line of plain text: all of these are the answer.
    Wrote {
        /// The line, without its end.
        text: String,
    },
    /// This was used, beyond what was told before.
    Used {
        /// How much.
        usage: Usage,
    },
    /// The turn failed.
    Failed {
        /// Why.
        message: String,
    },
    /// Something went wrong, and the turn went on.
    Warned {
        /// What.
        message: String,
    },
    /// The turn has ended. What is told after it belongs to a turn that the agent began by itself.
    TurnEnded,
}

/// What came of one turn, as far as it was told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TurnRecord {
    /// The conversation, if the agent named it.
    pub thread: Option<ThreadId>,
    /// The model that answered last, or else the one that was ordered.
    pub model: Option<String>,
    /// What this turn used. Of one that was cut short it is the least that is known.
    pub usage: Usage,
    /// The calls of tools, in the order in which they began.
    pub tool_calls: Vec<ToolCall>,
    /// How many more there were than are kept.
    pub further_tool_calls: u32,
    /// What the agent said last.
    pub answer: Option<String>,
    /// Why the turn failed, if the agent said so.
    pub errors: Vec<String>,
    /// What else went wrong.
    pub warnings: Vec<String>,
    /// Whether the agent told that the turn ended, well or not.
    pub did_finish: bool,
    /// How the agent's process ended; `None` if that is not known.
    pub exit: Option<Exit>,
}

impl TurnRecord {
    /// Returns whether the turn went well. An exit code alone never tells: agents end with 0 after
    /// an error, and when they are interrupted.
    pub fn has_succeeded(&self) -> bool {
        self.did_finish && self.errors.is_empty() && self.exit == Some(Exit::Code(0))
    }
}

/// Makes the record of one turn of what the agent tells.
#[derive(Debug, Default)]
pub struct TurnLog {
    record: TurnRecord,
    /// The place of each call, and when we heard that it began.
    begun: HashMap<String, (usize, Moment)>,
}

impl TurnLog {
    /// Begins a record. `model` is the one that was ordered.
    pub fn new(model: Option<&str>) -> Self {
        let record = TurnRecord {
            model: model.map(str::to_owned),
            ..TurnRecord::default()
        };
        Self {
            record,
            begun: HashMap::new(),
        }
    }

    /// Notes an event that was heard at this moment, and returns it as it may be shown and stored:
    /// bounded, known secrets masked.
    pub fn note(&mut self, event: AgentEvent, at: Moment) -> AgentEvent {
        let event = tidied(event);
        let record = &mut self.record;
        match &event {
            AgentEvent::Thread { thread } => {
                // The first: what another thread says of itself later is not this one's.
                record.thread.get_or_insert_with(|| thread.clone());
            }
            AgentEvent::Model { model } => record.model = Some(model.clone()),
            AgentEvent::ToolBegan { .. } => self.begin(&event, at),
            AgentEvent::ToolEnded { .. } => self.end(&event, at),
            AgentEvent::Said { text } => record.answer = Some(text.clone()),
            AgentEvent::Wrote { text } => {
                let answer = record.answer.get_or_insert_default();
                answer.push_str(text);
                answer.push('\n');
                // Not at every line.
                if answer.len() > 2 * LONGEST_ANSWER {
                    *answer = end_of(answer, LONGEST_ANSWER).to_owned();
                }
            }
            AgentEvent::Used { usage } => record.usage += *usage,
            AgentEvent::Failed { message } => push(&mut record.errors, message),
            AgentEvent::Warned { message } => push(&mut record.warnings, message),
            AgentEvent::TurnEnded => {}
        }
        self.record.did_finish = match &event {
            AgentEvent::TurnEnded => true,
            AgentEvent::Model { .. }
            | AgentEvent::ToolBegan { .. }
            | AgentEvent::Said { .. }
            | AgentEvent::Wrote { .. } => false,
            AgentEvent::Thread { .. }
            | AgentEvent::ToolEnded { .. }
            | AgentEvent::Used { .. }
            | AgentEvent::Failed { .. }
            | AgentEvent::Warned { .. } => self.record.did_finish,
        };
        event
    }

    fn begin(&mut self, event: &AgentEvent, at: Moment) {
        let AgentEvent::ToolBegan {
            call_id,
            name,
            arguments,
            began_at,
        } = event
        else {
            return;
        };
        let record = &mut self.record;
        let place = record.tool_calls.len();
        if self.begun.contains_key(call_id) {
            return;
        }
        if place == MOST_TOOL_CALLS {
            record.further_tool_calls += 1;
            return;
        }
        if !call_id.is_empty() {
            self.begun.insert(call_id.clone(), (place, at));
        }
        record.tool_calls.push(ToolCall {
            number: u32::try_from(place).unwrap_or(u32::MAX).saturating_add(1),
            call_id: call_id.clone(),
            name: name.clone(),
            arguments: arguments.clone(),
            started_at: began_at.unwrap_or(at.at),
            duration: None,
            outcome: ToolOutcome::Unfinished,
            exit_code: None,
            error: None,
        });
    }

    fn end(&mut self, event: &AgentEvent, at: Moment) {
        let AgentEvent::ToolEnded {
            call_id,
            outcome,
            exit_code,
            error,
            duration,
        } = event
        else {
            return;
        };
        let Some((place, began)) = self.begun.get(call_id) else {
            return;
        };
        let Some(call) = self.record.tool_calls.get_mut(*place) else {
            return;
        };
        let heard = duration.unwrap_or_else(|| at.since(*began));
        call.duration.get_or_insert(heard);
        call.outcome = *outcome;
        call.exit_code = exit_code.or(call.exit_code);
        if error.is_some() {
            call.error.clone_from(error);
        }
    }

    /// Ends the record.
    pub fn finish(self, exit: Option<Exit>) -> TurnRecord {
        let mut record = self.record;
        record.exit = exit;
        record.answer = record.answer.and_then(|answer| {
            let answer = end_of(answer.trim(), LONGEST_ANSWER);
            (!answer.is_empty()).then(|| answer.to_owned())
        });
        record
    }
}

/// Returns the event with its texts bounded and masked.
fn tidied(mut event: AgentEvent) -> AgentEvent {
    let tidy = |text: &mut String| *text = bounded(text, LONGEST_TEXT);
    match &mut event {
        AgentEvent::Model { model: text }
        | AgentEvent::Failed { message: text }
        | AgentEvent::Warned { message: text } => tidy(text),
        AgentEvent::ToolBegan { call_id, name, .. } => {
            tidy(call_id);
            tidy(name);
        }
        AgentEvent::ToolEnded { call_id, error, .. } => {
            tidy(call_id);
            error.as_mut().map(tidy);
        }
        AgentEvent::Said { text } | AgentEvent::Wrote { text } => {
            *text = bounded(text, LONGEST_ANSWER);
        }
        AgentEvent::Thread { .. } | AgentEvent::Used { .. } | AgentEvent::TurnEnded => {}
    }
    event
}

/// Returns the beginning of a text, known secrets masked.
pub fn bounded(text: &str, longest: usize) -> String {
    // Masked before it is cut: the beginning of a secret may not have its shape. Far behind the cut
    // nothing changes what is before it, but for a private key, whose end is not asked for.
    let near = beginning_of(text, longest.saturating_mul(2));
    let masked = mask(near);
    let cut = beginning_of(&masked, longest);
    if cut.len() < masked.len() || near.len() < text.len() {
        return format!("{cut}…");
    }
    masked.into_owned()
}

fn beginning_of(text: &str, longest: usize) -> &str {
    let mut ends = (0..=longest.min(text.len())).rev();
    ends.find_map(|end| text.get(..end)).unwrap_or_default()
}

fn end_of(text: &str, longest: usize) -> &str {
    let mut starts = text.len().saturating_sub(longest)..=text.len();
    starts
        .find_map(|start| text.get(start..))
        .unwrap_or_default()
}

fn push(messages: &mut Vec<String>, message: &str) {
    if messages.last().is_some_and(|last| last == message) {
        return;
    }
    if messages.len() == MOST_MESSAGES {
        messages.remove(0);
    }
    messages.push(message.to_owned());
}

#[cfg(test)]
mod tests;
