//! Named points at which a binary with the feature `testing` stops.
//!
//! The binary is told the name by `AMPSM_TEST_PAUSE` and a folder by `AMPSM_TEST_PAUSE_DIR`. At the
//! point it creates `<dir>/<name>.reached`, which holds its pid, and goes on when
//! `<dir>/<name>.go` exists.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::{process, wait};

/// A named point of the program under test.
#[derive(Clone, Debug)]
pub struct PausePoint {
    folder: PathBuf,
    name: String,
}

impl PausePoint {
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Returns the variables that make the program stop there. The daemon gets them too if this
    /// command starts it.
    pub fn env(&self) -> [(OsString, OsString); 2] {
        [
            ("AMPSM_TEST_PAUSE".into(), self.name.as_str().into()),
            (
                "AMPSM_TEST_PAUSE_DIR".into(),
                self.folder.as_os_str().into(),
            ),
        ]
    }

    /// Returns the pid of the process that stands at the point, if one does.
    pub fn reached(&self) -> Option<i32> {
        let text = fs::read_to_string(self.folder.join(format!("{}.reached", self.name)));
        text.ok()?.trim().parse().ok()
    }

    /// Waits until a process stands at the point, and returns its pid.
    #[track_caller]
    pub fn wait_reached(&self, deadline: Duration) -> i32 {
        let what = format!("the point {}", self.name);
        wait::until(what, deadline, || self.reached())
    }

    /// Lets the process go on.
    pub fn release(&self) {
        fs::write(self.folder.join(format!("{}.go", self.name)), "").unwrap();
    }

    /// Ends the process that stands at the point by SIGKILL, and waits until it is gone.
    #[track_caller]
    pub fn kill(&self, pid: i32) {
        assert_eq!(self.reached(), Some(pid), "who stands at {}", self.name);
        process::send(pid, Signal::KILL);
        process::wait_gone(pid, wait::PATIENCE);
    }

    /// Forgets that the point was reached and released, so that it can be used again.
    pub fn reset(&self) {
        for end in ["reached", "go"] {
            fs::remove_file(self.folder.join(format!("{}.{end}", self.name))).ok();
        }
    }
}
