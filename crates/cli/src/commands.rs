//! One file per command.

mod checkpoint;
mod checkpoints;
mod completions;
mod daemon;
mod diff;
mod explain;
mod list;
mod log;
mod man;
mod note;
mod reference;
mod restore;
mod session;
mod show;

use amps_core::error::ErrorCode;
use amps_proto::fault::Fault;

use crate::Outcome;
use crate::args::{Cli, Command};
use crate::context::Context;
use crate::launch;

/// Does what the command line asks.
pub(crate) fn run(context: &Context, cli: Cli) -> Outcome {
    let launches = matches!(cli.command, Command::Agent(_) | Command::Run(_));
    if !launches && !cli.launch.is_empty() {
        let words = "--name, --note, --tag and --context belong to a launch";
        return Err(Fault::new(ErrorCode::BadArgument, words)
            .hint("`amps --name NAME AGENT`, or `amps run --name NAME -- CMD`")
            .into());
    }
    match cli.command {
        Command::Agent(command) => launch::launch(context, &cli.launch, &command),
        Command::Run(args) => launch::launch(context, &args.launch.over(cli.launch), &args.command),
        Command::Checkpoint(args) => checkpoint::run(context, args),
        Command::Checkpoints(args) => checkpoints::run(context, &args),
        Command::Completions(args) => completions::run(&args),
        Command::Daemon(command) => daemon::run(context, &command),
        Command::Diff(args) => diff::run(context, &args),
        Command::Explain(args) => explain::run(context, &args),
        Command::List(args) => list::run(context, &args),
        Command::Log(args) => log::run(context, &args),
        Command::Man(args) => man::run(&args),
        Command::Note(args) => note::run(context, args),
        Command::Reference(args) => reference::run(&args),
        Command::Restore(args) => restore::run(context, &args),
        Command::Session(command) => session::run(context, command),
        Command::Show(args) => show::run(context, &args),
    }
}
