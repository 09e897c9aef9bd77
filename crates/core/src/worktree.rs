//! A worktree session: a prompt that becomes a reviewable branch, one iteration after another.
//!
//! Its iterations are recorded as launched sessions of their own, which belong to it: each has its
//! lease, its evidence and its own final status. What is here is the work as a whole.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::Fact;
use crate::ground::CreationPlan;
use crate::id::{ProjectId, SessionId};
use crate::iteration::{Iteration, Verdict};
use crate::mask::mask;
use crate::path::RawPath;
use crate::session::{SessionKind, Status, StatusReason};
use crate::snapshot::Oid;
use crate::time::optional_seconds;
use crate::tool_call::ToolCall;
use crate::turn::ThreadId;

/// One piece of work in a worktree and on a branch of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorktreeSession {
    /// Names the session.
    pub session_id: SessionId,
    /// What a person called it, or the beginning of the prompt.
    pub name: String,
    /// Always `worktree`.
    pub kind: SessionKind,
    /// Where it stands.
    pub status: Status,
    /// Why, where the status alone does not tell.
    pub status_reason: Option<StatusReason>,
    /// The project, once the repository has been looked at.
    pub project_id: Option<ProjectId>,
    /// The repository as the person named it: the top of a working tree, or a bare repository.
    pub project_root: RawPath,
    /// The git directory that all its working trees share.
    pub common_dir: RawPath,
    /// Its own working tree.
    pub worktree: RawPath,
    /// Its own branch, as a full reference.
    pub branch: String,
    /// Where its work goes.
    pub base: Base,
    /// What was asked for, known secrets masked.
    pub prompt: String,
    /// The agent's short name.
    pub agent: String,
    /// The model that the agent is told to use.
    pub model: Option<String>,
    /// The command that judges an iteration.
    pub script: Option<String>,
    /// How long an agent, or the gate, may take; `None` for the configured time.
    #[serde(default, with = "optional_seconds")]
    pub timeout: Option<Duration>,
    /// The conversation that the next iteration goes on with, as the agent named it.
    pub thread_id: Option<ThreadId>,
    /// The first of the ports that are leased to it, and how many.
    #[serde(default)]
    pub ports: Option<(u16, u16)>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its first iteration began.
    pub started_at: Option<Timestamp>,
    /// When it was merged or given up.
    pub ended_at: Option<Timestamp>,
    /// The number of the newest iteration; 0 before the first.
    pub last_iteration: u32,
    /// What its branch changed of the base, as of the last look.
    #[serde(default)]
    pub changes: Changes,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// When its worktree and branch were removed.
    #[serde(default)]
    pub removed_at: Option<Timestamp>,
    /// Records that its agents are given as context.
    #[serde(default)]
    pub context_ids: Vec<String>,
    /// What is being done to its references and files, stored before its first effect.
    #[serde(default)]
    pub operation: Option<Operation>,
    /// How its worktree was made.
    pub ground: CreationPlan,
}

/// How much a branch changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Files.
    pub files: u64,
    /// Lines added.
    pub additions: u64,
    /// Lines deleted.
    pub deletions: u64,
}

/// The branch that a worktree session began from and is merged into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The full reference; `None` if the session began from a commit that no branch named.
    pub reference: Option<String>,
    /// What it named when the session was created.
    pub commit: Oid,
}

/// Something that is done to references and files in steps. It is stored before the first of them,
/// so that whoever finds it, after a crash, can bring it to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// What is done.
    pub kind: OperationKind,
    /// When it was begun.
    pub begun_at: Timestamp,
    /// What exactly, as whoever carries it out wrote it down: JSON.
    pub plan: String,
}

/// What may be done to the references and files of a worktree session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationKind {
    /// Its worktree and branch are made.
    Create,
    /// The commits of its agents become one.
    Squash,
    /// Its commits are replayed onto another base.
    Rebase,
    /// Its work is brought into the base.
    Merge,
    /// Its worktree and branch are removed.
    Remove,
    /// Its worktree and branch are brought back from the trash.
    Restore,
}

