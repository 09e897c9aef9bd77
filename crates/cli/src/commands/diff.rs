//! x
use crate::Outcome;
use crate::context::Context;
pub(crate) fn run(_: &Context, _: &crate::args::DiffArgs) -> Outcome {
    Ok(std::process::ExitCode::SUCCESS)
}
