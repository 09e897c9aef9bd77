//! `amps rebase`: the commits of a session go onto its base as that is now. Where they do not go
//! together, git stops in the worktree for a person, and this goes on or gives up.

use amps_core::landing::{Operation, Refusal};
use amps_core::worktree::OperationKind;
use amps_engine::landing::{LandingError, plan_rebase, plan_start};

use crate::args::RebaseArgs;
use crate::context::Context;
use crate::worktree::answer::Asked;
use crate::worktree::operation::{Ended, Plan, Resolve, Work};
use crate::worktree::resolve::Waiting;
use crate::worktree::{self, landing, neighbours};
use crate::{Outcome, worktree::Locked};

/// Rebases a session, goes on with that, or gives it up.
pub(crate) fn run(context: &Context, args: &RebaseArgs) -> Outcome {
    let is_json = args.output.json;
    if !args.goes_on && !args.abort {
        let locked = worktree::lock(context, &args.session, "amps rebase")?;
        return rebase(context, args, &locked);
    }
    let asked = (args.session.as_str(), "amps rebase");
    let waiting = Waiting::find(context, asked, OperationKind::Rebase)?;
    if args.abort {
        return waiting.abort(context, is_json);
    }
    let ended = waiting.go_on(context, args.no_verify)?;
    let plan = Plan::Resolve(waiting.resolve().clone());
    waiting.asked(is_json).ended(&plan, ended)
}

fn rebase(context: &Context, args: &RebaseArgs, locked: &Locked) -> Outcome {
    let git = worktree::git(context)?;
    let view = &locked.view;
    worktree::refuse_final(view)?;
    neighbours::refuse_open_run(view)?;
    let ground = landing::ground(view);
    let hooks = landing::hooks(args.no_verify);
    let onto = args.onto.as_deref();
    let asked = Asked {
        git: &git,
        view,
        kind: OperationKind::Rebase,
        is_json: args.output.json,
    };
    let work = Work {
        context,
        git: &git,
        view,
        lock: &locked.lock,
    };
    let refused = match plan_rebase(&git, &ground, onto, hooks) {
        Ok(plan) => {
            let plan = Plan::Rebase(plan);
            let ended = work.perform(&plan, hooks)?;
            return asked.ended(&plan, ended);
        }
        Err(error) if matches!(error.refusal(), Some(Refusal::NothingToDo)) => {
            return asked.unchanged("it stands there already");
        }
        Err(error) => error,
    };
    let Some(Refusal::Conflict { paths, .. }) = refused.refusal() else {
        return Err(refused.into());
    };
    let started = match plan_start(&git, &ground, Operation::Rebase, onto) {
        Ok(started) => started,
        Err(LandingError::Refused(_)) => {
            let id = view.session.session_id.short();
            let hint =
                format!("`amps squash {id}` makes one commit of the branch, which has merges");
            return asked.refused(refused, ["base", "branch"], &hint);
        }
        Err(error) => return Err(error.into()),
    };
    let resolve = Resolve {
        started,
        then: None,
    };
    let plan = Plan::Resolve(resolve.clone());
    match work.perform(&plan, hooks)? {
        Ended::Waiting { .. } => asked.waits(&resolve, paths),
        ended => asked.ended(&plan, ended),
    }
}
