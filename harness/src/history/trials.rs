//! Trials of the tuner in the history: what was tried under which conditions, so that a later tuning starts from
//! what an earlier one learned.

use std::time::Duration;

use rusqlite::types::Type;
use rusqlite::{Row, named_params};
use serde::Serialize;

use super::{Filter, History, HistoryError, Prune, after, now_unix_ms, remove};
use crate::trial::{Goal, Sample, SettingValues};

/// How long a trial is kept: as long as a baseline of a machine is likely to be any good.
pub const TRIAL_RETENTION: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Under which conditions trials were made: only those of the same ones know anything of each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialConditions {
    /// Protocol.
    pub protocol: String,
    /// Scenario, by its name.
    pub scenario: String,
    /// Digest of all that makes numbers comparable: the scenario without its name, the load, the build of the
    /// program, and in virtual time the costs and links.
    pub digest: String,
    /// Whether the clock was virtual.
    pub is_virtual: bool,
    /// Fingerprint of the machine; trials in virtual time are the same on all of them.
    pub fingerprint: String,
}

/// A trial as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrialEntry {
    /// Protocol.
    pub protocol: String,
    /// Scenario.
    pub scenario: String,
    /// Digest of the conditions.
    pub digest: String,
    /// What the tuning was after; what was measured serves every goal under the same load.
    pub goal: Goal,
    /// What was set, besides what the scenario's run had set.
    pub settings: SettingValues,
    /// Whether the clock was virtual.
    pub is_virtual: bool,
    /// What was measured; none when the cluster did not serve.
    pub sample: Option<Sample>,
    /// Why there is none.
    pub failure: Option<String>,
    /// Fingerprint of the machine.
    pub fingerprint: String,
    /// When, in milliseconds since 1970.
    pub recorded_unix_ms: i64,
}

impl History {
    /// Keeps a trial. Expired ones go in the same transaction.
    pub fn record_trial(
        &mut self,
        conditions: &TrialConditions,
        goal: Goal,
        settings: &SettingValues,
        found: Result<&Sample, &str>,
    ) -> Result<(), HistoryError> {
        let now = now_unix_ms();
        let settings = serde_json::to_string(settings).map_err(HistoryError::Json)?;
        let sample = found.ok().map(serde_json::to_string).transpose().map_err(HistoryError::Json)?;
        self.write(|transaction| {
            remove(transaction, Prune::Expired, now)?;
            transaction.execute(
                "INSERT INTO trials (protocol, scenario, digest, goal, settings, virtual, sample, failure,
                     fingerprint, recorded_unix_ms, expires_unix_ms)
                 VALUES (:protocol, :scenario, :digest, :goal, :settings, :virtual, :sample, :failure,
                     :fingerprint, :recorded, :expires)",
                named_params! {
                    ":protocol": conditions.protocol,
                    ":scenario": conditions.scenario,
                    ":digest": conditions.digest,
                    ":goal": goal.name(),
                    ":settings": settings,
                    ":virtual": conditions.is_virtual,
                    ":sample": sample,
                    ":failure": found.err(),
                    ":fingerprint": conditions.fingerprint,
                    ":recorded": now,
                    ":expires": after(now, TRIAL_RETENTION),
                },
            )
        })?;
        Ok(())
    }

    /// What was measured under these conditions, the newest of each settings; in real time on this machine only.
    /// A failure teaches nothing: it may have been the machine's.
    pub fn known_trials(
        &self,
        conditions: &TrialConditions,
    ) -> Result<Vec<(SettingValues, Sample)>, HistoryError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM trials WHERE sample IS NOT NULL AND protocol = :protocol AND digest = :digest
                 AND virtual = :virtual AND (virtual = 1 OR fingerprint = :fingerprint)
             ORDER BY recorded_unix_ms DESC, id DESC"
        );
        let parameters = named_params! {
            ":protocol": conditions.protocol,
            ":digest": conditions.digest,
            ":virtual": conditions.is_virtual,
            ":fingerprint": conditions.fingerprint,
        };
        let read = || -> rusqlite::Result<Vec<TrialEntry>> {
            self.connection.prepare(&sql)?.query_map(parameters, trial)?.collect()
        };
        let mut known: Vec<(SettingValues, Sample)> = Vec::new();
        for entry in read().map_err(|source| self.failed(source))? {
            let Some(sample) = entry.sample else { continue };
            if known.iter().all(|(settings, _)| *settings != entry.settings) {
                known.push((entry.settings, sample));
            }
        }
        Ok(known)
    }

    /// Trials, newest first. They have no namespace.
    pub fn trials(&self, filter: &Filter) -> Result<Vec<TrialEntry>, HistoryError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM trials WHERE :namespace IS NULL
                 AND (:protocol IS NULL OR protocol = :protocol)
                 AND (:scenario IS NULL OR scenario = :scenario)
                 AND (:since IS NULL OR recorded_unix_ms >= :since)
             ORDER BY recorded_unix_ms DESC, id DESC LIMIT :limit"
        );
        self.select(&sql, filter, &[], trial)
    }
}

