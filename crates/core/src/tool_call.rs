//! One call of a tool by an agent, as the agent told it.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::time::optional_seconds;

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Its place in the turn, from 1.
    pub number: u32,
    /// The id by which the agent knows it.
    pub call_id: String,
    /// The tool, by the agent's name for it.
    pub name: String,
    /// What the tool was given, as JSON; long values are cut and known secrets masked.
    pub arguments: String,
    /// When it began: by the agent's clock where that is told, else when we heard of it.
    pub started_at: Timestamp,
    /// How long it took; `None` if its end was not heard of.
    #[serde(default, with = "optional_seconds")]
    pub duration: Option<Duration>,
    /// How it ended.
    pub outcome: ToolOutcome,
    /// The exit code of the command that it ran, where the agent tells it.
    pub exit_code: Option<i32>,
    /// What went wrong, cut and masked.
    pub error: Option<String>,
}

/// How a call of a tool ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToolOutcome {
    /// It did what it was called for.
    Succeeded,
    /// It did not.
    Failed,
    /// It was not allowed to.
    Denied,
    /// Its end was not heard of: the agent was ended before, or did not tell.
    #[default]
    Unfinished,
}

impl fmt::Display for ToolOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Denied => "denied",
            Self::Unfinished => "unfinished",
        })
    }
}
