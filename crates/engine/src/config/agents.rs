//! The sections `agent` and `agents`: which agent iterates, and how each is run.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::agent::{self, Agent, CommandAgent};

/// How long an agent, or a gate, may take unless somebody says otherwise.
const TIMEOUT: Duration = Duration::from_secs(3_600);

/// How long an agent may take to end when it is told to.
const GRACE: Duration = Duration::from_secs(10);

/// How agents iterate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentsConfig {
    /// The agent that iterates if none is named.
    pub default: Option<String>,
    /// How long an agent, or a gate, may take.
    pub timeout: Duration,
    /// How long one may take to end when it is told to.
    pub grace: Duration,
    /// What is set for each agent, by its name.
    pub each: BTreeMap<String, AgentConfig>,
}

impl Default for AgentsConfig {
    fn default() -> Self {
        Self {
            default: None,
            timeout: TIMEOUT,
            grace: GRACE,
            each: BTreeMap::new(),
        }
    }
}

/// What is set for one agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentConfig {
    /// Its program, instead of its name looked up in PATH.
    pub program: Option<String>,
    /// The model if none is named.
    pub model: Option<String>,
    /// Further arguments for a turn without a person.
    pub arguments: Vec<String>,
    /// Of an agent that is not known by itself, all arguments for a turn without a person. Those with
    /// `{prompt}`, `{model}` or `{thread}` in them are filled; a prompt that none names is read from
    /// standard input.
    pub command: Vec<String>,
    /// Of such an agent, its arguments for a person on a terminal.
    pub interactive: Vec<String>,
}

/// An agent as it is configured.
#[derive(Debug)]
pub struct Configured {
    kind: Kind,
    /// Its program.
    pub program: String,
    /// The model if none is named.
    pub model: Option<String>,
    /// Further arguments.
    pub further: Vec<String>,
}

#[derive(Debug)]
enum Kind {
    Known(&'static dyn Agent),
    Command(CommandAgent),
}

impl Configured {
    /// Returns the agent.
    pub fn agent(&self) -> &dyn Agent {
        match &self.kind {
            Kind::Known(agent) => *agent,
            Kind::Command(agent) => agent,
        }
    }
}

impl AgentsConfig {
    /// Returns the agent of this name; `None` if it is neither known nor configured.
    pub fn named(&self, name: &str) -> Option<Configured> {
        let set = self.each.get(name).cloned().unwrap_or_default();
        let (kind, program) = match agent::named(name) {
            Some(known) if set.command.is_empty() => {
                (Kind::Known(known), known.program().to_owned())
            }
            _ if set.command.is_empty() && set.program.is_none() => return None,
            _ => {
                let command = CommandAgent {
                    name: name.to_owned(),
                    program: set.program.clone().unwrap_or_else(|| name.to_owned()),
                    arguments: set.command,
                    interactive: set.interactive,
                };
                (Kind::Command(command), name.to_owned())
            }
        };
        Some(Configured {
            kind,
            program: set.program.unwrap_or(program),
            model: set.model,
            further: set.arguments,
        })
    }
}
