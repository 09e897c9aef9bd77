//! The command line. Help, completions, man pages and the reference all come from here.

mod held;
mod landing;
mod worktree;

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use held::{
    AttachArgs, HeldArgs, HookShell, HostCommand, ScreenArgs, SendArgs, TerminalCommand,
};
pub(crate) use landing::{
    AbortMergeArgs, ConflictsArgs, ContinueMergeArgs, ManualCommits, MergeArgs, PrArgs,
    PreflightArgs, RebaseArgs, SquashArgs,
};
pub(crate) use worktree::{
    ApproveArgs, CleanEnvironmentArgs, CleanupArgs, InteractiveArgs, IterateArgs, IterationCommand,
    NewArgs, StatusArgs, TrashCommand, TrashEmptyArgs, TrashListArgs, TrashRestoreArgs,
};

/// A system of record for coding agents.
///
/// Put `amps` in front of an agent's command line. The agent notices nothing; afterwards there is
/// a record of who asked what, how it ended and what changed.
#[derive(Debug, Parser)]
#[command(
    name = "amps",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    allow_external_subcommands = true,
    after_help = "Any other word is an agent: `amps claude --resume` runs `claude --resume` under \
                  a session. `amps run -- CMD` does so whatever the word."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) launch: LaunchOptions,
    #[command(flatten)]
    pub(crate) hold: HoldOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

// What is noted of a session when it is launched. Where this is flattened into a command, a
// documentation comment would take the place of the command's own.
#[derive(Debug, Default, Args)]
pub(crate) struct LaunchOptions {
    /// Call the session this
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Add a note to the session
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// Add a word to find the session by; may be repeated
    #[arg(long = "tag", value_name = "WORD")]
    pub(crate) tags: Vec<String>,
    /// Note a record that the agent was given as context; may be repeated
    #[arg(long = "context", value_name = "ID")]
    pub(crate) context_ids: Vec<String>,
}

// How a session that is launched is held.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct HoldOptions {
    /// Start the agent on a terminal of its own, and leave it there; `amps attach` shows it
    #[arg(long)]
    pub(crate) detach: bool,
    /// Start the agent on a terminal of its own and show it here; it goes on when this one closes
    #[arg(long, conflicts_with = "detach")]
    pub(crate) hold: bool,
    /// Record what the agent shows; `amps play` plays it
    #[arg(long)]
    pub(crate) record: bool,
}

