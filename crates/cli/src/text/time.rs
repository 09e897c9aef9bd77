//! Times as people say them on a terminal, and as programs read them elsewhere.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use amps_core::time::parse_duration;

/// How times are shown.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    now: Timestamp,
    /// The zone of the person at the terminal; `None` where a program reads, which is given UTC.
    zone: Option<TimeZone>,
}

impl Times {
    /// Shows times to a person.
    pub(crate) fn of_a_person(now: Timestamp) -> Self {
        Self {
            now,
            zone: Some(TimeZone::system()),
        }
    }

    /// Shows times to a program: stable, and the same everywhere.
    pub(crate) fn of_a_program(now: Timestamp) -> Self {
        Self { now, zone: None }
    }

    /// Returns the present.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// Returns how long ago it was; after a week the day.
    pub(crate) fn ago(&self, at: Timestamp) -> String {
        let Some(zone) = &self.zone else {
            return exact(at);
        };
        let Ok(past) = Duration::try_from(self.now.duration_since(at)) else {
            return clock(at, zone);
        };
        let seconds = past.as_secs();
        match seconds {
            0..10 => "just now".to_owned(),
            10..60 => format!("{seconds} s ago"),
            60..3_600 => format!("{} min ago", seconds / 60),
            3_600..86_400 => format!("{} h ago", seconds / 3_600),
            86_400..604_800 => format!("{} d ago", seconds / 86_400),
            _ => at.to_zoned(zone.clone()).strftime("%Y-%m-%d").to_string(),
        }
    }

    /// Returns the time, and how long ago that was.
    pub(crate) fn full(&self, at: Timestamp) -> String {
        let Some(zone) = &self.zone else {
            return exact(at);
        };
        let ago = self.ago(at);
        let clock = clock(at, zone);
        if ago.ends_with("ago") || ago == "just now" {
            format!("{clock} ({ago})")
        } else {
            clock
        }
    }

    /// Returns the time to the millisecond.
    pub(crate) fn precise(&self, at: Timestamp) -> String {
        match &self.zone {
            Some(zone) => {
                let at = at.to_zoned(zone.clone());
                at.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string()
            }
            None => exact(at),
        }
    }
}

fn clock(at: Timestamp, zone: &TimeZone) -> String {
    let at = at.to_zoned(zone.clone());
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// RFC 3339 in UTC, always of the same width.
fn exact(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// Returns a duration in few characters: the two largest units.
pub(crate) fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        1..10 => format!("{:.1}s", duration.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// Reads an instant of the past as people write it: how long ago (`2h`), a day, a day and time of
/// the local zone, or a full RFC 3339 time.
pub(crate) fn parse_since(text: &str, now: Timestamp) -> Option<Timestamp> {
    let has_unit = text.ends_with(|last: char| last.is_ascii_alphabetic());
    if has_unit && let Some(past) = parse_duration(text) {
        return now.checked_sub(past).ok();
    }
    if let Ok(exact) = text.parse::<Timestamp>() {
        return Some(exact);
    }
    let local = match (text.len(), text.parse::<Date>(), text.parse::<DateTime>()) {
        (10, Ok(day), _) => day.at(0, 0, 0, 0),
        (11.., _, Ok(time)) => time,
        _ => return None,
    };
    let zoned = local.to_zoned(TimeZone::system()).ok()?;
    Some(zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn people_read_how_long_ago_and_programs_read_utc() {
        let now = at("2026-03-04T12:00:00Z");
        let person = Times {
            now,
            zone: Some(TimeZone::UTC),
        };
        for (time, said) in [
            ("2026-03-04T11:59:55Z", "just now"),
            ("2026-03-04T11:59:30Z", "30 s ago"),
            ("2026-03-04T11:57:30Z", "2 min ago"),
            ("2026-03-04T01:00:00Z", "11 h ago"),
            ("2026-03-01T12:00:00Z", "3 d ago"),
            ("2026-01-31T12:00:00Z", "2026-01-31"),
            ("2026-03-04T12:00:01Z", "2026-03-04 12:00:01"),
        ] {
            assert_eq!(person.ago(at(time)), said);
        }
        let program = Times::of_a_program(now);
        assert_eq!(
            program.ago(at("2026-03-04T11:57:30.5Z")),
            "2026-03-04T11:57:30.500Z"
        );
    }

    #[test]
    fn a_past_instant_reads_as_people_write_it() {
        let now = at("2026-03-04T12:00:00Z");
        assert_eq!(parse_since("2h", now), Some(at("2026-03-04T10:00:00Z")));
        let full = "2026-01-31T10:00:00+02:00";
        assert_eq!(parse_since(full, now), Some(at("2026-01-31T08:00:00Z")));
        assert!(parse_since("2026-01-31", now).is_some());
        assert!(parse_since("2026-01-31 10:00", now).is_some());
        for text in [
            "",
            "soon",
            "2026",
            "2026-01",
            "-3h",
            "2026-13-01",
            "99999999999999w",
        ] {
            assert_eq!(parse_since(text, now), None, "{text}");
        }
    }

    #[test]
    fn short_durations_have_two_units_at_most() {
        for (seconds, said) in [
            (0.25, "250ms"),
            (1.25, "1.2s"),
            (59.0, "59s"),
            (61.0, "1m 1s"),
            (7_300.0, "2h 1m"),
            (90_000.0, "1d 1h"),
        ] {
            assert_eq!(short(Duration::from_secs_f64(seconds)), said);
        }
    }
}
