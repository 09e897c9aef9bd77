//! What a process does that is nobody's child and outlives who asked for it.

use std::io::{self, Write as _};

use amps_engine::exec::{Standing, enter_scope};
use serde::Serialize;

use crate::context::Context;
use crate::error::Failure;
use crate::output;

/// Leaves the login session, so that its end is not the end of what is run here. Returns what the
/// person should know.
pub(crate) fn leave_login_session(context: &Context, unit: &str) -> Option<String> {
    let runtime = context.environment.runtime_folder();
    let user = context.environment.user();
    match enter_scope(unit, runtime.as_deref(), user.as_deref()) {
        Standing::Free | Standing::Scope { lingers: true } => None,
        Standing::Scope { lingers: false } => Some(
            "when you log out, systemd ends this session; `loginctl enable-linger` keeps it"
                .to_owned(),
        ),
        Standing::Bound { reason } => Some(format!(
            "when you log out, systemd may end this session: it has no scope of its own ({reason})"
        )),
    }
}

/// Says one line to who asked, and lets go of them.
pub(crate) fn report<T: Serialize>(report: &T) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(report).expect("a report has no failing serialisers");
    line.push(b'\n');
    // Who asked may have left.
    output::raw_answer().write_all(&line).ok();
    let nowhere = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nowhere).map_err(io::Error::from)?;
    rustix::stdio::dup2_stdout(&nowhere).map_err(io::Error::from)?;
    Ok(())
}