/// What is told of a worktree session. Told twice, it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// Something is about to be done to its references and files.
    Begin {
        /// What.
        operation: Operation,
    },
    /// What was begun has been done.
    Done {
        /// What.
        operation: OperationKind,
        /// What came of it, in one sentence.
        detail: String,
        /// What its branch changes of the base now; `None` if that is as before.
        changes: Option<Changes>,
    },
    /// What was begun has not been done, and all is as before.
    Undone {
        /// What.
        operation: OperationKind,
        /// Why, in one sentence.
        detail: String,
    },
    /// An iteration begins.
    Iterate {
        /// The iteration, as it is known by then.
        iteration: Box<Iteration>,
    },
    /// An iteration has ended.
    Judge {
        /// The iteration; its verdict says how it ended.
        iteration: Box<Iteration>,
        /// The calls that its agent made.
        tool_calls: Vec<ToolCall>,
        /// What its branch changes of the base now; `None` if nobody could look.
        changes: Option<Changes>,
    },
    /// A landing met a conflict that a person has to resolve.
    Conflict {
        /// Where, in one sentence.
        detail: String,
    },
    /// The conflict is no more.
    Resolve {
        /// Why, in one sentence.
        detail: String,
    },
    /// Its work is in a reference.
    Merge {
        /// Which.
        into: String,
        /// What that names.
        commit: Oid,
    },
    /// A person gives it up.
    GiveUp {
        /// Why.
        reason: Option<String>,
    },
}

/// The state of a worktree session does not allow the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A final session never changes status again.
    #[error("the session is already {0}")]
    Final(Status),
    /// An iteration is under way.
    #[error("an iteration of the session is under way")]
    Active,
    /// Nothing is under way that could have ended.
    #[error("no iteration of the session is under way")]
    NotActive,
    /// Something is being done to its references and files.
    #[error("another operation of the session is under way")]
    Busy,
}

/// What a step means for the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Begun,
    Judged(Verdict),
    Conflicted,
    Resolved,
    Merged,
    GivenUp,
}

impl WorktreeSession {
    /// Takes a step, and returns what happened by it: nothing if it was taken before.
    pub fn advance(&mut self, step: &Step, at: Timestamp) -> Result<Vec<Fact>, Refused> {
        match step {
            Step::Begin { operation } => self.begin(operation),
            Step::Done {
                operation,
                detail,
                changes,
            } => {
                let detail = detail.clone();
                let operation = *operation;
                let is_new = self.put_down(operation);
                self.changes = changes.unwrap_or(self.changes);
                match operation {
                    OperationKind::Remove if is_new => self.removed_at = Some(at),
                    // It stays what it is: a session that is final never changes its status.
                    OperationKind::Restore if is_new => self.removed_at = None,
                    OperationKind::Create
                    | OperationKind::Squash
                    | OperationKind::Rebase
                    | OperationKind::Merge
                    | OperationKind::Remove
                    | OperationKind::Restore => {}
                }
                Ok(is_new
                    .then_some(Fact::OperationDone { operation, detail })
                    .into_iter()
                    .collect())
            }
            Step::Undone { operation, detail } => {
                let detail = detail.clone();
                let operation = *operation;
                let is_new = self.put_down(operation);
                if is_new && operation == OperationKind::Create {
                    // There is nothing that it could go on with, and nothing to remove.
                    self.follow(Input::GivenUp, at)?;
                    self.removed_at = Some(at);
                }
                Ok(is_new
                    .then_some(Fact::OperationUndone { operation, detail })
                    .into_iter()
                    .collect())
            }
            Step::Iterate { iteration } => self.iterate(iteration, at),
            Step::Judge {
                iteration, changes, ..
            } => self.judge(iteration, *changes, at),
            Step::Conflict { detail } => {
                self.follow(Input::Conflicted, at)?;
                Ok(vec![conflict(true, detail)])
            }
            Step::Resolve { detail } => {
                if self.status_reason != Some(StatusReason::Conflict) {
                    return Ok(Vec::new());
                }
                self.follow(Input::Resolved, at)?;
                Ok(vec![conflict(false, detail)])
            }
            Step::Merge { into, commit } => {
                let (into, commit) = (into.clone(), commit.clone());
                Ok(self.end(Input::Merged, Fact::Merged { into, commit }, at)?)
            }
            Step::GiveUp { reason } => {
                let reason = reason.as_deref().map(|reason| mask(reason).into_owned());
                Ok(self.end(Input::GivenUp, Fact::GivenUp { reason }, at)?)
            }
        }
    }

