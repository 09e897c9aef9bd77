//! Any command that the configuration describes. What it writes is its answer.

use amps_core::exit::Exit;
use amps_core::turn::{AgentEvent, ThreadId};

use super::{Agent, Invocation, Reader, TurnOrder};

/// A command as an agent.
///
/// Arguments may have `{prompt}`, `{model}` and `{thread}` in them; one that names what there is not
/// is left out. A prompt that no argument names is read from stdin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandAgent {
    /// Its short name.
    pub name: String,
    /// Its program.
    pub program: String,
    /// Its arguments for a turn without a person.
    pub arguments: Vec<String>,
    /// Its arguments for a person on a terminal.
    pub interactive: Vec<String>,
}

/// What the arguments may name.
struct Named<'a> {
    prompt: Option<&'a str>,
    model: Option<&'a str>,
    thread: Option<&'a ThreadId>,
}

impl Named<'_> {
    fn fill(&self, template: &[String], further: &[String]) -> Vec<String> {
        let filled = template.iter().filter_map(|word| self.fill_one(word));
        filled.chain(further.iter().cloned()).collect()
    }

    /// From left to right and once: a prompt may have braces of its own.
    fn fill_one(&self, word: &str) -> Option<String> {
        let mut filled = String::new();
        let mut rest = word;
        while let Some(place) = rest.find('{') {
            let (before, from) = rest.split_at(place);
            filled.push_str(before);
            let names = [
                ("{prompt}", self.prompt),
                ("{model}", self.model),
                ("{thread}", self.thread.map(ThreadId::as_str)),
            ];
            let named = names.iter().find(|(name, _)| from.starts_with(name));
            let (text, length) = match named {
                Some((name, value)) => ((*value)?, name.len()),
                None => ("{", 1),
            };
            filled.push_str(text);
            rest = from.get(length..).unwrap_or_default();
        }
        filled.push_str(rest);
        Some(filled)
    }
}

impl Agent for CommandAgent {
    fn name(&self) -> &str {
        &self.name
    }

    fn program(&self) -> &str {
        &self.program
    }

    fn invocation(&self, order: &TurnOrder<'_>) -> Invocation {
        let named = Named {
            prompt: Some(order.prompt),
            model: order.model,
            thread: order.thread,
        };
        let is_named = self.arguments.iter().any(|word| word.contains("{prompt}"));
        Invocation {
            arguments: named.fill(&self.arguments, order.further),
            variables: Vec::new(),
            stdin: (!is_named).then(|| order.prompt.to_owned()),
        }
    }

    fn interactive(
        &self,
        thread: Option<&ThreadId>,
        model: Option<&str>,
        further: &[String],
    ) -> Vec<String> {
        let named = Named {
            prompt: None,
            model,
            thread,
        };
        named.fill(&self.interactive, further)
    }

    fn reader(&self, _order: &TurnOrder<'_>) -> Box<dyn Reader> {
        Box::new(Lines)
    }
}

/// Hears plain text.
#[derive(Debug)]
struct Lines;

impl Reader for Lines {
    fn hear(&mut self, line: &[u8], events: &mut Vec<AgentEvent>) {
        let text = String::from_utf8_lossy(line).trim_end().to_owned();
        events.push(AgentEvent::Wrote { text });
    }

    fn end(&mut self, exit: Option<Exit>, events: &mut Vec<AgentEvent>) {
        // Nothing but its exit tells that it is done.
        if exit == Some(Exit::Code(0)) {
            events.push(AgentEvent::TurnEnded);
        }
    }
}
