//! `amps new`: a worktree and a branch of its own for a piece of work.

use std::io::Read as _;
use std::process::ExitCode;
use std::time::Duration;

use amps_core::error::ErrorCode;
use amps_core::ground::{CreationPlan, PortRange};
use amps_core::id::SessionId;
use amps_core::mask::mask;
use amps_core::session::{SessionKind, Status};
use amps_core::time::parse_duration;
use amps_core::worktree::{Base, Changes, Operation, OperationKind, Step, WorktreeSession};
use amps_engine::config::Config;
use amps_engine::git::Git;
use amps_engine::home::Home;
use amps_engine::testing::point;
use amps_engine::worktree::{
    CreationRequest, Repository, SessionLock, WorktreeError, carry_out_creation, free_ports,
    furnish, init_submodules, lease_ports, leased_ports, plan_creation, undo_creation,
};
use amps_proto::fault::Fault;
use amps_proto::request::Request;
use amps_proto::response::Response;
use amps_proto::view::WorktreeView;
use uuid::Uuid;

use crate::args::{IterateArgs, NewArgs};
use crate::context::Context;
use crate::error::Failure;
use crate::text::brief;
use crate::text::worktree::short_branch;
use crate::worktree::setup::{self, Asking, Site};
use crate::{Outcome, connect, env, output, progress, worktree};

/// Words of the prompt that become the name.
const NAME_WORDS: usize = 6;

/// How long the lock of a session that is new is waited for: nobody can have it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Makes a worktree session.
pub(crate) fn run(context: &Context, args: &NewArgs) -> Outcome {
    let (created, unready) = create(context, args)?;
    let session = &created.session;
    if args.output.json && (!args.run || unready.is_some()) {
        output::print_json(&created)?;
    } else if !args.output.json {
        output::print(&format!(
            "Created session: {}\nWorktree: {}\nBranch: {}\n",
            session.session_id,
            session.worktree,
            short_branch(&session.branch)
        ))?;
    }
    if let Some(failure) = unready {
        // There it is; it can be mended, and iterated then.
        return Err(failure);
    }
    if !args.run {
        if !args.output.json {
            let id = session.session_id.short();
            output::say(&format!("`amps iterate {id}` has {} begin", session.agent));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let iterate = IterateArgs {
        session: session.session_id.to_string(),
        prompt: None,
        notes: None,
        model: None,
        stream: false,
        count: None,
        until_pass: false,
        metrics_file: None,
        detach: false,
        join: false,
        output: args.output,
    };
    super::iterate::run(context, &iterate)
}

/// Makes a session. Also returns what failed in making its worktree ready.
fn create(context: &Context, args: &NewArgs) -> Result<(WorktreeView, Option<Failure>), Failure> {
    let (home, config) = context.configured()?;
    let prompt = prompt(&args.prompt)?;
    refuse_secret("the script", args.script.as_deref())?;
    let timeout = args.timeout.as_deref().map(timeout).transpose()?;
    let agent = agent(context, &config, args)?;
    let git = worktree::git(context)?;
    let folder = env::current_folder().unwrap_or_default().join(&args.repo);
    let repository = Repository::find(&git, &folder)?;
    let session_id = SessionId::new(Uuid::new_v4());
    let name = args.name.as_deref().map(|name| mask(name).into_owned());
    let name = name.unwrap_or_else(|| name_of(&prompt));
    let now = context.clock.now();
    let request = CreationRequest {
        session: session_id,
        name: &name,
        base: args.base.as_deref(),
        default_base: &config.grounds.default_base,
        worktree_dir: &config.grounds.worktree_dir,
        now: now.at,
    };
    let plan = plan_creation(&git, &repository, &request)?;
    let lock = SessionLock::take(&repository.common_dir, session_id, "amps new", PATIENCE)?;
    let ports = lease_ports(&home.ports(), session_id, &config.grounds.furnish)?;
    let session = WorktreeSession {
        session_id,
        name,
        kind: SessionKind::Worktree,
        status: Status::Created,
        status_reason: None,
        project_id: None,
        project_root: worktree::raw(&repository.top),
        common_dir: plan.common_dir.clone(),
        worktree: plan.worktree.clone(),
        branch: plan.branch.clone(),
        base: Base {
            reference: plan.base_ref.clone(),
            commit: plan.base.clone(),
        },
        prompt,
        agent,
        model: args.model.clone(),
        script: args.script.clone(),
        timeout,
        thread_id: None,
        ports: ports.map(|range| (range.first, range.count)),
        created_at: now.at,
        started_at: None,
        ended_at: None,
        last_iteration: 0,
        changes: Changes::default(),
        tags: args.tags.clone(),
        context_ids: args.context_ids.clone(),
        removed_at: None,
        operation: Some(Operation {
            kind: OperationKind::Create,
            begun_at: now.at,
            plan: worktree::written(&plan),
        }),
        ground: plan.clone(),
    };
    let request = Request::OpenWorktree {
        session: Box::new(session),
        at: now,
    };
    let Response::Worktree(_) = connect::ask(context, request)? else {
        return Err(connect::unexpected());
    };
    point("new-stored");
    let maker = Maker {
        context,
        home,
        config,
        git,
        ports,
    };
    maker.make(&plan, &lock)
}

/// Makes what has been stored by a command that was killed, or takes it back.
pub(crate) fn make(
    context: &Context,
    git: &Git,
    (plan, lock): (&CreationPlan, &SessionLock),
) -> Result<WorktreeView, Failure> {
    let (home, config) = context.configured()?;
    let ports = leased_ports(&home.ports(), plan.session).map_err(WorktreeError::from)?;
    let maker = Maker {
        context,
        home,
        config,
        git: git.clone(),
        ports,
    };
    let (view, failure) = maker.make(plan, lock)?;
    failure.map_or(Ok(view), Err)
}

/// Makes worktrees.
struct Maker<'a> {
    context: &'a Context,
    home: Home,
    config: Config,
    git: Git,
    ports: Option<PortRange>,
}

impl Maker<'_> {
    /// Makes what has been stored, or takes it back.
    fn make(
        &self,
        plan: &CreationPlan,
        lock: &SessionLock,
    ) -> Result<(WorktreeView, Option<Failure>), Failure> {
        let (git, id) = (&self.git, plan.session);
        let made = progress::saying("making the worktree", || {
            carry_out_creation(git, plan, lock)
        });
        if let Err(error) = made {
            let detail = error.to_string();
            // What cannot be taken back now is when the session is looked at next.
            if undo_creation(git, plan, lock).is_ok() {
                let operation = OperationKind::Create;
                worktree::tell(self.context, id, Step::Undone { operation, detail })?;
                free_ports(&self.home.ports(), id).map_err(WorktreeError::from)?;
            }
            return Err(error.into());
        }
        point("new-made");
        // It can be used: what fails from here on is told, and does not undo it.
        let brought = self.furnish(plan, lock);
        let ready = self.set_up(plan);
        let brought_words = match &brought {
            Ok(count) => format!("{count} brought along"),
            Err(_) => "what git does not track was not brought along".to_owned(),
        };
        let ready_words = match &ready {
            Ok(0) => String::new(),
            Ok(count) => format!(", {count} setup commands run"),
            Err(_) => ", and its setup failed".to_owned(),
        };
        let step = Step::Done {
            operation: OperationKind::Create,
            detail: format!("worktree made, {brought_words}{ready_words}"),
            changes: None,
        };
        let failure = brought.err().or(ready.err());
        Ok((worktree::tell(self.context, id, step)?, failure))
    }

    /// Brings along what git does not track, and returns how much that was.
    fn furnish(&self, plan: &CreationPlan, lock: &SessionLock) -> Result<usize, Failure> {
        let git = &self.git;
        let policy = &self.config.grounds.furnish;
        let furnished = progress::saying("bringing along what git does not track", || {
            furnish(git, plan, policy, lock)
        })?;
        let left = progress::saying("making submodules", || init_submodules(git, plan, lock))?;
        for left in furnished.left.iter().chain(&left) {
            output::say(&format!(
                "amps: {} was not brought along: {}",
                left.path, left.reason
            ));
        }
        Ok(furnished.brought.len())
    }

    /// Runs the commands that make the worktree ready.
    fn set_up(&self, plan: &CreationPlan) -> Result<usize, Failure> {
        let site = Site {
            session: plan.session,
            common_dir: &worktree::native(&plan.common_dir),
            worktree: &worktree::native(&plan.worktree),
            ports: self.ports,
        };
        setup::set_up(
            self.context,
            (&self.home, &self.config),
            site,
            Asking::MayAsk,
        )
    }
}

