//! Agents: how each is started, what it tells while it works, and where its transcripts lie. One file
//! for each agent; what comes of their telling is the same for all ([`amps_core::turn`]).
//!
//! Prompts go through stdin wherever an agent reads it: an argument is bounded, is seen by every user
//! of the machine, and may be taken for an option.

mod aider;
mod amp;
mod claude;
mod codex;
mod command;
mod gemini;
mod hearing;
mod json;
mod opencode;
mod stream_json;
#[cfg(test)]
mod tests;
pub mod transcripts;
mod words;

use std::ffi::OsString;
use std::fmt::Debug;

use amps_core::exit::Exit;
use amps_core::turn::{AgentEvent, ThreadId};
use amps_core::usage::Usage;
use uuid::Uuid;

pub use self::command::CommandAgent;
pub use self::hearing::Hearing;
use self::transcripts::Transcripts;

/// An agent.
pub trait Agent: Debug + Send + Sync {
    /// Returns its short name.
    fn name(&self) -> &str;

    /// Returns the name of its program, to be looked up in PATH.
    fn program(&self) -> &str {
        self.name()
    }

    /// Returns how to run one turn of it without a person. It may edit files in its folder without
    /// asking, by its own documented option for that, unless the further arguments of the order say
    /// something else about permissions.
    fn invocation(&self, order: &TurnOrder<'_>) -> Invocation;

    /// Returns the arguments with which a person opens it on a terminal, in a conversation that there
    /// is already or in a new one. Permissions are left to the person.
    fn interactive(
        &self,
        thread: Option<&ThreadId>,
        model: Option<&str>,
        further: &[String],
    ) -> Vec<String>;

    /// Returns what hears the lines that it writes to stdout in such a turn.
    fn reader(&self, order: &TurnOrder<'_>) -> Box<dyn Reader>;

    /// Returns its transcripts, if they can be read.
    fn transcripts(&self) -> Option<&dyn Transcripts> {
        None
    }

    /// Looks up the model that answered last in a conversation, where an agent notes that and does not
    /// tell it. `variable` are those that the agent was started with.
    fn noted_model(
        &self,
        _thread: &ThreadId,
        _variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Option<String> {
        None
    }

    /// Returns whether a conversation can be continued in another folder than that in which it began.
    /// Of the others one fails, and one works in the old folder instead.
    fn continues_elsewhere(&self) -> bool {
        false
    }

    /// Returns what it leaves in its folder that is not its work, as patterns of `.gitignore`.
    fn leavings(&self) -> &'static [&'static str] {
        &[]
    }
}

/// What one turn is to be.
#[derive(Clone, Debug, Default)]
pub struct TurnOrder<'a> {
    /// What the agent is asked for.
    pub prompt: &'a str,
    /// The conversation to continue; `None` for a new one.
    pub thread: Option<&'a ThreadId>,
    /// The id that a new conversation gets, if the agent accepts one. Only what the agent itself says
    /// tells that it did.
    pub new_thread: Option<Uuid>,
    /// What the earlier turns of the conversation used, by their records: some agents tell only the
    /// sum of all.
    pub known: Usage,
    /// The model; `None` for the agent's own choice.
    pub model: Option<&'a str>,
    /// Further arguments, from the configuration.
    pub further: &'a [String],
}

/// How a program is started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables beside those that it has anyway.
    pub variables: Vec<(&'static str, &'static str)>,
    /// What it reads; `None` for nothing.
    pub stdin: Option<String>,
}

/// Hears the lines that an agent writes to stdout, in order. What is not understood is passed over:
/// agents of tomorrow tell more than those of today.
pub trait Reader: Debug + Send {
    /// Hears one line, without its end, and adds what it tells.
    fn hear(&mut self, line: &[u8], events: &mut Vec<AgentEvent>);

    /// Adds what is still to be told when nothing more comes.
    fn end(&mut self, exit: Option<Exit>, events: &mut Vec<AgentEvent>);
}

/// Every agent that is known by itself, by name.
const ALL: [&dyn Agent; 6] = [
    &aider::Aider,
    &amp::Amp,
    &claude::Claude,
    &codex::Codex,
    &gemini::Gemini,
    &opencode::Opencode,
];

/// Returns the agent of this short name, if it is known.
pub fn named(name: &str) -> Option<&'static dyn Agent> {
    ALL.into_iter().find(|agent| agent.name() == name)
}

/// Returns the names of all agents that are known.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|agent| agent.name())
}
