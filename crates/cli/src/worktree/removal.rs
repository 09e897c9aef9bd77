//! Removing the ground of a worktree session and bringing it back, in steps that the record knows:
//! what is to be done is stored before its first effect, so that whoever finds it goes on.

use std::time::{Duration, Instant};

use amps_core::capture::CaptureState;
use amps_core::error::ErrorCode;
use amps_core::ground::{CreationPlan, RemovalPlan, TrashEntry};
use amps_core::id::SessionId;
use amps_core::session::Status;
use amps_core::worktree::{Operation, OperationKind, Step};
use amps_engine::files;
use amps_engine::git::Git;
use amps_engine::testing::point;
use amps_engine::worktree::{
    Refusal, RemovalOutcome, WorktreeError, carry_out_removal, carry_out_restore, free_ports,
    plan_removal,
};
use amps_proto::fault::Fault;
use amps_proto::view::{RunView, WorktreeView};
use serde::Serialize;

use super::{Locked, native, operation, setup, tell, written};
use crate::commands::show;
use crate::context::Context;
use crate::error::Failure;
use crate::progress;

/// How long captures of what ran in a worktree are waited for: they read its files.
const CAPTURED: Duration = Duration::from_secs(10);

/// Between two looks at them.
const LOOK: Duration = Duration::from_millis(50);

/// What became of the ground of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// All of it exists elsewhere.
    Removed,
    /// Something exists nowhere else; it can be brought back.
    Trashed,
}

/// A session whose worktree and branch have been removed, or would be.
#[derive(Debug, Serialize)]
pub(crate) struct Removed {
    pub(crate) session_id: SessionId,
    pub(crate) name: String,
    pub(crate) status: Status,
    pub(crate) worktree: String,
    pub(crate) branch: String,
    pub(crate) outcome: Outcome,
    /// What exists nowhere else.
    pub(crate) findings: Vec<String>,
}

