//! `amps merge`: the base takes a session's branch in, or its work is handed on otherwise.

use std::process::ExitCode;

use amps_core::error::ErrorCode;
use amps_core::landing::{ConflictedPath, Operation, Refusal};
use amps_core::session::StatusReason;
use amps_core::worktree::{OperationKind, Step};
use amps_engine::landing::{
    FastForward, Ground, MergeRequest, Patches, Push, Uncommitted, content_of, export_patch,
    has_landed, plan_merge, plan_start, push, remote,
};
use amps_engine::testing::point;
use amps_proto::fault::Fault;
use serde_json::json;

use super::pr;
use crate::args::{MergeArgs, PrArgs};
use crate::context::Context;
use crate::error::Failure;
use crate::text::worktree::short_branch;
use crate::worktree::answer::{Answer, Asked, Came};
use crate::worktree::gate::{Judgement, gate};
use crate::worktree::operation::{Ended, MergeOrder, Plan, Resolve, Work};
use crate::worktree::{self, landing, neighbours};
use crate::{Outcome, output};

/// How often a merge is planned again because the base moved meanwhile: each time somebody else has
/// come further.
const TRIES: usize = 100;

/// Merges a session.
pub(crate) fn run(context: &Context, args: &MergeArgs) -> Outcome {
    if args.pr {
        return pr::run(context, &pr_args(args));
    }
    let git = worktree::git(context)?;
    let locked = worktree::lock(context, &args.session, "amps merge")?;
    let view = &locked.view;
    let asked = Asked {
        git: &git,
        view,
        kind: OperationKind::Merge,
        is_json: args.output.json,
    };
    let is_merged = view.session.status_reason == Some(StatusReason::Merged);
    if is_merged && locked.finished == Some(OperationKind::Merge) {
        return asked.unchanged("merged, as was begun before");
    }
    worktree::refuse_final(view)?;
    if let Some(file) = &args.export_patch {
        return export(asked, args, file);
    }
    neighbours::refuse_open_run(view)?;
    let mut order = MergeOrder {
        onto: args.onto.as_deref().map(landing::full_name),
        no_ff: args.no_ff,
        message: args.message.clone(),
        no_verify: args.no_verify,
        leave_uncommitted: args.leave_uncommitted,
        judgement: if args.ignore_gate {
            Judgement::Ignored
        } else {
            Judgement::Required
        },
        push: None,
    };
    if args.push {
        let ground = ground(asked, &order);
        order.push = Some(remote(&git, &ground, args.remote.as_deref())?.name);
    }
    // What somebody merged already is over, whatever the gate said.
    if !args.ignore_gate && has_landed(&git, &ground(asked, &order))?.is_none() {
        gate(&git, view)?.require_passed()?;
    }
    let work = Work {
        context,
        git: &git,
        view,
        lock: &locked.lock,
    };
    merge(work, asked, &order)
}

fn pr_args(args: &MergeArgs) -> PrArgs {
    PrArgs {
        session: args.session.clone(),
        onto: args.onto.clone(),
        title: args.message.clone(),
        body: None,
        remote: args.remote.clone(),
        no_verify: args.no_verify,
        output: args.output,
    }
}

/// Returns the ground with the base that is wanted.
fn ground(asked: Asked<'_>, order: &MergeOrder) -> Ground {
    let ground = landing::ground(asked.view);
    match &order.onto {
        Some(onto) => Ground {
            base_ref: onto.clone(),
            ..ground
        },
        None => ground,
    }
}

/// Merges a session as ordered. A base that moves meanwhile is merged into as it is then.
pub(crate) fn merge(work: Work<'_>, asked: Asked<'_>, order: &MergeOrder) -> Outcome {
    let ground = ground(asked, order);
    let hooks = landing::hooks(order.no_verify);
    let request = MergeRequest {
        onto: None,
        fast_forward: if order.no_ff {
            FastForward::Never
        } else {
            FastForward::Allowed
        },
        message: order.message.clone(),
        hooks,
        uncommitted: if order.leave_uncommitted {
            Uncommitted::Leave
        } else {
            Uncommitted::Refuse
        },
    };
    for last in (0..TRIES).rev() {
        let plan = match plan_merge(work.git, &ground, &request) {
            Ok(plan) => Plan::Merge(plan),
            Err(error) => match error.refusal() {
                Some(Refusal::NothingToDo) => return landed(work, asked, &ground),
                Some(Refusal::Conflict { paths, .. }) => {
                    return begin_to_resolve(work, asked, (&ground, order), paths);
                }
                Some(refusal) if last > 0 && landing::may_be_left(refusal) => {
                    if landing::finish_others(work.context, asked.view)? {
                        continue;
                    }
                    return Err(error.into());
                }
                _ => return Err(error.into()),
            },
        };
        point("merge-planned");
        if order.judgement == Judgement::Required {
            require_judged(work, &ground, &plan)?;
        }
        match work.perform(&plan, hooks)? {
            Ended::Undone { why, .. } if last > 0 => match why.refusal() {
                Some(Refusal::Moved { .. }) => {}
                Some(refusal)
                    if landing::may_be_left(refusal)
                        && landing::finish_others(work.context, asked.view)? => {}
                _ => return Err((*why).into()),
            },
            ended => {
                let is_done = matches!(ended, Ended::Done { .. });
                let answered = asked.ended(&plan, ended)?;
                if is_done {
                    push_base(work, &ground, order)?;
                }
                return Ok(answered);
            }
        }
    }
    Err(Fault::new(ErrorCode::Internal, "a merge was tried without end").into())
}

