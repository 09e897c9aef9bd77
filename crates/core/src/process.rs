//! Who a process is, and what a sighting of its pid proves.
//!
//! A pid alone names nothing: it is given to another process after a death or a reboot. A pid with
//! its start time and the boot id names one process for ever.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::evidence::EvidenceKind;

/// The identity of one boot of one machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(String);

impl BootId {
    /// Takes the text that the kernel gives.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names one process on one machine for ever.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot: field 22 of `/proc/PID/stat`, proc(5).
    pub start_ticks: u64,
    /// The boot it belongs to.
    pub boot_id: BootId,
}

/// What was seen when somebody looked for a pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// No process has that pid.
    Gone,
    /// A process has it.
    Present {
        /// When that process started.
        start_ticks: u64,
        /// What it is doing.
        activity: Activity,
    },
    /// It could not be looked at, which proves nothing.
    Unknown,
}

/// What a process that was sighted is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Running, sleeping or waiting.
    Live,
    /// Stopped by a signal or a debugger.
    Stopped,
    /// Ended; only its parent has not asked yet.
    Ended,
}

/// What a sighting proves about one identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It lives. A stopped process lives.
    Alive {
        /// Whether it is stopped.
        stopped: bool,
    },
    /// It is dead, and this proves it.
    Dead(EvidenceKind),
    /// Nothing is proven.
    Unknown,
}

/// Judges whether the process that `identity` names still lives, from the boot id of the machine
/// as it runs now and what was seen at that pid.
pub fn judge(identity: &ProcessIdentity, boot_id: &BootId, sighting: Sighting) -> Verdict {
    if identity.boot_id != *boot_id {
        return Verdict::Dead(EvidenceKind::BootIdChanged);
    }
    match sighting {
        Sighting::Unknown => Verdict::Unknown,
        Sighting::Gone => Verdict::Dead(EvidenceKind::ProcessGone),
        Sighting::Present { start_ticks, .. } if start_ticks != identity.start_ticks => {
            Verdict::Dead(EvidenceKind::StartTimeMismatch)
        }
        Sighting::Present { activity, .. } => match activity {
            Activity::Live => Verdict::Alive { stopped: false },
            Activity::Stopped => Verdict::Alive { stopped: true },
            Activity::Ended => Verdict::Dead(EvidenceKind::ProcessGone),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> ProcessIdentity {
        ProcessIdentity {
            pid: 7,
            start_ticks: 100,
            boot_id: BootId::new("a"),
        }
    }

    #[test]
    fn judgement_follows_the_table() {
        let same = BootId::new("a");
        let live = Sighting::Present {
            start_ticks: 100,
            activity: Activity::Live,
        };
        let stopped = Sighting::Present {
            start_ticks: 100,
            activity: Activity::Stopped,
        };
        let ended = Sighting::Present {
            start_ticks: 100,
            activity: Activity::Ended,
        };
        let other = Sighting::Present {
            start_ticks: 101,
            activity: Activity::Live,
        };
        for (sighting, verdict) in [
            (live, Verdict::Alive { stopped: false }),
            (stopped, Verdict::Alive { stopped: true }),
            (ended, Verdict::Dead(EvidenceKind::ProcessGone)),
            (other, Verdict::Dead(EvidenceKind::StartTimeMismatch)),
            (Sighting::Gone, Verdict::Dead(EvidenceKind::ProcessGone)),
            (Sighting::Unknown, Verdict::Unknown),
        ] {
            assert_eq!(judge(&owner(), &same, sighting), verdict);
            assert_eq!(
                judge(&owner(), &BootId::new("b"), sighting),
                Verdict::Dead(EvidenceKind::BootIdChanged),
                "another boot proves death whatever is seen"
            );
        }
    }
}
