//! `amps daemon install`: the unit with which systemd's user manager starts the daemon.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use amps_core::error::ErrorCode;
use amps_core::path::visible;
use amps_engine::files;
use amps_proto::fault::Fault;

use crate::args::DaemonInstallArgs;
use crate::context::Context;
use crate::error::Failure;
use crate::{Outcome, env, output};

/// Writes the unit, or prints it.
pub(super) fn run(context: &Context, args: DaemonInstallArgs) -> Outcome {
    let unit = unit(context)?;
    if args.print {
        output::print(&unit)?;
        return Ok(ExitCode::SUCCESS);
    }
    let environment = &context.environment;
    let user = || environment.user_home().map(|home| home.join(".config"));
    let folder = environment.xdg_config_home().or_else(user);
    let folder = folder
        .map(|folder| folder.join("systemd/user"))
        .ok_or_else(|| Fault::new(ErrorCode::HomeNotWritable, "there is no home folder"))?;
    let path = folder.join("ampd.service");
    if !args.force && is_other(&path, &unit)? {
        let message = format!("{} has another content", path.display());
        let hint = "`--print` shows what would be written, `--force` overwrites it; what \
                    `systemctl --user edit ampd.service` adds is kept either way";
        return Err(Fault::new(ErrorCode::WouldOverwrite, message)
            .hint(hint)
            .into());
    }
    let failed = |error| Failure::of(ErrorCode::FileFailed, &error);
    files::create_private_folder(&folder).map_err(failed)?;
    files::replace(&path, unit.as_bytes(), 0o644).map_err(failed)?;
    output::say(&format!(
        "written: {}\nenable it with: systemctl --user enable --now ampd.service",
        path.display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// Returns whether something lies there that a person has edited, or that is for another program
/// or home.
fn is_other(path: &Path, unit: &str) -> Result<bool, Failure> {
    match fs::read(path) {
        Ok(present) => Ok(present != unit.as_bytes()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Failure::of(
            ErrorCode::FileFailed,
            &files::FileError::new("read", path, error),
        )),
    }
}

/// Returns the unit, systemd.service(5). The daemon has a place of its own there, so ending a
/// login does not end it. With the colon no dollar sign stands for a variable.
fn unit(context: &Context) -> Result<String, Failure> {
    let home = context.home()?;
    let program = env::own_program();
    // These are refused in the name of a program, however they are written.
    let is_odd = |text: &str| text.contains(['"', '\'', '\\']);
    if program.to_str().is_some_and(is_odd) {
        return Err(unfit(program.as_os_str()));
    }
    let mut variable = OsString::from(format!("{}=", env::CONFIG_DIR));
    variable.push(home.folder());
    Ok(format!(
        "[Unit]\nDescription=amps: the record of coding agents\n\n\
         [Service]\nExecStart=:{} daemon run\nEnvironment={}\nRestart=on-failure\nKillMode=process\n\n\
         [Install]\nWantedBy=default.target\n",
        quoted(program.as_os_str())?,
        quoted(&variable)?,
    ))
}

/// Quotes a word of a unit, systemd.syntax(7). A percent sign begins a specifier, systemd.unit(5).
fn quoted(word: &OsStr) -> Result<String, Failure> {
    let text = word
        .to_str()
        .filter(|text| !text.contains(char::is_control))
        .ok_or_else(|| unfit(word))?;
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('%', "%%");
    Ok(format!("\"{escaped}\""))
}

fn unfit(word: &OsStr) -> Failure {
    let message = format!("a unit cannot hold `{}`", visible(&word.to_string_lossy()));
    Fault::new(ErrorCode::BadArgument, message)
        .hint("use folders with plain names for the program and the home")
        .into()
}
