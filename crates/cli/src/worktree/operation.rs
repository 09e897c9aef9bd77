//! What is done to the references of a session: stored before its first effect, carried out, told.
//! A command that was killed between any two of these leaves what the next one finds and finishes.

use amps_core::error::ErrorCode;
use amps_core::landing::{
    Course, MergePlan, Operation as Waits, Progress, RebasePlan, Refusal, SquashPlan, Started,
};
use amps_core::path::RawPath;
use amps_core::session::StatusReason;
use amps_core::snapshot::Oid;
use amps_core::worktree::{Changes, Operation, OperationKind, Step};
use amps_engine::git::Git;
use amps_engine::iteration;
use amps_engine::landing::{Hooks, LandingError, Sight, carry_out, look, start, take_back};
use amps_engine::testing::point;
use amps_engine::worktree::SessionLock;
use amps_proto::fault::Fault;
use amps_proto::view::WorktreeView;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::gate::Judgement;
use super::{Locked, base_name, landing, native, neighbours, removal, tell, written};
use crate::commands::new;
use crate::context::Context;
use crate::error::Failure;
use crate::output;
use crate::text::counted;
use crate::text::sentence::head;
use crate::text::worktree::short_branch;

/// What is done to a branch, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "plan", rename_all = "kebab-case")]
pub(crate) enum Plan {
    /// The agent's commits become one.
    Squash(SquashPlan),
    /// The commits go onto another one.
    Rebase(RebasePlan),
    /// The base takes the branch in.
    Merge(MergePlan),
    /// A merge or rebase is started in the worktree, for a person to resolve.
    Resolve(Resolve),
}

/// A merge or rebase that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Resolve {
    /// What was started.
    pub(crate) started: Started,
    /// What is to be done when it is resolved.
    pub(crate) then: Option<MergeOrder>,
}

/// How a person wants a session merged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MergeOrder {
    /// The full name of another base than the session's.
    pub(crate) onto: Option<String>,
    pub(crate) no_ff: bool,
    pub(crate) message: Option<String>,
    pub(crate) no_verify: bool,
    pub(crate) leave_uncommitted: bool,
    #[serde(default)]
    pub(crate) judgement: Judgement,
    /// The remote to which the base is pushed afterwards.
    pub(crate) push: Option<String>,
}

impl Plan {
    pub(crate) fn kind(&self) -> OperationKind {
        match self {
            Self::Squash(_) => OperationKind::Squash,
            Self::Rebase(_) => OperationKind::Rebase,
            Self::Merge(_) => OperationKind::Merge,
            Self::Resolve(resolve) => resolve.kind(),
        }
    }

    /// Returns the backup that is kept first.
    pub(crate) fn backup(&self) -> Option<&str> {
        let backup = self.course()?.backups.first()?;
        Some(&backup.reference)
    }

    /// Returns what moves; `None` where git itself moves it.
    fn course(&self) -> Option<&Course> {
        match self {
            Self::Squash(plan) => Some(&plan.course),
            Self::Rebase(plan) => Some(&plan.course),
            Self::Merge(plan) => Some(&plan.course),
            Self::Resolve(_) => None,
        }
    }

    /// Returns what the last reference that moves will name.
    pub(crate) fn to(&self) -> Option<&Oid> {
        Some(&self.course()?.moves.last()?.to)
    }

    /// Returns what came of it, in a few words.
    fn detail(&self) -> String {
        match self {
            Self::Squash(plan) => {
                let folded = counted(count(plan.folded.len()), "commit");
                let kept = match count(plan.manual.len()) {
                    0 => String::new(),
                    kept => format!("; {} of a person kept", counted(kept, "commit")),
                };
                format!(
                    "squashed {folded} into {}{kept}",
                    head(plan.commit.as_str())
                )
            }
            Self::Rebase(plan) => {
                let replayed = counted(count(plan.commits.len()), "commit");
                let dropped = match plan.dropped.len() {
                    0 => String::new(),
                    dropped => format!("; {dropped} were there already"),
                };
                format!(
                    "rebased {replayed} onto {}{dropped}",
                    head(plan.onto.as_str())
                )
            }
            Self::Merge(plan) => format!("merged into {}", short_branch(&plan.base_ref)),
            Self::Resolve(resolve) => resolve.detail(),
        }
    }
}

impl Resolve {
    fn kind(&self) -> OperationKind {
        match self.started.operation {
            Waits::Rebase => OperationKind::Rebase,
            Waits::Merge | Waits::Apply | Waits::CherryPick | Waits::Revert => OperationKind::Merge,
        }
    }

    fn detail(&self) -> String {
        let onto = head(self.started.onto.as_str());
        match self.kind() {
            OperationKind::Rebase => format!("rebased onto {onto}, conflicts resolved"),
            _ => format!("{onto} merged into the branch, conflicts resolved"),
        }
    }

