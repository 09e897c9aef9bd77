//! Launches an agent in the foreground under a session.
//!
//! The agent gets the terminal itself, in the process group that a shell would give it; this
//! process only waits, mirrors stops and passes signals on. Recording may fail; the run may not:
//! whatever cannot be told to a daemon is spooled, and the agent is started all the same.

pub(crate) mod facts;
pub(crate) mod hold;
pub(crate) mod link;
mod local;
mod signals;
mod wait;

use std::cell::OnceCell;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use amps_core::error::ErrorCode;
use amps_core::exit::Exit;
use amps_core::facts::StartFacts;
use amps_core::session::{Binding, Ending};
use amps_engine::exec::{ExecError, Foreground, find_program};
use amps_engine::process::{self, SESSION_VARIABLE};
use amps_engine::testing::point;
use amps_proto::exit_code;
use amps_proto::fault::Fault;

use self::link::Link;
use self::signals::{Signals, is_of_keyboard};
use self::wait::{Observed, Waiter};
use crate::args::{HoldOptions, LaunchOptions};
use crate::context::Context;
use crate::error::Failure;
use crate::{Outcome, env, output};

impl LaunchOptions {
    /// Returns whether nothing is to be noted.
    pub(crate) fn is_empty(&self) -> bool {
        let Self {
            name,
            note,
            tags,
            context_ids,
        } = self;
        name.is_none() && note.is_none() && tags.is_empty() && context_ids.is_empty()
    }

    /// Returns these options, and the other ones where these say nothing.
    pub(crate) fn over(self, other: Self) -> Self {
        let both = |mine: Vec<String>, theirs: Vec<String>| [theirs, mine].concat();
        Self {
            name: self.name.or(other.name),
            note: self.note.or(other.note),
            tags: both(self.tags, other.tags),
            context_ids: both(self.context_ids, other.context_ids),
        }
    }
}

impl HoldOptions {
    /// Returns whether nothing is asked for.
    pub(crate) fn is_empty(self) -> bool {
        !self.detach && !self.hold && !self.record
    }

    /// Returns all that one or the other asks for.
    pub(crate) fn over(self, other: Self) -> Self {
        Self {
            detach: self.detach || other.detach,
            hold: self.hold || other.hold,
            record: self.record || other.record,
        }
    }
}

/// Runs a command line under a session and gives back its exit code.
pub(crate) fn launch(
    context: &Context,
    (options, hold): (&LaunchOptions, HoldOptions),
    command: &[OsString],
) -> Outcome {
    let Some(name) = command.first() else {
        return Err(Fault::new(ErrorCode::BadArgument, "there is no command to run").into());
    };
    let program = find_program(name, &context.environment.path(), &env::own_program())
        .map_err(|error| not_started(&error))?;
    match hold::way(context, hold) {
        Some(way) => {
            if let Some(code) = hold::start(context, options, (&program, command), way)? {
                return Ok(code);
            }
        }
        None if hold.record => {
            output::say("amps: not recorded: standard input and output are no terminal");
        }
        None => {}
    }
    let agent = agent_name(name);
    let owner = process::identity(std::process::id(), &context.clock);
    let facts = owner.map(|owner| {
        facts::opening(
            context,
            options,
            &agent,
            command,
            (Binding::Launcher, owner),
        )
    });
    let prepared = OnceCell::new();
    let meanwhile = || {
        prepared.get_or_init(prepare);
    };
    let mut link = Link::open(context, facts, &meanwhile);
    if let Some(warning) = link.take_warning() {
        output::say(&format!("amps: {warning}"));
    }
    let waiter = match prepared.into_inner() {
        Some(waiter) => waiter?,
        None => prepare()?,
    };
    let foreground = Foreground {
        program,
        name: name.clone(),
        arguments: command.get(1..).unwrap_or_default().to_vec(),
        variables: link
            .session_id()
            .map(|id| (SESSION_VARIABLE.to_owned(), id.to_string()))
            .into_iter()
            .collect(),
    };
    run(context, &mut link, waiter, &foreground)
}

fn prepare() -> io::Result<Waiter> {
    Ok(Waiter::prepare(Signals::listen()?))
}

fn run(
    context: &Context,
    link: &mut Link<'_>,
    mut waiter: Waiter,
    foreground: &Foreground,
) -> Outcome {
    if let Some(signal) = waiter.told_to_end() {
        let detail = format!("signal {signal} arrived before the agent was started");
        link.end(Ending::NotStarted, context.clock.now(), detail);
        return Ok(give_back(Exit::Signal(signal), true));
    }
    let launched_at = context.clock.now();
    point("before-spawn");
    let child = match foreground.start() {
        Ok(child) => child.id(),
        Err(error) => {
            let detail = format!("the agent could not be started: {error}");
            link.end(Ending::NotStarted, context.clock.now(), detail);
            return Err(not_started(&error));
        }
    };
    point("after-spawn");
    if let Some(session_id) = link.session_id() {
        let agent = process::identity(child, &context.clock);
        link.started(StartFacts {
            session_id,
            launched_at,
            agent,
        });
    }
    point("started-told");
    let Observed {
        exit,
        hung_up,
        killed_here,
    } = waiter.wait(child, link)?;
    let at = context.clock.now();
    point("agent-ended");
    let (ending, detail) = if hung_up {
        let detail =
            format!("the terminal vanished under the launcher; the agent ended with {exit}");
        (Ending::TerminalClosed(Some(exit)), detail)
    } else {
        (
            Ending::Exited(exit),
            format!("the launcher waited for the agent: {exit}"),
        )
    };
    link.end(ending, at, detail);
    point("end-told");
    Ok(give_back(exit, killed_here))
}

/// Ends this process as the agent ended. A shell that runs a script or a loop looks at whether an
/// interrupt from the keyboard ended its child: then this process ends by that signal too.
fn give_back(exit: Exit, killed_here: bool) -> ExitCode {
    if let (Exit::Signal(signal), true) = (exit, killed_here) {
        signals::end_by(signal);
    }
    ExitCode::from(u8::try_from(exit.shell_code() & 0xff).unwrap_or(exit_code::LAUNCH_FAILED))
}

/// Ends this process as an agent ended that was shown on its terminal, which the keys of the
/// keyboard reached and not this process.
pub(crate) fn end_as_shown(exit: Exit) -> ExitCode {
    let from_keyboard = exit.signal().is_some_and(is_of_keyboard);
    give_back(exit, from_keyboard)
}

fn agent_name(command: &std::ffi::OsStr) -> String {
    let name = Path::new(command).file_name().unwrap_or(command);
    amps_core::path::visible(&name.to_string_lossy())
}

fn not_started(error: &ExecError) -> Failure {
    let fault = refusal(error);
    if fault.code == ErrorCode::Internal {
        output::complain(&fault);
        return Failure::Launch(exit_code::LAUNCH_FAILED);
    }
    fault.into()
}

/// Returns why an agent could not be started.
pub(crate) fn refusal(error: &ExecError) -> Fault {
    let (code, hint) = match error {
        ExecError::NotFound { .. } => (
            ErrorCode::AgentNotFound,
            "check the spelling, or give the path of the program; `amps --help` lists commands",
        ),
        ExecError::NotExecutable { .. } => (
            ErrorCode::AgentNotExecutable,
            "check the file, its permissions and the length of its arguments",
        ),
        ExecError::Start { .. } | ExecError::Terminal(_) => {
            return Fault::of(ErrorCode::Internal, error);
        }
    };
    Fault::of(code, error).hint(hint)
}
