//! Exact metrics against the committed ones: what is counted in virtual time is the same on every machine,
//! so whatever differs was changed by someone.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RefusedRow, refusal};
use crate::files::{self, Document, FileError};
use crate::results::{Class, ScenarioResult};
use crate::scenario::{Scenario, USUAL_SEED};
use crate::stats;
use crate::store::reason_not_to_compare;
use crate::table::quantity::NOTHING;
use crate::table::{empty_table, lines_of};

/// Version of the schema of [`ExactValues`].
const EXACT_SCHEMA_VERSION: u32 = 1;
const EXACT: Document = Document { what: "exact counts", version: EXACT_SCHEMA_VERSION };
/// More rows of one side than these are counted and not named.
const ROWS_NAMED: usize = 8;

/// Values of exact metrics by row and name. A row is `scenario/protocol`, with `/seed=N` where the seed is not
/// the usual one. As a file it has one metric per line, so that a change can be read in a diff.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExactValues {
    schema_version: u32,
    rows: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Default for ExactValues {
    fn default() -> Self {
        ExactValues::from(BTreeMap::new())
    }
}

impl From<BTreeMap<String, BTreeMap<String, f64>>> for ExactValues {
    fn from(rows: BTreeMap<String, BTreeMap<String, f64>>) -> Self {
        ExactValues { schema_version: EXACT_SCHEMA_VERSION, rows }
    }
}

impl ExactValues {
    /// The exact metrics of all rows that have some, as files have them: see [`ExactValues::without_zeros`].
    pub fn of<'a>(results: impl IntoIterator<Item = &'a ScenarioResult>) -> Self {
        ExactValues::with_zeros(results).without_zeros()
    }

    /// The same with what is zero: a count that rises from nothing is worse, and not new. Ratios to floors are left
    /// out, because they follow from the rest.
    pub fn with_zeros<'a>(results: impl IntoIterator<Item = &'a ScenarioResult>) -> Self {
        let mut rows: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
        for result in results {
            let told = |name: &str| !name.ends_with("_over_floor");
            let exact =
                result.metrics.iter().filter(|metric| metric.class == Class::Exact && told(&metric.name));
            let values: BTreeMap<String, f64> =
                exact.map(|metric| (metric.name.clone(), metric.value)).collect();
            if !values.is_empty() {
                rows.insert(row_of(result), values);
            }
        }
        ExactValues::from(rows)
    }

    /// These, without what is zero: their file is read by people.
    pub fn without_zeros(mut self) -> Self {
        self.rows.values_mut().for_each(|row| row.retain(|_, value| *value != 0.0));
        self.rows.retain(|_, row| !row.is_empty());
        self
    }

    /// Reads a file of them.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        EXACT.read(path)
    }

    /// Reads the text of such a file; `path` names it in errors.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, FileError> {
        EXACT.parse(path, text)
    }

    /// Writes their file, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let text = self
            .to_text()
            .map_err(|error| FileError::NotJson { path: path.into(), reason: error.to_string() })?;
        files::write_atomically(path, text.as_bytes())
    }

    /// The text of their file.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// These, with the rows of others in place of their own.
    pub fn with(mut self, others: ExactValues) -> Self {
        self.rows.extend(others.rows);
        self
    }

    /// These, without rows that are not wanted.
    pub fn only(mut self, wanted: impl Fn(&str) -> bool) -> Self {
        self.rows.retain(|row, _| wanted(row));
        self
    }

    /// A value, if there is one.
    pub fn get(&self, row: &str, metric: &str) -> Option<f64> {
        self.rows.get(row)?.get(metric).copied()
    }

    /// The values of a row, by metric.
    pub fn row(&self, row: &str) -> Option<&BTreeMap<String, f64>> {
        self.rows.get(row)
    }

    /// All rows with their metrics, in order.
    pub fn metrics(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.rows
            .iter()
            .flat_map(|(row, metrics)| metrics.keys().map(move |metric| (row.as_str(), metric.as_str())))
    }

    /// Names of all rows, in order.
    pub fn rows(&self) -> impl Iterator<Item = &str> {
        self.rows.keys().map(String::as_str)
    }
}

impl FromIterator<(String, String, f64)> for ExactValues {
    fn from_iter<I: IntoIterator<Item = (String, String, f64)>>(values: I) -> Self {
        let mut rows: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
        for (row, metric, value) in values {
            rows.entry(row).or_default().insert(metric, value);
        }
        ExactValues::from(rows)
    }
}

/// The name of a result's row.
pub fn row_of(result: &ScenarioResult) -> String {
    let (scenario, protocol) = (&result.scenario, &result.protocol);
    match scenario.seed {
        USUAL_SEED => format!("{}/{protocol}", scenario.name),
        seed => format!("{}/{protocol}/seed={seed}", scenario.name),
    }
}

