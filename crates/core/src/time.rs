//! Instants and durations as the record keeps them.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One instant read from two clocks at once: wall time for people, time since boot for order.
///
/// The time since boot counts suspension (`CLOCK_BOOTTIME`), is never set back, and compares only
/// with instants of the same boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Wall time.
    pub at: Timestamp,
    /// Milliseconds since boot, suspension included.
    pub uptime_ms: u64,
}

impl Moment {
    /// Returns how long after `earlier` this is, by the clock that cannot be set back.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.uptime_ms.saturating_sub(earlier.uptime_ms))
    }

    /// Returns the wall time to record for this instant, given that `start` came before it on the
    /// same boot: a clock that was set back in between must not make an end precede its start.
    pub fn wall_time_after(self, start: Self) -> Timestamp {
        if self.at >= start.at {
            return self.at;
        }
        start.at.checked_add(self.since(start)).unwrap_or(start.at)
    }
}

/// Returns whole milliseconds as seconds, without the noise of adding fractions.
#[expect(clippy::cast_precision_loss, reason = "exact for 285,000 years")]
pub fn as_seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1_000.0
}

/// Serialises a [`Duration`] as a number of seconds, the form of the JSON contract.
pub mod seconds {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    /// Writes the duration as seconds with a fraction.
    pub fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(super::as_seconds(*value))
    }

    /// Reads a non-negative, finite number of seconds.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// Serialises an optional [`Duration`] as a number of seconds, or null.
pub mod optional_seconds {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    /// Writes the duration as seconds with a fraction, or null.
    pub fn serialize<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::seconds::serialize(value, to),
            None => to.serialize_none(),
        }
    }

    /// Reads null, or a non-negative, finite number of seconds.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<f64>::deserialize(from)?;
        let duration = seconds.map(Duration::try_from_secs_f64).transpose();
        duration.map_err(serde::de::Error::custom)
    }
}

/// Reads a duration as people write it: `500ms`, `30s`, `5m`, `2h`, `7d`, or plain seconds.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let scale = match unit.trim() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        "w" => 604_800.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * scale).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(at: i64, uptime_ms: u64) -> Moment {
        Moment {
            at: Timestamp::from_second(at).unwrap(),
            uptime_ms,
        }
    }

    #[test]
    fn a_clock_set_back_never_makes_an_end_precede_its_start() {
        let start = moment(1_000, 50_000);
        let end = moment(400, 57_000);
        assert_eq!(
            end.wall_time_after(start),
            Timestamp::from_second(1_007).unwrap()
        );
        assert_eq!(end.since(start), Duration::from_secs(7));
    }

    #[test]
    fn an_ordinary_end_keeps_its_own_wall_time() {
        let start = moment(1_000, 50_000);
        let end = moment(1_009, 57_000);
        assert_eq!(end.wall_time_after(start), end.at);
    }

    #[test]
    fn durations_read_as_people_write_them() {
        assert_eq!(parse_duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("1.5h"), Some(Duration::from_secs(5_400)));
        assert_eq!(parse_duration("12"), Some(Duration::from_secs(12)));
        assert_eq!(parse_duration("soon"), None);
        assert_eq!(parse_duration("-3s"), None);
        assert_eq!(parse_duration(""), None);
    }
}
