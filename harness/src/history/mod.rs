//! The history: the results of all runs in one SQLite database, so that a metric can be looked at over
//! time.
//!
//! A run's folder holds what a run measured, the history what was measured of late. Entries expire,
//! so that the database does not grow for ever; one that is pinned stays. Each entry is written in one
//! transaction: whenever a process is killed, the database opens again and holds every entry that was
//! recorded, whole.

use std::fmt::{Display, Formatter};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Transaction, TransactionBehavior, named_params, params};
use serde::{Deserialize, Serialize};

use crate::results::{Metric, Outcome, RunResults, SCHEMA_VERSION, ScenarioResult};
use crate::store::check_name;
use crate::table::shows_numbers;

mod error;
mod export;
mod query;
mod schema;
mod series;
mod trend;
mod trials;

pub use error::HistoryError;
pub use export::{ExportFormat, timestamp};
pub use query::{Entry, Filter, Point, Summary};
pub use series::{AllSeries, Observation, Series, SeriesOptions};
pub use trend::{Change, DEFAULT_SIGNIFICANCE, Direction, MOST_OBSERVATIONS, Trend, Trends};
pub use trials::{TRIAL_RETENTION, TrialConditions, TrialEntry};

/// How long an entry is kept unless something else is asked for: a trend takes a dozen runs, which may be weeks.
pub const DEFAULT_RETENTION: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// The namespace of entries unless another is asked for.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Names the namespace of entries, where no flag does.
pub const NAMESPACE_VARIABLE: &str = "CONSENSUS_BENCH_NAMESPACE";

/// How long entries are kept, as `30d`, where no flag says.
pub const KEEP_FOR_VARIABLE: &str = "CONSENSUS_BENCH_KEEP_FOR";

/// An open history.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    connection: Connection,
}

/// Names an entry; later entries have larger ones, and none is given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryId(i64);

/// Under which name and for how long an entry is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Keeps entries of different purposes apart.
    pub namespace: String,
    /// How long; none until someone removes it.
    pub keep_for: Option<Duration>,
    /// A pinned entry neither expires nor is removed, whatever `keep_for` says.
    pub pinned: bool,
}

impl Default for Retention {
    fn default() -> Self {
        Retention { namespace: DEFAULT_NAMESPACE.into(), keep_for: Some(DEFAULT_RETENTION), pinned: false }
    }
}

impl Retention {
    /// The default, but for what `CONSENSUS_BENCH_NAMESPACE` and `CONSENSUS_BENCH_KEEP_FOR` say.
    pub fn from_environment() -> Result<Self, HistoryError> {
        Retention::of_variables(|name| std::env::var(name).ok())
    }

    fn of_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, HistoryError> {
        let mut retention = Retention::default();
        if let Some(name) = variable(NAMESPACE_VARIABLE) {
            retention = retention.in_namespace(&name)?;
        }
        if let Some(text) = variable(KEEP_FOR_VARIABLE) {
            let age = humantime::parse_duration(&text).map_err(|_| HistoryError::BadAge { text })?;
            retention.keep_for = Some(age);
        }
        Ok(retention)
    }

    /// The same in another namespace.
    pub fn in_namespace(self, name: &str) -> Result<Self, HistoryError> {
        check_namespace(name)?;
        Ok(Retention { namespace: name.into(), ..self })
    }
}

/// What [`History::prune`] removes, of entries and of the tuner's trials. Never an entry that is pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prune {
    /// What has expired.
    Expired,
    /// What was recorded longer ago, expired or not.
    OlderThan(Duration),
}

/// How many [`History::prune`] removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// Entries.
    pub entries: usize,
    /// Trials of the tuner.
    pub trials: usize,
}

