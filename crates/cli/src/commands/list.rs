//! `amps list`.

use crate::Outcome;
use crate::args::ListArgs;
use crate::context::Context;

pub(crate) fn run(_: &Context, _: &ListArgs) -> Outcome {
    Ok(std::process::ExitCode::SUCCESS)
}
