//! What an agent used of its model: tokens, and money where the agent tells it.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// Billionths in a dollar.
const NANOS: f64 = 1e9;

/// An amount of US dollars, in billionths, so that sums are exact. It is written as a number of
/// dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usd(u64);

impl Usd {
    /// Takes a number of dollars; `None` for what is no amount that can be spent.
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        let nanos = (dollars * NANOS).round();
        if !(0.0..1e18).contains(&nanos) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is whole and was just found to be within the range"
        )]
        Some(Self(nanos as u64))
    }

    /// Returns the number of dollars.
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact up to nine million dollars"
    )]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / NANOS
    }
}

impl Serialize for Usd {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(self.dollars())
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let dollars = f64::deserialize(from)?;
        Self::from_dollars(dollars).ok_or_else(|| serde::de::Error::custom("no amount of dollars"))
    }
}

/// What an agent used of its model. No token is counted in two of `input_tokens`,
/// `cache_read_tokens`, `cache_write_tokens` and `output_tokens`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Tokens that the model read anew, neither from a cache nor into one.
    pub input_tokens: u64,
    /// Tokens that it wrote, its reasoning among them.
    pub output_tokens: u64,
    /// Tokens that it read from a cache.
    pub cache_read_tokens: u64,
    /// Tokens that it read and that were put into a cache.
    pub cache_write_tokens: u64,
    /// How many of those that it wrote were reasoning.
    pub reasoning_tokens: u64,
    /// What it cost; `None` if the agent did not tell.
    pub cost_usd: Option<Usd>,
}

impl Usage {
    /// Returns what was used since an earlier reading of the same counters. Of counters that are
    /// lower than before, which began anew in between, all is new.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        let less = |read: fn(&Self) -> u64| {
            let (now, before) = (read(&self), read(&earlier));
            now.checked_sub(before)
        };
        let tokens = || {
            Some(Self {
                input_tokens: less(|usage| usage.input_tokens)?,
                output_tokens: less(|usage| usage.output_tokens)?,
                cache_read_tokens: less(|usage| usage.cache_read_tokens)?,
                cache_write_tokens: less(|usage| usage.cache_write_tokens)?,
                reasoning_tokens: less(|usage| usage.reasoning_tokens)?,
                cost_usd: None,
            })
        };
        let cost = self.cost_usd.map(|cost| {
            let before = earlier.cost_usd.unwrap_or_default();
            cost.0.checked_sub(before.0).map_or(cost, Usd)
        });
        Self {
            cost_usd: cost,
            ..tokens().unwrap_or(self)
        }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        let add = |to: &mut u64, more: u64| *to = to.saturating_add(more);
        add(&mut self.input_tokens, other.input_tokens);
        add(&mut self.output_tokens, other.output_tokens);
        add(&mut self.cache_read_tokens, other.cache_read_tokens);
        add(&mut self.cache_write_tokens, other.cache_write_tokens);
        add(&mut self.reasoning_tokens, other.reasoning_tokens);
        if let Some(more) = other.cost_usd {
            add(&mut self.cost_usd.get_or_insert_default().0, more.0);
        }
    }
}

impl std::iter::Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input_tokens: u64, output_tokens: u64, dollars: Option<f64>) -> Usage {
        Usage {
            input_tokens,
            output_tokens,
            cost_usd: dollars.and_then(Usd::from_dollars),
            ..Usage::default()
        }
    }

    #[test]
    fn a_cost_is_known_as_soon_as_one_part_of_it_is() {
        let sum: Usage = [
            usage(1, 2, None),
            usage(10, 20, Some(0.25)),
            usage(0, 0, Some(0.5)),
        ]
        .into_iter()
        .sum();
        assert_eq!(sum, usage(11, 22, Some(0.75)));
        assert_eq!(
            [usage(1, 2, None); 2].into_iter().sum::<Usage>().cost_usd,
            None
        );
    }

    #[test]
    fn amounts_that_no_fraction_can_hold_add_up_exactly() {
        let parts = [0.014_12, 0.015_120_000_000_000_001];
        let parts = parts.map(|dollars| usage(0, 0, Some(dollars)));
        assert_eq!(
            parts.into_iter().sum::<Usage>(),
            usage(0, 0, Some(0.029_24))
        );
    }

    #[test]
    fn what_was_used_since_is_the_difference_of_running_totals() {
        let (first, second) = (usage(3_000, 100, Some(0.5)), usage(6_000, 250, Some(0.75)));
        assert_eq!(second.since(first), usage(3_000, 150, Some(0.25)));
        assert_eq!(first.since(first), usage(0, 0, Some(0.0)));
        assert_eq!(first.since(Usage::default()), first);
    }

    #[test]
    fn counters_that_began_anew_are_all_new() {
        let (before, after) = (usage(6_000, 250, Some(0.75)), usage(3_000, 300, Some(0.25)));
        assert_eq!(after.since(before), after);
    }

    #[test]
    fn it_is_read_as_it_is_written() {
        let usage = Usage {
            cache_read_tokens: 7,
            ..usage(1, 2, Some(0.014_12))
        };
        let text = serde_json::to_string(&usage).unwrap();
        assert!(text.contains("\"cost_usd\":0.01412"), "{text}");
        assert_eq!(serde_json::from_str::<Usage>(&text).unwrap(), usage);
        assert_eq!(
            serde_json::from_str::<Usage>("{}").unwrap(),
            Usage::default()
        );
        assert!(serde_json::from_str::<Usd>("-1").is_err());
    }

    #[test]
    fn what_cannot_be_spent_is_no_amount() {
        for dollars in [-0.01, f64::NAN, f64::INFINITY, 1e10] {
            assert_eq!(Usd::from_dollars(dollars), None, "{dollars}");
        }
    }
}
