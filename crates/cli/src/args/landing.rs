//! The command line of landing a worktree session.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::JsonArgs;

#[derive(Debug, Args)]
pub(crate) struct SquashArgs {
    /// An id, the beginning of one, or a name
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,
    /// The message of the one commit
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub(crate) message: String,
    /// What becomes of commits that a person made in between
    #[arg(long, value_enum, default_value_t = ManualCommits::Preserve)]
    pub(crate) manual: ManualCommits,
    /// Do not run the hooks of the repository
    #[arg(long)]
    pub(crate) no_verify: bool,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

/// What becomes of commits of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ManualCommits {
    /// They stay commits of their own
    Preserve,
    /// They are folded into the one commit
    Include,
}

#[derive(Debug, Args)]
pub(crate) struct RebaseArgs {
    /// An id, the beginning of one, or a name
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,
    /// The branch or commit to stand on, instead of the base of the session
    #[arg(long, value_name = "REF")]
    pub(crate) onto: Option<String>,
    /// Go on with a rebase that waited for conflicts to be resolved
    #[arg(long = "continue", conflicts_with_all = ["onto", "abort"])]
    pub(crate) goes_on: bool,
    /// Give up a rebase that waits; what is in the worktree then is kept first
    #[arg(long, conflicts_with = "onto")]
    pub(crate) abort: bool,
    /// Do not run the hooks of the repository
    #[arg(long)]
    pub(crate) no_verify: bool,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PreflightArgs {
    /// An id, the beginning of one, or a name
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of the command line"
)]
pub(crate) struct MergeArgs {
    /// An id, the beginning of one, or a name
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,
    /// The branch to merge into, instead of the base of the session
    #[arg(long, value_name = "BRANCH")]
    pub(crate) onto: Option<String>,
    /// Make a merge commit also where the base could simply go forward
    #[arg(long)]
    pub(crate) no_ff: bool,
    /// The message of a merge commit
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// Push the base afterwards
    #[arg(long)]
    pub(crate) push: bool,
    /// The remote, for `--push` and `--pr`; the one that the base is pulled from, or `origin`
    #[arg(long, value_name = "NAME")]
    pub(crate) remote: Option<String>,
    /// Open a pull request instead, as `amps pr` does
    #[arg(long, conflicts_with_all = ["push", "no_ff", "export_patch"])]
    pub(crate) pr: bool,
    /// Write the commits as patches instead: into one new file, or into a folder that is there
    #[arg(long, value_name = "FILE", conflicts_with_all = ["push", "no_ff", "message"])]
    pub(crate) export_patch: Option<PathBuf>,
    /// Do not run the hooks of the repository
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// Merge although the gate did not pass, or judged something else
    #[arg(long)]
    pub(crate) ignore_gate: bool,
    /// Merge what is committed although the worktree has work that is not; that stays where it is
    #[arg(long)]
    pub(crate) leave_uncommitted: bool,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ContinueMergeArgs {
    /// An id, the beginning of one, or a name
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,
    /// Do not run the hooks of the repository
    #[arg(long)]
    pub(crate) no_verify: bool,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AbortMergeArgs {
    /// An id, the beginning of one, or a name
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PrArgs {
    /// An id, the beginning of one, or a name
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,
    /// The branch that is to take it in, instead of the base of the session
    #[arg(long, value_name = "BRANCH")]
    pub(crate) onto: Option<String>,
    /// The title; the name of the session if there is none
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// What it says; the prompt of the session if there is nothing
    #[arg(long, value_name = "TEXT")]
    pub(crate) body: Option<String>,
    /// The remote; the one that the base is pulled from, or `origin`
    #[arg(long, value_name = "NAME")]
    pub(crate) remote: Option<String>,
    /// Do not run the hooks of the repository
    #[arg(long)]
    pub(crate) no_verify: bool,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ConflictsArgs {
    /// The repository, or a folder in it
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub(crate) repo: PathBuf,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}
