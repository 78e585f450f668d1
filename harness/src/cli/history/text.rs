//! The history as terminal tables.

use comfy_table::{CellAlignment, Table};

use crate::history::{Entry, Point, Summary, TrialEntry, timestamp};
use crate::table::quantity::{self, NOTHING};
use crate::table::{empty_table, lines_of, scenario_table};

/// Milliseconds of a minute.
const MINUTE: i64 = 60_000;
/// Of an hour.
const HOUR: i64 = 60 * MINUTE;
/// Of a day.
const DAY: i64 = 24 * HOUR;

/// Entries as a table, as they come.
pub(super) fn list(entries: &[Summary], now_ms: i64) -> String {
    let heads = ["id", "when", "namespace", "key", "outcome", "commits/s", "p99", "kept"];
    let mut table = left_table(&heads, &[0, 5, 6]);
    for entry in entries {
        table.add_row([
            entry.id.to_string(),
            when(entry),
            entry.namespace.clone(),
            marked_key(entry),
            entry.outcome.clone(),
            entry.throughput_per_s.map_or_else(|| NOTHING.into(), quantity::count),
            entry.response_ns_p99.map_or_else(|| NOTHING.into(), |value| quantity::in_unit(value, "ns")),
            kept(entry, now_ms),
        ]);
    }
    lines_of(&table) + &notes(entries)
}

/// What was tried, as it comes.
pub(super) fn trials(trials: &[TrialEntry]) -> String {
    let heads =
        ["when", "protocol", "scenario", "clock", "goal", "settings", "commits/s", "p99", "CPU/commit"];
    let mut table = left_table(&heads, &[6, 7, 8]);
    for trial in trials {
        let settings: Vec<String> =
            trial.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let metric = |of: fn(&crate::trial::Sample) -> Option<String>| {
            trial.sample.as_ref().and_then(of).unwrap_or_else(|| NOTHING.into())
        };
        table.add_row([
            timestamp(trial.recorded_unix_ms),
            trial.protocol.clone(),
            trial.scenario.clone(),
            if trial.is_virtual { "virtual" } else { "real" }.into(),
            trial.goal.name().into(),
            if settings.is_empty() { "as set".into() } else { settings.join(" ") },
            metric(|sample| Some(quantity::count(sample.throughput_per_s))),
            metric(|sample| Some(quantity::in_unit(sample.response_ns_p99, "ns"))),
            metric(|sample| sample.cpu_ns_per_commit.map(|ns| quantity::in_unit(ns, "ns"))),
        ]);
    }
    lines_of(&table)
}

/// A metric over time, as the points come.
pub(super) fn points(points: &[Point]) -> String {
    let name = points.first().map_or("", |point| point.metric.as_str());
    let mut table = left_table(&["id", "when", "key", name, "95 % interval", "run"], &[0, 3, 4]);
    for point in points {
        let entry = &point.summary;
        table.add_row([
            entry.id.to_string(),
            when(entry),
            marked_key(entry),
            quantity::of_metric(base(name), point.value, &point.unit),
            interval(name, point.lower, point.upper, &point.unit),
            entry.run_id.clone(),
        ]);
    }
    lines_of(&table) + &notes(points.iter().map(|point| &point.summary))
}

/// An entry: where it is from, its table, and all its metrics.
pub(super) fn entry(Entry { summary, result }: &Entry, now_ms: i64) -> String {
    let mut text = format!(
        "entry {}: {} in namespace {}\nrecorded {} by run {}\ncommit {}, machine {}; kept: {}\n\n{}",
        summary.id,
        summary.key,
        summary.namespace,
        when(summary),
        summary.run_id,
        summary.commit.as_deref().unwrap_or("unknown"),
        summary.fingerprint,
        kept(summary, now_ms),
        scenario_table(std::slice::from_ref(result))
    );
    let metrics = crate::history::metrics_of(result);
    if !metrics.is_empty() {
        let mut table = left_table(&["metric", "value", "95 % interval", "observations"], &[1, 2, 3]);
        for metric in metrics {
            table.add_row([
                metric.name.clone(),
                quantity::of_metric(base(&metric.name), metric.value, &metric.unit),
                interval(&metric.name, metric.lower, metric.upper, &metric.unit),
                metric.n.to_string(),
            ]);
        }
        text += &format!("\n\n{}", lines_of(&table));
    }
    text
}

/// A table of words, with the given columns of numbers.
pub(super) fn left_table(heads: &[&str], numbers: &[usize]) -> Table {
    let mut table = empty_table(heads, false);
    for column in table.column_iter_mut() {
        let is_number = numbers.contains(&column.index);
        column.set_cell_alignment(if is_number { CellAlignment::Right } else { CellAlignment::Left });
    }
    table
}

/// To the second: `2026-11-21T11:45:00Z`.
fn when(entry: &Summary) -> String {
    seconds(entry.recorded_unix_ms)
}

/// A time to the second.
pub(super) fn seconds(unix_ms: i64) -> String {
    let exact = timestamp(unix_ms);
    exact.split_once('.').map_or(exact.clone(), |(seconds, _)| format!("{seconds}Z"))
}

/// The key with the marks that tables of results give rows.
fn marked_key(entry: &Summary) -> String {
    let disturbed = if entry.disturbed { " *" } else { "" };
    let interrupted = if entry.outcome == "interrupted" { " ~" } else { "" };
    format!("{}{disturbed}{interrupted}", entry.key)
}

/// What the marks mean, if there are any.
fn notes<'a>(entries: impl IntoIterator<Item = &'a Summary>) -> String {
    let (mut disturbed, mut interrupted) = ("", "");
    for entry in entries {
        if entry.disturbed {
            disturbed = "\n* disturbed: `cargo consensus-bench history show ID` says by what";
        }
        if entry.outcome == "interrupted" {
            interrupted = "\n~ interrupted: the numbers are of the part that ran";
        }
    }
    format!("{disturbed}{interrupted}")
}

