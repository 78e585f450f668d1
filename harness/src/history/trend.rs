//! Where series changed their level. A gate compares two runs and can't see what creeps in over many; this looks
//! at all of them, and judges nothing.

use std::cmp::Ordering;

use serde::Serialize;

use super::series::{AllSeries, Observation, Series};
use crate::results::Better;
use crate::stats::{self, FEWEST_VALUES, change_points, median};

/// Observations of a series that are looked at, at most: the newest. Time grows with their square.
pub const MOST_OBSERVATIONS: usize = 1_000;

/// The chance of a false alarm per series unless another is asked for.
pub const DEFAULT_SIGNIFICANCE: f64 = 0.01;

/// Seed of the permutations, so that the same history has the same change points.
const SEED: u64 = 1;

/// A series and its changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trend {
    /// The series.
    #[serde(flatten)]
    pub series: Series,
    /// Older observations that were not looked at.
    pub left_out: usize,
    /// Where its level changed, oldest first. None in a series of fewer than [`FEWEST_VALUES`].
    pub changes: Vec<Change>,
}

/// A change of level.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The first observation after it.
    #[serde(flatten)]
    pub first: Observation,
    /// Which of the series' observations that is, from 0.
    pub index: usize,
    /// Commit of the last observation before it; none outside git.
    pub commit_before: Option<String>,
    /// Which way it went.
    pub direction: Direction,
    /// Median since the change before this one.
    pub before: f64,
    /// Median until the change after this one.
    pub after: f64,
    /// Relative change of the median; none when there is no such number.
    pub relative: Option<f64>,
    /// Share of random orders of the values that show as large a change.
    pub p: f64,
}

/// Which way a metric went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The metric is worse than before.
    Worse,
    /// It is better.
    Better,
    /// Neither way is better, or its median is as before and its spread is not.
    Neither,
}

/// The trends of many series.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trends {
    /// The chance of a false alarm per series.
    pub significance: f64,
    /// Observations that a series needs.
    pub fewest_observations: usize,
    /// Entries that were looked at.
    pub entries: usize,
    /// Those without numbers of a whole run.
    pub incomplete_entries: usize,
    /// Disturbed ones, of which only exact metrics were looked at.
    pub disturbed_entries: usize,
    /// Series with enough observations.
    pub judged: usize,
    /// Series with fewer.
    pub too_few: usize,
    /// Observations of the longest series with fewer.
    pub most_of_too_few: usize,
    /// The worst first; those without changes last.
    pub trends: Vec<Trend>,
}

impl Trends {
    /// Looks at all series.
    pub fn of(all: AllSeries, significance: f64) -> Trends {
        let lengths: Vec<usize> = all.series.iter().map(|series| series.observations.len()).collect();
        let short = || lengths.iter().copied().filter(|&length| length < FEWEST_VALUES);
        let mut trends: Vec<Trend> =
            all.series.into_iter().map(|series| Trend::of(series, significance)).collect();
        trends.sort_by(Trend::worst_first);
        Trends {
            significance,
            fewest_observations: FEWEST_VALUES,
            entries: all.entries,
            incomplete_entries: all.incomplete,
            disturbed_entries: all.disturbed,
            judged: lengths.len() - short().count(),
            too_few: short().count(),
            most_of_too_few: short().max().unwrap_or(0),
            trends,
        }
    }
}

impl Trend {
    fn of(mut series: Series, significance: f64) -> Trend {
        let left_out = series.observations.len().saturating_sub(MOST_OBSERVATIONS);
        series.observations.drain(..left_out);
        let values: Vec<f64> = series.observations.iter().map(|observation| observation.value).collect();
        let found = change_points(&values, significance, SEED);
        let mut ends = vec![0];
        ends.extend(found.iter().map(|change| change.index));
        ends.push(values.len());
        let changes = found
            .iter()
            .zip(ends.windows(3))
            .filter_map(|(change, around)| {
                let before = median(&mut values[around[0]..around[1]].to_vec())?;
                let after = median(&mut values[around[1]..around[2]].to_vec())?;
                Some(Change {
                    first: series.observations[change.index].clone(),
                    index: change.index,
                    commit_before: series.observations[change.index - 1].commit.clone(),
                    direction: direction(series.better, before, after),
                    before,
                    after,
                    relative: stats::ratio(before, after - before).map(|change| change * before.signum()),
                    p: change.p,
                })
            })
            .collect();
        Trend { series, left_out, changes }
    }

    /// How bad its worst change is; the more, the worse. Negative when all are for the better.
    fn badness(&self) -> Option<f64> {
        self.changes.iter().map(Change::badness).max_by(f64::total_cmp)
    }

    fn worst_first(a: &Trend, b: &Trend) -> Ordering {
        // What did not change comes after what became better.
        let order = |trend: &Trend| trend.badness().unwrap_or(f64::NEG_INFINITY);
        order(b).total_cmp(&order(a))
    }
}

impl Change {
    /// The logarithm of how many times worse it became: half as many commits are as bad as twice the latency.
    /// What has no direction lies between the worse and the better.
    fn badness(&self) -> f64 {
        let ratio = (self.after / self.before).ln().abs();
        // A change from nothing, or through it, has no ratio and is larger than any.
        let size = if ratio.is_finite() { ratio } else { f64::MAX };
        match self.direction {
            Direction::Worse => size,
            Direction::Neither => 0.0,
            Direction::Better => -size,
        }
    }
}

fn direction(better: Better, before: f64, after: f64) -> Direction {
    match (better, after.partial_cmp(&before)) {
        (Better::Higher, Some(Ordering::Less)) | (Better::Lower, Some(Ordering::Greater)) => Direction::Worse,
        (Better::Higher, Some(Ordering::Greater)) | (Better::Lower, Some(Ordering::Less)) => {
            Direction::Better
        }
        _ => Direction::Neither,
    }
}

#[cfg(test)]
mod tests;