impl History {
    /// Opens the history at `path`, and makes one with its folder where there is none.
    pub fn open(path: &Path) -> Result<History, HistoryError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|source| HistoryError::Folder { path: folder.into(), source })?;
        }
        Ok(History { path: path.into(), connection: schema::connect(path, true)? })
    }

    /// Opens the history at `path`; none where there is none.
    pub fn open_existing(path: &Path) -> Result<Option<History>, HistoryError> {
        // What can't be looked at is for the database to complain about.
        if !path.try_exists().unwrap_or(true) {
            return Ok(None);
        }
        Ok(Some(History { path: path.into(), connection: schema::connect(path, false)? }))
    }

    /// Records a result of `run`, which names the run, the commit and the machine; its own list of
    /// results is not looked at. When this returns, the entry outlives the process.
    ///
    /// Expired entries go in the same transaction: so a history that is only ever recorded to does
    /// not grow for ever, and finding them is one look at an index.
    pub fn record(
        &mut self,
        run: &RunResults,
        result: &ScenarioResult,
        retention: &Retention,
    ) -> Result<EntryId, HistoryError> {
        self.record_at(run, result, retention, now_unix_ms())
    }

    pub(crate) fn record_at(
        &mut self,
        run: &RunResults,
        result: &ScenarioResult,
        retention: &Retention,
        now_ms: i64,
    ) -> Result<EntryId, HistoryError> {
        check_namespace(&retention.namespace)?;
        let (json, kept) = readable_back(result)?;
        let expires = retention.keep_for.filter(|_| !retention.pinned).map(|age| after(now_ms, age));
        self.write(|transaction| {
            remove(transaction, Prune::Expired, now_ms)?;
            transaction.execute(
                "INSERT INTO entries (namespace, key, scenario, protocol, run_id, recorded_unix_ms,
                     expires_unix_ms, pinned, commit_id, fingerprint, outcome, disturbed,
                     result_schema, result)
                 VALUES (:namespace, :key, :scenario, :protocol, :run_id, :recorded,
                     :expires, :pinned, :commit, :fingerprint, :outcome, :disturbed, :schema, :result)",
                named_params! {
                    ":namespace": retention.namespace,
                    ":key": key_of(&kept),
                    ":scenario": kept.scenario.name,
                    ":protocol": kept.protocol,
                    ":run_id": run.run_id,
                    ":recorded": now_ms,
                    ":expires": expires,
                    ":pinned": retention.pinned,
                    ":commit": run.manifest.commit,
                    ":fingerprint": run.manifest.machine.fingerprint,
                    ":outcome": status_of(&kept.outcome),
                    ":disturbed": !kept.disturbed.is_empty(),
                    ":schema": SCHEMA_VERSION,
                    ":result": json,
                },
            )?;
            let id = EntryId(transaction.last_insert_rowid());
            insert_metrics(transaction, id, &kept)?;
            Ok(id)
        })
    }

    /// Keeps an entry until it is unpinned.
    pub fn pin(&mut self, id: EntryId) -> Result<(), HistoryError> {
        self.set_retention(id, true, None)
    }

    /// Lets an entry expire, `keep_for` from now: counted from its recording, an old one would be
    /// gone at once.
    pub fn unpin(&mut self, id: EntryId, keep_for: Duration) -> Result<(), HistoryError> {
        self.set_retention(id, false, Some(after(now_unix_ms(), keep_for)))
    }

    fn set_retention(&mut self, id: EntryId, pinned: bool, expires: Option<i64>) -> Result<(), HistoryError> {
        let changed = self.write(|transaction| {
            transaction.execute(
                "UPDATE entries SET pinned = ?2, expires_unix_ms = ?3 WHERE id = ?1",
                params![id.0, pinned, expires],
            )
        })?;
        if changed == 0 { Err(HistoryError::UnknownEntry { id }) } else { Ok(()) }
    }

    /// Removes entries and trials, and says how many. Their space in the file is for later ones.
    pub fn prune(&mut self, what: Prune) -> Result<Pruned, HistoryError> {
        self.prune_at(what, now_unix_ms())
    }

    fn prune_at(&mut self, what: Prune, now_ms: i64) -> Result<Pruned, HistoryError> {
        self.write(|transaction| remove(transaction, what, now_ms))
    }

    /// How many entries and trials [`History::prune`] would remove now.
    pub fn would_prune(&self, what: Prune) -> Result<Pruned, HistoryError> {
        let now_ms = now_unix_ms();
        let count = |table| {
            let (condition, bound) = removable(table, what, now_ms);
            let count = format!("SELECT count(*) FROM {condition}");
            let count: Result<u32, _> = self.connection.query_row(&count, [bound], |row| row.get(0));
            count.map(|count| count as usize).map_err(|source| self.failed(source))
        };
        Ok(Pruned { entries: count(Kept::Entries)?, trials: count(Kept::Trials)? })
    }

    /// Does several writes or none. The lock is asked for first, because SQLite does not wait for one
    /// in the midst of a transaction.
    fn write<T>(
        &mut self,
        writes: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, HistoryError> {
        let attempt = |connection: &mut Connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let written = writes(&transaction)?;
            transaction.commit()?;
            Ok(written)
        };
        attempt(&mut self.connection).map_err(|source| HistoryError::of(&self.path, source))
    }

    fn failed(&self, source: rusqlite::Error) -> HistoryError {
        HistoryError::of(&self.path, source)
    }
}

