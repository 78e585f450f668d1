//! Where a series changes its level or its spread: E-divisive (Matteson & James, *A nonparametric approach for
//! multiple change point analysis of multivariate data*, JASA 109, 2014), which MongoDB watches its benchmarks
//! with (Daly et al., *The use of change point detection to identify software performance regressions*, ICPE
//! 2020).

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Values between two change points, at least: fewer are told from outliers too rarely.
pub const FEWEST_BETWEEN: usize = 5;

/// Values in which a change can be found. With two less, the clearest step has a p of 2 in 252, which the
/// error of [`PERMUTATIONS`] carries above one in a hundred.
pub const FEWEST_VALUES: usize = 2 * FEWEST_BETWEEN + 2;

/// Permutations behind a p value, at most.
pub const PERMUTATIONS: usize = 999;

/// Sums of the same distances in another order differ by less than this share.
const ROUNDING: f64 = 1e-9;

/// A place where a series changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChangePoint {
    /// The first value after it.
    pub index: usize,
    /// Share of permutations of a series without this change that show as large a one; at least 1 /
    /// ([`PERMUTATIONS`] + 1).
    pub p: f64,
}

/// A part of a series and the best place to divide it.
#[derive(Clone, Copy)]
struct Division {
    /// The first value of the right side.
    at: usize,
    /// The scaled energy statistic, the paper's Q.
    statistic: f64,
}

/// The change points of a series, in order; none in fewer than [`FEWEST_VALUES`], or where a value is not finite.
///
/// Bisection as in section 3 of the paper, with distances to the power of 1: of all segments the division with
/// the largest energy statistic is tested against random orders of the values within the segments, and kept if
/// its p is at most `significance`; the first that is not ends the search. So a series of independent values
/// without any change has a change point with a chance of at most `significance`. Values that drag on, each
/// like the one before, are not independent and have more.
///
/// Shift and scale of the values make no difference, and the same seed gives the same p. Time is quadratic in
/// the number of values for each permutation, and there are few permutations where nothing changes.
pub fn change_points(values: &[f64], significance: f64, seed: u64) -> Vec<ChangePoint> {
    let mut found = Vec::new();
    let Some(values) = normalised(values) else { return found };
    if values.len() < FEWEST_VALUES {
        return found;
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // Ends of segments: the series' own and the change points so far.
    let mut ends = vec![0, values.len()];
    while let Some(division) = best_division(&values, &ends) {
        let Some(p) = p_value(&values, &ends, division.statistic, significance, &mut random) else { break };
        found.push(ChangePoint { index: division.at, p });
        ends.push(division.at);
        ends.sort_unstable();
    }
    found.sort_by_key(|change| change.index);
    found
}

/// The values on a scale from 0 to 1, so that no sum of them overflows; none when they are all the same or not
/// all finite.
fn normalised(values: &[f64]) -> Option<Vec<f64>> {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Halves, for the difference of two large numbers may be none.
    let half_range = most / 2.0 - least / 2.0;
    let is_finite = values.iter().all(|value| value.is_finite());
    (is_finite && half_range > 0.0)
        .then(|| values.iter().map(|value| (value / 2.0 - least / 2.0) / half_range).collect())
}

/// The best division of all segments; none where all are too short or without any difference.
fn best_division(values: &[f64], ends: &[usize]) -> Option<Division> {
    let mut best: Option<Division> = None;
    for segment in ends.windows(2) {
        let Some(division) = divide(&values[segment[0]..segment[1]]) else { continue };
        if best.is_none_or(|best| exceeds(division.statistic, best.statistic)) {
            best = Some(Division { at: segment[0] + division.at, ..division });
        }
    }
    best
}

/// The division of a segment with the largest statistic, the paper's equations 6 and 7: `left` values on the
/// left, and on the right those up to `end`, for what comes after may be another change.
fn divide(segment: &[f64]) -> Option<Division> {
    let count = segment.len();
    // Sums of the distances within `segment[start..end]`, for each start, as the end moves on.
    let mut within = vec![0.0; count];
    // The same within `segment[..left]`, for each left.
    let mut within_left = vec![0.0; count + 1];
    let mut best: Option<Division> = None;
    for end in 1..=count {
        let last = segment[end - 1];
        let mut to_last = 0.0;
        for start in (0..end - 1).rev() {
            to_last += (segment[start] - last).abs();
            within[start] += to_last;
        }
        within_left[end] = within[0];
        for left in FEWEST_BETWEEN..=end.saturating_sub(FEWEST_BETWEEN) {
            let between = within[0] - within_left[left] - within[left];
            let statistic = energy(left, end - left, within_left[left], within[left], between);
            if statistic > 0.0 && best.is_none_or(|best| exceeds(statistic, best.statistic)) {
                best = Some(Division { at: left, statistic });
            }
        }
    }
    best
}

/// The scaled energy statistic of two samples of these sizes, from the sums of distances within each and
/// between them.
fn energy(left: usize, right: usize, within_left: f64, within_right: f64, between: f64) -> f64 {
    let (m, n) = (left as f64, right as f64);
    let pairs = |count: f64| count * (count - 1.0) / 2.0;
    let distance = 2.0 * between / (m * n) - within_left / pairs(m) - within_right / pairs(n);
    m * n / (m + n) * distance
}

/// Whether one statistic is larger than another by more than rounding.
fn exceeds(statistic: f64, other: f64) -> bool {
    statistic > other * (1.0 + ROUNDING)
}

/// The p of a statistic; none once it can only be larger than `significance`.
fn p_value(
    values: &[f64],
    ends: &[usize],
    statistic: f64,
    significance: f64,
    random: &mut ChaCha8Rng,
) -> Option<f64> {
    let share = |as_large: usize| as_large as f64 / (PERMUTATIONS + 1) as f64;
    let mut shuffled = values.to_vec();
    // The order that was found is one of those that could have been.
    let mut as_large = 1;
    for _ in 0..PERMUTATIONS {
        ends.windows(2).for_each(|segment| shuffled[segment[0]..segment[1]].shuffle(random));
        let largest = best_division(&shuffled, ends).map_or(0.0, |division| division.statistic);
        if !exceeds(statistic, largest) {
            as_large += 1;
        }
        if share(as_large) > significance {
            return None;
        }
    }
    Some(share(as_large))
}

#[cfg(test)]
mod tests;
