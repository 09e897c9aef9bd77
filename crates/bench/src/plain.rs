//! The project's own yardsticks: the least that a launcher, a daemon and a relay have to do.

pub(crate) mod daemon;
pub(crate) mod launcher;
pub(crate) mod relay;

use std::{
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Stdio},
    time::Duration,
};

use crate::{Outcome, clock, home::Home, leases::LeaseProtocol, terminal::PATIENCE};

/// A running plain daemon; it ends with the pipe that is its standard input.
#[derive(Debug)]
pub(crate) struct PlainDaemon {
    child: Child,
    socket: PathBuf,
}

impl PlainDaemon {
    /// Starts a daemon with a socket and a store of the given name and waits until it answers.
    pub(crate) fn start(home: &Home, name: &str) -> Outcome<Self> {
        let socket = home.path().join("plain").join(format!("{name}.sock"));
        let store = home.path().join("plain").join(format!("{name}.db"));
        let child = home
            .command(&std::env::current_exe()?.display().to_string())
            .arg("plain-daemon")
            .args([&socket, &store])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        let deadline = clock::now() + PATIENCE;
        while UnixStream::connect(&socket).is_err() {
            if clock::now() > deadline {
                return Err("the plain daemon does not answer".into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(Self { child, socket })
    }

    /// Returns its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns where it listens.
    pub(crate) fn socket(&self) -> String {
        self.socket.display().to_string()
    }
}

impl Drop for PlainDaemon {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

impl LeaseProtocol for PlainDaemon {
    fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    fn greeting(&self) -> Option<String> {
        None
    }

    fn open(&self, number: usize) -> String {
        format!(r#"{{"op":"open","pid":{number},"command":"held"}}"#)
    }

    fn lease_of(&self, reply: &str) -> Outcome<String> {
        let reply: daemon::Reply = serde_json::from_str(reply)?;
        Ok(reply.lease.ok_or("no lease in the reply")?.to_string())
    }

    fn beat(&self, lease: &str) -> String {
        format!(r#"{{"op":"beat","lease":{lease}}}"#)
    }
}
