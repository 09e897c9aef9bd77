//! The folder that holds all of one person's records. Each home has its own daemon.

use std::path::{Path, PathBuf};

use amps_core::id::{LeaseId, SessionId};

use crate::files::{self, FileError};

/// The layout of a home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    folder: PathBuf,
    database: Option<PathBuf>,
}

impl Home {
    /// Names a home; nothing is made yet. The database may lie elsewhere.
    pub fn new(folder: PathBuf, database: Option<PathBuf>) -> Self {
        Self { folder, database }
    }

    /// Makes the folders that are missing, for their owner only.
    pub fn create(&self) -> Result<(), FileError> {
        for folder in [
            self.folder.clone(),
            self.hosts(),
            self.leases(),
            self.spool(),
        ] {
            files::create_private_folder(&folder)?;
        }
        Ok(())
    }

    /// Returns the home itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the database.
    pub fn database(&self) -> PathBuf {
        self.database
            .clone()
            .unwrap_or_else(|| self.folder.join("sessions.db"))
    }

    /// Returns the configuration.
    pub fn config(&self) -> PathBuf {
        self.folder.join("config.yaml")
    }

    /// Returns the socket of the daemon.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("ampd.sock")
    }

    /// Returns the lock that the one daemon of this home holds.
    pub fn daemon_lock(&self) -> PathBuf {
        self.folder.join("ampd.lock")
    }

    /// Returns the file with the daemon's pid, for people and service managers.
    pub fn daemon_pid(&self) -> PathBuf {
        self.folder.join("ampd.pid")
    }

    /// Returns the lock under which a daemon is started.
    pub fn start_lock(&self) -> PathBuf {
        self.folder.join("start.lock")
    }

    /// Returns the daemon's log.
    pub fn log(&self) -> PathBuf {
        self.folder.join("ampd.log")
    }

    /// Returns the folder of the locks that launchers hold.
    pub fn leases(&self) -> PathBuf {
        self.folder.join("leases")
    }

    /// Returns the lock of one lease.
    pub fn lease_lock(&self, lease: LeaseId) -> PathBuf {
        self.leases().join(lease.to_string())
    }

    /// Returns the folder of the sockets of hosts.
    pub fn hosts(&self) -> PathBuf {
        self.folder.join("hosts")
    }

    /// Returns the socket of the host of a session.
    pub fn host_socket(&self, session: SessionId) -> PathBuf {
        self.hosts().join(format!("{session}.sock"))
    }

    /// Returns the log of the hosts.
    pub fn host_log(&self) -> PathBuf {
        self.hosts().join("hosts.log")
    }

    /// Returns the folder of what is noted of terminals that agents are shown on.
    pub fn terminals(&self) -> PathBuf {
        self.folder.join("terminals")
    }

    /// Returns the folder of facts that no daemon has taken yet.
    pub fn spool(&self) -> PathBuf {
        self.folder.join("spool")
    }

    /// Returns the spool of one session.
    pub fn spool_of(&self, session: SessionId) -> PathBuf {
        self.spool().join(format!("{session}.jsonl"))
    }

    /// Returns the folder of the recordings.
    pub fn recordings(&self) -> PathBuf {
        self.folder.join("recordings")
    }

    /// Returns the folder of one session's recording.
    pub fn recording_of(&self, session: SessionId) -> PathBuf {
        self.recordings().join(session.to_string())
    }

    /// Returns the folder of what is told of the iterations of a worktree session while they run.
    pub fn iterations_of(&self, session: SessionId) -> PathBuf {
        self.folder.join("iterations").join(session.to_string())
    }

    /// Returns the file of the commands of repositories that the person has approved.
    pub fn approvals(&self) -> PathBuf {
        self.folder.join("approvals.jsonl")
    }

    /// Returns the folder of the ports that are leased to worktree sessions.
    pub fn ports(&self) -> PathBuf {
        self.folder.join("ports")
    }

    /// Returns the log of the processes that run iterations.
    pub fn iterations_log(&self) -> PathBuf {
        self.folder.join("iterations.log")
    }

    /// Returns the folder of our own repositories, for folders that are in none.
    pub fn folders(&self) -> PathBuf {
        self.folder.join("folders")
    }
}
