//! The daemon of a sealed home, seen from outside.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::home::Home;
use crate::process;
use crate::wait::{self, PATIENCE};

/// The daemon of a home, running or not.
#[derive(Debug)]
pub struct Daemon<'a> {
    home: &'a Home,
}

impl<'a> Daemon<'a> {
    pub(crate) fn new(home: &'a Home) -> Self {
        Self { home }
    }

    /// Returns the pid in its file, if there is one.
    pub fn pid(&self) -> Option<i32> {
        let text = fs::read_to_string(self.home.config_dir().join("ampd.pid"));
        text.ok()?.trim().parse().ok()
    }

    /// Returns the pid of the living daemon. A number that went to another process is none.
    pub fn living(&self) -> Option<i32> {
        let pid = self.pid()?;
        let mut processes = self.home.processes().into_iter();
        processes.any(|stat| stat.pid == pid).then_some(pid)
    }

    /// Returns whether it lives.
    pub fn is_alive(&self) -> bool {
        self.living().is_some()
    }

    /// Waits until it lives, and returns its pid.
    #[track_caller]
    pub fn wait_alive(&self, deadline: Duration) -> i32 {
        wait::until("a living daemon", deadline, || self.living())
    }

    /// Ends the living daemon by SIGKILL, and waits until it is gone.
    #[track_caller]
    pub fn kill(&self) {
        let Some(pid) = self.living() else {
            panic!("no daemon lives; its file says {:?}", self.pid());
        };
        process::send(pid, Signal::KILL);
        process::wait_gone(pid, PATIENCE);
    }

    /// Waits until no daemon lives.
    #[track_caller]
    pub fn wait_death(&self, deadline: Duration) {
        if let Some(pid) = self.living() {
            process::wait_gone(pid, deadline);
        }
    }

    /// Waits until `amps show ID --json` is as wanted, and returns it.
    #[track_caller]
    pub fn wait_for_session(
        &self,
        id: &str,
        what: &str,
        deadline: Duration,
        mut wanted: impl FnMut(&Value) -> bool,
    ) -> Value {
        let mut last = String::from("nothing");
        let found = wait::within(deadline, || {
            let output = self.home.amps(["show", id, "--json"]).run();
            last = output.stderr_text() + &output.stdout_text();
            let record = serde_json::from_slice(&output.stdout).ok()?;
            wanted(&record).then_some(record)
        });
        match found {
            Some(record) => record,
            None => panic!("waited {deadline:?} for session {id} {what}; last seen:\n{last}"),
        }
    }
}
