//! `amps wait`: until a session has ended.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use amps_core::error::ErrorCode;
use amps_core::time::parse_duration;
use amps_proto::exit_code;
use amps_proto::fault::Fault;
use amps_proto::request::Request;
use amps_proto::response::Response;
use amps_proto::view::SessionView;

use crate::args::{Until, WaitArgs};
use crate::commands::show;
use crate::context::Context;
use crate::error::Failure;
use crate::text::brief;
use crate::{Outcome, connect, output};

/// How long one question waits. A daemon that is gone is noticed at once all the same.
const SLICE: Duration = Duration::from_secs(30);

/// Daemons that may end during one question. A restart ends one.
const MOST_LOST: u32 = 3;

/// Waits for one session.
pub(crate) fn run(context: &Context, args: &WaitArgs) -> Outcome {
    let timeout = args.timeout.as_deref().map(duration).transpose()?;
    // A time too far off to be told is never reached.
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut view = show::fetch(context, &args.session, 0)?;
    let id = view.session.session_id;
    if args.until == Until::Idle {
        let message = "only a held session can be waited for to be idle";
        return Err(Fault::new(ErrorCode::NotAllowed, message)
            .hint(format!("`amps wait {}` waits for its end", id.short()))
            .into());
    }
    while !view.session.status.is_final() {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            let (id, status) = (id.short(), view.session.status);
            let waited = output::duration(timeout.unwrap_or_default());
            output::say(&format!("session {id} is still {status} after {waited}"));
            return Ok(ExitCode::from(exit_code::TRY_AGAIN));
        }
        view = wait(context, &id.to_string(), deadline)?;
    }
    if args.output.json {
        output::print_json(&view)?;
    } else {
        output::print(&format!("{}\n", view.session.status))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits for one slice. The next daemon is asked when one ends meanwhile.
fn wait(
    context: &Context,
    reference: &str,
    deadline: Option<Instant>,
) -> Result<SessionView, Failure> {
    let mut lost = 0;
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let slice = left.map_or(SLICE, |left| left.min(SLICE));
        let request = Request::Wait {
            reference: reference.to_owned(),
            wait_ms: u64::try_from(slice.as_millis()).unwrap_or(u64::MAX),
        };
        match connect::ask(context, request) {
            Ok(Response::Session(view)) => return Ok(*view),
            Ok(_) => return Err(connect::unexpected()),
            Err(Failure::Fault(fault))
                if fault.code == ErrorCode::DaemonUnreachable && lost < MOST_LOST =>
            {
                lost += 1;
            }
            Err(failure) => return Err(failure),
        }
    }
}

fn duration(text: &str) -> Result<Duration, Failure> {
    parse_duration(text).ok_or_else(|| {
        let message = format!("`{}` is not a length of time", brief(text, 60));
        Fault::new(ErrorCode::BadArgument, message)
            .hint("write it like `30s`, `5m` or `2h`")
            .into()
    })
}