/// What [`compare_exact`] found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExactComparison {
    /// Metrics that both sides have.
    pub compared: usize,
    /// Those that are not the same.
    pub changed: Vec<ExactChange>,
    /// Metrics of a row of both sides that only the old one has, as `row: metric`.
    pub gone: Vec<String>,
    /// The same that only the new one has.
    pub new: Vec<String>,
    /// Rows that only the old side has.
    pub rows_gone: Vec<String>,
    /// Rows that only the new side has.
    pub rows_new: Vec<String>,
    /// Rows of a run that were measured otherwise than the committed ones.
    pub refused: Vec<RefusedRow>,
}

/// A metric that is not what it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExactChange {
    /// Scenario and protocol.
    pub row: String,
    /// Name.
    pub metric: String,
    /// Value before.
    pub old: f64,
    /// Value now.
    pub new: f64,
    /// New over old; none when there is no such number.
    pub ratio: Option<f64>,
}

impl ExactComparison {
    /// Whether both sides have the same rows with the same metrics and values.
    pub fn is_same(&self) -> bool {
        *self == ExactComparison { compared: self.compared, ..ExactComparison::default() }
    }
}

/// Compares values for equality.
pub fn compare_exact(old: &ExactValues, new: &ExactValues) -> ExactComparison {
    let only = |these: &ExactValues, others: &ExactValues| -> Vec<String> {
        these.rows().filter(|row| !others.rows.contains_key(*row)).map(Into::into).collect()
    };
    let mut found =
        ExactComparison { rows_gone: only(old, new), rows_new: only(new, old), ..ExactComparison::default() };
    for (row, before) in &old.rows {
        let Some(now) = new.rows.get(row) else { continue };
        for (metric, &old) in before {
            match now.get(metric) {
                None => found.gone.push(format!("{row}: {metric}")),
                Some(&new) => {
                    found.compared += 1;
                    if old != new {
                        let (row, metric, ratio) = (row.clone(), metric.clone(), stats::ratio(old, new));
                        found.changed.push(ExactChange { row, metric, old, new, ratio });
                    }
                }
            }
        }
        let unknown = now.keys().filter(|metric| !before.contains_key(*metric));
        found.new.extend(unknown.map(|metric| format!("{row}: {metric}")));
    }
    found
}

/// Compares a run with the committed values, which are those of the scenarios that `expected` gives for a row,
/// with the protocols' default settings. Rows that ran otherwise are refused, and so are those without numbers; rows without exact
/// metrics are left out.
pub fn compare_run_exact<'a>(
    committed: &ExactValues,
    run: impl IntoIterator<Item = &'a ScenarioResult>,
    expected: impl Fn(&ScenarioResult) -> Option<Scenario>,
) -> ExactComparison {
    let virtual_rows = run.into_iter().filter(|result| result.scenario.measure.is_virtual());
    let (mut comparable, mut refused) = (Vec::new(), Vec::new());
    for result in virtual_rows {
        match reason_to_refuse(result, expected(result)) {
            None => comparable.push(result),
            Some(reason) => refused.push(RefusedRow { name: row_of(result), reason }),
        }
    }
    let mut found = compare_exact(committed, &ExactValues::of(comparable));
    let is_refused = |row: &String| refused.iter().any(|refused| refused.name == *row);
    found.rows_gone.retain(|row| !is_refused(row));
    found.refused = refused;
    found
}

fn reason_to_refuse(result: &ScenarioResult, committed: Option<Scenario>) -> Option<String> {
    if let Some(reason) = reason_not_to_compare(result) {
        return Some(reason);
    }
    if let Some((name, value)) = result.settings.iter().next() {
        return Some(format!("it ran with {name} = {value}, the committed one with the defaults"));
    }
    refusal::same_scenario(&committed?, &result.scenario).err()
}

impl fmt::Display for ExactComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows: Vec<&str> = self.changed.iter().map(|change| change.row.as_str()).collect();
        rows.dedup();
        for row in rows {
            let mut table = empty_table(&["metric", "old", "new", "new / old"], false);
            table.add_rows(self.changed.iter().filter(|change| change.row == row).map(cells));
            write!(f, "{row}\n{}\n\n", lines_of(&table))?;
        }
        for (what, names) in [("gone", &self.gone), ("new", &self.new)] {
            names.iter().try_for_each(|name| writeln!(f, "{what}: {name}"))?;
        }
        for (what, rows) in [("not in the new one", &self.rows_gone), ("not in the old one", &self.rows_new)]
        {
            match rows.len() {
                0..=ROWS_NAMED => rows.iter().try_for_each(|row| writeln!(f, "{what}: {row}"))?,
                count => writeln!(f, "{what}: {count} rows of {}", scenarios_of(rows).join(", "))?,
            }
        }
        for refused in &self.refused {
            writeln!(f, "not compared: {}: {}", refused.name, refused.reason)?;
        }
        match (self.compared, self.changed.len()) {
            (0, _) => write!(f, "no exact metric could be compared"),
            (compared, 0) => write!(f, "no exact metric changed ({compared} compared)"),
            (compared, changed) => write!(f, "{changed} of {compared} exact metrics changed"),
        }
    }
}

/// The scenarios of rows, each once.
fn scenarios_of(rows: &[String]) -> Vec<&str> {
    let mut scenarios: Vec<&str> = rows.iter().filter_map(|row| row.split('/').next()).collect();
    scenarios.dedup();
    scenarios
}

