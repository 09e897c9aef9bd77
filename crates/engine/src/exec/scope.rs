//! A place of its own for a process that is to outlive the login session it was started in.
//!
//! Where systemd rules, everything that is started in a login session belongs to a scope that is
//! ended with it, logind.conf(5). A process asks the person's own service manager for a scope of
//! its own, by `StartTransientUnit` of org.freedesktop.systemd1(5) through busctl(1). Where there is
//! no such manager, a session of its own is all that a process needs.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::files::pause;

/// How long the manager may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(2);

/// Where those are named whose manager goes on when they have logged out, loginctl(1).
const LINGERING: &str = "/var/lib/systemd/linger";

/// What became of asking for a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No service manager of this person rules here.
    Free,
    /// This process has a scope of its own.
    Scope {
        /// Whether the manager goes on when its person has logged out.
        lingers: bool,
    },
    /// There is a manager, and it gave no scope.
    Bound {
        /// Why not.
        reason: String,
    },
}

/// Asks the manager of this person for a scope of this process and all that it starts from now on.
/// `runtime` is the folder in which such a manager listens, `user` the person's name.
pub fn enter_scope(unit: &str, runtime: Option<&Path>, user: Option<&OsStr>) -> Standing {
    let listens = |name| runtime.is_some_and(|folder| folder.join(name).exists());
    if !listens("systemd/private") && !listens("bus") {
        return Standing::Free;
    }
    match ask(unit) {
        Ok(()) => Standing::Scope {
            lingers: user.is_some_and(|user| Path::new(LINGERING).join(user).exists()),
        },
        Err(reason) => Standing::Bound { reason },
    }
}

fn ask(unit: &str) -> Result<(), String> {
    let pid = std::process::id().to_string();
    let description = "An agent held by amps";
    let until = Instant::now() + PATIENCE;
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the room that starts programs"
    )]
    let mut command = Command::new("busctl");
    command
        .args(["--user", "--timeout=1", "call", "org.freedesktop.systemd1"])
        .args([
            "/org/freedesktop/systemd1",
            "org.freedesktop.systemd1.Manager",
        ])
        .args(["StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail", "3"])
        .args(["PIDs", "au", "1", &pid])
        .args(["Description", "s", description])
        .args(["CollectMode", "s", "inactive-or-failed", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command
        .spawn()
        .map_err(|error| format!("busctl: {error}"))?;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < until => pause(LOOK),
            Ok(None) | Err(_) => {
                // It may have ended meanwhile.
                child.kill().ok();
                child.wait().ok();
                return Err("the service manager did not answer in time".to_owned());
            }
        }
    };
    if !status.success() {
        return Err(format!("busctl ended with {status}"));
    }
    // The manager moves the process when it comes to it.
    while Instant::now() < until {
        if fs::read_to_string("/proc/self/cgroup").is_ok_and(|groups| groups.contains(unit)) {
            return Ok(());
        }
        pause(LOOK);
    }
    Err("the service manager did not move the process in time".to_owned())
}
