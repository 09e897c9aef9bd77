//! The clocks and the boot id of this machine, read in one place.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
#[cfg(feature = "testing")]
use std::path::PathBuf;
use std::time::Duration;

use amps_core::process::{BootId, Place};
use amps_core::time::Moment;
use jiff::Timestamp;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Reads the clocks of this machine.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// A file with offsets, so that tests can set clocks back, suspend and restart the machine.
    #[cfg(feature = "testing")]
    pub offsets: Option<PathBuf>,
}

impl Clock {
    /// Returns this instant.
    pub fn now(&self) -> Moment {
        let now = Moment {
            at: Timestamp::now(),
            uptime_ms: milliseconds(clock_gettime(ClockId::Boottime)),
        };
        #[cfg(feature = "testing")]
        let now = self.shifted(now);
        now
    }

    /// Returns the time since boot, suspension included, finer than that of [`now`](Self::now).
    pub fn uptime(&self) -> Duration {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        let uptime = Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default());
        #[cfg(feature = "testing")]
        let uptime = self.shifted_uptime(uptime);
        uptime
    }

    /// Returns how long the machine has been suspended since it booted, in milliseconds.
    pub fn suspended_ms(&self) -> u64 {
        let running = milliseconds(clock_gettime(ClockId::Monotonic));
        self.now().uptime_ms.saturating_sub(running)
    }

    /// Returns where processes are looked at from here.
    pub fn place(&self) -> Place {
        let host = rustix::system::uname().nodename().to_string_lossy().into();
        let pid_namespace = fs::metadata("/proc/self/ns/pid").map_or(0, |data| data.ino());
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot_id = BootId::new(boot_id.trim());
        #[cfg(feature = "testing")]
        let boot_id = self.boot_id_set_by_a_test().unwrap_or(boot_id);
        Place {
            host,
            boot_id,
            pid_namespace,
        }
    }
}

fn milliseconds(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let rest = u64::try_from(time.tv_nsec / 1_000_000).unwrap_or_default();
    seconds * 1_000 + rest
}

#[cfg(feature = "testing")]
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Offsets {
    wall_ms: i64,
    uptime_ms: i64,
    boot_id: Option<String>,
}

#[cfg(feature = "testing")]
impl Clock {
    fn offset_fields(&self) -> Option<Offsets> {
        let text = fs::read_to_string(self.offsets.as_ref()?).ok()?;
        serde_json::from_str(&text).ok()
    }

    fn boot_id_set_by_a_test(&self) -> Option<BootId> {
        self.offset_fields()?.boot_id.map(BootId::new)
    }

    fn shifted_uptime(&self, uptime: Duration) -> Duration {
        let offset = self.offset_fields().unwrap_or_default().uptime_ms;
        let by = Duration::from_millis(offset.unsigned_abs());
        if offset < 0 {
            uptime.saturating_sub(by)
        } else {
            uptime.saturating_add(by)
        }
    }

    fn shifted(&self, now: Moment) -> Moment {
        let Some(offsets) = self.offset_fields() else {
            return now;
        };
        let wall = jiff::SignedDuration::from_millis(offsets.wall_ms);
        Moment {
            at: now.at.checked_add(wall).unwrap_or(now.at),
            uptime_ms: now.uptime_ms.saturating_add_signed(offsets.uptime_ms),
        }
    }
}
