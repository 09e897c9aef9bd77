//! Interleaved samples of several contenders: A B C, C A B, never A A B B, so that a change of the
//! machine's mood falls on all of them. The order within a round is shuffled, because a contender
//! leaves work behind that its follower pays for.

use serde::Serialize;

use crate::{Outcome, stats};

/// The samples of one measure, one list per contender, aligned by round.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Series {
    /// The contenders.
    pub(crate) tracks: Vec<Track>,
}

/// The samples of one contender.
#[derive(Debug, Serialize)]
pub(crate) struct Track {
    /// Who it is.
    pub(crate) name: String,
    /// One sample per round; empty when it failed.
    pub(crate) samples: Vec<f64>,
    /// The first failure, after which the contender no longer takes part.
    pub(crate) failure: Option<String>,
}

/// Takes `warm_up` rounds that do not count and `rounds` that do.
pub(crate) fn interleave(
    names: &[&str],
    warm_up: usize,
    rounds: usize,
    mut sample: impl FnMut(usize) -> Outcome<f64>,
) -> Series {
    let mut tracks: Vec<Track> = names
        .iter()
        .map(|name| Track {
            name: (*name).to_owned(),
            samples: Vec::with_capacity(rounds),
            failure: None,
        })
        .collect();
    for round in 0..warm_up + rounds {
        for index in order(round, names.len()) {
            let Some(track) = tracks.get_mut(index) else {
                continue;
            };
            if track.failure.is_some() {
                continue;
            }
            match sample(index) {
                Ok(value) if round >= warm_up => track.samples.push(value),
                Ok(_) => {}
                Err(error) => {
                    track.failure = Some(error.to_string());
                    track.samples.clear();
                }
            }
        }
    }
    Series { tracks }
}

/// Returns the numbers below `count` in an order that depends on the round only.
pub(crate) fn order(round: usize, count: usize) -> Vec<usize> {
    let mut state = round as u64 ^ 0x9E37_79B9_7F4A_7C15;
    let mut keyed: Vec<(u64, usize)> = (0..count)
        .map(|index| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1 | index as u64);
            (state >> 33, index)
        })
        .collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, index)| index).collect()
}

impl Series {
    /// Returns a contender's samples; empty when it did not take part.
    pub(crate) fn samples(&self, name: &str) -> &[f64] {
        self.tracks
            .iter()
            .find(|track| track.name == name)
            .map_or(&[], |track| &track.samples)
    }

    /// Returns what a contender takes beyond another, round by round.
    pub(crate) fn extra(&self, name: &str, base: &str) -> Vec<f64> {
        stats::differences(self.samples(name), self.samples(base))
    }

    /// Returns how many times another a contender takes, round by round.
    pub(crate) fn ratios(&self, name: &str, base: &str) -> Vec<f64> {
        stats::ratios(self.samples(name), self.samples(base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contender_follows_every_other_in_some_round() {
        let mut followed = [[false; 5]; 5];
        for round in 0..100 {
            let order = order(round, 5);
            for pair in order.windows(2) {
                followed[pair[0]][pair[1]] = true;
            }
            let mut sorted = order;
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4]);
        }
        for (first, row) in followed.iter().enumerate() {
            let met = row.iter().filter(|followed| **followed).count();
            assert_eq!(met, 4, "after {first}");
        }
    }
}
