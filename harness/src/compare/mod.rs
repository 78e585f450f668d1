//! Two sets of results, row by row and metric by metric: what changed, and whether the intervals
//! have room for chance. What can't be compared is refused with its reason.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::results::{Better, Class, Metric, RunResults, ScenarioResult};
use crate::stats::{self, Estimate};
use crate::store::Recorded;

mod exact;
mod refusal;
mod text;

pub use exact::{ExactChange, ExactComparison, ExactValues, compare_exact, compare_run_exact, row_of};
pub(crate) use refusal::same_scenario;

/// What [`compare`] found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// Name of the first side.
    pub a: String,
    /// Name of the second side.
    pub b: String,
    /// Rows that both sides have and that can be compared.
    pub rows: Vec<ComparedRow>,
    /// Rows that both sides have and that can't be compared.
    pub refused: Vec<RefusedRow>,
    /// Rows that only the first side has.
    pub only_in_a: Vec<String>,
    /// Rows that only the second side has.
    pub only_in_b: Vec<String>,
}

/// One row of both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparedRow {
    /// Scenario and row.
    pub name: String,
    /// What disturbed either side; empty when nothing did.
    pub disturbed: Vec<String>,
    /// Settings that differ: they are what one compares.
    pub settings: Vec<SettingDifference>,
    /// What else differs, and what was left out for it.
    pub notes: Vec<String>,
    /// Metrics of both sides.
    pub metrics: Vec<ComparedMetric>,
}

/// A row that was not compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedRow {
    /// Scenario and row.
    pub name: String,
    /// Why, on one line.
    pub reason: String,
}

/// A setting that the sides don't share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SettingDifference {
    /// Name of the tunable.
    pub name: String,
    /// Its value on the first side; none is the protocol's default.
    pub a: Option<f64>,
    /// Its value on the second side.
    pub b: Option<f64>,
}

/// One metric of both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparedMetric {
    /// Name, ending in its unit.
    pub name: String,
    /// Unit.
    pub unit: String,
    /// What kind of number it is.
    pub class: Class,
    /// Which way is better.
    pub better: Better,
    /// The first side.
    pub a: Reading,
    /// The second side.
    pub b: Reading,
    /// b over a; none when there is no such number.
    pub ratio: Option<f64>,
    /// 95 % interval of the relative change from a to b; none when there is no basis for one.
    pub change: Option<Change>,
    /// What to make of it.
    pub verdict: Verdict,
}

/// A number and its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reading {
    /// The estimate.
    pub value: f64,
    /// Lower end of the 95 % interval.
    pub lower: Option<f64>,
    /// Upper end of the 95 % interval.
    pub upper: Option<f64>,
}

/// Ends of an interval of a relative change: 0.1 is ten per cent more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

/// What to make of a change. For orientation: two runs made at different times differ by more than
/// their intervals know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The second side is better.
    Better,
    /// The second side is worse.
    Worse,
    /// The sides differ, in a metric that has no better side.
    Differs,
    /// No difference was seen; with an exact metric, there is none.
    Same,
    /// There is no interval to tell by.
    Unknown,
}

/// A result with the run it is from.
#[derive(Clone, Copy)]
struct Row<'a> {
    run: &'a RunResults,
    result: &'a ScenarioResult,
}

impl Row<'_> {
    /// What pairs rows: scenario, protocol, network and storage.
    fn name(&self) -> String {
        format!("{} {}", self.result.scenario.name, self.result.row_name())
    }
}

/// Compares the rows that both sides have, in the order of the first side.
pub fn compare(a: &Recorded, b: &Recorded) -> Comparison {
    let (rows_a, rows_b) = (rows(a), rows(b));
    let mut comparison = Comparison {
        a: a.name.clone(),
        b: b.name.clone(),
        rows: Vec::new(),
        refused: Vec::new(),
        only_in_a: Vec::new(),
        only_in_b: Vec::new(),
    };
    for name in distinct_names(&rows_a) {
        let named = |row: &&Row| row.name() == name;
        let (of_a, of_b): (Vec<_>, Vec<_>) =
            (rows_a.iter().filter(named).collect(), rows_b.iter().filter(named).collect());
        match (of_a.as_slice(), of_b.as_slice()) {
            (_, []) => comparison.only_in_a.push(name),
            ([a], [b]) => match compare_rows(**a, **b) {
                Ok(row) => comparison.rows.push(row),
                Err(reason) => comparison.refused.push(RefusedRow { name, reason }),
            },
            (of_a, of_b) => {
                let counts = format!("A has {} results of this row and B {}", of_a.len(), of_b.len());
                let reason =
                    format!("{counts}: which to pair can't be told; compare runs that have one each");
                comparison.refused.push(RefusedRow { name, reason });
            }
        }
    }
    comparison.only_in_b = distinct_names(&rows_b);
    comparison.only_in_b.retain(|name| rows_a.iter().all(|row| row.name() != *name));
    comparison
}