fn cells(change: &ExactChange) -> Vec<String> {
    // Rounding would make numbers look equal that are not.
    let ratio = change.ratio.map_or_else(|| NOTHING.into(), |ratio| format!("{ratio:.4}"));
    vec![change.metric.clone(), change.old.to_string(), change.new.to_string(), ratio]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Outcome, RunResults};
    use crate::scenario;

    fn values(rows: &[(&str, &[(&str, f64)])]) -> ExactValues {
        let row = |(name, metrics): &(&str, &[(&str, f64)])| {
            (name.to_string(), metrics.iter().map(|(name, value)| (name.to_string(), *value)).collect())
        };
        ExactValues::from(rows.iter().map(row).collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn files_leave_zeros_out_and_counts_on_the_spot_keep_them() {
        let run: RunResults = files::parse_results(Path::new("sample"), files::SAMPLE).unwrap();
        let mut result = run.results[0].clone();
        result.metrics.truncate(2);
        for (metric, value) in result.metrics.iter_mut().zip([0.0, 3.0]) {
            metric.class = Class::Exact;
            metric.value = value;
        }
        let (all, written) = (ExactValues::with_zeros([&result]), ExactValues::of([&result]));
        let [zero, three] = [&result.metrics[0].name, &result.metrics[1].name];
        let row = row_of(&result);
        assert_eq!((all.get(&row, zero), written.get(&row, zero)), (Some(0.0), None));
        assert_eq!((all.get(&row, three), written.get(&row, three)), (Some(3.0), Some(3.0)));
    }

    #[test]
    fn only_what_changed_is_told_and_nothing_that_is_missing_is_hidden() {
        let old = values(&[
            ("cost/a", &[("messages", 8.0), ("bytes", 100.0), ("recovery", 3.0), ("signed", 0.0)]),
            ("wan/a", &[("messages", 8.0)]),
        ]);
        let new = values(&[
            ("cost/a", &[("messages", 4.0), ("bytes", 100.0), ("rounds", 2.0), ("signed", 1.0)]),
            ("cost/b", &[("messages", 8.0)]),
        ]);
        let found = compare_exact(&old, &new);
        assert_eq!((found.compared, found.changed.len(), found.is_same()), (3, 2, false));
        insta::assert_snapshot!(found);
    }

    #[test]
    fn the_same_is_said_in_one_line_and_nothing_to_compare_too() {
        let side = values(&[("cost/a", &[("messages", 0.1 + 0.2)])]);
        let text = side.to_text().unwrap();
        let found = compare_exact(&side, &serde_json::from_str(&text).unwrap());
        assert!(found.is_same());
        assert_eq!(found.to_string(), "no exact metric changed (1 compared)");
        let found = compare_exact(&side, &ExactValues::default());
        assert!(!found.is_same());
        assert_eq!(found.to_string(), "not in the new one: cost/a\nno exact metric could be compared");
        let names: Vec<String> = (0..5).flat_map(|n| [format!("cost/{n}"), format!("wan/{n}")]).collect();
        let rows: Vec<_> = names.iter().map(|name| (name.as_str(), &[("messages", 1.0)][..])).collect();
        let found = compare_exact(&values(&rows), &ExactValues::default());
        let expected = "not in the new one: 10 rows of cost, wan\nno exact metric could be compared";
        assert_eq!(found.to_string(), expected);
    }

    #[test]
    fn rows_that_ran_otherwise_than_the_committed_ones_are_refused() {
        let scenarios = scenario::profile("quick").unwrap();
        let expected =
            |result: &ScenarioResult| scenario::find(&scenarios, &result.scenario.name).ok().cloned();
        let run: RunResults = files::parse_results(Path::new("sample"), files::SAMPLE).unwrap();
        let mut result = run.results[0].clone();
        result.scenario = scenario::find(&scenarios, "cost").unwrap().clone();
        result.settings.clear();
        result.metrics.truncate(1);
        result.metrics[0].class = Class::Exact;
        let committed = ExactValues::of([&result]);
        let refused = |result: &ScenarioResult| {
            let mut found = compare_run_exact(&committed, [result], expected);
            assert!(found.rows_gone.is_empty() && found.refused.len() <= 1);
            found.refused.pop().map(|refused| refused.reason)
        };
        assert_eq!(refused(&result), None);
        let mut other = result.clone();
        other.scenario.payload_bytes += 1;
        assert_eq!(refused(&other).unwrap(), "scenario differs: payload_bytes 128 ≠ 129");
        let mut other = result.clone();
        other.settings.insert("batch".into(), 3.0);
        assert_eq!(refused(&other).unwrap(), "it ran with batch = 3, the committed one with the defaults");
        let mut other = result.clone();
        other.outcome = Outcome::Interrupted;
        assert_eq!(refused(&other).unwrap(), "it was interrupted");
        // Rows of real time have nothing to do with it.
        let mut other = result;
        other.scenario = scenarios[0].clone();
        let found = compare_run_exact(&committed, [&other], expected);
        assert_eq!((found.compared, found.refused.len(), found.rows_new.len()), (0, 0, 0));
    }
}