/// Fails unless the gate has judged what the base will have.
fn require_judged(work: Work<'_>, ground: &Ground, plan: &Plan) -> Result<(), Failure> {
    let tree = match plan.to() {
        Some(commit) => content_of(work.git, ground, commit.as_str())?,
        None => None,
    };
    gate(work.git, work.view)?.require_judged(tree.as_ref())
}

fn push_base(work: Work<'_>, ground: &Ground, order: &MergeOrder) -> Result<(), Failure> {
    let Some(name) = &order.push else {
        return Ok(());
    };
    let order = Push {
        remote: name.clone(),
        source: ground.base_ref.clone(),
        destination: ground.base_ref.clone(),
        expected: None,
        hooks: landing::hooks(order.no_verify),
    };
    let base = short_branch(&ground.base_ref);
    push(work.git, ground, &order).map_err(|error| -> Failure {
        let mut fault = Fault::of(ErrorCode::GitFailed, &error);
        fault.message = format!("merged into {base} here, and not pushed: {}", fault.message);
        let hint = format!("`git push {name} {base}` pushes it");
        fault.hint(hint).into()
    })?;
    output::say(&format!("pushed {base} to {name}"));
    Ok(())
}

/// Answers for a branch of which the base has everything: somebody merged it, or it has nothing.
fn landed(work: Work<'_>, asked: Asked<'_>, ground: &Ground) -> Outcome {
    let session = &asked.view.session;
    let has_work = asked.view.iterations.iter().any(|view| {
        let iteration = &view.iteration;
        iteration.commit.is_some() || !iteration.agent_commits.is_empty()
    });
    let Some(commit) = has_landed(work.git, ground)?.filter(|_| has_work) else {
        let id = session.session_id.short();
        let message = format!("session {id} has no work to merge");
        return Err(Fault::new(ErrorCode::NotAllowed, message)
            .hint(format!("`amps status {id}` shows how it stands"))
            .into());
    };
    let step = Step::Merge {
        into: ground.base_ref.clone(),
        commit: commit.clone(),
    };
    let view = worktree::tell(work.context, session.session_id, step)?;
    let detail = format!("{} has all of it already", short_branch(&ground.base_ref));
    Answer::new(&view, OperationKind::Merge, (Came::Unchanged, &detail)).print(asked.is_json)
}

/// Starts a merge of the base into the branch, in the worktree of the session, where a person can
/// resolve what does not go together.
fn begin_to_resolve(
    work: Work<'_>,
    asked: Asked<'_>,
    (ground, order): (&Ground, &MergeOrder),
    paths: &[ConflictedPath],
) -> Outcome {
    let started = plan_start(work.git, ground, Operation::Merge, None)?;
    let resolve = Resolve {
        started,
        then: Some(order.clone()),
    };
    let plan = Plan::Resolve(resolve.clone());
    match work.perform(&plan, landing::hooks(order.no_verify))? {
        Ended::Waiting { .. } => asked.waits(&resolve, paths),
        // Git found a way, such as one that it remembers.
        Ended::Done { view, .. } => merge(
            Work {
                view: &view,
                ..work
            },
            Asked {
                view: &view,
                ..asked
            },
            order,
        ),
        ended @ Ended::Undone { .. } => asked.ended(&plan, ended),
    }
}

fn export(asked: Asked<'_>, args: &MergeArgs, file: &std::path::Path) -> Outcome {
    let order = MergeOrder {
        onto: args.onto.as_deref().map(landing::full_name),
        ..MergeOrder::default()
    };
    let ground = ground(asked, &order);
    let patches = if file.is_dir() {
        Patches::Folder(file)
    } else {
        Patches::File(file)
    };
    let written = export_patch(asked.git, &ground, patches)?;
    let written: Vec<_> = written.iter().map(|path| worktree::raw(path)).collect();
    if asked.is_json {
        let id = asked.view.session.session_id;
        output::print_json(&json!({ "session_id": id, "patches": written }))?;
    } else {
        let lines: Vec<String> = written.iter().map(|path| format!("{path}\n")).collect();
        output::print(&lines.concat())?;
    }
    Ok(ExitCode::SUCCESS)
}