fn rows(side: &Recorded) -> Vec<Row<'_>> {
    side.runs.iter().flat_map(|run| run.results.iter().map(move |result| Row { run, result })).collect()
}

fn distinct_names(rows: &[Row]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    rows.iter().map(Row::name).filter(|name| seen.insert(name.clone())).collect()
}

fn compare_rows(a: Row, b: Row) -> Result<ComparedRow, String> {
    refusal::check(a, b)?;
    let machines = [a, b].map(|row| row.run.manifest.machine.fingerprint.as_str());
    let same_machine = machines[0] == machines[1];
    let comparable = |metric: &&Metric| same_machine || metric.class == Class::Exact;

    let mut notes = differences_to_know(a, b);
    if !same_machine {
        let [a, b] = machines;
        notes.push(format!("measured on different machines ({a}, {b}): only exact metrics are compared"));
    }
    let mut metrics = Vec::new();
    for metric in a.result.metrics.iter().filter(comparable) {
        match b.result.metric(&metric.name) {
            Some(other) if same_kind(metric, other) => metrics.push(compare_metrics(metric, other)),
            Some(_) => notes.push(format!("{}: left out: its unit, class or direction differs", metric.name)),
            None => notes.push(format!("{}: only A has it", metric.name)),
        }
    }
    for metric in b.result.metrics.iter().filter(comparable) {
        if a.result.metric(&metric.name).is_none() {
            notes.push(format!("{}: only B has it", metric.name));
        }
    }
    if metrics.is_empty() && !same_machine {
        let [a, b] = machines;
        return Err(format!("measured on different machines ({a}, {b}), and no metric of it is exact"));
    }
    let why = |side: &'static str, row: Row| -> Vec<String> {
        row.result.disturbed.iter().map(|reason| format!("{side}: {reason}")).collect()
    };
    Ok(ComparedRow {
        name: a.name(),
        disturbed: [why("A", a), why("B", b)].concat(),
        settings: different_settings(a.result, b.result),
        notes,
        metrics,
    })
}

/// Differences that don't stand in the way, because they may be what one compares.
fn differences_to_know(a: Row, b: Row) -> Vec<String> {
    let commit = |row: Row| row.run.manifest.commit.clone().unwrap_or_else(|| "none".into());
    let pairs = [
        ("implementation", a.result.implementation.clone(), b.result.implementation.clone()),
        ("consensus-bench", a.run.manifest.harness_version.clone(), b.run.manifest.harness_version.clone()),
        ("commit", commit(a), commit(b)),
    ];
    let differing = pairs.into_iter().filter(|(_, a, b)| a != b);
    differing.map(|(what, a, b)| format!("{what}: {a} → {b}")).collect()
}

fn different_settings(a: &ScenarioResult, b: &ScenarioResult) -> Vec<SettingDifference> {
    let names: BTreeSet<&String> = a.settings.keys().chain(b.settings.keys()).collect();
    let pairs = names.into_iter().map(|name| SettingDifference {
        name: name.clone(),
        a: a.settings.get(name).copied(),
        b: b.settings.get(name).copied(),
    });
    pairs.filter(|setting| setting.a != setting.b).collect()
}

fn same_kind(a: &Metric, b: &Metric) -> bool {
    a.unit == b.unit && a.class == b.class && a.better == b.better
}

fn compare_metrics(a: &Metric, b: &Metric) -> ComparedMetric {
    let change = stats::relative_change(estimate(a), estimate(b));
    ComparedMetric {
        name: a.name.clone(),
        unit: a.unit.clone(),
        class: a.class,
        better: a.better,
        a: Reading { value: a.value, lower: a.lower, upper: a.upper },
        b: Reading { value: b.value, lower: b.lower, upper: b.upper },
        ratio: stats::ratio(a.value, b.value),
        change: change.map(|(lower, upper)| Change { lower, upper }),
        verdict: verdict(a, b, change),
    }
}

fn estimate(metric: &Metric) -> Estimate {
    Estimate { value: metric.value, interval: metric.lower.zip(metric.upper) }
}

fn verdict(a: &Metric, b: &Metric, change: Option<(f64, f64)>) -> Verdict {
    let seen = match (a.class, change) {
        (Class::Exact, _) => a.value != b.value,
        (_, Some((lower, upper))) => lower > 0.0 || upper < 0.0,
        (_, None) => return Verdict::Unknown,
    };
    match (seen, a.better) {
        (false, _) => Verdict::Same,
        (true, Better::Neither) => Verdict::Differs,
        (true, Better::Higher) if b.value > a.value => Verdict::Better,
        (true, Better::Lower) if b.value < a.value => Verdict::Better,
        (true, _) => Verdict::Worse,
    }
}

#[cfg(test)]
mod tests;
