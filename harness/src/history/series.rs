//! What the history holds, as series: each metric of each row over time, as far as its values may stand beside
//! each other.

use std::collections::BTreeMap;

use rusqlite::Row;
use serde::Serialize;

use super::query::{Entry, FILTERED, Filter, SUMMARY, entry, stored};
use super::{EntryId, History, HistoryError, metrics_of};
use crate::results::{Better, Class, Metric};
use crate::scenario::Scenario;
use crate::store::reason_not_to_compare;

/// Which series are made, beside a [`Filter`] of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeriesOptions {
    /// Only of this metric.
    pub metric: Option<String>,
    /// Disturbed entries are in too.
    pub with_disturbed: bool,
}

/// A metric of one row over time.
///
/// Its values were measured by the same scenario under the same settings, and on one machine, unless the metric
/// is exact and so the same on every machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    /// Namespace of its entries.
    pub namespace: String,
    /// `scenario/protocol/network/storage`.
    pub key: String,
    /// Name of the metric.
    pub metric: String,
    /// Unit.
    pub unit: String,
    /// Which way is better.
    pub better: Better,
    /// What kind of number it is.
    pub class: Class,
    /// Fingerprint of the machine; none for exact metrics.
    pub fingerprint: Option<String>,
    /// The scenario as it ran.
    pub scenario: Scenario,
    /// Settings that differ from the protocol's defaults.
    pub settings: BTreeMap<String, f64>,
    /// Its values, oldest first.
    pub observations: Vec<Observation>,
}

/// A value of a series, and where it is from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Observation {
    /// The entry.
    pub entry: EntryId,
    /// The run that measured it.
    pub run_id: String,
    /// When it was recorded, in milliseconds since 1970.
    pub recorded_unix_ms: i64,
    /// Commit of the working tree that measured it; none outside git.
    pub commit: Option<String>,
    /// The value.
    pub value: f64,
}

/// All series of some entries, and what is not in them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AllSeries {
    /// By namespace, key and metric.
    pub series: Vec<Series>,
    /// Entries that the filter let through.
    pub entries: usize,
    /// Entries without numbers of a whole run: interrupted, failed, unsafe.
    pub incomplete: usize,
    /// Disturbed entries, of which only exact metrics are in.
    pub disturbed: usize,
}

/// What values of one series have in common: namespace, key, metric, machine, and scenario and settings as
/// JSON.
type Identity = (String, String, String, Option<String>, String);

impl History {
    /// The series of all entries that pass `filter`. A metric that no entry has is an error, which names the
    /// nearest there are.
    pub fn series(&self, filter: &Filter, options: &SeriesOptions) -> Result<AllSeries, HistoryError> {
        let sql = format!("SELECT {SUMMARY}, result_schema, result FROM entries WHERE {FILTERED}");
        let mut sorted = Sorted { options, all: AllSeries::default(), series: BTreeMap::new() };
        // One entry at a time: together, results of thousands of runs are large.
        let add = |row: &Row<'_>| Ok(entry(stored(row)?).and_then(|entry| sorted.add(&entry)));
        self.select(&sql, filter, &[], add)?.into_iter().collect::<Result<(), _>>()?;
        if sorted.series.is_empty()
            && let Some(metric) = &options.metric
        {
            self.check_metric(metric)?;
        }
        Ok(sorted.finish())
    }
}

/// Series in the making, of entries that come newest first.
struct Sorted<'a> {
    options: &'a SeriesOptions,
    all: AllSeries,
    series: BTreeMap<Identity, Series>,
}

impl Sorted<'_> {
    fn add(&mut self, entry: &Entry) -> Result<(), HistoryError> {
        self.all.entries += 1;
        if reason_not_to_compare(&entry.result).is_some() {
            self.all.incomplete += 1;
            return Ok(());
        }
        let is_left_out = entry.summary.disturbed && !self.options.with_disturbed;
        self.all.disturbed += usize::from(is_left_out);
        let conditions = conditions_of(entry)?;
        for metric in metrics_of(&entry.result) {
            let is_asked_for = self.options.metric.as_ref().is_none_or(|name| *name == metric.name);
            // What disturbs a run changes its times, not its counts.
            if is_asked_for && (metric.class == Class::Exact || !is_left_out) {
                self.add_metric(entry, metric, &conditions);
            }
        }
        Ok(())
    }

    fn add_metric(&mut self, Entry { summary, result }: &Entry, metric: &Metric, conditions: &str) {
        let fingerprint = (metric.class != Class::Exact).then(|| summary.fingerprint.clone());
        let (namespace, key) = (summary.namespace.clone(), summary.key.clone());
        let identity = (namespace, key, metric.name.clone(), fingerprint.clone(), conditions.to_string());
        let series = self.series.entry(identity).or_insert_with(|| Series {
            namespace: summary.namespace.clone(),
            key: summary.key.clone(),
            metric: metric.name.clone(),
            unit: metric.unit.clone(),
            better: metric.better,
            class: metric.class,
            fingerprint,
            scenario: result.scenario.clone(),
            settings: result.settings.clone(),
            observations: Vec::new(),
        });
        // Of two metrics of one name the first counts, as for `ScenarioResult::metric`.
        if series.observations.last().is_none_or(|last| last.entry != summary.id) {
            series.observations.push(Observation {
                entry: summary.id,
                run_id: summary.run_id.clone(),
                recorded_unix_ms: summary.recorded_unix_ms,
                commit: summary.commit.clone(),
                value: metric.value,
            });
        }
    }

    fn finish(self) -> AllSeries {
        let mut series: Vec<Series> = self.series.into_values().collect();
        series.iter_mut().for_each(|series| series.observations.reverse());
        AllSeries { series, ..self.all }
    }
}

/// Scenario and settings as text. What a scenario says about itself changes nothing that is measured.
fn conditions_of(Entry { summary, result }: &Entry) -> Result<String, HistoryError> {
    let silent = Scenario { about: String::new(), ..result.scenario.clone() };
    serde_json::to_string(&(silent, &result.settings))
        .map_err(|error| HistoryError::BadResult { id: summary.id, reason: error.to_string() })
}