impl Display for EntryId {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for EntryId {
    type Err = HistoryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(EntryId).map_err(|_| HistoryError::BadId { text: text.into() })
    }
}

/// Refuses what can't be the name of a namespace: the names of baselines are the measure.
pub fn check_namespace(name: &str) -> Result<(), HistoryError> {
    check_name(name).map_err(|_| HistoryError::BadNamespace { name: name.into() })
}

/// The time by the system's clock, in milliseconds since 1970.
pub fn now_unix_ms() -> i64 {
    // A clock before 1970 is wrong anyway; recording need not fail for it.
    milliseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// The metrics of an entry; none where tables withhold the numbers.
pub(crate) fn metrics_of(result: &ScenarioResult) -> &[Metric] {
    if shows_numbers(result) { &result.metrics } else { &[] }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn after(now_ms: i64, age: Duration) -> i64 {
    now_ms.saturating_add(milliseconds(age))
}

/// The time that was `age` ago, in milliseconds since 1970.
pub fn before(now_ms: i64, age: Duration) -> i64 {
    now_ms.saturating_sub(milliseconds(age))
}

/// What is measured again under the same name: network and durability are part of it.
fn key_of(result: &ScenarioResult) -> String {
    let scenario = &result.scenario;
    let (network, storage) = (result.network_name(), scenario.storage.name());
    format!("{}/{}/{network}/{storage}", scenario.name, result.protocol)
}

fn status_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::Interrupted => "interrupted",
        Outcome::Failed { .. } => "failed",
        Outcome::Unsafe => "unsafe",
    }
}

/// A result as JSON, and what a reader will find there: JSON has no word for infinity, and an entry
/// that fails weeks later costs more than an error now.
fn readable_back(result: &ScenarioResult) -> Result<(String, ScenarioResult), HistoryError> {
    let refused = |error: serde_json::Error| HistoryError::NotReadableBack {
        key: key_of(result),
        reason: error.to_string(),
    };
    let json = serde_json::to_string(result).map_err(refused)?;
    let kept = serde_json::from_str(&json).map_err(refused)?;
    Ok((json, kept))
}

fn insert_metrics(
    transaction: &Transaction<'_>,
    id: EntryId,
    result: &ScenarioResult,
) -> rusqlite::Result<()> {
    // Of two metrics of one name the first counts, as for `ScenarioResult::metric`.
    let mut insert = transaction.prepare_cached(
        "INSERT OR IGNORE INTO metrics (entry, name, value, lower, upper, unit) VALUES (?, ?, ?, ?, ?, ?)",
    )?;
    for metric in metrics_of(result) {
        insert.execute(params![id.0, metric.name, metric.value, metric.lower, metric.upper, metric.unit])?;
    }
    Ok(())
}

/// The tables whose rows expire.
#[derive(Clone, Copy)]
enum Kept {
    Entries,
    Trials,
}

/// Rows that may go, as a table and a condition with one bound.
fn removable(of: Kept, what: Prune, now_ms: i64) -> (&'static str, i64) {
    let earlier = |age| before(now_ms, age);
    match (of, what) {
        (Kept::Entries, Prune::Expired) => ("entries WHERE expires_unix_ms <= ?", now_ms),
        (Kept::Trials, Prune::Expired) => ("trials WHERE expires_unix_ms <= ?", now_ms),
        (Kept::Entries, Prune::OlderThan(age)) => {
            ("entries WHERE pinned = 0 AND recorded_unix_ms < ?", earlier(age))
        }
        (Kept::Trials, Prune::OlderThan(age)) => ("trials WHERE recorded_unix_ms < ?", earlier(age)),
    }
}

fn remove(transaction: &Transaction<'_>, what: Prune, now_ms: i64) -> rusqlite::Result<Pruned> {
    let of = |table| {
        let (condition, bound) = removable(table, what, now_ms);
        transaction.execute(&format!("DELETE FROM {condition}"), [bound])
    };
    Ok(Pruned { entries: of(Kept::Entries)?, trials: of(Kept::Trials)? })
}

#[cfg(test)]
mod tests;
