//! `amps pr`: pushes a session's branch and opens a pull request by the forge's own tool.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use amps_core::error::ErrorCode;
use amps_core::path::visible;
use amps_engine::exec::{Contained, ContainedEnd, find_program};
use amps_engine::files;
use amps_engine::landing::{Ground, Push, Remote, commit_of, push, remote};
use amps_proto::fault::Fault;
use amps_proto::view::WorktreeView;
use serde_json::json;

use crate::args::PrArgs;
use crate::context::Context;
use crate::error::Failure;
use crate::text::worktree::short_branch;
use crate::worktree::{self, landing};
use crate::{Outcome, env, output};

/// How long a tool may take.
const LIMIT: Duration = Duration::from_secs(120);

/// A program of a forge that opens pull requests.
struct Tool {
    name: &'static str,
    /// What the addresses of its forges have in them.
    forge: &'static str,
    /// The command for a shell. The values come in variables, so that nothing has to be quoted.
    command: &'static str,
}

const TOOLS: [Tool; 3] = [
    Tool {
        name: "gh",
        forge: "github",
        command: r#"exec gh pr create --head "$PR_BRANCH" --base "$PR_BASE" --title "$PR_TITLE" --body "$PR_BODY""#,
    },
    Tool {
        name: "glab",
        forge: "gitlab",
        command: r#"exec glab mr create --source-branch "$PR_BRANCH" --target-branch "$PR_BASE" --title "$PR_TITLE" --description "$PR_BODY" --yes"#,
    },
    Tool {
        name: "tea",
        forge: "gitea",
        command: r#"exec tea pulls create --head "$PR_BRANCH" --base "$PR_BASE" --title "$PR_TITLE" --description "$PR_BODY""#,
    },
];

/// Opens a pull request for a session.
pub(crate) fn run(context: &Context, args: &PrArgs) -> Outcome {
    let git = worktree::git(context)?;
    let locked = worktree::lock(context, &args.session, "amps pr")?;
    let view = &locked.view;
    worktree::refuse_final(view)?;
    let mut ground = landing::ground(view);
    if let Some(onto) = &args.onto {
        ground.base_ref = landing::full_name(onto);
    }
    let remote = remote(&git, &ground, args.remote.as_deref())?;
    let tool = choose(context, view, &remote)?;
    let branch = short_branch(&ground.branch);
    let order = Push {
        // Only what we know to be there is replaced, such as the commits before a squash.
        expected: commit_of(
            &git,
            &ground,
            &format!("refs/remotes/{}/{branch}", remote.name),
        )?,
        remote: remote.name.clone(),
        source: ground.branch.clone(),
        destination: ground.branch.clone(),
        hooks: landing::hooks(args.no_verify),
    };
    push(&git, &ground, &order)?;
    output::say(&format!("pushed {branch} to {}", remote.name));
    let printed = open(context, tool, (view, &ground, args))?;
    let url = printed
        .split_whitespace()
        .rev()
        .find(|word| word.contains("://"));
    if args.output.json {
        output::print_json(&json!({
            "session_id": view.session.session_id,
            "branch": ground.branch,
            "base": ground.base_ref,
            "remote": remote.name,
            "tool": tool.name,
            "url": url,
        }))?;
    } else {
        output::print(&format!("{}\n", visible(url.unwrap_or(printed.trim()))))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Chooses the tool of the forge that the remote is at, or else the only one that is installed.
fn choose(
    context: &Context,
    view: &WorktreeView,
    remote: &Remote,
) -> Result<&'static Tool, Failure> {
    let (path, own) = (context.environment.path(), env::own_program());
    let is_installed = |tool: &&Tool| find_program(OsStr::new(tool.name), &path, &own).is_ok();
    let installed: Vec<&Tool> = TOOLS.iter().filter(is_installed).collect();
    let of_forge = TOOLS
        .iter()
        .find(|tool| remote.address.contains(tool.forge));
    let found = match (of_forge, &installed[..]) {
        (Some(tool), installed) => installed.iter().find(|one| one.name == tool.name).copied(),
        (None, [only]) => Some(*only),
        (None, _) => None,
    };
    found.ok_or_else(|| {
        let wanted = of_forge.map_or("gh, glab or tea", |tool| tool.name);
        let id = view.session.session_id.short();
        let message = format!("{wanted} is not installed, which opens pull requests there");
        Fault::new(ErrorCode::NotAllowed, message)
            .hint(format!(
                "install it, or `amps merge {id} --export-patch FILE` writes patches to send"
            ))
            .into()
    })
}

/// Runs the tool in the worktree, and returns what it printed.
fn open(
    context: &Context,
    tool: &Tool,
    (view, ground, args): (&WorktreeView, &Ground, &PrArgs),
) -> Result<String, Failure> {
    let session = &view.session;
    let own = [
        ("PR_BRANCH", short_branch(&ground.branch)),
        ("PR_BASE", short_branch(&ground.base_ref)),
        ("PR_TITLE", args.title.as_deref().unwrap_or(&session.name)),
        ("PR_BODY", args.body.as_deref().unwrap_or(&session.prompt)),
        // Nobody can be asked.
        ("GH_PROMPT_DISABLED", "1"),
        ("NO_COLOR", "1"),
    ];
    let inherited = context.environment.for_iteration().into_iter();
    let mut variables: Vec<(String, String)> = inherited
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    variables.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let (home, _) = context.configured()?;
    let log = home.folder().join(format!("pr-{}.log", session.session_id));
    let printed = run_tool(tool, &ground.worktree, (&variables, &log));
    files::remove(&log).map_err(|error| Failure::of(ErrorCode::FileFailed, &error))?;
    printed
}

fn run_tool(
    tool: &Tool,
    folder: &Path,
    (variables, log): (&[(String, String)], &Path),
) -> Result<String, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::of(ErrorCode::FileFailed, error);
    files::remove(log).map_err(|error| failed(&error))?;
    let file = files::create_new(log).map_err(|error| failed(&error))?;
    let command = Contained {
        command: tool.command,
        folder,
        variables,
        limit: LIMIT,
    };
    let ended = command.run(&file).map_err(|error| failed(&error))?;
    let printed = fs::read(log).map_err(|error| failed(&error))?;
    let printed = String::from_utf8_lossy(&printed).into_owned();
    if ended == ContainedEnd::Code(0) {
        return Ok(printed);
    }
    let message = format!("the branch is pushed, but `{}` {ended}", tool.name);
    let mut fault = Fault::new(ErrorCode::GitFailed, message);
    fault.causes.extend(printed.lines().take(20).map(visible));
    Err(fault.hint("open the pull request by hand").into())
}
