//! `amps session`: a session bound to the calling shell, for agents that are started without us.

use std::process::ExitCode;

use amps_core::error::ErrorCode;
use amps_core::facts::{EndFacts, OpenFacts, StartFacts};
use amps_core::session::{Binding, Declared, Ending};
use amps_engine::process;
use amps_proto::fault::Fault;
use amps_proto::request::Request;
use amps_proto::response::Response;
use amps_proto::view::SessionView;

use crate::args::{
    EndStatus, JsonArgs, LaunchOptions, SessionCommand, SessionEndArgs, SessionStartArgs,
};
use crate::commands::{list, show};
use crate::context::Context;
use crate::error::Failure;
use crate::launch::facts;
use crate::{Outcome, connect, output};

/// How long the answer to `end` waits for the capture, in milliseconds.
const WAIT_MS: u64 = 5_000;

/// Does one of the commands of this shell's session.
pub(crate) fn run(context: &Context, command: SessionCommand) -> Outcome {
    match command {
        SessionCommand::Start(args) => start(context, args),
        SessionCommand::End(args) => end(context, args),
        SessionCommand::Status(args) => status(context, args),
        SessionCommand::List(args) => list::run(context, &args),
    }
}

fn start(context: &Context, args: SessionStartArgs) -> Outcome {
    if let Some(open) = current(context)? {
        let id = open.session.session_id.short();
        let fault = Fault::new(
            ErrorCode::NotAllowed,
            format!("this shell has session {id} open"),
        );
        return Err(fault.hint("`amps session end` ends it").into());
    }
    let facts = opening(context, &args.launch, args.agent)?;
    let started = StartFacts {
        session_id: facts.session_id,
        launched_at: context.clock.now(),
        agent: None,
    };
    let id = facts.session_id;
    connect::ask(context, Request::Open(Box::new(facts)))?;
    connect::ask(context, Request::Started(started))?;
    if args.output.json {
        return show::print(context, &id.to_string(), 0, true);
    }
    output::print(&format!("{id}\n"))?;
    output::say("recording until `amps session end`, or until this shell ends");
    Ok(ExitCode::SUCCESS)
}

fn opening(
    context: &Context,
    launch: &LaunchOptions,
    agent: Option<String>,
) -> Result<OpenFacts, Failure> {
    let owner = process::parent(&context.clock).ok_or_else(|| {
        Fault::new(
            ErrorCode::NotAllowed,
            "the calling shell cannot be looked at",
        )
        .hint("`amps run -- CMD` needs no shell")
    })?;
    let agent = agent.unwrap_or_else(|| "shell".to_owned());
    let command = vec![agent.clone().into()];
    Ok(facts::opening(
        context,
        launch,
        &agent,
        &command,
        (Binding::Shell, owner),
    ))
}

fn end(context: &Context, args: SessionEndArgs) -> Outcome {
    let Some(open) = current(context)? else {
        return Err(none_open());
    };
    let id = open.session.session_id;
    if let Some(text) = args.note {
        connect::ask(
            context,
            Request::Note {
                reference: id.to_string(),
                text,
            },
        )?;
    }
    let declared = match args.status {
        EndStatus::Completed => Declared::Completed,
        EndStatus::Aborted => Declared::Aborted,
    };
    let facts = EndFacts {
        session_id: id,
        ending: Ending::Declared(declared),
        at: context.clock.now(),
        detail: "a person ended the session with `amps session end`".to_owned(),
    };
    connect::ask(context, Request::End(facts))?;
    show::print(context, &id.to_string(), WAIT_MS, args.output.json)
}

fn status(context: &Context, args: JsonArgs) -> Outcome {
    match current(context)? {
        Some(open) => show::print(context, &open.session.session_id.to_string(), 0, args.json),
        None if args.json => {
            output::print_json(&serde_json::Value::Null)?;
            Ok(ExitCode::SUCCESS)
        }
        None => Err(none_open()),
    }
}

/// Returns the open session of this shell.
pub(crate) fn current(context: &Context) -> Result<Option<SessionView>, Failure> {
    let ancestors = process::lineage(&context.clock);
    match connect::ask(context, Request::Current { ancestors })? {
        Response::Session(view) => Ok(Some(*view)),
        Response::None => Ok(None),
        _ => Err(connect::unexpected()),
    }
}

fn none_open() -> Failure {
    Fault::new(ErrorCode::NotAllowed, "this shell has no session open")
        .hint("`amps session start` opens one; `amps list --status active` shows all")
        .into()
}
