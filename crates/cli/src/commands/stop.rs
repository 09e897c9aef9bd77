//! `amps stop`: ends the agent of a session, gently at first.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use amps_core::error::ErrorCode;
use amps_core::id::SessionId;
use amps_core::process::ProcessIdentity;
use amps_core::session::{Binding, Status};
use amps_core::time::parse_duration;
use amps_engine::process::{self, Reach};
use amps_proto::exit_code;
use amps_proto::fault::Fault;
use amps_proto::view::{SessionView, WorktreeView};
use rustix::process::Signal;

use super::wait::{Seen, wait};
use crate::args::StopArgs;
use crate::commands::show;
use crate::context::Context;
use crate::error::Failure;
use crate::text::brief;
use crate::{Outcome, output};

/// How long the end is awaited after a process was killed: the record follows at once.
const RECORDED: Duration = Duration::from_secs(10);

/// Who is asked to end, and how far that reaches.
struct Target {
    process: ProcessIdentity,
    reach: Reach,
    /// What it is called.
    what: &'static str,
}

/// Ends the agent of a session.
pub(crate) fn run(context: &Context, args: &StopArgs) -> Outcome {
    let grace = grace(&args.grace)?;
    let seen = Seen::of(show::ask(context, &args.session, 0)?)?;
    let id = seen.id();
    let Some(target) = target(&seen)? else {
        let message = format!(
            "nothing runs in session {}: it is {}",
            id.short(),
            seen.status()
        );
        return Err(Fault::new(ErrorCode::NotAllowed, message)
            .hint(format!("`amps show {}` tells what it did", id.short()))
            .into());
    };
    let mut seen = tell(context, (id, &target), Signal::TERM, grace)?;
    let mut was_killed = false;
    if !seen.is_over() {
        was_killed = true;
        seen = tell(context, (id, &target), Signal::KILL, RECORDED)?;
    }
    if !seen.is_over() {
        let message = format!(
            "{} was killed and the session is still {}",
            target.what,
            seen.status()
        );
        output::say(&message);
        return Ok(ExitCode::from(exit_code::TRY_AGAIN));
    }
    match &seen {
        Seen::Launched(view) if args.output.json => output::print_json(view)?,
        Seen::Worktree(view) if args.output.json => output::print_json(view)?,
        seen => {
            if was_killed {
                output::say(&format!(
                    "{} did not end by itself and was killed",
                    target.what
                ));
            }
            output::print(&format!("{}\n", seen.status()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn grace(text: &str) -> Result<Duration, Failure> {
    parse_duration(text).ok_or_else(|| {
        let message = format!("`{}` is not a length of time", brief(text, 60));
        Fault::new(ErrorCode::BadArgument, message)
            .hint("write it like `500ms`, `10s` or `2m`")
            .into()
    })
}

/// Sends a signal, and waits for what comes of it.
fn tell(
    context: &Context,
    (id, target): (SessionId, &Target),
    signal: Signal,
    patience: Duration,
) -> Result<Seen, Failure> {
    if let Err(error) = process::signal(&target.process, signal, target.reach) {
        let message = format!("{} cannot be told to end: {error}", target.what);
        return Err(Fault::new(ErrorCode::NotAllowed, message)
            .hint("end it as the user that it belongs to")
            .into());
    }
    wait(
        context,
        &id.to_string(),
        Instant::now().checked_add(patience),
    )
}

fn target(seen: &Seen) -> Result<Option<Target>, Failure> {
    match seen {
        Seen::Launched(view) => of_launched(view),
        Seen::Worktree(view) => Ok(of_worktree(view)),
    }
}

fn of_launched(view: &SessionView) -> Result<Option<Target>, Failure> {
    let session = &view.session;
    if session.status.is_final() {
        return Ok(None);
    }
    let id = session.session_id.short();
    let refused = |message: String, hint: &str| -> Failure {
        Fault::new(ErrorCode::NotAllowed, message).hint(hint).into()
    };
    let reach = match session.binding {
        // It leads a session of its own, which its terminal belongs to.
        Binding::Host => Reach::Group,
        // It is in the group of whoever started it.
        Binding::Launcher => Reach::Process,
        Binding::Shell => {
            let message = format!("session {id} is bound to a shell");
            return Err(refused(message, "`amps session end` in that shell ends it"));
        }
        Binding::Process => {
            let message = format!("session {id} was given to a process that is not ours to end");
            return Err(refused(
                message,
                "end the process itself; its session ends with it",
            ));
        }
    };
    let agent = view.runs.last().and_then(|run| run.agent_process.clone());
    agent.map_or_else(
        || {
            let message = format!("the agent of session {id} has not been started yet");
            Err(refused(message, "try again"))
        },
        |process| {
            Ok(Some(Target {
                process,
                reach,
                what: "the agent",
            }))
        },
    )
}

fn of_worktree(view: &WorktreeView) -> Option<Target> {
    let iteration = &view.iterations.last()?.iteration;
    (view.session.status == Status::Active).then(|| Target {
        process: iteration.runner.clone(),
        reach: Reach::Process,
        what: "the iteration",
    })
}
