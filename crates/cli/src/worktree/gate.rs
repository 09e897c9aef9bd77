//! What the gate has said of a session, and whether that holds for what is to be merged.

use amps_core::error::ErrorCode;
use amps_core::id::SessionId;
use amps_core::snapshot::Oid;
use amps_engine::git::Git;
use amps_engine::landing::content_of;
use amps_proto::fault::Fault;
use amps_proto::view::WorktreeView;
use serde::{Deserialize, Serialize};

use super::landing;
use crate::error::Failure;
use crate::output::{BAD, GOOD};

/// What the gate has said of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct GateStanding {
    session_id: SessionId,
    /// Whether the session has a gate.
    is_wanted: bool,
    verdict: GateVerdict,
    /// The iteration that was judged.
    iteration: Option<u32>,
    /// Whether what was judged is what the branch names now.
    is_current: bool,
    /// The tree that was judged.
    tree: Option<Oid>,
}

/// Whether the gate passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum GateVerdict {
    /// It never ran.
    None,
    Passed,
    Failed,
}

/// Whether only what the gate has judged is merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Judgement {
    #[default]
    Required,
    /// A person merges whatever the gate said.
    Ignored,
}

/// Returns what the last gate has said, and whether that still holds.
pub(crate) fn gate(git: &Git, view: &WorktreeView) -> Result<GateStanding, Failure> {
    let mut standing = GateStanding {
        session_id: view.session.session_id,
        is_wanted: view.session.script.is_some(),
        verdict: GateVerdict::None,
        iteration: None,
        is_current: false,
        tree: None,
    };
    let mut iterations = view.iterations.iter().rev().map(|view| &view.iteration);
    let judged = iterations.find_map(|iteration| Some((iteration, iteration.gate.as_ref()?)));
    let Some((iteration, gate)) = judged else {
        return Ok(standing);
    };
    let commit = iteration
        .commit
        .as_ref()
        .or(iteration.agent_commits.first());
    let commit = commit.unwrap_or(&iteration.head);
    let ground = landing::ground(view);
    standing.verdict = if gate.has_passed() {
        GateVerdict::Passed
    } else {
        GateVerdict::Failed
    };
    standing.iteration = Some(iteration.number);
    standing.tree = content_of(git, &ground, commit.as_str())?;
    let now = content_of(git, &ground, &ground.branch)?;
    standing.is_current = standing.tree.is_some() && standing.tree == now;
    Ok(standing)
}

impl GateStanding {
    /// Returns whether the gate lets the branch pass as it is now.
    pub(crate) fn passes(&self) -> bool {
        match self.verdict {
            GateVerdict::Failed => false,
            GateVerdict::Passed => self.is_current || !self.is_wanted,
            GateVerdict::None => !self.is_wanted,
        }
    }

    /// Returns whether the gate has judged what the base will have. `None` is what nobody knows.
    pub(crate) fn has_judged(&self, tree: Option<&Oid>) -> bool {
        !self.is_wanted || tree.is_some_and(|tree| self.tree.as_ref() == Some(tree))
    }

    /// Fails unless the gate lets the branch pass as it is now.
    pub(crate) fn require_passed(&self) -> Result<(), Failure> {
        if self.passes() {
            return Ok(());
        }
        let id = self.session_id.short();
        let number = self.iteration.unwrap_or_default();
        let message = match self.verdict {
            GateVerdict::None => format!("the gate of session {id} never ran"),
            GateVerdict::Failed => {
                format!("the gate did not pass in iteration {number} of session {id}")
            }
            GateVerdict::Passed => format!(
                "the gate passed in iteration {number} of session {id}, which is not what its branch \
                 names now"
            ),
        };
        Err(refused(
            message,
            &format!("`amps iterate {id}` judges it again"),
        ))
    }

    /// Fails unless the gate has judged this tree, which the base will have.
    pub(crate) fn require_judged(&self, tree: Option<&Oid>) -> Result<(), Failure> {
        if self.has_judged(tree) {
            return Ok(());
        }
        let id = self.session_id.short();
        let message = format!(
            "the base has what session {id} has not, and nobody has judged the two together"
        );
        let way = format!("`amps rebase {id}`, and `amps iterate {id}` judges it again");
        Err(refused(message, &way))
    }

    /// Says it to a person.
    pub(crate) fn text(&self) -> String {
        let since = if self.is_current {
            ""
        } else {
            ", which is not what the branch names now"
        };
        match (self.verdict, self.iteration) {
            (GateVerdict::Passed, Some(number)) => {
                format!("{GOOD}passed{GOOD:#} in iteration {number}{since}")
            }
            (GateVerdict::Failed, Some(number)) => {
                format!("{BAD}did not pass{BAD:#} in iteration {number}{since}")
            }
            _ => "never ran".to_owned(),
        }
    }
}

fn refused(message: String, way: &str) -> Failure {
    let hint = format!("{way}; `--ignore-gate` merges all the same");
    Fault::new(ErrorCode::GateNotPassed, message)
        .hint(hint)
        .into()
}