    /// Returns how a person goes on.
    pub(crate) fn ways_on(&self, id: &str) -> String {
        match self.kind() {
            OperationKind::Rebase => format!(
                "resolve and `git add` them in the worktree, then `amps rebase {id} --continue`; \
                 `amps rebase {id} --abort` gives it up"
            ),
            _ => format!(
                "resolve and `git add` them in the worktree, then `amps continue-merge {id}`; \
                 `amps abort-merge {id}` gives it up"
            ),
        }
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// How far an operation has come.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It is done.
    Done {
        view: Box<WorktreeView>,
        /// What the reference names now.
        to: Oid,
        detail: String,
    },
    /// It was not done, and all is as before.
    Undone {
        view: Box<WorktreeView>,
        why: Box<LandingError>,
    },
    /// It waits for a person.
    Waiting {
        view: Box<WorktreeView>,
        paths: Vec<RawPath>,
    },
}

/// What an operation needs to be told of.
#[derive(Clone, Copy)]
pub(crate) struct Work<'a> {
    pub(crate) context: &'a Context,
    pub(crate) git: &'a Git,
    pub(crate) view: &'a WorktreeView,
    pub(crate) lock: &'a SessionLock,
}

impl Work<'_> {
    /// Stores a plan and carries it out.
    pub(crate) fn perform(self, plan: &Plan, hooks: Hooks) -> Result<Ended, Failure> {
        let operation = Operation {
            kind: plan.kind(),
            begun_at: self.context.clock.now().at,
            plan: written(plan),
        };
        let _neighbours = self.lock_neighbours(plan)?;
        self.tell(Step::Begin { operation })?;
        point("landing-begun");
        match plan {
            Plan::Resolve(resolve) => self.begin_to_resolve(resolve, hooks),
            Plan::Squash(_) | Plan::Rebase(_) | Plan::Merge(_) => self.settle(plan),
        }
    }

    /// Keeps those away in whose worktrees something changes, until what is returned is dropped.
    fn lock_neighbours(self, plan: &Plan) -> Result<Vec<SessionLock>, Failure> {
        let course = plan.course();
        course.map_or(Ok(Vec::new()), |course| neighbours::lock(self, course))
    }

    fn tell(self, step: Step) -> Result<WorktreeView, Failure> {
        tell(self.context, self.view.session.session_id, step)
    }

    /// Carries out a plan, for the first time or again.
    fn settle(self, plan: &Plan) -> Result<Ended, Failure> {
        let ground = landing::ground(self.view);
        let Some(course) = plan.course() else {
            return Err(Fault::new(ErrorCode::Internal, "a plan without a course").into());
        };
        if let Err(error) = carry_out(self.git, &ground, course) {
            let is_void = matches!(error.refusal(), Some(Refusal::Moved { .. }));
            if is_void || take_back(self.git, &ground, course).is_ok() {
                return self.undone(plan.kind(), error);
            }
            return Err(error.into());
        }
        point("landing-carried-out");
        let to = plan
            .to()
            .cloned()
            .ok_or_else(|| Fault::new(ErrorCode::Internal, "a plan that moves nothing"))?;
        if let Plan::Merge(merged) = plan {
            self.tell(Step::Merge {
                into: merged.base_ref.clone(),
                commit: to.clone(),
            })?;
            point("landing-merged");
        }
        // After a merge there is nothing left to count.
        let counts = plan.kind() != OperationKind::Merge;
        let changes = counts.then(|| self.count_changes(&to)).flatten();
        self.done(plan.kind(), plan.detail(), (to, changes))
    }

    fn done(
        self,
        operation: OperationKind,
        detail: String,
        (to, changes): (Oid, Option<Changes>),
    ) -> Result<Ended, Failure> {
        let view = self.tell(Step::Done {
            operation,
            detail: detail.clone(),
            changes,
        })?;
        let view = Box::new(view);
        Ok(Ended::Done { view, to, detail })
    }

    fn undone(self, operation: OperationKind, why: LandingError) -> Result<Ended, Failure> {
        let detail = why.to_string();
        let view = Box::new(self.tell(Step::Undone { operation, detail })?);
        let why = Box::new(why);
        Ok(Ended::Undone { view, why })
    }

    /// Returns how much the branch changes of its base now; `None` if git cannot tell.
    fn count_changes(self, head: &Oid) -> Option<Changes> {
        let worktree = native(&self.view.session.worktree);
        let ground = super::ground(self.git, &worktree, self.view);
        iteration::changes(ground, base_name(self.view), head).ok()
    }

    fn begin_to_resolve(self, resolve: &Resolve, hooks: Hooks) -> Result<Ended, Failure> {
        let ground = landing::ground(self.view);
        match start(self.git, &ground, &resolve.started, hooks, self.lock) {
            Ok(progress) => self.progress(resolve, progress),
            Err(error) => match look(self.git, &ground, &resolve.started)? {
                Sight::Absent => self.undone(resolve.kind(), error),
                Sight::Waiting { .. } | Sight::Finished { .. } => Err(error.into()),
            },
        }
    }

    /// Tells how far a merge or rebase has come that a person resolves.
    pub(crate) fn progress(self, resolve: &Resolve, progress: Progress) -> Result<Ended, Failure> {
        match progress {
            Progress::Done { to } => self.resolved(resolve, to),
            Progress::Conflict { paths } => self.waits(paths),
        }
    }

    /// Tells that paths wait for a person, unless that is known.
    fn waits(self, paths: Vec<RawPath>) -> Result<Ended, Failure> {
        point("landing-conflict");
        let names: Vec<String> = paths.iter().take(5).map(RawPath::to_string).collect();
        let detail = names.join(", ");
        let is_known = self.view.session.status_reason == Some(StatusReason::Conflict);
        let view = if is_known {
            self.view.clone()
        } else {
            self.tell(Step::Conflict { detail })?
        };
        let view = Box::new(view);
        Ok(Ended::Waiting { view, paths })
    }

    fn resolved(self, resolve: &Resolve, to: Oid) -> Result<Ended, Failure> {
        let detail = resolve.detail();
        point("landing-resolved");
        self.tell(Step::Resolve {
            detail: detail.clone(),
        })?;
        let changes = self.count_changes(&to);
        self.done(resolve.kind(), detail, (to, changes))
    }

    /// Tells that a merge or rebase was given up.
    pub(crate) fn given_up(self, resolve: &Resolve, detail: &str) -> Result<WorktreeView, Failure> {
        let operation = resolve.kind();
        let detail = detail.to_owned();
        self.tell(Step::Resolve {
            detail: detail.clone(),
        })?;
        self.tell(Step::Undone { operation, detail })
    }

    /// Looks how far a merge or rebase has come that may wait for a person.
    fn look(self, resolve: &Resolve) -> Result<Ended, Failure> {
        let ground = landing::ground(self.view);
        match look(self.git, &ground, &resolve.started)? {
            Sight::Waiting { paths } => self.waits(paths),
            Sight::Finished { to } => self.resolved(resolve, to),
            Sight::Absent => {
                let view = self.given_up(resolve, "it is under way no more in the worktree")?;
                Ok(Ended::Undone {
                    view: Box::new(view),
                    why: Box::new(
                        Refusal::NotUnderWay {
                            worktree: self.view.session.worktree.clone(),
                            operation: resolve.started.operation,
                        }
                        .into(),
                    ),
                })
            }
        }
    }
}

