//! `amps terminal`: a terminal on which a program was killed that showed an agent there.
//!
//! The host brings it back when its client dies. Only when both die at once, what the client noted
//! is still there, and the next `amps attach` or the hook of the shell does it.

use std::io::Write as _;
use std::process::ExitCode;

use amps_core::process::{Verdict, judge};
use amps_engine::process;
use amps_host::{notes, terminal};

use crate::args::{HookShell, TerminalCommand};
use crate::context::Context;
use crate::error::Failure;
use crate::{Outcome, output};

/// Does one of the commands about this terminal.
pub(crate) fn run(context: &Context, command: &TerminalCommand) -> Outcome {
    match command {
        TerminalCommand::Restore => restore(context)?,
        TerminalCommand::Hook(args) => output::print(hook(args.shell))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Brings the terminal back if a client died on it.
pub(crate) fn restore(context: &Context) -> Result<(), Failure> {
    let folder = context.home()?.terminals();
    let line = rustix::stdio::stdin();
    let Some(note) = notes::read(&folder, line) else {
        return Ok(());
    };
    let sighting = process::sight(note.client.pid);
    if let Verdict::Dead(_) = judge(&note.client, &context.clock.place(), sighting) {
        terminal::restore(line, &note.modes)?;
        let mut out = output::raw_answer();
        out.write_all(&amps_host::reset())?;
        out.flush()?;
        notes::remove(&folder, line);
    }
    Ok(())
}

/// Returns what a shell is told. It looks for a note before it starts anything.
fn hook(shell: HookShell) -> &'static str {
    match shell {
        HookShell::Bash => {
            "__amps_terminal() {\n  \
               local status=$?\n  \
               compgen -G \"${AMPSM_CONFIG_DIR:-$HOME/.ampsm}/terminals/*.json\" >/dev/null && \
             amps terminal restore\n  \
               return $status\n\
             }\n\
             PROMPT_COMMAND=\"__amps_terminal${PROMPT_COMMAND:+; $PROMPT_COMMAND}\"\n"
        }
        HookShell::Fish => {
            "function __amps_terminal --on-event fish_prompt\n  \
               set -l folder $HOME/.ampsm\n  \
               set -q AMPSM_CONFIG_DIR; and set folder $AMPSM_CONFIG_DIR\n  \
               set -l notes $folder/terminals/*.json\n  \
               test (count $notes) -gt 0; and amps terminal restore\n\
             end\n"
        }
        HookShell::Zsh => {
            "__amps_terminal() {\n  \
               local notes=(${AMPSM_CONFIG_DIR:-$HOME/.ampsm}/terminals/*.json(N))\n  \
               (( $#notes )) && amps terminal restore\n\
             }\n\
             autoload -Uz add-zsh-hook && add-zsh-hook precmd __amps_terminal\n"
        }
    }
}
