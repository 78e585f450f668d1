//! The history for other programs: everything as JSON, or a line per number as CSV.

use std::time::{Duration, UNIX_EPOCH};

use clap::ValueEnum;

use super::{Entry, Filter, History, HistoryError, Summary, metrics_of};
use crate::results::Metric;

/// How entries are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// An array of entries with their complete results
    Json,
    /// A line per entry and metric
    Csv,
}

/// Heads of the CSV's columns.
const HEADS: [&str; 18] = [
    "id",
    "recorded",
    "namespace",
    "key",
    "scenario",
    "protocol",
    "run_id",
    "commit",
    "fingerprint",
    "outcome",
    "disturbed",
    "pinned",
    "expires",
    "metric",
    "value",
    "lower",
    "upper",
    "unit",
];

/// The year 10000, which [`timestamp`]'s format has no digits for.
const END_OF_CALENDAR: Duration = Duration::from_secs(253_402_300_800);

impl History {
    /// Entries as text in the given format, oldest first, without a line break at the end.
    pub fn export(&self, filter: &Filter, format: ExportFormat) -> Result<String, HistoryError> {
        let entries = self.entries(filter)?;
        match format {
            ExportFormat::Json => Ok(serde_json::to_string_pretty(&entries)?),
            ExportFormat::Csv => csv(&entries),
        }
    }
}

/// A time as people and spreadsheets read it: `2026-11-21T11:45:00.123Z`.
pub fn timestamp(unix_ms: i64) -> String {
    let since_1970 = Duration::from_millis(unix_ms.try_into().unwrap_or(0));
    if since_1970 >= END_OF_CALENDAR {
        return "never".into();
    }
    humantime::format_rfc3339_millis(UNIX_EPOCH + since_1970).to_string()
}

fn csv(entries: &[Entry]) -> Result<String, HistoryError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADS)?;
    for Entry { summary, result } in entries {
        let metrics = metrics_of(result);
        // A failure has no metrics, and must not be missing.
        if metrics.is_empty() {
            writer.write_record(line(summary, None))?;
        }
        for metric in metrics {
            writer.write_record(line(summary, Some(metric)))?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    // All that went in was text.
    Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_string())
}

/// What does not apply is empty.
fn line(entry: &Summary, metric: Option<&Metric>) -> [String; HEADS.len()] {
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    [
        entry.id.to_string(),
        timestamp(entry.recorded_unix_ms),
        entry.namespace.clone(),
        entry.key.clone(),
        entry.scenario.clone(),
        entry.protocol.clone(),
        entry.run_id.clone(),
        entry.commit.clone().unwrap_or_default(),
        entry.fingerprint.clone(),
        entry.outcome.clone(),
        entry.disturbed.to_string(),
        entry.pinned.to_string(),
        entry.expires_unix_ms.map(timestamp).unwrap_or_default(),
        metric.map(|metric| metric.name.clone()).unwrap_or_default(),
        number(metric.map(|metric| metric.value)),
        number(metric.and_then(|metric| metric.lower)),
        number(metric.and_then(|metric| metric.upper)),
        metric.map(|metric| metric.unit.clone()).unwrap_or_default(),
    ]
}