/// Returns the agent that is to iterate. One that is to begin at once has to be installed.
fn agent(context: &Context, config: &Config, args: &NewArgs) -> Result<String, Failure> {
    let name = match &args.agent {
        Some(name) => name.clone(),
        None => worktree::default_agent(context, config)?,
    };
    let configured = worktree::agent(config, &name)?;
    if args.run {
        worktree::program(context, &configured)?;
    }
    Ok(name)
}

/// Fails for what is stored and used later, if there is a known secret in it: stored, it is masked.
fn refuse_secret(what: &str, text: Option<&str>) -> Result<(), Failure> {
    if text.is_some_and(|text| mask(text) != text) {
        let message = format!("{what} has something in it that looks like a secret");
        return Err(Fault::new(ErrorCode::BadArgument, message)
            .hint("put it into a variable of your environment, and name the variable")
            .into());
    }
    Ok(())
}

fn prompt(given: &str) -> Result<String, Failure> {
    let text = if given == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        text
    } else {
        given.to_owned()
    };
    let text = text.trim();
    if text.is_empty() {
        return Err(Fault::new(ErrorCode::BadArgument, "the prompt is empty")
            .hint("say what the agent is to do")
            .into());
    }
    refuse_secret("the prompt", Some(text))?;
    Ok(text.to_owned())
}

fn timeout(text: &str) -> Result<Duration, Failure> {
    parse_duration(text)
        .filter(|time| !time.is_zero())
        .ok_or_else(|| {
            let message = format!("`{}` is not a length of time", brief(text, 60));
            Fault::new(ErrorCode::BadArgument, message)
                .hint("write it like `90s`, `10m`, or a number of seconds")
                .into()
        })
}

fn name_of(prompt: &str) -> String {
    let words: Vec<&str> = prompt.split_whitespace().take(NAME_WORDS).collect();
    brief(&words.join(" "), 60)
}
