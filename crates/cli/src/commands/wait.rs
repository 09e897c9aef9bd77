//! `amps wait`: until a session has ended, or until its agent has nothing to do.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use amps_core::error::ErrorCode;
use amps_core::id::SessionId;
use amps_core::session::Status;
use amps_core::time::parse_duration;
use amps_proto::exit_code;
use amps_proto::fault::Fault;
use amps_proto::hold::{HoldAnswer, HoldRequest};
use amps_proto::request::Request;
use amps_proto::response::Response;
use amps_proto::view::{SessionView, WorktreeView};

use crate::args::{Until, WaitArgs};
use crate::commands::show;
use crate::context::Context;
use crate::error::Failure;
use crate::text::brief;
use crate::{Outcome, connect, held, output};

/// How long one question waits. A daemon that is gone is noticed at once all the same.
const SLICE: Duration = Duration::from_secs(30);

/// Daemons that may end during one question. A restart ends one.
const MOST_LOST: u32 = 3;

/// Waits for one session.
pub(crate) fn run(context: &Context, args: &WaitArgs) -> Outcome {
    let timeout = args.timeout.as_deref().map(duration).transpose()?;
    // A time too far off to be told is never reached.
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    if args.until == Until::Idle {
        return until_idle(context, args, (timeout, deadline));
    }
    let mut seen = Seen::of(show::ask(context, &args.session, 0)?)?;
    let id = seen.id();
    let mut code = ExitCode::SUCCESS;
    while !seen.is_over() {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            code = too_late(id, &format!("still {}", seen.status()), timeout);
            break;
        }
        seen = wait(context, &id.to_string(), deadline)?;
    }
    match &seen {
        Seen::Launched(view) if args.output.json => output::print_json(view)?,
        Seen::Worktree(view) if args.output.json => output::print_json(view)?,
        seen if seen.is_over() => output::print(&format!("{}\n", seen.status()))?,
        Seen::Launched(_) | Seen::Worktree(_) => {}
    }
    Ok(code)
}

/// A session as it was when it was last looked at.
pub(crate) enum Seen {
    /// A launched session.
    Launched(Box<SessionView>),
    /// A worktree session.
    Worktree(Box<WorktreeView>),
}

impl Seen {
    /// Takes the session of an answer.
    pub(crate) fn of(answer: Response) -> Result<Self, Failure> {
        match answer {
            Response::Session(view) => Ok(Self::Launched(view)),
            Response::Worktree(view) => Ok(Self::Worktree(view)),
            _ => Err(connect::unexpected()),
        }
    }

    /// Returns which it is.
    pub(crate) fn id(&self) -> SessionId {
        match self {
            Self::Launched(view) => view.session.session_id,
            Self::Worktree(view) => view.session.session_id,
        }
    }

    /// Returns where it stands.
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Launched(view) => view.session.status,
            Self::Worktree(view) => view.session.status,
        }
    }

    /// Returns whether there is nothing to wait for: it is final, or no iteration is under way.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Launched(view) => view.session.status.is_final(),
            Self::Worktree(view) => view.session.status != Status::Active,
        }
    }
}

/// Waits until the agent of a held session has shown nothing new for a while.
fn until_idle(
    context: &Context,
    args: &WaitArgs,
    (timeout, deadline): (Option<Duration>, Option<Instant>),
) -> Outcome {
    let mut held = held::find(context, Some(&args.session))?;
    let id = held.session_id;
    let quiet = duration(&args.quiet)?;
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let slice = left.map_or(SLICE, |left| left.min(SLICE));
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let request = HoldRequest::WaitIdle {
            quiet_ms: milliseconds(quiet),
            wait_ms: milliseconds(slice),
        };
        match held.ask(&request, slice)? {
            HoldAnswer::Idle { reached: true } => break,
            HoldAnswer::Idle { reached: false } if left.is_some_and(|left| left <= slice) => {
                return Ok(too_late(id, "not idle", timeout));
            }
            HoldAnswer::Idle { reached: false } => {}
            HoldAnswer::Ended { exit, .. } => {
                let message = format!("session {} has ended: {exit}", id.short());
                return Err(Fault::new(ErrorCode::NotAllowed, message)
                    .hint(format!("`amps show {}` tells what it did", id.short()))
                    .into());
            }
            _ => return Err(connect::unexpected()),
        }
    }
    if args.output.json {
        output::print_json(&show::fetch_now(context, &id.to_string())?)?;
    } else {
        output::print("idle\n")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn too_late(id: SessionId, how: &str, timeout: Option<Duration>) -> ExitCode {
    let waited = output::duration(timeout.unwrap_or_default());
    output::say(&format!("session {} is {how} after {waited}", id.short()));
    ExitCode::from(exit_code::TRY_AGAIN)
}

/// Waits for one slice. The next daemon is asked when one ends meanwhile.
pub(crate) fn wait(
    context: &Context,
    reference: &str,
    deadline: Option<Instant>,
) -> Result<Seen, Failure> {
    let mut lost = 0;
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let slice = left.map_or(SLICE, |left| left.min(SLICE));
        let request = Request::Wait {
            reference: reference.to_owned(),
            wait_ms: u64::try_from(slice.as_millis()).unwrap_or(u64::MAX),
        };
        match connect::ask(context, request) {
            Ok(answer) => return Seen::of(answer),
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
