//! The commands that make a new worktree ready and clean up behind it: the person's own, which are
//! configured, and those that come with the repository, which run only as they were approved.

use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};

use amps_core::ground::PortRange;
use amps_core::id::SessionId;
use amps_core::path::visible;
use amps_engine::config::Config;
use amps_engine::files;
use amps_engine::home::Home;
use amps_engine::worktree::{
    Approval, Approvals, Commands, SETUP_FILE, WorktreeError, repository_commands, run_commands,
};
use amps_proto::view::WorktreeView;

use super::native;
use crate::context::Context;
use crate::error::Failure;
use crate::{output, progress};

/// A worktree in which commands are run.
#[derive(Clone, Copy)]
pub(crate) struct Site<'a> {
    /// The session.
    pub(crate) session: SessionId,
    /// The git directory of its repository.
    pub(crate) common_dir: &'a Path,
    /// Its folder.
    pub(crate) worktree: &'a Path,
    /// Its ports.
    pub(crate) ports: Option<PortRange>,
}

/// What is asked of a person who may be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asking {
    /// Whether commands may run that are not approved.
    MayAsk,
    /// Nothing.
    Never,
}

/// Makes a new worktree ready. Returns how many commands were run.
pub(crate) fn set_up(
    context: &Context,
    (home, config): (&Home, &Config),
    site: Site<'_>,
    asking: Asking,
) -> Result<usize, Failure> {
    let commands = commands(context, (home, config), site, asking)?;
    let setup: Vec<String> = commands.into_iter().flat_map(|one| one.setup).collect();
    run(context, (home, config), site, &setup)
}

/// Cleans up behind a worktree that is about to be removed, if it is there.
pub(crate) fn tear_down(context: &Context, view: &WorktreeView) -> Result<(), Failure> {
    let session = &view.session;
    let worktree = native(&session.worktree);
    if !worktree.is_dir() {
        return Ok(());
    }
    let (home, config) = context.configured()?;
    let common_dir = native(&session.common_dir);
    let site = Site {
        session: session.session_id,
        common_dir: &common_dir,
        worktree: &worktree,
        ports: session
            .ports
            .map(|(first, count)| PortRange { first, count }),
    };
    let commands = commands(context, (&home, &config), site, Asking::Never)?;
    let teardown: Vec<String> = commands.into_iter().flat_map(|one| one.teardown).collect();
    run(context, (&home, &config), site, &teardown).map(drop)
}

/// Returns the commands that may run: the person's, and then the repository's if they are approved.
fn commands(
    context: &Context,
    (home, config): (&Home, &Config),
    site: Site<'_>,
    asking: Asking,
) -> Result<Vec<Commands>, Failure> {
    let mut found = vec![Commands::from(&config.grounds.furnish)];
    let Some(text) = repository_commands(site.worktree)? else {
        return Ok(found);
    };
    let approvals = Approvals::new(home.approvals());
    let approval = approvals
        .approval(site.common_dir, &text)
        .map_err(WorktreeError::from)?;
    let may_run = approval == Approval::Given
        || asking == Asking::MayAsk && asked(&text, approval)? && {
            let now = context.clock.now().at;
            approvals
                .approve(site.common_dir, &text, now)
                .map_err(WorktreeError::from)?;
            true
        };
    if may_run {
        found.push(Commands::approved(&text, site.common_dir, &approvals)?);
    } else {
        let folder = crate::text::quoted(&site.worktree.to_string_lossy());
        output::say(&format!(
            "amps: the commands in {SETUP_FILE} {} and were not run; `amps approve --repo {folder}` \
             shows them and lets them run from then on",
            state(approval)
        ));
    }
    Ok(found)
}

/// Returns what a person said of commands.
pub(crate) fn state(approval: Approval) -> &'static str {
    match approval {
        Approval::Given => "are approved",
        Approval::Changed => "were changed since they were approved",
        Approval::None => "are not approved",
    }
}

/// Asks the person whether commands may run, if there is one. `false` where there is none.
pub(crate) fn asked(text: &str, approval: Approval) -> Result<bool, Failure> {
    if !output::can_ask() {
        return Ok(false);
    }
    output::say(&format!(
        "The commands in {SETUP_FILE} {}:\n{}",
        state(approval),
        shown(text)
    ));
    output::ask("May they run in worktrees of this repository? [y/N] ");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Returns a text as it may be shown: nothing in it can hide another part of it.
pub(crate) fn shown(text: &str) -> String {
    let lines = text.lines().map(|line| format!("  {}\n", visible(line)));
    lines.collect()
}

/// Runs commands one after the other until one fails.
fn run(
    context: &Context,
    (home, config): (&Home, &Config),
    site: Site<'_>,
    commands: &[String],
) -> Result<usize, Failure> {
    if commands.is_empty() {
        return Ok(0);
    }
    let log = log(home, site.session);
    let folder = home.iterations_of(site.session);
    files::create_private_folder(&folder).map_err(WorktreeError::from)?;
    let limit = config.grounds.furnish.timeout;
    let variables = variables(context, site);
    for command in commands {
        let mut file = files::open_to_append(&log)?;
        writeln!(file, "$ {}", visible(command))?;
        let one = std::slice::from_ref(command);
        let ran = progress::saying(&format!("running `{}`", visible(command)), || {
            run_commands(one, site.worktree, &variables, limit, &log)
        });
        ran.map_err(|error| mended(error, &log))?;
    }
    Ok(commands.len())
}

fn mended(error: WorktreeError, log: &Path) -> Failure {
    match Failure::from(error) {
        Failure::Fault(mut fault) => {
            fault.hint = Some(format!("what it printed is in {}", log.display()));
            Failure::Fault(fault)
        }
        failure => failure,
    }
}

/// Returns the log of the commands of a session's worktree.
pub(crate) fn log(home: &Home, session: SessionId) -> PathBuf {
    home.iterations_of(session).join("setup.log")
}

/// Returns what the commands see: what an iteration sees.
fn variables(context: &Context, site: Site<'_>) -> Vec<(String, String)> {
    let own = context.environment.for_iteration().into_iter();
    let text =
        own.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut variables: Vec<(String, String)> = text.collect();
    variables.push((
        "AMPSM_WORKTREE_SESSION".to_owned(),
        site.session.to_string(),
    ));
    let ports = site.ports.map(PortRange::variables).into_iter().flatten();
    variables.extend(ports.map(|(name, value)| (name.to_owned(), value)));
    variables
}
