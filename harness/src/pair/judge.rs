//! From pairs of blocks to a verdict: pure functions over numbers.

use crate::gate::report::{FindingVerdict, Shift};
use crate::results::Better;
use crate::stats::{bootstrap_interval, hodges_lehmann, log_ratios, signed_rank_p};

/// Resamples of an interval.
const RESAMPLES: usize = 400;
/// Quantiles of the normal distribution: what a shift has to exceed to have a p below 0.01, and how far above
/// that the true shift has to be for 80 of 100 estimates to exceed it.
const Z_SIGNIFICANT: f64 = 2.576;
const Z_POWER: f64 = 0.842;
/// The Hodges-Lehmann estimate needs 3/π times the pairs' variance where the mean needs all of it, at normal
/// differences (Hollander, Wolfe and Chicken, 3.7).
const EFFICIENCY: f64 = 0.955;
/// A suspicion that chance gives in this share of cases costs fresh blocks, and nothing else.
const SUSPICIOUS_P: f64 = 0.1;

/// By which rules pairs are judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Relative change that is put up with.
    pub tolerance: f64,
    /// An adjusted p above this is chance.
    pub significance: f64,
    /// Which way the metric is better.
    pub better: Better,
}

/// Which blocks are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Those that everyone gets: nothing is called worse by them alone.
    Screened,
    /// Fresh ones of a suspect.
    Confirmed,
}

/// A verdict with what it rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// The verdict.
    pub verdict: FindingVerdict,
    /// The shift; its p is as it was given.
    pub shift: Shift,
}

/// How far the second of each pair is from the first, with p unadjusted. None with fewer than two pairs of
/// positive values.
pub fn shift_of(pairs: &[(f64, f64)], seed: u64) -> Option<Shift> {
    let logs = log_ratios(pairs);
    let estimate = hodges_lehmann(&logs)?;
    let of_drawn = |drawn: &[&f64]| {
        let drawn: Vec<f64> = drawn.iter().copied().copied().collect();
        hodges_lehmann(&drawn).unwrap_or(estimate)
    };
    let (lower, upper) = bootstrap_interval(&logs, RESAMPLES, seed, of_drawn)?;
    let relative = |log: f64| log.exp_m1();
    Some(Shift {
        relative: relative(estimate),
        lower: relative(lower),
        upper: relative(upper),
        p: signed_rank_p(&logs),
        pairs: logs.len(),
        detectable: relative(detectable(&logs)),
    })
}

/// The shift that is significant in 80 of 100 cases, for differences that are about normal.
fn detectable(logs: &[f64]) -> f64 {
    let count = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / count;
    let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let standard_error = (variance / count / EFFICIENCY).sqrt();
    // Student's quantiles by the first term of their expansion (Fisher and Cornish 1960), because the variance
    // is estimated too.
    let student = |z: f64| z * (1.0 + (z * z + 1.0) / (4.0 * (count - 1.0)));
    (student(Z_SIGNIFICANT) + student(Z_POWER)) * standard_error
}

/// Whether screening blocks ask for fresh ones: a change beyond the tolerance either shows or can't be
/// excluded.
pub fn suspicious(shift: &Shift, rules: &Rules) -> bool {
    let worse = worse(shift, rules.better);
    let shows = shift.p <= SUSPICIOUS_P && shift.relative.abs() > rules.tolerance / 2.0;
    shows || worse.upper > rules.tolerance
}

/// What pairs say. Only confirmed ones may call a change worse or better, because a suspect was chosen for how
/// its screening blocks came out.
pub fn judge(shift: Shift, rules: &Rules, stage: Stage) -> Judged {
    let worse = worse(&shift, rules.better);
    let certain = stage == Stage::Confirmed && shift.p <= rules.significance;
    let verdict = if certain && worse.lower > 0.0 && worse.estimate > rules.tolerance {
        FindingVerdict::Regressed
    } else if certain && worse.upper < 0.0 && -worse.estimate > rules.tolerance {
        FindingVerdict::Improved
    } else if worse.upper <= rules.tolerance {
        FindingVerdict::Passed
    } else {
        FindingVerdict::Inconclusive
    };
    Judged { verdict, shift }
}

