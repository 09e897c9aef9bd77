//! `amps log`.
use crate::args::LogArgs;
use crate::context::Context;
use crate::{Outcome, connect, output};
use amps_proto::request::Request;
use amps_proto::response::Response;

pub(crate) fn run(context: &Context, a: &LogArgs) -> Outcome {
    if let Response::Events { events } = connect::ask(
        context,
        Request::Events {
            reference: a.session.clone(),
        },
    )? {
        output::print_json(&events)?;
    }
    Ok(std::process::ExitCode::SUCCESS)
}
