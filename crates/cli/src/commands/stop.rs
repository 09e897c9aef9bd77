//! `amps stop`: ends the agent of a session, gently at first.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use amps_core::error::ErrorCode;
use amps_core::id::SessionId;
use amps_core::process::ProcessIdentity;
use amps_core::session::{Binding, Status};
use amps_core::time::parse_duration;
use amps_engine::exec::end_session_processes;
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
use crate::{Outcome, output, worktree};

/// How long an agent may take to end.
const GRACE: Duration = Duration::from_secs(10);

/// How long an iteration may take beyond the end of its agent.
const COMMITTED: Duration = Duration::from_secs(10);

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
    let asked = args.grace.as_deref().map(grace).transpose()?;
    let seen = Seen::of(show::ask(context, &args.session, 0)?)?;
    let id = seen.id();
    let grace = patience(context, &seen, asked)?;
    let left = end_survivors(context, &seen, grace)?;
    let Some(target) = target(&seen)? else {
        if left > 0 {
            return finish(&seen, args.output.json);
        }
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
    if !seen.is_over() {
        output::say(&format!(
            "{} did not end by itself and is killed",
            target.what
        ));
        seen = tell(context, (id, &target), Signal::KILL, RECORDED)?;
        // Killed, it ended nobody else.
        end_survivors(context, &seen, Duration::ZERO)?;
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
    finish(&seen, args.output.json)
}

fn finish(seen: &Seen, json: bool) -> Outcome {
    match seen {
        Seen::Launched(view) if json => output::print_json(view)?,
        Seen::Worktree(view) if json => output::print_json(view)?,
        seen => output::print(&format!("{}\n", seen.status()))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns how long the end may take. An iteration ends its agent first, and commits what that did.
fn patience(context: &Context, seen: &Seen, asked: Option<Duration>) -> Result<Duration, Failure> {
    match (asked, seen) {
        (Some(asked), _) => Ok(asked),
        (None, Seen::Launched(_)) => Ok(GRACE),
        (None, Seen::Worktree(_)) => {
            let (_, config) = context.configured()?;
            Ok(2 * config.agents.grace + COMMITTED)
        }
    }
}

/// Ends what outlived the runners of a session, and returns how much there was.
fn end_survivors(context: &Context, seen: &Seen, grace: Duration) -> Result<usize, Failure> {
    let Seen::Worktree(view) = seen else {
        return Ok(0);
    };
    let mut count = 0;
    for left in worktree::survivors(context, view) {
        count += left.processes.len();
        let run = left.run.to_string();
        let unended = end_session_processes(&run, &left.runner, &context.clock, grace);
        if unended > 0 {
            let message = format!(
                "{unended} processes of iteration {} cannot be ended",
                left.number
            );
            return Err(Fault::new(ErrorCode::NotAllowed, message)
                .hint("the kernel keeps them until what they wait for is there")
                .into());
        }
        output::say(&format!(
            "what iteration {} had left running is ended",
            left.number
        ));
    }
    Ok(count)
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
    let until = Instant::now() + patience;
    let seen = wait(context, &id.to_string(), Some(until))?;
    if seen.is_over() {
        // One that had more to do is asked to leave it.
        process::wait_gone(&target.process, until);
    }
    Ok(seen)
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
