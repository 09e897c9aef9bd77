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

/// Returns what a shell is told. Before it starts anything it looks for the note of its own terminal,
/// which is named by the number of the device: the fifth field after the name in `/proc/self/stat`,
/// proc(5), in hexadecimal. A shell reads that without another process.
fn hook(shell: HookShell) -> &'static str {
    match shell {
        HookShell::Bash => BASH,
        HookShell::Fish => FISH,
        HookShell::Zsh => ZSH,
    }
}

const BASH: &str = r#"__amps_terminal() {
  local status=$? IFS=' ' stat device
  read -r stat < /proc/self/stat
  stat=(${stat##*\) })
  printf -v device %x "${stat[4]}"
  [[ -e ${AMPSM_CONFIG_DIR:-$HOME/.ampsm}/terminals/$device.json ]] && amps terminal restore
  return $status
}
PROMPT_COMMAND="__amps_terminal${PROMPT_COMMAND:+; $PROMPT_COMMAND}"
"#;

const FISH: &str = r#"function __amps_terminal --on-event fish_prompt
  set -l folder $HOME/.ampsm
  test -n "$AMPSM_CONFIG_DIR"; and set folder $AMPSM_CONFIG_DIR
  read -l stat < /proc/self/stat
  set stat (string replace -r '.*\) ' '' -- $stat | string split ' ')
  test -e $folder/terminals/(printf %x $stat[5]).json; and amps terminal restore
end
"#;

const ZSH: &str = r"__amps_terminal() {
  emulate -L zsh
  local stat device
  read -r stat < /proc/self/stat
  stat=(${=stat##*\) })
  printf -v device %x $stat[5]
  [[ -e ${AMPSM_CONFIG_DIR:-$HOME/.ampsm}/terminals/$device.json ]] && amps terminal restore
}
autoload -Uz add-zsh-hook && add-zsh-hook precmd __amps_terminal
";
