//! The amps program: arguments in, text and exit code out.

mod apart;
mod args;
mod commands;
mod connect;
mod context;
mod env;
mod error;
mod held;
mod iterate;
mod launch;
mod output;
mod progress;
mod text;
mod tree_path;
mod worktree;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Cli;
use crate::context::Context;
use crate::error::Failure;

fn main() -> ExitCode {
    let arguments = by_name(env::arguments());
    if let [_, words @ ..] = arguments.as_slice()
        && words == launch::hold::HOST
    {
        // A host lives as long as its agent. What reading the command line leaves in its memory
        // would stay for as long.
        let context = Context::new(env::Environment::read());
        return launch::hold::be_host(&context).unwrap_or_else(Failure::report);
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return output::usage(&error),
    };
    let context = Context::new(env::Environment::read());
    match commands::run(&context, cli) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

/// One program, several names: called as `ampd`, it is `amps daemon run`.
fn by_name(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let called = arguments.first().map(Path::new).and_then(Path::file_name);
    if called.is_some_and(|name| name == "ampd") {
        arguments.splice(0..1, ["amps", "daemon", "run"].map(OsString::from));
    }
    arguments
}

/// What a command returns.
type Outcome = Result<ExitCode, Failure>;
