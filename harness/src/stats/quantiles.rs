//! A distribution kept as a few of its quantiles, and times drawn from it again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where distributions are kept: finer towards the tail.
const KEPT: [f64; 16] =
    [0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 1.0];

/// The nearest-rank quantile of ascending values; none when there are none.
pub fn nearest_rank(ascending: &[u64], quantile: f64) -> Option<u64> {
    let rank = ((quantile * ascending.len() as f64).ceil() as usize).max(1);
    ascending.get(rank - 1).copied()
}

/// How times spread: quantiles with straight lines between them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Times behind it.
    pub n: u64,
    /// Probabilities from 0 to 1 and the times, in nanoseconds, that are not exceeded with them; both
    /// ascend.
    pub quantiles_ns: Vec<(f64, f64)>,
}

impl Spread {
    /// The spread of some times; all zero without any.
    pub fn of(mut times: Vec<u64>) -> Spread {
        times.sort_unstable();
        let at = |probability| (probability, nearest_rank(&times, probability).unwrap_or(0) as f64);
        Spread { n: times.len() as u64, quantiles_ns: KEPT.map(at).into() }
    }

    /// Whether probabilities and times are such as a spread has.
    pub fn is_valid(&self) -> bool {
        let ascends = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
        let ends = self.quantiles_ns.first().zip(self.quantiles_ns.last());
        ends.is_some_and(|(first, last)| first.0 == 0.0 && last.0 == 1.0 && first.1 >= 0.0)
            && self.quantiles_ns.windows(2).all(ascends)
            && self.quantiles_ns.iter().all(|(_, time)| time.is_finite())
    }

    /// The time that is not exceeded with this probability, in nanoseconds.
    pub fn at(&self, probability: f64) -> f64 {
        let above = self.quantiles_ns.partition_point(|&(known, _)| known < probability);
        match (
            above.checked_sub(1).and_then(|below| self.quantiles_ns.get(below)),
            self.quantiles_ns.get(above),
        ) {
            (Some(&(low, from)), Some(&(high, to))) => {
                from + (to - from) * (probability - low) / (high - low)
            }
            (None, Some(&(_, time))) | (Some(&(_, time)), None) => time,
            (None, None) => 0.0,
        }
    }

    /// The median in nanoseconds.
    pub fn median(&self) -> f64 {
        self.at(0.5)
    }

    /// So many times, each as likely, that spread like this, in nanoseconds.
    pub fn times(&self, count: usize) -> Vec<u64> {
        (0..count).map(|index| self.at((index as f64 + 0.5) / count as f64) as u64).collect()
    }

    /// The same spread, every time shorter by `ns` but none below zero.
    pub fn less(&self, ns: f64) -> Spread {
        let shorter = |&(probability, time): &(f64, f64)| (probability, (time - ns).max(0.0));
        Spread { n: self.n, quantiles_ns: self.quantiles_ns.iter().map(shorter).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_ranks_with_lines_between() {
        assert_eq!(nearest_rank(&[15, 20, 35, 40, 50], 0.3), Some(20));
        assert_eq!(nearest_rank(&[], 0.5), None);
        let spread = Spread::of((1..=1_000).rev().collect());
        assert!(spread.is_valid());
        assert_eq!((spread.median(), spread.at(0.99), spread.at(1.0)), (500.0, 990.0, 1_000.0));
        assert!((spread.at(0.55) - 550.0).abs() < 1e-9);
        assert_eq!(spread.less(400.0).median(), 100.0);
        assert_eq!(spread.less(4_000.0).at(1.0), 0.0);
        assert!(Spread::of(Vec::new()).is_valid());
        assert_eq!(spread.times(4), [125, 375, 625, 875]);
    }

    #[test]
    fn what_descends_or_has_no_ends_is_no_spread() {
        let spread = |quantiles_ns: &[(f64, f64)]| Spread { n: 1, quantiles_ns: quantiles_ns.into() };
        assert!(!spread(&[]).is_valid() && !spread(&[(0.0, 1.0), (0.5, 2.0)]).is_valid());
        assert!(!spread(&[(0.0, 2.0), (1.0, 1.0)]).is_valid());
        assert!(spread(&[(0.0, 1.0), (1.0, 1.0)]).is_valid());
    }
}
