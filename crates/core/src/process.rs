//! Who a process is, and what a sighting of its pid proves.
//!
//! A pid alone names nothing: it is given to another process after a death or a reboot. A pid with
//! its start time and the boot id names one process for ever.

use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::evidence::EvidenceKind;
use crate::time::Moment;

/// Clock ticks in a second, as the kernel counts start times for all programs: `USER_HZ`, time(7).
const TICKS_PER_SECOND: u64 = 100;

/// The identity of one boot of one machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(Arc<str>);

impl BootId {
    /// Takes the text that the kernel gives.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// From where processes are looked at: pids mean something only within one boot of one host and
/// one pid namespace. Copies share their text: most leases of a daemon are of one place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The name of the host.
    pub host: Arc<str>,
    /// The boot.
    pub boot_id: BootId,
    /// The pid namespace: the inode of `/proc/self/ns/pid`, namespaces(7); 0 where there is none.
    pub pid_namespace: u64,
}

/// Names one process for ever.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot: field 22 of `/proc/PID/stat`, proc(5).
    pub start_ticks: u64,
    /// Where that pid is valid.
    #[serde(flatten)]
    pub place: Place,
}

impl ProcessIdentity {
    /// Returns the wall time at which the process started, given one instant of the same boot.
    pub fn started_at(&self, known: Moment) -> Timestamp {
        let started_ms = self.start_ticks.saturating_mul(1_000 / TICKS_PER_SECOND);
        let before = known.uptime_ms.saturating_sub(started_ms);
        let before = SignedDuration::from_millis(i64::try_from(before).unwrap_or(i64::MAX));
        known.at.checked_sub(before).unwrap_or(known.at)
    }
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

/// Judges whether the process that `identity` names still lives, from where the look is taken
/// and what was seen at its pid.
///
/// On another host or in another pid namespace the pid names somebody else, so nothing seen
/// there proves anything.
pub fn judge(identity: &ProcessIdentity, here: &Place, sighting: Sighting) -> Verdict {
    if identity.place.host != here.host {
        return Verdict::Unknown;
    }
    if identity.place.boot_id != here.boot_id {
        return Verdict::Dead(EvidenceKind::BootIdChanged);
    }
    if identity.place.pid_namespace != here.pid_namespace {
        return Verdict::Unknown;
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

    fn place(host: &str, boot_id: &str, pid_namespace: u64) -> Place {
        Place {
            host: host.into(),
            boot_id: BootId::new(boot_id),
            pid_namespace,
        }
    }

    #[test]
    fn the_start_of_a_process_is_dated_from_any_later_instant() {
        let process = ProcessIdentity {
            pid: 7,
            start_ticks: 5_000,
            place: place("h", "a", 1),
        };
        let known = |second, uptime_ms| Moment {
            at: Timestamp::from_second(second).unwrap(),
            uptime_ms,
        };
        let started = Timestamp::from_second(1_000).unwrap();
        assert_eq!(process.started_at(known(1_000, 50_000)), started);
        assert_eq!(process.started_at(known(1_070, 120_000)), started);
        let earlier = known(900, 10_000);
        assert_eq!(process.started_at(earlier), earlier.at, "never later");
    }

    fn sightings() -> [(Sighting, Verdict); 6] {
        let present = |start_ticks, activity| Sighting::Present {
            start_ticks,
            activity,
        };
        [
            (
                present(100, Activity::Live),
                Verdict::Alive { stopped: false },
            ),
            (
                present(100, Activity::Stopped),
                Verdict::Alive { stopped: true },
            ),
            (
                present(100, Activity::Ended),
                Verdict::Dead(EvidenceKind::ProcessGone),
            ),
            (
                present(101, Activity::Live),
                Verdict::Dead(EvidenceKind::StartTimeMismatch),
            ),
            (Sighting::Gone, Verdict::Dead(EvidenceKind::ProcessGone)),
            (Sighting::Unknown, Verdict::Unknown),
        ]
    }

    #[test]
    fn judgement_follows_the_table() {
        let owner = ProcessIdentity {
            pid: 7,
            start_ticks: 100,
            place: place("h", "a", 1),
        };
        for (sighting, verdict) in sightings() {
            assert_eq!(judge(&owner, &place("h", "a", 1), sighting), verdict);
            assert_eq!(
                judge(&owner, &place("h", "b", 1), sighting),
                Verdict::Dead(EvidenceKind::BootIdChanged),
                "another boot proves death whatever is seen"
            );
            assert_eq!(
                judge(&owner, &place("h", "a", 2), sighting),
                Verdict::Unknown,
                "another namespace proves nothing"
            );
            assert_eq!(
                judge(&owner, &place("other", "b", 1), sighting),
                Verdict::Unknown,
                "another host proves nothing"
            );
        }
    }
}
