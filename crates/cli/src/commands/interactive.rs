//! `amps interactive`: the agent of a worktree session on this terminal.

use std::ffi::OsString;
use std::process::ExitCode;

use amps_core::error::ErrorCode;
use amps_core::session::Status;
use amps_host::{SignalsFor, has_terminal};
use amps_proto::fault::Fault;
use amps_proto::hold::Role;
use amps_proto::view::WorktreeView;

use crate::args::{InteractiveArgs, LaunchOptions};
use crate::commands::{attach, show, terminal};
use crate::context::Context;
use crate::error::Failure;
use crate::launch::hold;
use crate::text::sentence;
use crate::worktree::{self, Locked};
use crate::{Outcome, held, output};

/// Opens the agent, or comes back to it.
pub(crate) fn run(context: &Context, args: &InteractiveArgs) -> Outcome {
    if !has_terminal() {
        let message = "standard input and output are no terminal";
        return Err(Fault::new(ErrorCode::NotAllowed, message)
            .hint("`amps iterate` has the agent work without one")
            .into());
    }
    terminal::restore(context)?;
    let view = show::fetch_worktree(context, &args.session)?;
    if view.session.status == Status::Active {
        return come_back(context, &view, args.take_over);
    }
    let before = view.session.last_iteration;
    let code = begin(context, &args.session)?;
    let view = show::fetch_worktree(context, &view.session.session_id.to_string())?;
    tell(&view, before);
    Ok(code)
}

/// Shows an agent that is held already.
fn come_back(context: &Context, view: &WorktreeView, takes_over: bool) -> Outcome {
    let run = view.iterations.last().map(|view| view.iteration.run);
    let Some(Ok(held)) = run.map(|run| held::connect_to(context, run)) else {
        let id = view.session.session_id.short();
        let message = format!("an iteration of session {id} is under way");
        return Err(Fault::new(ErrorCode::NotAllowed, message)
            .hint(format!(
                "`amps iterate {id} --stream` shows it, `amps stop {id}` ends it"
            ))
            .into());
    };
    held.refuse_own(context)?;
    attach::show(
        context,
        held,
        (Role::Typist, takes_over),
        SignalsFor::Client,
    )
}

/// Has a host open the agent in the worktree, and shows it.
fn begin(context: &Context, reference: &str) -> Result<ExitCode, Failure> {
    if !context.environment.git().is_empty() {
        let message = "variables of the environment say that the repository is another";
        return Err(Fault::new(ErrorCode::NotAllowed, message)
            .hint("unset GIT_DIR and the like")
            .into());
    }
    let (_, config) = context.configured()?;
    // The host takes the lock; whatever stands in the way is better said before there is one.
    let Locked { lock, view, .. } = worktree::lock(context, reference, "amps interactive")?;
    worktree::refuse_final(&view)?;
    let session = &view.session;
    let agent = worktree::agent(&config, &session.agent)?;
    let name = OsString::from(&agent.program);
    let program = worktree::program(context, &agent)?;
    let model = session.model.as_deref().or(agent.model.as_deref());
    let thread = session.thread_id.as_ref();
    // Further arguments are for turns without a person.
    let arguments = agent.agent().interactive(thread, model, &[]);
    let command: Vec<OsString> = [name]
        .into_iter()
        .chain(arguments.into_iter().map(OsString::from))
        .collect();
    let folder = worktree::native(&session.worktree);
    std::env::set_current_dir(&folder).map_err(|error| {
        Fault::of(ErrorCode::RepositoryInvalid, &error)
            .hint("`git worktree list` shows where the worktree went")
    })?;
    let options = LaunchOptions {
        context_ids: session.context_ids.clone(),
        ..LaunchOptions::default()
    };
    drop(lock);
    hold::visit(context, &options, (&program, &command), session.session_id)
}

/// Says what came of an iteration that is over.
fn tell(view: &WorktreeView, before: u32) {
    let last = view.iterations.last().map(|view| &view.iteration);
    let Some(last) = last.filter(|last| last.number > before && last.verdict.is_some()) else {
        return;
    };
    for error in &last.errors {
        output::say(&format!("amps: {}", amps_core::path::visible(error)));
    }
    match &last.commit {
        Some(commit) => output::say(&format!(
            "[committed as {}]",
            sentence::head(commit.as_str())
        )),
        None if last.agent_commits.is_empty() => output::say("[nothing was changed]"),
        None => {}
    }
}
