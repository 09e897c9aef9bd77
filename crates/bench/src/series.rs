//! Interleaved samples of several contenders: A B C, A B C, never A A B B, so that a change of the
//! machine's mood falls on all of them.

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
        for (index, track) in tracks.iter_mut().enumerate() {
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
