//! Snapshots taken while an agent runs, and which of them are let go as they age.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::mask::mask;
use crate::path::visible;
use crate::snapshot::Snapshot;
use crate::time::Moment;

/// A snapshot taken during a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Its number in the session, from 1 and never given twice.
    pub number: u32,
    /// The instant that it stands for.
    pub taken_at: Moment,
    /// Why it was taken.
    pub cause: Cause,
    /// What somebody called it, known secrets masked.
    #[serde(default)]
    pub label: Option<String>,
    /// The state of the working tree.
    pub snapshot: Snapshot,
}

/// A checkpoint that is about to be taken. It is stored before git is told, so that a reference is
/// never left for which nobody knows of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The number that it will have.
    pub number: u32,
    /// The instant that it will stand for.
    pub taken_at: Moment,
    /// Why it is taken.
    pub cause: Cause,
    /// What somebody calls it, known secrets masked.
    #[serde(default)]
    pub label: Option<String>,
}

impl Intent {
    /// Returns the checkpoint that came of it.
    pub fn kept(self, snapshot: Snapshot) -> Checkpoint {
        Checkpoint {
            number: self.number,
            taken_at: self.taken_at,
            cause: self.cause,
            label: self.label,
            snapshot,
        }
    }
}

/// Why a checkpoint is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// It was time for one.
    Time,
    /// The agent had done what it was asked and waits to be asked again.
    Turn,
    /// Somebody asked for it.
    Asked,
}

impl Cause {
    /// Returns how much longer a span it may stand for than one that was taken by time.
    fn weight(self) -> u64 {
        match self {
            Self::Time => 1,
            Self::Turn => 8,
            Self::Asked => 64,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Time => "time",
            Self::Turn => "turn",
            Self::Asked => "asked",
        })
    }
}

/// When checkpoints are taken, and how many are kept. Each is a key of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointPolicy {
    /// Between two looks at the tree of an open session; `None` for none by time.
    pub every: Option<Duration>,
    /// The most that one session keeps.
    pub most: usize,
}

impl Default for CheckpointPolicy {
    fn default() -> Self {
        Self {
            every: Some(Duration::from_secs(5 * 60)),
            most: 100,
        }
    }
}

/// The most characters of a label.
const LONGEST_LABEL: usize = 120;

/// Returns what a label is kept as: one line, known secrets masked; `None` when nothing is left.
pub fn label(text: &str) -> Option<String> {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let masked = visible(&mask(&line));
    let label: String = masked.chars().take(LONGEST_LABEL).collect();
    (!label.is_empty()).then_some(label)
}

/// What thinning looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dated {
    /// The number of the checkpoint.
    pub number: u32,
    /// Its instant, in milliseconds since boot: sessions never outlive one.
    pub uptime_ms: u64,
    /// Why it was taken.
    pub cause: Cause,
}

impl From<&Checkpoint> for Dated {
    fn from(checkpoint: &Checkpoint) -> Self {
        Self {
            number: checkpoint.number,
            uptime_ms: checkpoint.taken_at.uptime_ms,
            cause: checkpoint.cause,
        }
    }
}

const MINUTE: u64 = 60 * 1_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Returns the span of time in which one checkpoint of this age stands for all; `None` while each
/// is kept.
fn span(age: u64) -> Option<u64> {
    match age {
        0..HOUR => None,
        HOUR..DAY => Some(10 * MINUTE),
        DAY.. => Some(HOUR),
    }
}

/// Returns the numbers of the checkpoints that are let go.
///
/// Of the last hour all are kept, of the last day one for each ten minutes, of the time before one
/// for each hour; one that was asked for rather than one of a turn, and that rather than one by
/// time. If still more than `most` are left, those go that stand closest to their neighbours for
/// their age. The newest always stays.
pub fn thin(checkpoints: &[Dated], now: Moment, most: usize) -> Vec<u32> {
    let age = |one: &Dated| now.uptime_ms.saturating_sub(one.uptime_ms);
    let newest = checkpoints.iter().map(|one| one.number).max();
    let mut kept = Vec::new();
    let mut best: BTreeMap<(u64, u64), Dated> = BTreeMap::new();
    for one in checkpoints {
        match span(age(one)) {
            Some(span) if Some(one.number) != newest => {
                let stands = best.entry((span, one.uptime_ms / span)).or_insert(*one);
                if (one.cause, one.number) > (stands.cause, stands.number) {
                    *stands = *one;
                }
            }
            _ => kept.push(*one),
        }
    }
    kept.extend(best.into_values());
    kept.sort_by_key(|one| one.number);
    while kept.len() > most.max(1) {
        let Some(place) = closest(&kept, age) else {
            break;
        };
        kept.remove(place);
    }
    let stays = |number| kept.iter().any(|one| one.number == number);
    let gone = checkpoints.iter().map(|one| one.number);
    gone.filter(|number| !stays(*number)).collect()
}

