//! A failure as it travels: the same block is shown whether the work was done here or in the
//! daemon.

use std::error::Error;
use std::fmt;

use amps_core::error::ErrorCode;
use serde::{Deserialize, Serialize};

/// A failure with a stable code, its causes and the next step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The stable code.
    pub code: ErrorCode,
    /// What could not be done, one line.
    pub message: String,
    /// Why, outermost first.
    #[serde(default)]
    pub causes: Vec<String>,
    /// What to do next.
    #[serde(default)]
    pub hint: Option<String>,
}

impl Fault {
    /// Makes a fault without causes.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            causes: Vec::new(),
            hint: None,
        }
    }

    /// Makes a fault of an error and the chain of its sources.
    pub fn of(code: ErrorCode, error: &dyn Error) -> Self {
        let mut fault = Self::new(code, error.to_string());
        let mut cause = error.source();
        while let Some(error) = cause {
            fault.causes.push(error.to_string());
            cause = error.source();
        }
        fault
    }

    /// Adds the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Fault {}
