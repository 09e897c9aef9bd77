//! `amps approve`: lets the commands run that come with a repository for new worktrees.

use std::process::ExitCode;

use amps_core::error::ErrorCode;
use amps_engine::worktree::{
    Approval, Approvals, Commands, SETUP_FILE, WorktreeError, repository_commands,
};
use amps_proto::fault::Fault;
use serde::Serialize;

use super::trash::repository;
use crate::args::ApproveArgs;
use crate::context::Context;
use crate::error::Failure;
use crate::worktree::setup;
use crate::{Outcome, output, worktree};

/// What was approved.
#[derive(Serialize)]
struct Answer<'a> {
    repository: String,
    file: &'a str,
    text: &'a str,
    approved: bool,
}

/// Shows the commands, and notes that they may run.
pub(crate) fn run(context: &Context, args: &ApproveArgs) -> Outcome {
    let git = worktree::git(context)?;
    let repository = repository(&git, &args.repo)?;
    let Some(text) = commands(repository.here.as_deref())? else {
        let message = format!("there is no {SETUP_FILE} here");
        return Err(Fault::new(ErrorCode::NotFound, message)
            .hint("name a working tree that has it with `--repo`")
            .into());
    };
    let (home, _) = context.configured()?;
    let approvals = Approvals::new(home.approvals());
    let failed = |error| Failure::from(WorktreeError::from(error));
    let approval = approvals
        .approval(&repository.common_dir, &text)
        .map_err(failed)?;
    if approval != Approval::Given {
        let may_run = args.yes || setup::asked(&text, approval)?;
        if !may_run {
            let message = format!("the commands in {SETUP_FILE} {}", setup::state(approval));
            return Err(Fault::new(ErrorCode::NotAllowed, message)
                .hint("read the file, and approve it with `amps approve --yes`")
                .into());
        }
        home.create()
            .map_err(|error| Failure::of(ErrorCode::HomeNotWritable, &error))?;
        let now = context.clock.now().at;
        approvals
            .approve(&repository.common_dir, &text, now)
            .map_err(failed)?;
    }
    // What cannot be understood is named now, and not when it is to run.
    Commands::approved(&text, &repository.common_dir, &approvals)?;
    if args.output.json {
        output::print_json(&Answer {
            repository: worktree::raw(&repository.common_dir).to_string(),
            file: SETUP_FILE,
            text: &text,
            approved: true,
        })?;
    } else {
        output::print(&setup::shown(&text))?;
        output::say("approved: these commands run in new worktrees, and before they are removed");
    }
    Ok(ExitCode::SUCCESS)
}

fn commands(here: Option<&std::path::Path>) -> Result<Option<String>, Failure> {
    match here {
        Some(here) => Ok(repository_commands(here)?),
        None => Ok(None),
    }
}