#[derive(Debug, Subcommand)]
// A launch waits for the command line to be read: what it does not ask for is left unbuilt.
#[command(defer = true)]
pub(crate) enum Command {
    /// Run a command under a session, whatever its name
    Run(RunArgs),
    /// Begin work in a worktree and on a branch of its own
    New(NewArgs),
    /// Have the agent of a worktree session do one more turn, commit it, and run the gate
    Iterate(IterateArgs),
    /// Open the agent of a worktree session on this terminal, in its worktree and its conversation;
    /// `Ctrl-\` and then `d` leaves it again
    Interactive(InteractiveArgs),
    /// Show how a worktree session stands
    Status(StatusArgs),
    /// Remove the worktree and the branch of a session; what exists nowhere else goes to the trash
    Cleanup(CleanupArgs),
    /// Clean up every session of a repository that is merged or given up, and report what is left over
    CleanEnvironment(CleanEnvironmentArgs),
    /// Manage what was cleaned up and can be brought back
    #[command(subcommand)]
    Trash(TrashCommand),
    /// Let the commands run that come with a repository for new worktrees
    Approve(ApproveArgs),
    /// Make the commits of a worktree session's agent one
    Squash(SquashArgs),
    /// Put the commits of a worktree session onto its base as that is now
    Rebase(RebaseArgs),
    /// Tell what stands in the way of merging a worktree session
    Preflight(PreflightArgs),
    /// Merge a worktree session into its base
    Merge(MergeArgs),
    /// Go on with a merge that waited for conflicts to be resolved
    ContinueMerge(ContinueMergeArgs),
    /// Give up a merge that waits for conflicts to be resolved
    AbortMerge(AbortMergeArgs),
    /// Push the branch of a worktree session and open a pull request
    Pr(PrArgs),
    /// Tell which worktree sessions do not go together, and an order to merge them in
    Conflicts(ConflictsArgs),
    /// Run the iterations of a worktree session
    #[command(hide = true, subcommand)]
    Iteration(IterationCommand),
    /// Manage a session that is bound to this shell
    #[command(subcommand)]
    Session(SessionCommand),
    /// Give a program that already runs a session, which ends with it
    AttachPid(AttachPidArgs),
    /// List sessions, the newest first
    List(ListArgs),
    /// Show everything about one session
    Show(ShowArgs),
    /// Show a held session on this terminal; `Ctrl-\` and then `d` leaves it again
    Attach(AttachArgs),
    /// Have everybody leave who sees a held session; the agent goes on
    Detach(HeldArgs),
    /// Show what a session changed
    Diff(DiffArgs),
    /// Show the history of a session, event by event
    Log(LogArgs),
    /// Keep the state of the working tree as it is now, while a session is open
    Checkpoint(CheckpointArgs),
    /// List the checkpoints of a session
    Checkpoints(CheckpointsArgs),
    /// Explain how a session ended and what proved it, or what an error code means
    Explain(ExplainArgs),
    /// Bring files back as they were before, during or after a session
    Restore(RestoreArgs),
    /// Show what the agent of a held session shows now
    Screen(ScreenArgs),
    /// Type for the agent of a held session
    Send(SendArgs),
    /// End the agent of a session, gently at first
    Stop(StopArgs),
    /// Add a note to a session
    Note(NoteArgs),
    /// Wait until a session has ended
    Wait(WaitArgs),
    /// Play the recording of a session in this terminal, or write its bytes elsewhere
    Play(PlayArgs),
    /// Export the recording of a session as an asciicast, known secrets masked
    ExportCast(ExportCastArgs),
    /// Manage the daemon
    #[command(subcommand)]
    Daemon(DaemonCommand),
    /// Print shell completions
    Completions(CompletionsArgs),
    /// Write the man pages
    Man(ManArgs),
    /// Hold a session
    #[command(hide = true, subcommand)]
    Host(HostCommand),
    /// Manage the terminal that this command is run on
    #[command(subcommand)]
    Terminal(TerminalCommand),
    /// Write the reference pages of the documentation
    #[command(hide = true)]
    Reference(ReferenceArgs),
    /// An agent and its arguments
    #[command(external_subcommand)]
    Agent(Vec<OsString>),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) launch: LaunchOptions,
    #[command(flatten)]
    pub(crate) hold: HoldOptions,
    /// The command and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum SessionCommand {
    /// Open a session that lasts until `session end` or until this shell ends
    Start(SessionStartArgs),
    /// End the session of this shell
    End(SessionEndArgs),
    /// Show the session of this shell
    Status(JsonArgs),
    /// List sessions, the newest first
    List(ListArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SessionStartArgs {
    /// The agent that will be run
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<String>,
    #[command(flatten)]
    pub(crate) launch: LaunchOptions,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SessionEndArgs {
    /// How the work ended
    #[arg(long, value_enum, default_value_t = EndStatus::Completed)]
    pub(crate) status: EndStatus,
    /// Add a note to the session
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

/// What a person may declare when ending a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EndStatus {
    /// The work is done
    Completed,
    /// The work was given up
    Aborted,
}

#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct JsonArgs {
    /// Print one JSON value and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only sessions of this status; may be repeated
    #[arg(long, value_name = "STATUS", value_parser = ["created", "active", "idle", "awaiting-input", "completed", "aborted", "disconnected", "abandoned"])]
    pub(crate) status: Vec<String>,
    /// Only sessions whose owner vanished
    #[arg(long, conflicts_with = "status")]
    pub(crate) disconnected: bool,
    /// Only sessions that are held at the moment, which `amps attach` shows
    #[arg(long, conflicts_with_all = ["status", "disconnected"])]
    pub(crate) held: bool,
    /// Only sessions of this project: its folder, the folder's name, or `.` for this one
    #[arg(long, value_name = "PROJECT")]
    pub(crate) project: Option<String>,
    /// Only sessions of this agent
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<String>,
    /// Only sessions with this tag
    #[arg(long, value_name = "WORD")]
    pub(crate) tag: Option<String>,
    /// Only sessions since then: `2h`, `7d`, `2026-01-31`, or a full time
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// The most changed lines first
    #[arg(long)]
    pub(crate) impact: bool,
    /// At most this many; 0 for all
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// An id, the beginning of one, a name, or `@` for the newest, `@2` for the one before
    #[arg(default_value = "@", value_name = "SESSION")]
    pub(crate) session: String,
    /// Do not wait for a capture that is under way
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// An id, the beginning of one, or a name
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,
    /// How long it may take to end by itself before it is killed; 10 s for an agent, and for an
    /// iteration as long as its agent and its commit may take
    #[arg(long, value_name = "TIME")]
    pub(crate) grace: Option<String>,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// An id, the beginning of one, a name, or `@` for the newest, `@2` for the one before
    #[arg(default_value = "@", value_name = "SESSION")]
    pub(crate) session: String,
    /// Only these files and folders, seen from the current folder or from the top of the working
    /// tree; `./PATH` and `:/PATH` say which of the two is meant
    #[arg(last = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
    /// Show only how much changed in each file
    #[arg(long, conflicts_with = "name_only")]
    pub(crate) stat: bool,
    /// Show only the names of changed files
    #[arg(long)]
    pub(crate) name_only: bool,
    /// What had been changed at this checkpoint, or between two: `2..5`
    #[arg(long, value_name = "N")]
    pub(crate) at: Option<Between>,
    /// Of a worktree session: only what is staged and not committed
    #[arg(long, conflicts_with_all = ["at", "turn", "base"])]
    pub(crate) staged: bool,
    /// Of a worktree session: only what the agent changed in this iteration
    #[arg(long, value_name = "N", conflicts_with_all = ["at", "base"])]
    pub(crate) turn: Option<u32>,
    /// Of a worktree session: since it left this branch or commit, instead of its base
    #[arg(long, value_name = "REF", conflicts_with = "at")]
    pub(crate) base: Option<String>,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

/// Which checkpoints to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Between {
    /// The first; `None` for the state before the session.
    pub(crate) from: Option<u32>,
    /// The second.
    pub(crate) to: u32,
}

impl FromStr for Between {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "the number of a checkpoint, or two as in 2..5";
        let (from, to) = match text.split_once("..") {
            Some((from, to)) => (Some(from.parse().map_err(|_| FORM)?), to),
            None => (None, text),
        };
        let to = to.parse().map_err(|_| FORM)?;
        Ok(Self { from, to })
    }
}

