//! What a command answers that lands a worktree session.

use std::process::ExitCode;

use amps_core::error::ErrorCode;
use amps_core::id::SessionId;
use amps_core::landing::{ConflictedPath, Refusal};
use amps_core::snapshot::Oid;
use amps_core::worktree::OperationKind;
use amps_engine::git::Git;
use amps_engine::landing::{LandingError, clashes};
use amps_proto::fault::Fault;
use amps_proto::view::WorktreeView;
use serde::Serialize;

use super::conflict::{self, Conflict};
use super::landing;
use super::operation::{Ended, Plan, Resolve};
use crate::error::Failure;
use crate::text::sentence::head;
use crate::{Outcome, output};

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Came {
    Done,
    /// All was as it would be.
    Unchanged,
    /// It was given up.
    Aborted,
    /// Two sides do not go together.
    Conflict,
}

/// The answer, as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Answer<'a> {
    session_id: SessionId,
    operation: OperationKind,
    outcome: Came,
    detail: &'a str,
    branch: &'a str,
    base: &'a str,
    /// What the branch, or after a merge the base, names now.
    commit: Option<&'a Oid>,
    /// What was kept first.
    backup: Option<&'a str>,
    /// Whether the conflict waits in the worktree to be resolved.
    waiting: bool,
    conflicts: &'a [Conflict],
    /// What was done, move by move.
    plan: Option<&'a Plan>,
}

impl<'a> Answer<'a> {
    pub(crate) fn new(
        view: &'a WorktreeView,
        operation: OperationKind,
        (outcome, detail): (Came, &'a str),
    ) -> Self {
        Self {
            session_id: view.session.session_id,
            operation,
            outcome,
            detail,
            branch: &view.session.branch,
            base: super::base_name(view),
            commit: None,
            backup: None,
            waiting: false,
            conflicts: &[],
            plan: None,
        }
    }

    /// Prints it as JSON, or its detail.
    pub(crate) fn print(&self, is_json: bool) -> Outcome {
        if is_json {
            output::print_json(self)?;
        } else if self.conflicts.is_empty() {
            let commit = self.commit.map_or_else(String::new, |commit| {
                format!(", now at {}", head(commit.as_str()))
            });
            output::print(&format!("{}{commit}\n", self.detail))?;
        } else {
            output::print(&conflict::text(self.conflicts))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Who asked, and for what.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) git: &'a Git,
    pub(crate) view: &'a WorktreeView,
    pub(crate) kind: OperationKind,
    pub(crate) is_json: bool,
}

impl Asked<'_> {
    /// Answers that there was nothing to do.
    pub(crate) fn unchanged(self, detail: &str) -> Outcome {
        Answer::new(self.view, self.kind, (Came::Unchanged, detail)).print(self.is_json)
    }

    /// Answers how a plan ended.
    pub(crate) fn ended(self, plan: &Plan, ended: Ended) -> Outcome {
        match ended {
            Ended::Done { view, to, detail } => {
                let mut answer = Answer::new(&view, self.kind, (Came::Done, &detail));
                answer.commit = Some(&to);
                answer.backup = plan.backup();
                answer.plan = Some(plan);
                answer.print(self.is_json)
            }
            Ended::Undone { why, .. } => Err((*why).into()),
            Ended::Waiting { view, paths } => {
                let Plan::Resolve(resolve) = plan else {
                    return Err(Fault::new(ErrorCode::Internal, "a plan that waits").into());
                };
                let ground = landing::ground(&view);
                let paths = clashes(self.git, &ground, &resolve.started, &paths)?;
                self.waits(resolve, &paths)
            }
        }
    }

    /// Answers that a merge or rebase waits in the worktree.
    pub(crate) fn waits(self, resolve: &Resolve, paths: &[ConflictedPath]) -> Outcome {
        let id = self.view.session.session_id.short();
        let waits = resolve.started.operation;
        let detail = format!("a {waits} waits in the worktree to be resolved");
        let names = ["base", "branch"];
        self.conflict((true, &detail), (paths, names), &resolve.ways_on(&id))
    }

    /// Answers a refusal: with both sides where they do not go together. `names` says what they are.
    pub(crate) fn refused(self, error: LandingError, names: [&str; 2], hint: &str) -> Outcome {
        match error {
            LandingError::Refused(refusal) => match *refusal {
                Refusal::Conflict { paths, commit } => {
                    let detail = match commit {
                        None => "nothing was changed".to_owned(),
                        Some(commit) => format!(
                            "{} cannot be replayed; nothing was changed",
                            head(commit.oid.as_str())
                        ),
                    };
                    self.conflict((false, &detail), (&paths, names), hint)
                }
                other => Err(LandingError::from(other).into()),
            },
            error => Err(error.into()),
        }
    }

    fn conflict(
        self,
        (waiting, detail): (bool, &str),
        told: (&[ConflictedPath], [&str; 2]),
        hint: &str,
    ) -> Outcome {
        let ground = landing::ground(self.view);
        let conflicts = conflict::told(self.git, (&ground, &[self.view]), told)?;
        let mut answer = Answer::new(self.view, self.kind, (Came::Conflict, detail));
        answer.conflicts = &conflicts;
        answer.waiting = waiting;
        answer.print(self.is_json)?;
        let count = conflicts.len();
        let paths = if count == 1 { "path" } else { "paths" };
        let message = format!("conflict in {count} {paths}: {detail}");
        let fault = Fault::new(ErrorCode::Conflict, message).hint(hint);
        Err(Failure::from(fault))
    }
}
