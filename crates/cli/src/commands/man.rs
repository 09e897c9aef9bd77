//! `amps man`: the man pages, one for each command.

use std::process::ExitCode;

use amps_core::error::ErrorCode;
use amps_engine::files::FileError;
use clap::CommandFactory as _;

use crate::Outcome;
use crate::args::{Cli, ManArgs};
use crate::error::Failure;
use crate::output;

/// Writes the man pages into a folder.
pub(crate) fn run(args: &ManArgs) -> Outcome {
    let failed = |source| {
        let error = FileError::new("write the man pages to", &args.out, source);
        Failure::of(ErrorCode::FileFailed, &error)
    };
    std::fs::create_dir_all(&args.out).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &args.out).map_err(failed)?;
    output::say(&format!("man pages written to {}", args.out.display()));
    Ok(ExitCode::SUCCESS)
}
