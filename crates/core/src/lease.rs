//! The renewable right to keep a run open, and the rule by which it ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::evidence::EvidenceKind;
use crate::id::LeaseId;
use crate::process::{Place, ProcessIdentity, Verdict};
use crate::time::{Moment, seconds};

/// The time without a sign of life after which an owner that cannot be looked at is given up.
pub const DEFAULT_TTL: Duration = Duration::from_secs(30);

/// A lease as granted and last renewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Names the lease.
    pub lease_id: LeaseId,
    /// The process that holds it.
    pub owner_pid: u32,
    /// When the owner started, in clock ticks since boot.
    pub owner_start_ticks: u64,
    /// Where the owner's pid is valid.
    #[serde(flatten)]
    pub place: Place,
    /// How long the lease holds without renewal.
    #[serde(with = "seconds")]
    pub ttl: Duration,
    /// The last sign of life.
    pub last_heartbeat: Moment,
    /// Counts the grants: a renewal that names an older generation is refused.
    pub generation: u64,
}

/// What is to be done about an open lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseVerdict {
    /// Leave it.
    Held,
    /// Its owner is proven dead.
    Vacated(EvidenceKind),
    /// Nothing is known of its owner and the ttl is over.
    Expired,
}

/// Why a renewal was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease is of generation {current}, the renewal of generation {offered}")]
pub struct StaleGeneration {
    /// The generation in force.
    pub current: u64,
    /// The generation that the renewal named.
    pub offered: u64,
}

impl Lease {
    /// Returns the owner's identity.
    pub fn owner(&self) -> ProcessIdentity {
        ProcessIdentity {
            pid: self.owner_pid,
            start_ticks: self.owner_start_ticks,
            place: self.place.clone(),
        }
    }

    /// Returns the instant, in milliseconds since boot, at which the ttl is over. It begins anew
    /// with each sign of life, and where the owner could not give one: at `granted_uptime_ms`,
    /// after a restart of the daemon or a sleep of the machine.
    pub fn deadline_uptime_ms(&self, granted_uptime_ms: u64) -> u64 {
        let ttl = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX);
        self.last_heartbeat
            .uptime_ms
            .max(granted_uptime_ms)
            .saturating_add(ttl)
    }

    /// Records a sign of life from the holder of `generation`. Renewing is monotonic: a late
    /// message never shortens the lease.
    pub fn renew(&mut self, generation: u64, now: Moment) -> Result<(), StaleGeneration> {
        if generation != self.generation {
            return Err(StaleGeneration {
                current: self.generation,
                offered: generation,
            });
        }
        if now.uptime_ms > self.last_heartbeat.uptime_ms {
            self.last_heartbeat = now;
        }
        Ok(())
    }

    /// Judges the lease. While the kernel says that the owner lives, a lease never expires.
    pub fn judge(&self, owner: Verdict, granted_uptime_ms: u64, now: Moment) -> LeaseVerdict {
        match owner {
            Verdict::Alive { .. } => LeaseVerdict::Held,
            Verdict::Dead(proof) => LeaseVerdict::Vacated(proof),
            Verdict::Unknown if now.uptime_ms >= self.deadline_uptime_ms(granted_uptime_ms) => {
                LeaseVerdict::Expired
            }
            Verdict::Unknown => LeaseVerdict::Held,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::process::BootId;

    fn moment(uptime_ms: u64) -> Moment {
        Moment {
            at: Timestamp::UNIX_EPOCH,
            uptime_ms,
        }
    }

    fn lease(last: u64) -> Lease {
        Lease {
            lease_id: LeaseId::new(Uuid::nil()),
            owner_pid: 1,
            owner_start_ticks: 1,
            place: Place {
                host: "h".into(),
                boot_id: BootId::new("b"),
                pid_namespace: 1,
            },
            ttl: Duration::from_secs(30),
            last_heartbeat: moment(last),
            generation: 3,
        }
    }

    proptest! {
        #[test]
        fn a_living_owner_never_expires(last: u64, now: u64, stopped: bool) {
            let verdict = lease(last).judge(Verdict::Alive { stopped }, 0, moment(now));
            prop_assert_eq!(verdict, LeaseVerdict::Held);
        }

        #[test]
        fn a_proven_death_needs_no_ttl(last: u64, now: u64) {
            let dead = Verdict::Dead(EvidenceKind::PidfdExit);
            let verdict = lease(last).judge(dead, 0, moment(now));
            prop_assert_eq!(verdict, LeaseVerdict::Vacated(EvidenceKind::PidfdExit));
        }

        #[test]
        fn an_unknown_owner_expires_exactly_at_the_ttl(
            last in 0_u64..1 << 40,
            granted in 0_u64..1 << 40,
            now in 0_u64..1 << 41,
        ) {
            let expired = lease(last).judge(Verdict::Unknown, granted, moment(now)) == LeaseVerdict::Expired;
            prop_assert_eq!(expired, now >= last.max(granted) + 30_000);
        }

        #[test]
        fn renewing_never_shortens(last: u64, beats: Vec<u64>) {
            let mut lease = lease(last);
            for beat in beats {
                let before = lease.deadline_uptime_ms(0);
                lease.renew(3, moment(beat)).unwrap();
                prop_assert!(lease.deadline_uptime_ms(0) >= before);
            }
        }
    }

    #[test]
    fn an_older_generation_is_refused() {
        let mut lease = lease(5);
        assert_eq!(
            lease.renew(2, moment(9)),
            Err(StaleGeneration {
                current: 3,
                offered: 2
            })
        );
        assert_eq!(lease.last_heartbeat, moment(5));
    }
}