/// A shift in the direction that is worse.
struct Worse {
    estimate: f64,
    lower: f64,
    upper: f64,
}

/// What halves is as much worse as what doubles: a throughput of 1 / (1 + x) counts as x more of its inverse.
fn worse(shift: &Shift, better: Better) -> Worse {
    let inverse = |relative: f64| (1.0 + relative).recip() - 1.0;
    match better {
        Better::Higher => Worse {
            estimate: inverse(shift.relative),
            lower: inverse(shift.upper),
            upper: inverse(shift.lower),
        },
        Better::Lower | Better::Neither => {
            Worse { estimate: shift.relative, lower: shift.lower, upper: shift.upper }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const RULES: Rules = Rules { tolerance: 0.05, significance: 0.01, better: Better::Lower };

    /// Pairs whose blocks vary together by half and apart by `spread`, the second `by` more than the first.
    fn pairs(count: usize, by: f64, spread: f64, seed: u64) -> Vec<(f64, f64)> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = |sd: f64| sd * ((0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0);
        (0..count)
            .map(|_| {
                let shared = normal(0.5).exp();
                (shared * normal(spread).exp(), (1.0 + by) * shared * normal(spread).exp())
            })
            .collect()
    }

    fn verdict(by: f64, spread: f64, rules: &Rules, stage: Stage) -> FindingVerdict {
        judge(shift_of(&pairs(24, by, spread, 3), 1).unwrap(), rules, stage).verdict
    }

    #[test]
    fn a_change_beyond_the_tolerance_is_told_and_one_within_it_is_not() {
        let of = |by, spread| verdict(by, spread, &RULES, Stage::Confirmed);
        assert_eq!(of(0.1, 0.01), FindingVerdict::Regressed);
        assert_eq!(of(-0.1, 0.01), FindingVerdict::Improved);
        assert_eq!(of(0.02, 0.01), FindingVerdict::Passed);
        assert_eq!(of(0.0, 0.3), FindingVerdict::Inconclusive);
    }

    #[test]
    fn screening_blocks_call_nothing_worse_or_better() {
        let of = |by| verdict(by, 0.01, &RULES, Stage::Screened);
        assert_eq!(of(0.1), FindingVerdict::Inconclusive);
        assert_eq!(of(-0.1), FindingVerdict::Passed);
        let shift = |by| shift_of(&pairs(10, by, 0.01, 3), 1).unwrap();
        assert!(suspicious(&shift(0.1), &RULES) && suspicious(&shift(-0.1), &RULES));
        assert!(!suspicious(&shift(0.0), &RULES));
    }

    #[test]
    fn of_a_throughput_less_is_worse() {
        let rules = Rules { better: Better::Higher, ..RULES };
        assert_eq!(verdict(-0.1, 0.01, &rules, Stage::Confirmed), FindingVerdict::Regressed);
        assert_eq!(verdict(0.12, 0.01, &rules, Stage::Confirmed), FindingVerdict::Improved);
    }

    #[test]
    fn a_shift_is_the_ratio_without_what_blocks_share() {
        let shift = shift_of(&pairs(24, 0.1, 0.02, 5), 1).unwrap();
        assert!((shift.relative - 0.1).abs() < 0.02 && shift.lower < 0.1 && shift.upper > 0.1, "{shift:?}");
        assert!(shift.lower < shift.relative && shift.relative < shift.upper && shift.pairs == 24);
        assert_eq!(shift_of(&[(1.0, 2.0)], 1), None);
        assert_eq!(shift_of(&[(0.0, 2.0), (1.0, f64::NAN), (-1.0, 1.0)], 1), None);
    }

    #[test]
    fn what_is_called_detectable_is_detected_in_about_80_of_100_cases() {
        let spread = 0.05;
        let sizes: Vec<f64> =
            (0..40).map(|seed| shift_of(&pairs(24, 0.0, spread, seed), 1).unwrap().detectable).collect();
        let detectable = sizes.iter().sum::<f64>() / sizes.len() as f64;
        let found = (0..200)
            .filter(|seed| shift_of(&pairs(24, detectable, spread, 1_000 + seed), 1).unwrap().p <= 0.01)
            .count();
        assert!((140..=178).contains(&found), "{found} of 200 at {detectable}");
    }
}
