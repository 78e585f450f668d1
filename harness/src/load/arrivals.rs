//! When requests are due: a seeded sequence of offsets, decided before the first is sent.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::scenario::Arrivals;

/// Offsets in nanoseconds at which requests are due, ascending, all below the duration.
#[derive(Clone, Debug)]
pub struct Schedule {
    arrivals: Arrivals,
    spacing_ns: f64,
    end_ns: f64,
    next_ns: f64,
    random: ChaCha8Rng,
}

impl Schedule {
    /// Arrivals at `rate_per_s` for `duration_s`. The same seed gives the same offsets anywhere.
    pub fn new(arrivals: Arrivals, rate_per_s: f64, duration_s: f64, seed: u64) -> Self {
        let mut schedule = Schedule {
            arrivals,
            spacing_ns: 1e9 / rate_per_s,
            end_ns: duration_s * 1e9,
            next_ns: 0.0,
            random: ChaCha8Rng::seed_from_u64(seed),
        };
        if arrivals == Arrivals::Poisson {
            schedule.next_ns = schedule.gap();
        }
        schedule
    }

    fn gap(&mut self) -> f64 {
        match self.arrivals {
            Arrivals::Constant => self.spacing_ns,
            // The gaps of a Poisson process are exponential; 1 - u is never zero.
            Arrivals::Poisson => -(1.0 - self.random.random::<f64>()).ln() * self.spacing_ns,
        }
    }
}

impl Iterator for Schedule {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.next_ns >= self.end_ns {
            return None;
        }
        let due = self.next_ns as u64;
        self.next_ns += self.gap();
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_arrivals_are_evenly_spaced() {
        let due: Vec<u64> = Schedule::new(Arrivals::Constant, 1_000.0, 0.005, 1).collect();
        assert_eq!(due, [0, 1_000_000, 2_000_000, 3_000_000, 4_000_000]);
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread_of_their_process() {
        let due: Vec<u64> = Schedule::new(Arrivals::Poisson, 10_000.0, 10.0, 1).collect();
        // 100,000 expected; the standard deviation of a Poisson count is its root, 316.
        assert!(due.len().abs_diff(100_000) < 1_600, "{}", due.len());
        let gaps: Vec<f64> = due.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // Exponential gaps: the standard deviation equals the mean.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.03);
    }

    #[test]
    fn the_seed_decides_the_offsets() {
        let offsets = |seed| Schedule::new(Arrivals::Poisson, 1_000.0, 1.0, seed).collect::<Vec<_>>();
        assert_eq!(offsets(7), offsets(7));
        assert_ne!(offsets(7), offsets(8));
    }
}
