//! `amps list`.
use crate::args::ListArgs;
use crate::context::Context;
use crate::{Outcome, connect, output};
use amps_proto::request::{Query, Request};
use amps_proto::response::Response;

pub(crate) fn run(context: &Context, _: &ListArgs) -> Outcome {
    if let Response::Page { sessions } = connect::ask(context, Request::List(Query::default()))? {
        output::print_json(&sessions)?;
    }
    Ok(std::process::ExitCode::SUCCESS)
}
