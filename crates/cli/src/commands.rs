//! One file per command.

mod abort_merge;
mod approve;
pub(crate) mod attach;
mod attach_pid;
mod checkpoint;
mod checkpoints;
mod clean_environment;
mod cleanup;
mod completions;
mod conflicts;
mod continue_merge;
mod daemon;
mod detach;
mod diff;
mod explain;
mod export_cast;
mod interactive;
mod iterate;
mod list;
mod log;
mod man;
mod merge;
pub(crate) mod new;
mod note;
mod play;
mod pr;
mod preflight;
mod rebase;
mod reference;
mod restore;
mod screen;
mod send;
mod session;
pub(crate) mod show;
mod squash;
mod status;
mod stop;
pub(crate) mod terminal;
mod trash;
pub(crate) mod wait;

use amps_core::error::ErrorCode;
use amps_proto::fault::Fault;

use crate::Outcome;
use crate::args::{Cli, Command, IterationCommand};
use crate::context::Context;
use crate::launch;

/// Does what the command line asks.
pub(crate) fn run(context: &Context, cli: Cli) -> Outcome {
    let launches = matches!(cli.command, Command::Agent(_) | Command::Run(_));
    let is_plain = cli.launch.is_empty() && cli.hold.is_empty();
    if !launches && !is_plain {
        let words =
            "--name, --note, --tag, --context, --detach, --hold and --record belong to a launch";
        return Err(Fault::new(ErrorCode::BadArgument, words)
            .hint("`amps --name NAME AGENT`, or `amps run --name NAME -- CMD`")
            .into());
    }
    match cli.command {
        Command::Agent(command) => launch::launch(context, (&cli.launch, cli.hold), &command),
        Command::Run(args) => {
            let options = args.launch.over(cli.launch);
            let hold = args.hold.over(cli.hold);
            launch::launch(context, (&options, hold), &args.command)
        }
        Command::Approve(args) => approve::run(context, &args),
        Command::AbortMerge(args) => abort_merge::run(context, &args),
        Command::Attach(args) => attach::run(context, &args),
        Command::AttachPid(args) => attach_pid::run(context, &args),
        Command::Checkpoint(args) => checkpoint::run(context, args),
        Command::Checkpoints(args) => checkpoints::run(context, &args),
        Command::CleanEnvironment(args) => clean_environment::run(context, &args),
        Command::Cleanup(args) => cleanup::run(context, &args),
        Command::Completions(args) => completions::run(&args),
        Command::Conflicts(args) => conflicts::run(context, &args),
        Command::ContinueMerge(args) => continue_merge::run(context, &args),
        Command::Daemon(command) => daemon::run(context, &command),
        Command::Detach(args) => detach::run(context, &args),
        Command::Diff(args) => diff::run(context, &args),
        Command::Explain(args) => explain::run(context, &args),
        Command::Host(command) => launch::hold::host(context, &command),
        Command::ExportCast(args) => export_cast::run(context, &args),
        Command::Interactive(args) => interactive::run(context, &args),
        Command::Iterate(args) => iterate::run(context, &args),
        Command::Iteration(command) => match command {
            IterationCommand::Run => crate::iterate::be_runner(context),
            IterationCommand::Start => crate::iterate::start_runner(),
        },
        Command::List(args) => list::run(context, &args),
        Command::Log(args) => log::run(context, &args),
        Command::Man(args) => man::run(&args),
        Command::Merge(args) => merge::run(context, &args),
        Command::New(args) => new::run(context, &args),
        Command::Note(args) => note::run(context, args),
        Command::Play(args) => play::run(context, &args),
        Command::Pr(args) => pr::run(context, &args),
        Command::Preflight(args) => preflight::run(context, &args),
        Command::Rebase(args) => rebase::run(context, &args),
        Command::Reference(args) => reference::run(&args),
        Command::Restore(args) => restore::run(context, &args),
        Command::Screen(args) => screen::run(context, &args),
        Command::Send(args) => send::run(context, &args),
        Command::Session(command) => session::run(context, command),
        Command::Show(args) => show::run(context, &args),
        Command::Squash(args) => squash::run(context, &args),
        Command::Status(args) => status::run(context, &args),
        Command::Stop(args) => stop::run(context, &args),
        Command::Terminal(command) => terminal::run(context, &command),
        Command::Trash(command) => trash::run(context, &command),
        Command::Wait(args) => wait::run(context, &args),
    }
}
