//! `amps attach-pid`: a session for a program that already runs. Nothing is sent to it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::ExitCode;

use amps_core::error::ErrorCode;
use amps_core::facts::{OpenFacts, StartFacts};
use amps_core::path::{RawPath, visible};
use amps_core::session::Binding;
use amps_engine::process::{self, Portrait, Unfit};
use amps_engine::testing::point;
use amps_proto::fault::Fault;
use amps_proto::request::Request;

use crate::args::{AttachPidArgs, LaunchOptions};
use crate::commands::show;
use crate::context::Context;
use crate::env::Environment;
use crate::error::Failure;
use crate::launch::facts;
use crate::text::brief;
use crate::{Outcome, connect, output};

/// Programs that run a script, beside shells: the script is what a person calls the agent by.
const INTERPRETERS: [&str; 7] = ["bun", "deno", "node", "nodejs", "perl", "python", "ruby"];

/// Shells, which a session can be bound to from inside.
const SHELLS: [&str; 8] = ["ash", "bash", "dash", "fish", "ksh", "mksh", "sh", "zsh"];

/// Opens a session for a process that runs.
pub(crate) fn run(context: &Context, args: &AttachPidArgs) -> Outcome {
    let pid = number(&args.pid)?;
    let portrait = process::portray(pid, &context.clock).map_err(|unfit| refused(&unfit))?;
    let agent = agent_name(&portrait);
    refuse_own(context, &portrait, &agent)?;
    let facts = opening(context, &args.launch, &agent, &portrait);
    let id = facts.session_id;
    point("portrayed");
    connect::ask(context, Request::Open(Box::new(facts)))?;
    point("attach-opened");
    let started = StartFacts {
        session_id: id,
        launched_at: context.clock.now(),
        agent: Some(portrait.identity),
    };
    connect::ask(context, Request::Started(started))?;
    if args.output.json {
        return show::print(context, &id.to_string(), 0, true);
    }
    output::print(&format!("{id}\n"))?;
    output::say(&format!("recording until process {pid} ({agent}) ends"));
    Ok(ExitCode::SUCCESS)
}

fn number(text: &str) -> Result<u32, Failure> {
    match text.parse() {
        Ok(pid) if pid > 0 => Ok(pid),
        _ => {
            let message = format!("`{}` is not the id of a process", brief(text, 60));
            Err(Fault::new(ErrorCode::BadArgument, message)
                .hint("`ps -o pid,args` shows the ids of the processes of this terminal")
                .into())
        }
    }
}

/// Refuses this process, and the shell that it was typed into: nobody means them.
fn refuse_own(context: &Context, portrait: &Portrait, agent: &str) -> Result<(), Failure> {
    let pid = portrait.identity.pid;
    let own = process::lineage(&context.clock);
    let message = match own.iter().position(|own| *own == portrait.identity) {
        Some(0) => format!("process {pid} is this command itself"),
        Some(_) if SHELLS.contains(&agent) => format!("process {pid} is the shell of this command"),
        _ => return Ok(()),
    };
    Err(Fault::new(ErrorCode::ProcessUnfit, message)
        .hint("`amps session start` opens a session that ends with this shell")
        .into())
}

fn opening(
    context: &Context,
    launch: &LaunchOptions,
    agent: &str,
    portrait: &Portrait,
) -> OpenFacts {
    let environment = Environment::of_process(&portrait.environment);
    let owner = (Binding::Process, portrait.identity.clone());
    let command = match portrait.command.as_slice() {
        [] => &[OsString::from(&portrait.name)],
        command => command,
    };
    OpenFacts {
        cwd: RawPath::new(portrait.folder.as_os_str().as_bytes()),
        environment: environment.allowed(),
        git_environment: environment.git(),
        ..facts::opening(context, launch, agent, command, owner)
    }
}

/// Returns what a person calls the agent: the name of its program, or of the script that this runs.
fn agent_name(portrait: &Portrait) -> String {
    let mut words = portrait.command.iter();
    let program = words.next().map(|word| file_name(word)).unwrap_or_default();
    // A shell that was logged into by has a dash before its name.
    let program = program.trim_start_matches('-');
    if program.is_empty() {
        return visible(&portrait.name);
    }
    let interpreter = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    if !INTERPRETERS.contains(&interpreter) && !SHELLS.contains(&interpreter) {
        return visible(program);
    }
    let script = words
        .take_while(|word| !takes_a_word(word.as_bytes()))
        .find(|word| !word.as_bytes().starts_with(b"-"))
        .map(|word| file_name(Path::new(word).with_extension("").as_os_str()));
    visible(script.as_deref().unwrap_or(program))
}

/// Returns whether the word behind an option of an interpreter is no script, but a text to run, a
/// module or a library: `-c`, `-lc`, `-e`, `-m`, `-p`, `-r`.
fn takes_a_word(option: &[u8]) -> bool {
    option.starts_with(b"-")
        && !option.starts_with(b"--")
        && option.last().is_some_and(|last| b"cempr".contains(last))
}

fn file_name(word: &OsStr) -> String {
    let name = Path::new(word).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn refused(unfit: &Unfit) -> Failure {
    let hint = match unfit {
        Unfit::Missing(_) | Unfit::Ended(_) => {
            "`ps -o pid,args` shows the processes of this terminal, `ps x` all of yours".to_owned()
        }
        Unfit::Thread { process, .. } => format!("`amps attach-pid {process}` means the process"),
        Unfit::Kernel(_) | Unfit::First => "name the process of the agent itself".to_owned(),
        Unfit::Foreign { .. } => "run `amps` as that user".to_owned(),
        Unfit::Contained(_) => "run `amps` inside of that container".to_owned(),
        Unfit::Unreadable { .. } => {
            "a program that changes its user may be looked at only by root".to_owned()
        }
    };
    Fault::of(ErrorCode::ProcessUnfit, unfit).hint(hint).into()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use amps_engine::clock::Clock;

    use super::*;

    fn named(command: &[&str]) -> String {
        let own = process::identity(std::process::id(), &Clock::default()).unwrap();
        agent_name(&Portrait {
            identity: own,
            name: "kernel's name".to_owned(),
            command: command.iter().map(OsString::from).collect(),
            folder: PathBuf::from("/"),
            environment: Vec::new(),
        })
    }

    #[test]
    fn an_agent_is_called_by_its_program_or_by_the_script_that_this_runs() {
        for (command, name) in [
            (&["claude", "--resume"][..], "claude"),
            (&["/opt/x/codex"], "codex"),
            (&["node", "/x/claude", "--resume"], "claude"),
            (&["/usr/bin/node22", "--inspect", "/x/cli.js"], "cli"),
            (&["python3.12", "-u", "agent.py", "-c", "x"], "agent"),
            (&["python3", "-m", "http.server"], "python3"),
            (&["python3", "-c", "print()"], "python3"),
            (&["node"], "node"),
            (&["/bin/sh", "/x/agent.sh", "-c"], "agent"),
            (&["bash", "-lc", "make all"], "bash"),
            (&["-bash"], "bash"),
            (&["nodemon", "x"], "nodemon"),
            (&["/"], "kernel's name"),
            (&[""], "kernel's name"),
            (&[], "kernel's name"),
        ] {
            assert_eq!(named(command), name, "{command:?}");
        }
    }

    #[test]
    fn a_pid_is_a_number_above_nothing() {
        assert_eq!(number("12").ok(), Some(12));
        for text in ["", "0", "-1", "x", "1.5", "0x10", " 1", "99999999999"] {
            assert!(number(text).is_err(), "{text}");
        }
    }
}