#[derive(Debug, Args)]
pub(crate) struct CheckpointArgs {
    /// A session as for `show`; else the one that this runs in, the one of this shell, or the newest
    #[arg(value_name = "SESSION")]
    pub(crate) session: Option<String>,
    /// Say that the agent has ended a turn; for a hook of the agent. Prints nothing, and does nothing
    /// where no session is found
    #[arg(long)]
    pub(crate) turn: bool,
    /// Call the checkpoint this
    #[arg(long, value_name = "TEXT")]
    pub(crate) label: Option<String>,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CheckpointsArgs {
    /// An id, the beginning of one, a name, or `@` for the newest, `@2` for the one before
    #[arg(default_value = "@", value_name = "SESSION")]
    pub(crate) session: String,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// An id, the beginning of one, a name, or `@` for the newest, `@2` for the one before
    #[arg(default_value = "@", value_name = "SESSION")]
    pub(crate) session: String,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// A session as for `show`, or an error code such as `E010`
    #[arg(default_value = "@", value_name = "SESSION|CODE")]
    pub(crate) subject: String,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// An id, the beginning of one, a name, or `@` for the newest, `@2` for the one before
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,
    /// The files and folders to bring back, all if none, seen from the current folder or from the
    /// top of the working tree; `./PATH` and `:/PATH` say which of the two is meant
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
    /// Which state to bring back
    #[arg(long, value_enum, default_value_t = Moment::Before, value_name = "STATE")]
    pub(crate) from: Moment,
    /// Bring back the state at this checkpoint
    #[arg(long, value_name = "N", conflicts_with = "from")]
    pub(crate) at: Option<u32>,
    /// Only show what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Overwrite newer work too; it is kept in a snapshot first
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

/// The two states that every session keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Moment {
    /// Before the agent started
    Before,
    /// After the agent ended
    After,
}

#[derive(Debug, Args)]
pub(crate) struct NoteArgs {
    /// An id, the beginning of one, a name, or `@` for the newest, `@2` for the one before
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,
    /// The note; read from standard input when it is `-` or missing
    #[arg(value_name = "TEXT")]
    pub(crate) text: Vec<String>,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AttachPidArgs {
    /// The id of the process, as `ps` shows it
    #[arg(value_name = "PID", allow_negative_numbers = true)]
    pub(crate) pid: String,
    #[command(flatten)]
    pub(crate) launch: LaunchOptions,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// An id, the beginning of one, a name, or `@` for the newest, `@2` for the one before
    #[arg(default_value = "@", value_name = "SESSION")]
    pub(crate) session: String,
    /// What to wait for
    #[arg(long, value_enum, default_value_t = Until::Exited, value_name = "STATE")]
    pub(crate) until: Until,
    /// With `--until idle`: for how long nothing new may be shown
    #[arg(long, value_name = "TIME", default_value = "2s")]
    pub(crate) quiet: String,
    /// Wait at most this long, such as `30s`, `5m` or `2h`; then the exit code is 75
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<String>,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

/// What a session can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Until {
    /// It has ended
    Exited,
    /// Its agent has shown nothing new for a while; only of a held session
    Idle,
}

#[derive(Debug, Args)]
#[command(
    after_help = "While it plays: `q` or Ctrl-C ends, space pauses, `+` and `-` change the \
                        speed. Where standard output is no terminal, the bytes of the agent are \
                        written as they are and without waiting."
)]
pub(crate) struct PlayArgs {
    /// An id, the beginning of one, a name, or `@` for the newest, `@2` for the one before
    #[arg(default_value = "@", value_name = "SESSION")]
    pub(crate) session: String,
    /// How many times as fast as it was
    #[arg(long, value_name = "FACTOR", default_value = "1")]
    pub(crate) speed: String,
    /// Where nothing happened, wait no longer than so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "2")]
    pub(crate) max_idle: String,
    /// Stop so long after the beginning: `90s`, `5m`
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportCastArgs {
    /// An id, the beginning of one, a name, or `@` for the newest, `@2` for the one before
    #[arg(default_value = "@", value_name = "SESSION")]
    pub(crate) session: String,
    /// Write this file, which must not be there yet, instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Print what was exported as one JSON value
    #[arg(long, requires = "out")]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum DaemonCommand {
    /// Start the daemon unless it is running
    Start,
    /// Stop the daemon; sessions go on and deliver to the next one
    Stop,
    /// Stop the daemon and start the installed version
    Restart,
    /// Show how the daemon is
    Status(JsonArgs),
    /// Be the daemon, in the foreground
    Run(DaemonRunArgs),
    /// Let the service manager start the daemon at login
    Install(DaemonInstallArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DaemonRunArgs {
    /// Start the daemon in a session of its own, print its pid, and leave
    #[arg(long)]
    pub(crate) detached: bool,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct DaemonInstallArgs {
    /// Only print what would be written
    #[arg(long)]
    pub(crate) print: bool,
    /// Overwrite a unit that has been edited
    #[arg(long, conflicts_with = "print")]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The folder to write into
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ReferenceArgs {
    /// The folder to write into
    #[arg(long, value_name = "FOLDER", default_value = "docs/reference")]
    pub(crate) out: PathBuf,
}
