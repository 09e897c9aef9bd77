//! `amps squash`: the commits of a session's agent become one.

use amps_core::landing::{Manual, Refusal};
use amps_core::worktree::OperationKind;
use amps_engine::landing::{SquashRequest, plan_squash};

use crate::Outcome;
use crate::args::{ManualCommits, SquashArgs};
use crate::context::Context;
use crate::worktree::answer::Asked;
use crate::worktree::operation::{Plan, Work};
use crate::worktree::{self, landing};

/// Squashes a session.
pub(crate) fn run(context: &Context, args: &SquashArgs) -> Outcome {
    let git = worktree::git(context)?;
    let locked = worktree::lock(context, &args.session, "amps squash")?;
    let view = &locked.view;
    worktree::refuse_final(view)?;
    let ground = landing::ground(view);
    let asked = Asked {
        git: &git,
        view,
        kind: OperationKind::Squash,
        is_json: args.output.json,
    };
    let request = SquashRequest {
        message: args.message.clone(),
        manual: match args.manual {
            ManualCommits::Preserve => Manual::Preserve,
            ManualCommits::Include => Manual::Include,
        },
        hooks: landing::hooks(args.no_verify),
    };
    let plan = match plan_squash(&git, &ground, &request) {
        Ok(plan) => Plan::Squash(plan),
        Err(error) if matches!(error.refusal(), Some(Refusal::NothingToDo)) => {
            return asked.unchanged("there is no commit of the agent to squash");
        }
        Err(error) => {
            let id = view.session.session_id.short();
            let hint = format!("`amps squash {id} --manual include` folds the manual commits in");
            return asked.refused(error, ["branch", "manual"], &hint);
        }
    };
    let work = Work {
        context,
        git: &git,
        view,
        lock: &locked.lock,
    };
    let ended = work.perform(&plan, request.hooks)?;
    asked.ended(&plan, ended)
}
