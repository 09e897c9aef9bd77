//! The amps program: arguments in, text and exit code out.

mod args;
mod commands;
mod connect;
mod context;
mod env;
mod error;
mod held;
mod launch;
mod output;
mod text;
mod tree_path;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Cli;
use crate::context::Context;
use crate::error::Failure;

fn main() -> ExitCode {
    let arguments = by_name(env::arguments());
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
