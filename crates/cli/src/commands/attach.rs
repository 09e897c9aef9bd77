//! `amps attach`: a held session on this terminal.

use std::process::ExitCode;

use amps_core::error::ErrorCode;
use amps_engine::process;
use amps_host::{Attach, AttachError, Attached, SignalsFor, attach};
use amps_proto::fault::Fault;
use amps_proto::hold::{DetachReason, Role};

use crate::args::AttachArgs;
use crate::commands::terminal;
use crate::context::Context;
use crate::error::Failure;
use crate::held::{self, Held};
use crate::{Outcome, launch, output};

/// Shows a held session until it is detached or ends.
pub(crate) fn run(context: &Context, args: &AttachArgs) -> Outcome {
    // What a client left that was killed must not pass for how the terminal was.
    terminal::restore(context)?;
    let held = held::find(context, args.session.as_deref())?;
    held.refuse_own(context)?;
    let role = if args.read_only {
        Role::Watcher
    } else {
        Role::Typist
    };
    show(context, held, (role, args.take_over), SignalsFor::Client)
}

/// Shows a held session. Signals are for the agent where the person started it by this very
/// command.
pub(crate) fn show(
    context: &Context,
    held: Held,
    (role, takes_over): (Role, bool),
    signals: SignalsFor,
) -> Outcome {
    let client = process::identity(std::process::id(), &context.clock)
        .ok_or_else(|| Fault::new(ErrorCode::Internal, "/proc cannot be read"))?;
    let request = Attach {
        role,
        takes_over,
        signals,
        chord: context.chord()?,
        notes: context.home()?.terminals(),
        client,
    };
    let session_id = held.session_id;
    let id = session_id.short();
    let mut attached = attach(held.connection, &request);
    if let Ok(Attached::Lost) | Err(AttachError::Connection(_)) = attached
        && let Some(exit) = held::exit_of(context, session_id)
    {
        // The host left before it heard of this client.
        attached = Ok(Attached::Ended(exit));
    }
    match attached {
        Ok(Attached::Ended(exit)) if signals != SignalsFor::Client => {
            Ok(launch::end_as_shown(exit))
        }
        Ok(Attached::Ended(exit)) => {
            output::say(&format!("[session {id} ended: {exit}]"));
            Ok(ExitCode::from(
                u8::try_from(exit.shell_code() & 0xff).unwrap_or(u8::MAX),
            ))
        }
        Ok(Attached::Detached(reason)) => {
            let why = match reason {
                DetachReason::Asked => "",
                DetachReason::FromElsewhere => " from elsewhere",
                DetachReason::TakenOver => ": another client types now",
                DetachReason::TerminalGone => ": the terminal was closed",
            };
            output::say(&format!(
                "[detached{why}; the agent goes on, `amps attach {id}` comes back]"
            ));
            Ok(ExitCode::SUCCESS)
        }
        Ok(Attached::Signalled(signal)) => Ok(ExitCode::from(
            u8::try_from(128 + signal).unwrap_or(u8::MAX),
        )),
        Ok(Attached::Refused(fault)) => Err(fault.into()),
        Ok(Attached::Lost) => Err(Fault::new(
            ErrorCode::HostUnreachable,
            format!("the host of session {id} ended without a word"),
        )
        .hint(format!(
            "`amps explain {id}` tells what is known of its end"
        ))
        .into()),
        Err(AttachError::Connection(error)) => Err(held::unreachable(session_id, &error)),
        Err(error @ AttachError::NoTerminal) => Err(no_terminal(&error)),
        Err(error @ AttachError::Terminal(_)) => Err(Failure::of(ErrorCode::FileFailed, &error)),
    }
}

fn no_terminal(error: &AttachError) -> Failure {
    Fault::of(ErrorCode::NotAllowed, error)
        .hint("`amps screen` shows and `amps send` types without a terminal")
        .into()
}