/// How long an entry is kept yet; cut, so that what is promised holds.
fn kept(entry: &Summary, now_ms: i64) -> String {
    let Some(expires) = entry.expires_unix_ms else {
        return if entry.pinned { "pinned" } else { "until removed" }.into();
    };
    match expires.saturating_sub(now_ms) {
        left if left <= 0 => "expired".into(),
        left if left < MINUTE => "<1 min".into(),
        left if left < 2 * HOUR => format!("{} min", left / MINUTE),
        left if left < 2 * DAY => format!("{} h", left / HOUR),
        left => format!("{} d", left / DAY),
    }
}

fn interval(name: &str, lower: Option<f64>, upper: Option<f64>, unit: &str) -> String {
    let shown = |value| quantity::of_metric(base(name), value, unit);
    match lower.zip(upper) {
        Some((lower, upper)) => format!("{} to {}", shown(lower), shown(upper)),
        None => NOTHING.into(),
    }
}

/// The name without the fault it belongs to.
pub(super) fn base(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::files;
    use crate::history::{EntryId, ExportFormat, Filter, History, Retention};
    use crate::results::{Outcome, RunResults};

    /// 2026-11-21 11:46:00 UTC.
    const RECORDED: i64 = 1_795_261_560_000;

    /// A history with an entry of every kind, recorded a minute after the other.
    fn history(folder: &tempfile::TempDir) -> History {
        let mut run: RunResults = files::parse_results(Path::new("sample"), files::SAMPLE).unwrap();
        let (raft, openraft) = (run.results[0].clone(), run.results[1].clone());
        let mut disturbed = raft.clone();
        disturbed.disturbed = vec!["run delay 3.1 % of wall time".into()];
        let mut interrupted = openraft.clone();
        interrupted.outcome = Outcome::Interrupted;
        let mut failed = openraft.clone();
        failed.outcome = Outcome::Failed { reason: "no leader within 10 s".into() };
        let mut broken = raft.clone();
        broken.outcome = Outcome::Unsafe;
        broken.metrics.clear();
        broken.safety.violations = vec!["replicas 0 and 2 differ at slot 7".into()];

        let pinned = Retention { pinned: true, namespace: "ci".into(), ..Retention::default() };
        let kept = Retention { keep_for: None, ..Retention::default() };
        let days = |days: u64| Retention {
            keep_for: Some(std::time::Duration::from_secs(days * 24 * 60 * 60)),
            ..Retention::default()
        };
        let mut history = History::open(&folder.path().join("history.sqlite")).unwrap();
        for (minute, (result, retention)) in (0..).zip([
            (raft, pinned),
            (disturbed, kept),
            (interrupted, days(30)),
            (failed, days(1)),
            (broken, days(0)),
        ]) {
            history.record_at(&run, &result, &retention, RECORDED + minute * MINUTE).unwrap();
            run.manifest.commit = None;
        }
        history
    }

    #[test]
    fn every_kind_of_entry_is_listed() {
        let folder = tempfile::tempdir().unwrap();
        let entries = history(&folder).list(&Filter::default()).unwrap();
        let shown = list(&entries, RECORDED + 5 * MINUTE);
        assert!(shown.lines().all(|line| line.chars().count() <= 140), "{shown}");
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn a_metric_stands_with_its_interval_and_its_run() {
        let folder = tempfile::tempdir().unwrap();
        insta::assert_snapshot!(points(
            &history(&folder).query("response_ns_p99", &Filter::default()).unwrap()
        ));
    }

    #[test]
    fn an_entry_is_shown_with_all_its_metrics() {
        let folder = tempfile::tempdir().unwrap();
        let history = history(&folder);
        let show = |id: &str| {
            let id: EntryId = id.parse().unwrap();
            entry(&history.get(id).unwrap(), RECORDED + 5 * MINUTE)
        };
        insta::assert_snapshot!(show("1"));
        let withheld = show("5");
        assert!(
            withheld.contains("withheld: safety violation\n  - replicas 0 and 2 differ at slot 7"),
            "{withheld}"
        );
        assert!(!withheld.contains("response_ns"), "{withheld}");
    }

    #[test]
    fn the_csv_has_a_line_per_number_and_one_for_an_entry_without() {
        let folder = tempfile::tempdir().unwrap();
        let csv = history(&folder).export(&Filter::default(), ExportFormat::Csv).unwrap();
        let few = |line: &&str| {
            ["metric", "response_ns_p99,", "success_ratio", "failed", "unsafe"]
                .iter()
                .any(|word| line.contains(word))
        };
        insta::assert_snapshot!(csv.lines().filter(few).collect::<Vec<_>>().join("\n"));
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        assert_eq!(reader.records().map(|record| record.unwrap().len()).max(), Some(18));
        assert_eq!(reader.headers().unwrap().len(), 18);
    }

    #[test]
    fn what_is_left_is_never_promised_too_long() {
        let folder = tempfile::tempdir().unwrap();
        let mut entry = history(&folder).list(&Filter::default()).unwrap().remove(0);
        for (left, expected) in [
            (-1, "expired"),
            (0, "expired"),
            (1, "<1 min"),
            (2 * MINUTE - 1, "1 min"),
            (2 * HOUR - 1, "119 min"),
            (2 * DAY - 1, "47 h"),
            (7 * DAY - 1, "6 d"),
        ] {
            entry.expires_unix_ms = Some(RECORDED + left);
            assert_eq!(kept(&entry, RECORDED), expected);
        }
    }
}
