//! `amps abort-merge`: a merge that waits for a person is given up.

use amps_core::worktree::OperationKind;

use crate::Outcome;
use crate::args::AbortMergeArgs;
use crate::context::Context;
use crate::worktree::resolve::Waiting;

/// Gives up a merge.
pub(crate) fn run(context: &Context, args: &AbortMergeArgs) -> Outcome {
    let asked = (args.session.as_str(), "amps abort-merge");
    let waiting = Waiting::find(context, asked, OperationKind::Merge)?;
    waiting.abort(context, args.output.json)
}