    fn begin(&mut self, operation: &Operation) -> Result<Vec<Fact>, Refused> {
        match &self.operation {
            Some(begun) if begun == operation => return Ok(Vec::new()),
            Some(_) => return Err(Refused::Busy),
            None => {}
        }
        if self.status == Status::Active {
            return Err(Refused::Active);
        }
        self.operation = Some(operation.clone());
        let operation = operation.kind;
        Ok(vec![Fact::OperationBegun { operation }])
    }

    /// Forgets the operation that is under way, and returns whether it was this one.
    fn put_down(&mut self, kind: OperationKind) -> bool {
        self.operation
            .take_if(|operation| operation.kind == kind)
            .is_some()
    }

    fn iterate(&mut self, iteration: &Iteration, at: Timestamp) -> Result<Vec<Fact>, Refused> {
        if iteration.number <= self.last_iteration {
            return Ok(Vec::new());
        }
        if self.operation.is_some() {
            return Err(Refused::Busy);
        }
        self.follow(Input::Begun, at)?;
        self.last_iteration = iteration.number;
        self.started_at.get_or_insert(at);
        Ok(vec![Fact::IterationBegun {
            number: iteration.number,
            run: iteration.run,
        }])
    }

    fn judge(
        &mut self,
        iteration: &Iteration,
        changes: Option<Changes>,
        at: Timestamp,
    ) -> Result<Vec<Fact>, Refused> {
        let is_latest = iteration.number == self.last_iteration;
        let Some(verdict) = iteration.verdict.filter(|_| is_latest) else {
            return Ok(Vec::new());
        };
        if self.status != Status::Active {
            return Ok(Vec::new());
        }
        self.follow(Input::Judged(verdict), at)?;
        self.changes = changes.unwrap_or(self.changes);
        if let Some(thread) = &iteration.thread_id {
            self.thread_id = Some(thread.clone());
        }
        Ok(vec![Fact::IterationJudged {
            number: iteration.number,
            verdict,
            commit: iteration.commit.clone(),
        }])
    }

    fn end(&mut self, input: Input, fact: Fact, at: Timestamp) -> Result<Vec<Fact>, Refused> {
        let before = self.status;
        match self.follow(input, at) {
            Ok(()) => Ok(vec![fact]),
            // It has been told before.
            Err(Refused::Final(_)) if next(Status::Idle, input)?.0 == before => Ok(Vec::new()),
            Err(refused) => Err(refused),
        }
    }

    fn follow(&mut self, input: Input, at: Timestamp) -> Result<(), Refused> {
        let (status, reason) = next(self.status, input)?;
        self.status = status;
        self.status_reason = reason;
        if status.is_final() {
            self.ended_at = Some(at);
        }
        Ok(())
    }
}

fn conflict(is_open: bool, detail: &str) -> Fact {
    Fact::ConflictChanged {
        is_open,
        detail: detail.to_owned(),
    }
}