/// Brings to its end what a command has left undone that was killed. Fails for what waits for a
/// person, and for what cannot be brought to its end now.
pub(crate) fn finish(context: &Context, git: &Git, locked: &mut Locked) -> Result<(), Failure> {
    let Some(operation) = locked.view.session.operation.clone() else {
        return Ok(());
    };
    let id = locked.view.session.session_id.short();
    locked.view = match operation.kind {
        OperationKind::Create => {
            let plan = read(&operation)?;
            let made = new::make(context, git, (&plan, &locked.lock))?;
            output::say(&format!(
                "amps: session {id} was half made; it is complete now"
            ));
            made
        }
        OperationKind::Remove | OperationKind::Restore => {
            removal::finish(context, git, locked)?;
            output::say(&format!(
                "amps: session {id} was half removed, or half brought back; that is at its end now"
            ));
            locked.view.clone()
        }
        OperationKind::Squash | OperationKind::Rebase | OperationKind::Merge => {
            let plan: Plan = read(&operation)?;
            let work = Work {
                context,
                git,
                view: &locked.view,
                lock: &locked.lock,
            };
            finish_landing(work, &plan)?
        }
    };
    locked.finished = Some(operation.kind);
    Ok(())
}

fn finish_landing(work: Work<'_>, plan: &Plan) -> Result<WorktreeView, Failure> {
    let id = work.view.session.session_id.short();
    let _neighbours = work.lock_neighbours(plan)?;
    let ended = match plan {
        Plan::Resolve(resolve) => work.look(resolve)?,
        Plan::Squash(_) | Plan::Rebase(_) | Plan::Merge(_) => work.settle(plan)?,
    };
    match (ended, plan) {
        (Ended::Done { view, detail, .. }, _) => {
            output::say(&format!(
                "amps: session {id}: {detail}, as was begun before"
            ));
            Ok(*view)
        }
        (Ended::Undone { view, why }, _) => {
            output::say(&format!(
                "amps: session {id}: what was begun before is void: {why}"
            ));
            Ok(*view)
        }
        (Ended::Waiting { paths, .. }, Plan::Resolve(resolve)) => {
            let waits = resolve.started.operation;
            let count = counted(count(paths.len()), "path");
            let message = format!("a {waits} of session {id} waits for you: {count} to resolve");
            Err(Fault::new(ErrorCode::NotAllowed, message)
                .hint(resolve.ways_on(&id))
                .into())
        }
        (Ended::Waiting { view, .. }, _) => Ok(*view),
    }
}

/// Reads a plan that was stored.
pub(crate) fn read<T: DeserializeOwned>(operation: &Operation) -> Result<T, Failure> {
    serde_json::from_str(&operation.plan).map_err(|error| {
        Fault::of(ErrorCode::StoreDamaged, &error)
            .hint("another version of amps may have stored it: finish it with that one")
            .into()
    })
}