impl Removed {
    /// Tells what a removal does, or did.
    pub(crate) fn of(view: &WorktreeView, plan: &RemovalPlan) -> Self {
        let session = &view.session;
        Self {
            session_id: session.session_id,
            name: session.name.clone(),
            status: session.status,
            worktree: session.worktree.to_string(),
            branch: session.branch.clone(),
            outcome: if plan.is_proven() {
                Outcome::Removed
            } else {
                Outcome::Trashed
            },
            findings: plan.findings.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Finds out what of the worktree of a session exists nowhere else. Refused while something runs
/// there.
pub(crate) fn plan(
    context: &Context,
    git: &Git,
    view: &WorktreeView,
) -> Result<RemovalPlan, Failure> {
    let session = &view.session;
    let id = session.session_id.short();
    let is_open = |run: &&RunView| !run.status.is_final();
    if session.status == Status::Active {
        let message = format!("an iteration of session {id} is under way");
        return Err(Fault::new(ErrorCode::NotAllowed, message)
            .hint(format!("wait for it, or end it with `amps stop {id}`"))
            .into());
    }
    if let Some(run) = view.runs.iter().find(is_open) {
        let message = format!("{} still runs in the worktree of session {id}", run.agent);
        return Err(Fault::new(ErrorCode::NotAllowed, message)
            .hint("end it, and try again")
            .into());
    }
    Ok(plan_removal(git, &session.ground, context.clock.now().at)?)
}

/// Removes the worktree and the branch of a session that is final.
pub(crate) fn remove(
    context: &Context,
    git: &Git,
    locked: &mut Locked,
    tears_down: bool,
) -> Result<Removed, Failure> {
    settle_captures(context, locked)?;
    // A refusal comes before anything is run or told.
    plan(context, git, &locked.view)?;
    if tears_down {
        setup::tear_down(context, &locked.view)?;
    }
    let plan = plan(context, git, &locked.view)?;
    let operation = Operation {
        kind: OperationKind::Remove,
        begun_at: plan.planned_at,
        plan: written(&plan),
    };
    let id = locked.view.session.session_id;
    locked.view = tell(context, id, Step::Begin { operation })?;
    point("cleanup-begun");
    carry_on(context, git, locked, &plan)
}

/// Waits until what ran in the worktree has been captured: afterwards its files are gone.
fn settle_captures(context: &Context, locked: &mut Locked) -> Result<(), Failure> {
    let id = locked.view.session.session_id.to_string();
    let is_owed = |run: &RunView| {
        let capture = &run.capture;
        let states = [capture.base, capture.end, capture.patch];
        run.status.is_final() && states.contains(&CaptureState::Owed)
    };
    let until = Instant::now() + CAPTURED;
    progress::saying("waiting for what ran there to be captured", || {
        while locked.view.runs.iter().any(is_owed) && Instant::now() < until {
            files::pause(LOOK);
            locked.view = show::fetch_worktree(context, &id)?;
        }
        Ok(())
    })
}

/// Carries a removal out that has been stored, or goes on with it.
pub(crate) fn carry_on(
    context: &Context,
    git: &Git,
    locked: &mut Locked,
    plan: &RemovalPlan,
) -> Result<Removed, Failure> {
    let (home, config) = context.configured()?;
    let id = plan.ground.session;
    let now = context.clock.now();
    let removed = progress::saying("removing the worktree", || {
        carry_out_removal(git, plan, &locked.lock, now, &config.capture)
    });
    point("cleanup-carried-out");
    let plan = match removed {
        Ok(RemovalOutcome::Removed) => plan.clone(),
        Ok(RemovalOutcome::Trashed(entry)) => entry.plan,
        // The trash was emptied of it before that could be told.
        Err(WorktreeError::Refused(Refusal::Changed { .. })) if is_gone(git, &plan.ground) => {
            plan.clone()
        }
        Err(error) => return Err(undo(context, locked, OperationKind::Remove, error)),
    };
    free_ports(&home.ports(), id).map_err(WorktreeError::from)?;
    let removed = Removed::of(&locked.view, &plan);
    let detail = match removed.outcome {
        Outcome::Removed => "worktree and branch removed: all of it exists elsewhere".to_owned(),
        Outcome::Trashed => format!(
            "worktree and branch moved to the trash: {}",
            removed.findings.join(", ")
        ),
    };
    let step = Step::Done {
        operation: OperationKind::Remove,
        detail,
        changes: None,
    };
    locked.view = tell(context, id, step)?;
    Ok(removed)
}

/// Tells that nothing was done where that is so. What failed on its way stays stored: the next
/// command goes on with it.
fn undo(
    context: &Context,
    locked: &mut Locked,
    operation: OperationKind,
    error: WorktreeError,
) -> Failure {
    if let WorktreeError::Refused(refusal) = &error {
        let detail = refusal.to_string();
        let id = locked.view.session.session_id;
        match tell(context, id, Step::Undone { operation, detail }) {
            Ok(view) => locked.view = view,
            Err(failure) => return failure,
        }
    }
    error.into()
}

/// Returns whether nothing of a ground is where it was.
fn is_gone(git: &Git, ground: &CreationPlan) -> bool {
    let now = plan_removal(git, ground, ground.planned_at);
    now.is_ok_and(|now| now.worktree.is_none() && !now.registered && now.branch.is_none())
}

/// Brings the worktree and the branch of a session back from the trash.
pub(crate) fn restore(
    context: &Context,
    git: &Git,
    locked: &mut Locked,
    entry: &TrashEntry,
) -> Result<(), Failure> {
    let operation = Operation {
        kind: OperationKind::Restore,
        begun_at: context.clock.now().at,
        plan: written(entry),
    };
    let id = locked.view.session.session_id;
    locked.view = tell(context, id, Step::Begin { operation })?;
    point("restore-told");
    go_on_restoring(context, git, locked)
}

fn go_on_restoring(context: &Context, git: &Git, locked: &mut Locked) -> Result<(), Failure> {
    let session = &locked.view.session;
    let id = session.session_id;
    let common_dir = native(&session.common_dir);
    let restored = progress::saying("bringing the worktree back", || {
        carry_out_restore(git, &common_dir, &locked.lock)
    });
    point("restore-carried-out");
    match restored {
        Ok(_) => {}
        // It had come to its end before that could be told.
        Err(WorktreeError::Refused(Refusal::NotInTrash { .. }))
            if !is_gone(git, &session.ground) => {}
        Err(error) => return Err(undo(context, locked, OperationKind::Restore, error)),
    }
    let step = Step::Done {
        operation: OperationKind::Restore,
        detail: "worktree and branch brought back from the trash".to_owned(),
        changes: None,
    };
    locked.view = tell(context, id, step)?;
    Ok(())
}

/// Brings to its end what a command left that was killed. Returns what was removed by that.
pub(crate) fn finish(
    context: &Context,
    git: &Git,
    locked: &mut Locked,
) -> Result<Option<Removed>, Failure> {
    let Some(operation) = locked.view.session.operation.clone() else {
        return Ok(None);
    };
    match operation.kind {
        OperationKind::Remove => {
            let plan: RemovalPlan = serde_json::from_str(&operation.plan)
                .map_err(|error| Failure::of(ErrorCode::Internal, &error))?;
            carry_on(context, git, locked, &plan).map(Some)
        }
        OperationKind::Restore => go_on_restoring(context, git, locked).map(|()| None),
        OperationKind::Create
        | OperationKind::Squash
        | OperationKind::Rebase
        | OperationKind::Merge => operation::finish(context, git, locked).map(|()| None),
    }
}

/// Returns the entry of a session in the trash of its repository.
pub(crate) fn entry(locked: &Locked) -> Result<TrashEntry, Failure> {
    let session = &locked.view.session;
    entry_of(&native(&session.common_dir), session.session_id)
}

/// Returns the entry of a session in the trash of a repository.
pub(crate) fn entry_of(
    common_dir: &std::path::Path,
    session: SessionId,
) -> Result<TrashEntry, Failure> {
    let entries = amps_engine::worktree::list_trash(common_dir)?;
    let found = entries
        .into_iter()
        .find(|entry| entry.plan.ground.session == session);
    let name = format!("session {}", session.short());
    found.ok_or_else(|| WorktreeError::from(Refusal::NotInTrash { name }).into())
}

/// Returns whether somebody else works on the session, so that it is left alone for now.
pub(crate) fn is_in_use(failure: &Failure) -> bool {
    matches!(failure, Failure::Fault(fault) if matches!(fault.code, ErrorCode::Held | ErrorCode::NotAllowed))
}
