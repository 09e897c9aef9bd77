//! `amps detach`: everybody leaves who sees a held session.

use std::process::ExitCode;
use std::time::Duration;

use amps_proto::hold::HoldRequest;
use serde_json::json;

use crate::args::HeldArgs;
use crate::context::Context;
use crate::{Outcome, held, output};

/// Has every client of a held session leave.
pub(crate) fn run(context: &Context, args: &HeldArgs) -> Outcome {
    let mut held = held::find(context, args.session.as_deref())?;
    held.ask(&HoldRequest::DetachAll, Duration::ZERO)?;
    if args.output.json {
        output::print_json(&json!({ "session_id": held.session_id }))?;
    }
    Ok(ExitCode::SUCCESS)
}
