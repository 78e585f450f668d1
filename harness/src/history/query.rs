//! What the history holds: entries, and a metric over time.

use std::collections::BTreeSet;

use rusqlite::{Row, ToSql, named_params};
use serde::Serialize;

use super::{EntryId, History, HistoryError};
use crate::output::printable;
use crate::results::{SCHEMA_VERSION, ScenarioResult};

/// Which entries are meant; by default all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this namespace.
    pub namespace: Option<String>,
    /// Only of this protocol.
    pub protocol: Option<String>,
    /// Only of this scenario.
    pub scenario: Option<String>,
    /// Only recorded at or after this time, in milliseconds since 1970.
    pub since_unix_ms: Option<i64>,
    /// No more than the newest so many.
    pub limit: Option<u32>,
}

/// An entry without its result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Names it.
    pub id: EntryId,
    /// Its namespace.
    pub namespace: String,
    /// `scenario/protocol/network/storage`.
    pub key: String,
    /// Scenario.
    pub scenario: String,
    /// Protocol.
    pub protocol: String,
    /// The run that measured it, and so the name of that run's folder.
    pub run_id: String,
    /// When it was recorded, in milliseconds since 1970.
    pub recorded_unix_ms: i64,
    /// When it expires; none while it is pinned, or when it is kept until someone removes it.
    pub expires_unix_ms: Option<i64>,
    /// Whether it is kept until it is unpinned.
    pub pinned: bool,
    /// Commit of the working tree that measured it; none outside git.
    pub commit: Option<String>,
    /// Fingerprint of the machine that measured it.
    pub fingerprint: String,
    /// `completed`, `interrupted`, `failed` or `unsafe`.
    pub outcome: String,
    /// Whether something disturbed the measurement.
    pub disturbed: bool,
    /// Commits per second; none when it was not measured or is withheld.
    pub throughput_per_s: Option<f64>,
    /// 99th percentile of the response time; none when it was not measured or is withheld.
    pub response_ns_p99: Option<f64>,
}

/// An entry with its result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// What lists show.
    #[serde(flatten)]
    pub summary: Summary,
    /// What was recorded.
    pub result: ScenarioResult,
}

/// A metric of one entry.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// The entry.
    #[serde(flatten)]
    pub summary: Summary,
    /// Name of the metric.
    pub metric: String,
    /// The estimate.
    pub value: f64,
    /// Lower end of the 95 % interval; none when there is no basis for one.
    pub lower: Option<f64>,
    /// Upper end of the 95 % interval.
    pub upper: Option<f64>,
    /// Unit.
    pub unit: String,
}

/// The columns of a [`Summary`], in the order of [`summary`].
pub(super) const SUMMARY: &str = "entries.id, namespace, key, scenario, protocol, run_id, recorded_unix_ms, \
    expires_unix_ms, pinned, commit_id, fingerprint, outcome, disturbed, \
    (SELECT value FROM metrics WHERE entry = entries.id AND name = 'throughput_per_s'), \
    (SELECT value FROM metrics WHERE entry = entries.id AND name = 'response_ns_p99')";

/// Columns of [`SUMMARY`].
const SUMMARY_COLUMNS: usize = 15;

/// What a [`Filter`] means, newest first. No limit is a negative one.
pub(super) const FILTERED: &str = "(:namespace IS NULL OR namespace = :namespace) \
    AND (:protocol IS NULL OR protocol = :protocol) \
    AND (:scenario IS NULL OR scenario = :scenario) \
    AND (:since IS NULL OR recorded_unix_ms >= :since) \
    ORDER BY recorded_unix_ms DESC, entries.id DESC LIMIT :limit";

