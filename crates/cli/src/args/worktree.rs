//! The command line of a worktree session's life: begun, iterated, cleaned up.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::JsonArgs;

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// The repository, or a folder in it
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub(crate) repo: PathBuf,
    /// Call the session this; the branch is named after it
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// What the agent is to do; read from standard input when it is `-`
    #[arg(long, value_name = "TEXT")]
    pub(crate) prompt: String,
    /// The branch or commit to begin from, and the branch to merge into; the current one if it is
    /// not given
    #[arg(long, value_name = "BRANCH")]
    pub(crate) base: Option<String>,
    /// The command that judges each iteration: it passes when that exits with 0
    #[arg(long, value_name = "COMMAND")]
    pub(crate) script: Option<String>,
    /// The agent
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<String>,
    /// The model that the agent is told to use
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// How long an agent, or the gate, may take: `90s`, `10m`, or a number of seconds
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<String>,
    /// Note a record that the agents are given as context; may be repeated
    #[arg(long = "context", value_name = "ID")]
    pub(crate) context_ids: Vec<String>,
    /// Add a word to find the session by; may be repeated
    #[arg(long = "tag", value_name = "WORD")]
    pub(crate) tags: Vec<String>,
    /// Run the first iteration at once
    #[arg(long)]
    pub(crate) run: bool,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct IterateArgs {
    /// An id, the beginning of one, or a name
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,
    /// What the agent is to do now, instead of going on
    #[arg(long, value_name = "TEXT")]
    pub(crate) prompt: Option<String>,
    /// A note for the record of the iteration
    #[arg(long, value_name = "TEXT")]
    pub(crate) notes: Option<String>,
    /// The model that the agent is told to use, this time
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Show what the agent tells while it runs
    #[arg(long)]
    pub(crate) stream: bool,
    /// Show the iteration that is under way, and begin none
    #[arg(long, conflicts_with_all = ["prompt", "notes", "model", "count", "until_pass", "detach"])]
    pub(crate) join: bool,
    /// So many iterations at most, as long as each passes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) count: Option<u32>,
    /// Go on while the gate does not pass, and no further; ten times at most unless `--count` says so
    #[arg(long)]
    pub(crate) until_pass: bool,
    /// Write what the iterations used to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics_file: Option<PathBuf>,
    /// Do not wait for the end
    #[arg(long, conflicts_with_all = ["stream", "metrics_file"])]
    pub(crate) detach: bool,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct InteractiveArgs {
    /// An id, the beginning of one, or a name
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,
    /// Have another client leave that types in it
    #[arg(long)]
    pub(crate) take_over: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CleanupArgs {
    /// An id, the beginning of one, or a name
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,
    /// Give a session up that is not merged, for this reason
    #[arg(long, value_name = "REASON")]
    pub(crate) give_up: Option<String>,
    /// Do not run the teardown commands
    #[arg(long)]
    pub(crate) no_teardown: bool,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CleanEnvironmentArgs {
    /// The repository, or a folder in it
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub(crate) repo: PathBuf,
    /// Only show what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum TrashCommand {
    /// List what is in the trash of a repository, the oldest first
    List(TrashListArgs),
    /// Bring the worktree and the branch of a session back
    Restore(TrashRestoreArgs),
    /// Delete for good what was kept for as long as `trash.keep` says
    Empty(TrashEmptyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TrashListArgs {
    /// The repository, or a folder in it
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub(crate) repo: PathBuf,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TrashRestoreArgs {
    /// An id, the beginning of one, or a name
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TrashEmptyArgs {
    /// Only this session, however short it was kept: an id, the beginning of one, or a name
    #[arg(value_name = "SESSION", conflicts_with_all = ["all", "repo"])]
    pub(crate) session: Option<String>,
    /// Everything in the trash of the repository, however short it was kept
    #[arg(long)]
    pub(crate) all: bool,
    /// The repository, or a folder in it
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub(crate) repo: PathBuf,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// The repository, or a folder in it
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub(crate) repo: PathBuf,
    /// Approve without being asked
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// An id, the beginning of one, or a name; the session of this worktree if there is none, or else
    /// all that are open in this repository
    #[arg(value_name = "SESSION")]
    pub(crate) session: Option<String>,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum IterationCommand {
    /// Run the iterations that are asked for on standard input
    Run,
    /// Start a process that does so and is nobody's child, and leave
    Start,
}