/// Returns the place of the one that would be missed least: the least time between its neighbours,
/// seen from now. The last has no neighbour behind it and stays.
fn closest(kept: &[Dated], age: impl Fn(&Dated) -> u64) -> Option<usize> {
    let scores = kept.windows(2).enumerate().filter_map(|(place, pair)| {
        let [one, next] = pair else { return None };
        let before = place.checked_sub(1).and_then(|before| kept.get(before));
        let until = next.uptime_ms.saturating_sub(one.uptime_ms);
        let since = before.map_or(until, |it| one.uptime_ms.saturating_sub(it.uptime_ms));
        let gap = since + until;
        let weighed = u128::from(gap) * u128::from(one.cause.weight()) * u128::from(DAY);
        Some(((weighed / u128::from(age(one) + MINUTE), one.cause), place))
    });
    scores.min().map(|(_, place)| place)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn now(uptime_ms: u64) -> Moment {
        Moment {
            at: Timestamp::UNIX_EPOCH,
            uptime_ms,
        }
    }

    fn dated(all: &[(u64, Cause)]) -> Vec<Dated> {
        let numbered = (1..).zip(all);
        numbered
            .map(|(number, (uptime_ms, cause))| Dated {
                number,
                uptime_ms: *uptime_ms,
                cause: *cause,
            })
            .collect()
    }

    fn left(all: &[Dated], gone: &[u32]) -> Vec<Dated> {
        let stays = |one: &&Dated| !gone.contains(&one.number);
        all.iter().filter(stays).copied().collect()
    }

    fn causes() -> impl Strategy<Value = Cause> {
        prop_oneof![Just(Cause::Time), Just(Cause::Turn), Just(Cause::Asked)]
    }

    /// Any history of up to three days, in order.
    fn histories() -> impl Strategy<Value = Vec<Dated>> {
        proptest::collection::vec((0..3 * DAY, causes()), 0..400).prop_map(|mut all| {
            all.sort_unstable();
            dated(&all)
        })
    }

    #[test]
    fn what_is_kept_follows_the_table() {
        use Cause::{Asked, Time, Turn};
        let now = now(3 * DAY);
        let at = |age: u64, cause| (3 * DAY - age, cause);
        for (case, all, gone) in [
            ("nothing", vec![], vec![]),
            (
                "the last hour is whole",
                vec![at(59 * MINUTE, Time), at(58 * MINUTE, Time), at(0, Time)],
                vec![],
            ),
            (
                "one for each ten minutes of a day, the latest",
                vec![
                    at(119 * MINUTE, Time),
                    at(112 * MINUTE, Time),
                    at(109 * MINUTE, Time),
                    at(0, Time),
                ],
                vec![1],
            ),
            (
                "one for each hour before",
                vec![
                    at(30 * HOUR, Time),
                    at(30 * HOUR - 59 * MINUTE, Time),
                    at(0, Time),
                ],
                vec![1],
            ),
            (
                "a turn before one by time, and what was asked for before both",
                vec![
                    at(119 * MINUTE, Asked),
                    at(118 * MINUTE, Turn),
                    at(117 * MINUTE, Time),
                    at(0, Time),
                ],
                vec![2, 3],
            ),
            (
                "the newest, however old it is",
                vec![at(119 * MINUTE, Asked), at(118 * MINUTE, Time)],
                vec![],
            ),
        ] {
            assert_eq!(thin(&dated(&all), now, 100), gone, "{case}");
        }
    }

    #[test]
    fn above_the_most_the_closest_go_first() {
        let all = dated(&[
            (0, Cause::Time),
            (10 * MINUTE, Cause::Time),
            (11 * MINUTE, Cause::Turn),
            (12 * MINUTE, Cause::Time),
            (30 * MINUTE, Cause::Time),
        ]);
        assert_eq!(thin(&all, now(30 * MINUTE), 4), [2]);
        assert_eq!(thin(&all, now(30 * MINUTE), 3), [1, 2]);
        assert_eq!(thin(&all, now(30 * MINUTE), 0), [1, 2, 3, 4]);
    }

    #[test]
    fn a_label_is_one_bounded_line_without_secrets() {
        assert_eq!(
            label(" before\n the  rewrite "),
            Some("before the rewrite".to_owned())
        );
        assert_eq!(
            label("TOKEN=abcdefghijklmnop"),
            Some("TOKEN=[masked]".to_owned())
        );
        assert_eq!(
            label(&"é".repeat(500)).map(|label| label.chars().count()),
            Some(120)
        );
        assert_eq!(label(" \n"), None);
    }

    proptest! {
        #[test]
        fn thinning_again_lets_nothing_go(all in histories(), most in 1_usize..200) {
            let gone = thin(&all, now(3 * DAY), most);
            prop_assert_eq!(thin(&left(&all, &gone), now(3 * DAY), most), Vec::<u32>::new());
        }

        #[test]
        fn the_newest_stays_and_the_number_is_bounded(all in histories(), most in 1_usize..200) {
            let left = left(&all, &thin(&all, now(3 * DAY), most));
            prop_assert!(left.len() <= most);
            prop_assert_eq!(left.last(), all.last());
        }

        #[test]
        fn whoever_goes_is_stood_for_by_one_of_the_same_span(all in histories()) {
            let gone = thin(&all, now(3 * DAY), usize::MAX);
            let left = left(&all, &gone);
            for one in all.iter().filter(|one| gone.contains(&one.number)) {
                let span = span(3 * DAY - one.uptime_ms).expect("the last hour is whole");
                let near = |other: &&Dated| other.uptime_ms / span == one.uptime_ms / span;
                let stands = left.iter().filter(near).map(|other| other.cause).max();
                prop_assert!(stands >= Some(one.cause), "{:?}", one);
            }
        }

        #[test]
        fn taken_one_by_one_no_more_than_the_most_are_ever_kept(all in histories()) {
            let mut kept: Vec<Dated> = Vec::new();
            for one in all {
                kept.push(one);
                let gone = thin(&kept, now(one.uptime_ms), 20);
                kept = left(&kept, &gone);
                prop_assert!(kept.len() <= 20);
                prop_assert_eq!(kept.last(), Some(&one));
            }
        }
    }
}