impl History {
    /// Entries without their results, newest first.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Summary>, HistoryError> {
        self.select(&format!("SELECT {SUMMARY} FROM entries WHERE {FILTERED}"), filter, &[], summary)
    }

    /// One entry.
    pub fn get(&self, id: EntryId) -> Result<Entry, HistoryError> {
        let sql = format!("SELECT {SUMMARY}, result_schema, result FROM entries WHERE id = ?");
        match self.connection.query_row(&sql, [id.0], stored) {
            Ok(found) => entry(found),
            Err(rusqlite::Error::QueryReturnedNoRows) => Err(HistoryError::UnknownEntry { id }),
            Err(source) => Err(self.failed(source)),
        }
    }

    /// Entries with their results, oldest first.
    pub fn entries(&self, filter: &Filter) -> Result<Vec<Entry>, HistoryError> {
        let sql = format!("SELECT {SUMMARY}, result_schema, result FROM entries WHERE {FILTERED}");
        let found = self.select(&sql, filter, &[], stored)?;
        found.into_iter().rev().map(entry).collect()
    }

    /// A metric over time, oldest first. A name that no entry has is an error, which names the
    /// nearest there are.
    pub fn query(&self, metric: &str, filter: &Filter) -> Result<Vec<Point>, HistoryError> {
        let sql = format!(
            "SELECT {SUMMARY}, metrics.name, metrics.value, metrics.lower, metrics.upper, metrics.unit \
             FROM entries JOIN metrics ON metrics.entry = entries.id AND metrics.name = :metric \
             WHERE {FILTERED}"
        );
        let mut points = self.select(&sql, filter, &[(":metric", &metric)], point)?;
        if points.is_empty() {
            self.check_metric(metric)?;
        }
        points.reverse();
        Ok(points)
    }

    /// The names of all metrics of all entries, sorted.
    pub fn metric_names(&self) -> Result<Vec<String>, HistoryError> {
        self.names("SELECT DISTINCT name FROM metrics ORDER BY name")
    }

    /// All namespaces with entries, sorted.
    pub fn namespaces(&self) -> Result<Vec<String>, HistoryError> {
        self.names("SELECT DISTINCT namespace FROM entries ORDER BY namespace")
    }

    /// All protocols with entries, sorted.
    pub fn protocols(&self) -> Result<Vec<String>, HistoryError> {
        self.names("SELECT DISTINCT protocol FROM entries ORDER BY protocol")
    }

    /// All scenarios with entries, sorted.
    pub fn scenarios(&self) -> Result<Vec<String>, HistoryError> {
        self.names("SELECT DISTINCT scenario FROM entries ORDER BY scenario")
    }

    pub(super) fn check_metric(&self, metric: &str) -> Result<(), HistoryError> {
        let names = self.metric_names()?;
        if names.iter().any(|name| name == metric) {
            return Ok(());
        }
        let near = nearest(metric, &names);
        let known = if names.is_empty() {
            "no entry has metrics yet".to_string()
        } else if near.is_empty() {
            format!("there are: {}", names.join(", "))
        } else {
            format!("the nearest there are: {}", near.join(", "))
        };
        Err(HistoryError::UnknownMetric { name: metric.into(), known })
    }

    fn names(&self, sql: &str) -> Result<Vec<String>, HistoryError> {
        let read = || -> rusqlite::Result<Vec<String>> {
            self.connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
        };
        read().map_err(|source| self.failed(source))
    }

    pub(super) fn select<T>(
        &self,
        sql: &str,
        filter: &Filter,
        more: &[(&str, &dyn ToSql)],
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, HistoryError> {
        let limit = filter.limit.map_or(-1, i64::from);
        let of_filter: &[(&str, &dyn ToSql)] = named_params! {
            ":namespace": filter.namespace,
            ":protocol": filter.protocol,
            ":scenario": filter.scenario,
            ":since": filter.since_unix_ms,
            ":limit": limit,
        };
        let parameters = [of_filter, more].concat();
        let rows = || -> rusqlite::Result<Vec<T>> {
            self.connection.prepare(sql)?.query_map(&*parameters, read)?.collect()
        };
        rows().map_err(|source| self.failed(source))
    }
}

/// A summary with the schema and the text of its result.
type Stored = (Summary, u32, String);

fn summary(row: &Row<'_>) -> rusqlite::Result<Summary> {
    Ok(Summary {
        id: EntryId(row.get(0)?),
        namespace: row.get(1)?,
        key: row.get(2)?,
        scenario: row.get(3)?,
        protocol: row.get(4)?,
        run_id: row.get(5)?,
        recorded_unix_ms: row.get(6)?,
        expires_unix_ms: row.get(7)?,
        pinned: row.get(8)?,
        commit: row.get(9)?,
        fingerprint: row.get(10)?,
        outcome: row.get(11)?,
        disturbed: row.get(12)?,
        throughput_per_s: row.get(13)?,
        response_ns_p99: row.get(14)?,
    })
}

pub(super) fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok((summary(row)?, row.get(SUMMARY_COLUMNS)?, row.get(SUMMARY_COLUMNS + 1)?))
}

fn point(row: &Row<'_>) -> rusqlite::Result<Point> {
    Ok(Point {
        summary: summary(row)?,
        metric: row.get(SUMMARY_COLUMNS)?,
        value: row.get(SUMMARY_COLUMNS + 1)?,
        lower: row.get(SUMMARY_COLUMNS + 2)?,
        upper: row.get(SUMMARY_COLUMNS + 3)?,
        unit: row.get(SUMMARY_COLUMNS + 4)?,
    })
}

pub(super) fn entry((summary, schema, result): Stored) -> Result<Entry, HistoryError> {
    let id = summary.id;
    if schema > SCHEMA_VERSION {
        return Err(HistoryError::LaterResult { id, found: schema });
    }
    let result = serde_json::from_str(&result)
        .map_err(|error| HistoryError::BadResult { id, reason: printable(&error.to_string()) })?;
    Ok(Entry { summary, result })
}

/// The names that share the most words with what was asked for; none when none shares any.
fn nearest<'a>(asked: &str, names: &'a [String]) -> Vec<&'a str> {
    fn words(name: &str) -> BTreeSet<&str> {
        name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect()
    }
    let asked = words(asked);
    let shared = |name: &str| words(name).intersection(&asked).count();
    let most = names.iter().map(|name| shared(name)).max().unwrap_or(0);
    names.iter().map(String::as_str).filter(|name| most > 0 && shared(name) == most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_share_the_most_words() {
        let names = ["response_ns_p50", "response_ns_p99", "service_ns_p50", "crash_leader/lost"];
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        assert_eq!(nearest("response_ms_p99", &names), ["response_ns_p99"]);
        assert_eq!(nearest("response", &names), ["response_ns_p50", "response_ns_p99"]);
        assert_eq!(nearest("lost", &names), ["crash_leader/lost"]);
        assert!(nearest("throughput", &names).is_empty() && nearest("", &names).is_empty());
    }
}
