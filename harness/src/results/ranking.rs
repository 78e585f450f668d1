//! What the protocols of one run show against each other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Better;

/// The protocols of a run, side by side. Only results of the same scenario on the same kind of
/// network and storage that promise the same stand against each other, and only where there are at
/// least two.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Analysis {
    /// One for every scenario and metric that has a better side, unless it is 0 for all.
    pub rankings: Vec<Ranking>,
    /// What a commit costs, for every row.
    pub costs: Vec<Costs>,
    /// Latency against offered rate, for every pair of rows that have such curves.
    pub crossings: Vec<CurveComparison>,
}

/// The order of protocols in one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ranking {
    /// Scenario.
    pub scenario: String,
    /// How messages moved.
    pub network: String,
    /// Where logs were kept.
    pub storage: String,
    /// Name of the metric, ending in its unit.
    pub metric: String,
    /// Unit.
    pub unit: String,
    /// Which way is better.
    pub better: Better,
    /// What ties rest on; the weakest basis, when rows were compared by several.
    pub basis: Basis,
    /// What all rows promise. A better number of a row that promises less would be no better.
    #[serde(default)]
    pub promise: String,
    /// Rows from best to worst.
    pub places: Vec<Place>,
    /// Rows that have no place.
    pub not_ranked: Vec<NotRanked>,
    /// What a reader must know about the order; none when there is nothing.
    pub note: Option<String>,
}

/// How it was decided whether two rows differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Block by block: the same requests at the same offset in both. A tie when the 95 % interval of
    /// the blocks' ratio includes 1, or when the blocks say the opposite of the totals.
    Paired,
    /// By each row's own 95 % interval: a tie when they overlap.
    Intervals,
    /// By the bare values, for want of intervals: a tie when they are equal. Chance is not ruled out.
    Values,
}

/// A row's place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// From 1. Rows share a place when none of them can be told from any other of it; the next place
    /// counts all before it.
    pub place: usize,
    /// Name of the row: protocol, network and storage.
    pub protocol: String,
    /// The metric's value.
    pub value: f64,
    /// Lower end of its 95 % interval, or of the bracket that holds it.
    pub lower: Option<f64>,
    /// Upper end; none as well when there is a lower end and the interval is open above.
    pub upper: Option<f64>,
    /// This row over the first one; none for the first one, and when there is no such number.
    pub ratio_to_best: Option<Ratio>,
    /// Whether the row can't be told from the one before. It may have a place of its own even so: when
    /// a can't be told from b, nor b from c, but a from c, then c does not share the place of a and b.
    pub tied_with_previous: bool,
}

/// One value over another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ratio {
    /// The ratio: of paired rows the geometric mean over the blocks, otherwise of the values.
    pub value: f64,
    /// Lower end of its 95 % interval; of rows that are not paired, what the intervals of both
    /// leave possible.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
    /// Two-sided p of the signed-rank test over the blocks; none when the rows are not paired.
    pub p: Option<f64>,
}

/// A row without a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotRanked {
    /// Name of the row.
    pub protocol: String,
    /// Why, on one line.
    pub reason: String,
}

/// What a commit costs in one row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Costs {
    /// Scenario.
    pub scenario: String,
    /// How messages moved.
    pub network: String,
    /// Where logs were kept.
    pub storage: String,
    /// Name of the row.
    pub protocol: String,
    /// CPU time, messages, bytes, flushes and allocations per commit, as far as they were measured.
    pub costs: Vec<Cost>,
}

/// One cost of a commit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cost {
    /// Name of the metric.
    pub metric: String,
    /// Unit.
    pub unit: String,
    /// The cost.
    pub value: f64,
    /// Lower end of its 95 % interval.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
    /// Over the cheapest row's; none when that costs nothing.
    pub ratio_to_cheapest: Option<f64>,
}

/// Latency of two rows against the offered rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CurveComparison {
    /// Scenario.
    pub scenario: String,
    /// How messages moved.
    pub network: String,
    /// Where logs were kept.
    pub storage: String,
    /// What both rows promise.
    #[serde(default)]
    pub promise: String,
    /// Which latency: `response_ns_p50` or `response_ns_p99`.
    pub metric: String,
    /// Name of the first row.
    pub a: String,
    /// Name of the second row.
    pub b: String,
    /// Lowest rate that both curves cover.
    pub from_per_s: f64,
    /// Highest rate that both curves cover.
    pub to_per_s: f64,
    /// What is seen between the two.
    pub outcome: CurveOutcome,
}

/// Which of two curves is lower.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum CurveOutcome {
    /// They cross, in ascending order of rates.
    Crosses {
        /// Where.
        crossings: Vec<Crossing>,
    },
    /// One has the lower latency wherever they differ.
    Throughout {
        /// Name of its row.
        lower: String,
    },
    /// They are nowhere further apart than probes can tell.
    Alike,
    /// There is no range of rates that both cover with two probes.
    NotComparable,
}

/// Where two curves cross.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Crossing {
    /// Offered requests per second.
    pub rate_per_s: f64,
    /// Name of the row with the lower latency below that rate.
    pub lower_below: String,
    /// And above it.
    pub lower_above: String,
}
