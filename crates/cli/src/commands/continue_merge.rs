//! `amps continue-merge`: a merge that waited for a person is committed, and the base takes it in.

use amps_core::worktree::OperationKind;

use super::merge::merge;
use crate::Outcome;
use crate::args::ContinueMergeArgs;
use crate::commands::show;
use crate::context::Context;
use crate::worktree::answer::Asked;
use crate::worktree::operation::{Ended, Plan, Work};
use crate::worktree::resolve::Waiting;

/// Goes on with a merge.
pub(crate) fn run(context: &Context, args: &ContinueMergeArgs) -> Outcome {
    let is_json = args.output.json;
    let asked = (args.session.as_str(), "amps continue-merge");
    let waiting = Waiting::find(context, asked, OperationKind::Merge)?;
    let ended = waiting.go_on(context, args.no_verify)?;
    if !matches!(ended, Ended::Done { .. }) {
        let plan = Plan::Resolve(waiting.resolve().clone());
        return waiting.asked(is_json).ended(&plan, ended);
    }
    let id = waiting.view().session.session_id.to_string();
    let view = show::fetch_worktree(context, &id)?;
    let mut order = waiting.resolve().then.clone().unwrap_or_default();
    order.no_verify |= args.no_verify;
    let work = Work {
        context,
        git: &waiting.git,
        view: &view,
        lock: waiting.lock(),
    };
    let asked = Asked {
        git: &waiting.git,
        view: &view,
        kind: OperationKind::Merge,
        is_json,
    };
    merge(work, asked, &order)
}
