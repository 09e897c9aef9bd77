//! `amps daemon`: the one process that keeps the store of a home.

mod install;

use std::process::ExitCode;
use std::time::Duration;

use amps_core::error::ErrorCode;
use amps_daemon::{DaemonError, Settings};
use amps_engine::home::Home;
use amps_engine::{exec, files};
use amps_proto::exit_code;
use amps_proto::fault::Fault;
use amps_proto::request::Request;
use amps_proto::response::{DaemonView, Response};
use serde_json::json;

use crate::args::{DaemonCommand, DaemonRunArgs, JsonArgs};
use crate::context::Context;
use crate::error::Failure;
use crate::{Outcome, connect, env, output};

/// How long a daemon may take to store what it has under way.
const STOP: Duration = Duration::from_secs(15);

/// Does one of the daemon's commands.
pub(crate) fn run(context: &Context, command: &DaemonCommand) -> Outcome {
    match command {
        DaemonCommand::Start => start(context),
        DaemonCommand::Stop => stop(&context.home()?),
        DaemonCommand::Restart => {
            stop(&context.home()?)?;
            start(context)
        }
        DaemonCommand::Status(args) => status(context, *args),
        DaemonCommand::Run(args) => serve(context, args),
        DaemonCommand::Install(args) => install::run(context, *args),
    }
}

fn start(context: &Context) -> Outcome {
    match connect::ask(context, Request::DaemonStatus)? {
        Response::Daemon(view) => {
            output::say(&format!(
                "the daemon runs: pid {}, version {}",
                view.pid, view.version
            ));
            warn(&view);
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(connect::unexpected()),
    }
}

fn stop(home: &Home) -> Outcome {
    if connect::ask_running(home, &Request::Stop)?.is_none() {
        output::say("no daemon runs");
        return Ok(ExitCode::SUCCESS);
    }
    // The lock is free once the last state is written.
    if files::wait_for_lock(&home.daemon_lock(), STOP) {
        output::say("the daemon has ended");
        return Ok(ExitCode::SUCCESS);
    }
    Err(
        Fault::new(ErrorCode::DaemonUnreachable, "the daemon does not end")
            .hint("its log tells what it waits for; ending it by its pid loses nothing")
            .into(),
    )
}

fn status(context: &Context, args: JsonArgs) -> Outcome {
    let home = context.home()?;
    match connect::ask_running(&home, &Request::DaemonStatus)? {
        Some(Response::Daemon(view)) => {
            if args.json {
                output::print_json(&json!({ "running": true, "daemon": view }))?;
            } else {
                output::print(&text(&view))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Some(_) => Err(connect::unexpected()),
        None => {
            if args.json {
                output::print_json(&json!({ "running": false, "daemon": null }))?;
            } else {
                output::print("no daemon runs; it starts when it is needed\n")?;
            }
            Ok(ExitCode::from(exit_code::FAILED))
        }
    }
}

fn text(view: &DaemonView) -> String {
    let DaemonView {
        pid,
        version,
        home,
        leases,
        captures_owed,
        sessions,
        warnings,
        ..
    } = view;
    let uptime = output::duration(view.uptime);
    let lines = warnings
        .iter()
        .map(|warning| format!("warning   {warning}\n"));
    let warnings = lines.collect::<Vec<_>>().concat();
    format!(
        "running since {uptime}: pid {pid}, version {version}\nhome      {home}\nsessions  {sessions}\n\
         open      {leases}\nowed      {captures_owed}\n{warnings}"
    )
}

fn warn(view: &DaemonView) {
    for warning in &view.warnings {
        output::say(&format!("warning: {warning}"));
    }
}

fn serve(context: &Context, args: &DaemonRunArgs) -> Outcome {
    if args.detached {
        let failed = |error| Failure::of(ErrorCode::DaemonUnreachable, &error);
        let pid = exec::start_and_leave(&env::own_program(), &["daemon", "run"]).map_err(failed)?;
        output::print(&format!("{pid}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let (home, config) = context.configured()?;
    let settings = Settings {
        home,
        config,
        clock: context.clock.clone(),
        git_environment: context.git_environment(),
        log_level: context.environment.log_level(),
    };
    match amps_daemon::run(settings) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(failure(&error)),
    }
}

fn failure(error: &DaemonError) -> Failure {
    let (code, hint) = match error {
        DaemonError::AlreadyRunning => (
            ErrorCode::NotAllowed,
            "`amps daemon status` shows it, `amps daemon restart` replaces it",
        ),
        DaemonError::Home(file) if file.is_full() => (ErrorCode::DiskFull, "free some space"),
        DaemonError::Home(_) => (
            ErrorCode::HomeNotWritable,
            "make the home writable, or set AMPSM_CONFIG_DIR",
        ),
        DaemonError::Store(_) => (
            ErrorCode::StoreFailed,
            "`amps explain E024` tells what to do for each cause",
        ),
        DaemonError::Socket { .. } | DaemonError::Loop(_) | DaemonError::Recovery(_) => (
            ErrorCode::DaemonUnreachable,
            "`amps explain E016` tells what to do for each cause",
        ),
    };
    Fault::of(code, error).hint(hint).into()
}
