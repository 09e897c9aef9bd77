//! Why a session is held to have ended: what was observed, when, and how long the owner was known
//! to be alive before.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Moment;

/// One observation that ended a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What was observed.
    pub kind: EvidenceKind,
    /// When it was observed.
    pub observed_at: Moment,
    /// The latest instant at which the owner was provably alive. The true end lies between this
    /// and `observed_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_alive: Option<Moment>,
    /// The observation in one sentence.
    pub detail: String,
}

/// The kinds of observation, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// The launcher waited for the agent and reported its exit.
    WaitStatus,
    /// The launcher saw its terminal vanish.
    PtyHangup,
    /// A person ended the session.
    UserCommand,
    /// The agent could not be started.
    StartFailed,
    /// The kernel told through a pidfd that the owner exited.
    PidfdExit,
    /// No living process has the owner's pid.
    ProcessGone,
    /// The owner's pid belongs to a process that started at another time.
    StartTimeMismatch,
    /// The machine has been restarted since.
    BootIdChanged,
    /// The kernel lock that the owner held is free.
    LockReleased,
    /// The owner could not be looked at and did not renew its lease in time.
    LeaseExpired,
}

impl EvidenceKind {
    /// Returns the name used on the wire and in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::WaitStatus => "wait_status",
            Self::PtyHangup => "pty_hangup",
            Self::UserCommand => "user_command",
            Self::StartFailed => "start_failed",
            Self::PidfdExit => "pidfd_exit",
            Self::ProcessGone => "process_gone",
            Self::StartTimeMismatch => "start_time_mismatch",
            Self::BootIdChanged => "boot_id_changed",
            Self::LockReleased => "lock_released",
            Self::LeaseExpired => "lease_expired",
        }
    }
}

impl fmt::Display for EvidenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