const COLUMNS: &str = "protocol, scenario, digest, goal, settings, virtual, sample, failure, fingerprint, \
    recorded_unix_ms";

fn trial(row: &Row<'_>) -> rusqlite::Result<TrialEntry> {
    let unreadable = |column: usize, error: serde_json::Error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    };
    let sample: Option<String> = row.get(6)?;
    let goal = match row.get::<_, String>(3)?.as_str() {
        "max-throughput" => Goal::MaxThroughput,
        "min-cost" => Goal::MinCost,
        _ => Goal::MinP99,
    };
    Ok(TrialEntry {
        protocol: row.get(0)?,
        scenario: row.get(1)?,
        digest: row.get(2)?,
        goal,
        settings: serde_json::from_str(&row.get::<_, String>(4)?).map_err(|error| unreadable(4, error))?,
        is_virtual: row.get(5)?,
        sample: sample
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| unreadable(6, error))?,
        failure: row.get(7)?,
        fingerprint: row.get(8)?,
        recorded_unix_ms: row.get(9)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions() -> TrialConditions {
        TrialConditions {
            protocol: "raft-rs".into(),
            scenario: "high_load".into(),
            digest: "d".into(),
            is_virtual: false,
            fingerprint: "here".into(),
        }
    }

    fn sample(throughput_per_s: f64) -> Sample {
        Sample {
            throughput_per_s,
            response_ns_p50: 1.0,
            response_ns_p99: 2.0,
            cpu_ns_per_commit: None,
            success: 1.0,
            disturbed: vec!["someone".into()],
        }
    }

    fn set(value: f64) -> SettingValues {
        SettingValues::from([("linger_us".into(), value)])
    }

    #[test]
    fn trials_come_back_under_their_conditions_and_the_newest_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut history = History::open(&folder.path().join("h.sqlite")).unwrap();
        let goal = Goal::MaxThroughput;
        for (value, throughput) in [(16.0, 5.0), (32.0, 6.0), (16.0, 7.0)] {
            history.record_trial(&conditions(), goal, &set(value), Ok(&sample(throughput))).unwrap();
        }
        history.record_trial(&conditions(), Goal::MinP99, &set(64.0), Err("it hangs")).unwrap();
        let known = history.known_trials(&conditions()).unwrap();
        // What failed may serve the next time, and is not known to do anything.
        let expected = [(set(16.0), sample(7.0)), (set(32.0), sample(6.0))];
        assert_eq!(known, expected);
        for other in [
            TrialConditions { digest: "e".into(), ..conditions() },
            TrialConditions { fingerprint: "there".into(), ..conditions() },
            TrialConditions { is_virtual: true, ..conditions() },
            TrialConditions { protocol: "abd".into(), ..conditions() },
        ] {
            assert_eq!(history.known_trials(&other).unwrap(), []);
        }
        let listed = history.trials(&Filter { limit: Some(2), ..Filter::default() }).unwrap();
        assert_eq!((listed.len(), listed[0].goal), (2, Goal::MinP99));
        assert_eq!((listed[0].failure.as_deref(), listed[1].settings.clone()), (Some("it hangs"), set(16.0)));
    }

    #[test]
    fn trials_are_pruned_by_age_and_by_expiry() {
        let folder = tempfile::tempdir().unwrap();
        let mut history = History::open(&folder.path().join("h.sqlite")).unwrap();
        let record = |history: &mut History| {
            history.record_trial(&conditions(), Goal::MinCost, &set(16.0), Ok(&sample(5.0))).unwrap();
        };
        let later = |age: Duration| after(now_unix_ms(), age);
        record(&mut history);
        assert_eq!(history.prune_at(Prune::Expired, later(TRIAL_RETENTION / 2)).unwrap().trials, 0);
        assert_eq!(history.prune_at(Prune::Expired, later(TRIAL_RETENTION)).unwrap().trials, 1);
        record(&mut history);
        let old = Prune::OlderThan(Duration::from_secs(60));
        assert_eq!(history.would_prune(old).unwrap().trials, 0);
        assert_eq!(history.prune_at(old, later(Duration::from_secs(61))).unwrap().trials, 1);
        assert_eq!(history.known_trials(&conditions()).unwrap(), []);
    }

    #[test]
    fn what_virtual_time_found_counts_on_every_machine() {
        let folder = tempfile::tempdir().unwrap();
        let mut history = History::open(&folder.path().join("h.sqlite")).unwrap();
        let simulated = TrialConditions { is_virtual: true, ..conditions() };
        history.record_trial(&simulated, Goal::MinCost, &set(16.0), Ok(&sample(5.0))).unwrap();
        let elsewhere = TrialConditions { fingerprint: "there".into(), ..simulated };
        assert_eq!(history.known_trials(&elsewhere).unwrap().len(), 1);
    }
}