/// Returns the status that follows, and its reason where the status alone does not tell.
fn next(status: Status, input: Input) -> Result<(Status, Option<StatusReason>), Refused> {
    match (status, input) {
        (status, _) if status.is_final() => Err(Refused::Final(status)),
        (Status::Active, Input::Judged(verdict)) => Ok(match verdict.reason() {
            None => (Status::Idle, None),
            Some(reason) => (Status::AwaitingInput, Some(reason)),
        }),
        (Status::Active, _) => Err(Refused::Active),
        (_, Input::Judged(_)) => Err(Refused::NotActive),
        (_, Input::Begun) => Ok((Status::Active, None)),
        (_, Input::Conflicted) => Ok((Status::AwaitingInput, Some(StatusReason::Conflict))),
        (_, Input::Resolved) => Ok((Status::Idle, None)),
        (_, Input::Merged) => Ok((Status::Completed, Some(StatusReason::Merged))),
        (_, Input::GivenUp) => Ok((Status::Abandoned, Some(StatusReason::GivenUp))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUTS: [Input; 12] = [
        Input::Begun,
        Input::Judged(Verdict::Passed),
        Input::Judged(Verdict::GateFailed),
        Input::Judged(Verdict::AgentFailed),
        Input::Judged(Verdict::TimedOut),
        Input::Judged(Verdict::Stopped),
        Input::Judged(Verdict::Lost),
        Input::Judged(Verdict::NotCommitted),
        Input::Conflicted,
        Input::Resolved,
        Input::Merged,
        Input::GivenUp,
    ];

    fn session(status: Status) -> WorktreeSession {
        let text = r#"{"session_id": "7b2c3d4e-0000-4000-8000-000000000001", "name": "x",
            "kind": "worktree", "status": "created", "status_reason": null, "project_id": null,
            "project_root": "/r", "common_dir": "/r/.git", "worktree": "/r/w",
            "branch": "refs/heads/amp/x/1", "base": {"reference": null, "commit": "@"},
            "prompt": "x", "agent": "mine", "model": null, "script": null, "thread_id": null,
            "created_at": "2026-01-01T00:00:00Z", "started_at": null, "ended_at": null,
            "last_iteration": 0, "ground": {"session": "7b2c3d4e-0000-4000-8000-000000000001",
            "common_dir": "/r/.git", "source": null, "worktree": "/r/w", "admin": "w",
            "branch": "refs/heads/amp/x/1", "base_ref": null, "base": "@", "excludes": [],
            "planned_at": "2026-01-01T00:00:00Z"}}"#;
        let text = text.replace('@', &"a".repeat(40));
        let session: WorktreeSession = serde_json::from_str(&text).unwrap();
        WorktreeSession { status, ..session }
    }

    /// Begins an operation and ends it, twice.
    fn carry_out(session: &mut WorktreeSession, kind: OperationKind, at: Timestamp) {
        let operation = Operation {
            kind,
            begun_at: at,
            plan: String::new(),
        };
        let done = Step::Done {
            operation: kind,
            detail: String::new(),
            changes: None,
        };
        let begun = session.advance(&Step::Begin { operation }, at).unwrap();
        assert_eq!(begun.len(), 1);
        assert_eq!(session.advance(&done, at).unwrap().len(), 1);
        assert_eq!(session.advance(&done, at).unwrap(), []);
    }

    #[test]
    fn what_was_removed_can_be_brought_back_and_stays_final() {
        let at = Timestamp::UNIX_EPOCH;
        for status in [Status::Completed, Status::Abandoned] {
            let mut session = session(status);
            carry_out(&mut session, OperationKind::Remove, at);
            assert_eq!(session.removed_at, Some(at));
            carry_out(&mut session, OperationKind::Restore, at);
            assert_eq!((session.removed_at, session.status), (None, status));
            assert_eq!(session.operation, None);
        }
    }

    #[test]
    fn of_a_worktree_that_was_never_made_nothing_is_left_to_remove() {
        let at = Timestamp::UNIX_EPOCH;
        let mut session = session(Status::Created);
        let operation = Operation {
            kind: OperationKind::Create,
            begun_at: at,
            plan: String::new(),
        };
        session.advance(&Step::Begin { operation }, at).unwrap();
        let undone = Step::Undone {
            operation: OperationKind::Create,
            detail: String::new(),
        };
        session.advance(&undone, at).unwrap();
        assert_eq!(session.status, Status::Abandoned);
        assert_eq!(session.removed_at, Some(at));
    }

    #[test]
    fn a_final_worktree_session_never_changes() {
        for status in Status::ALL.into_iter().filter(|status| status.is_final()) {
            for input in INPUTS {
                assert_eq!(next(status, input), Err(Refused::Final(status)));
            }
        }
    }

    #[test]
    fn while_an_iteration_is_under_way_nothing_else_happens() {
        for input in INPUTS {
            let judges = matches!(input, Input::Judged(_));
            assert_eq!(next(Status::Active, input).is_ok(), judges, "{input:?}");
        }
    }

    #[test]
    fn only_a_passed_iteration_goes_on_without_a_person() {
        for input in INPUTS {
            let Input::Judged(verdict) = input else {
                continue;
            };
            let (after, reason) = next(Status::Active, input).unwrap();
            if verdict == Verdict::Passed {
                assert_eq!((after, reason), (Status::Idle, None));
            } else {
                assert_eq!(after, Status::AwaitingInput);
                assert!(reason.is_some(), "{verdict:?}");
            }
        }
    }

    #[test]
    fn whatever_waits_may_be_iterated_merged_or_given_up() {
        for status in [Status::Created, Status::Idle, Status::AwaitingInput] {
            assert_eq!(next(status, Input::Begun), Ok((Status::Active, None)));
            assert!(next(status, Input::Merged).unwrap().0.is_final());
            assert!(next(status, Input::GivenUp).unwrap().0.is_final());
            assert_eq!(
                next(status, Input::Judged(Verdict::Passed)),
                Err(Refused::NotActive)
            );
        }
    }
}
