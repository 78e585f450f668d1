use std::path::Path;

use super::*;
use crate::files;
use crate::history::{Filter, History, Retention};
use crate::results::{Outcome, RunResults};

/// 2026-11-21 11:46:00 UTC.
const RECORDED: i64 = 1_795_261_560_000;

/// What was recorded of `high_load`, an hour after each other: response times that double after run 15, and one
/// disturbed and one interrupted run; then a few of another payload.
fn history(folder: &tempfile::TempDir) -> History {
    let mut run: RunResults = files::parse_results(Path::new("sample"), files::SAMPLE).unwrap();
    let mut history = History::open(&folder.path().join("history.sqlite")).unwrap();
    let pinned = Retention { pinned: true, ..Retention::default() };
    for hour in 0..32u32 {
        let mut result = run.results[0].clone();
        result
            .metrics
            .retain(|metric| ["response_ns_p99", "throughput_per_s"].contains(&metric.name.as_str()));
        for metric in &mut result.metrics {
            let noise = 1.0 + f64::from(hour * 37 % 11) / 500.0;
            let level = if metric.name == "response_ns_p99" && hour > 15 { 2.0 } else { 1.0 };
            metric.value *= noise * level;
        }
        match hour {
            5 => result.disturbed = vec!["run delay 3.1 % of wall time".into()],
            6 => result.outcome = Outcome::Interrupted,
            27.. => {
                result.scenario.payload_bytes = 1_024;
                result.settings = [("max_batch".to_string(), 16.0)].into();
            }
            _ => {}
        }
        run.manifest.commit = (hour > 3).then(|| format!("4da0db{}", hour / 4));
        run.run_id = format!("202611{:02}T{:02}0000.000Z-quick", 21 + hour / 24, hour % 24);
        history.record_at(&run, &result, &pinned, RECORDED + i64::from(hour) * 3_600_000).unwrap();
    }
    history
}

fn trends(history: &History, metric: Option<&str>) -> Trends {
    let options = SeriesOptions { metric: metric.map(Into::into), ..SeriesOptions::default() };
    Trends::of(history.series(&Filter::default(), &options).unwrap(), DEFAULT_SIGNIFICANCE)
}

#[test]
fn a_trend_is_drawn_with_its_changes() {
    let folder = tempfile::tempdir().unwrap();
    let shown = all_of(&trends(&history(&folder), None), |_| true);
    assert!(shown.lines().all(|line| line.chars().count() <= 140), "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn too_few_runs_are_told_with_how_many_are_needed() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = history(&folder).series(&Filter::default(), &SeriesOptions::default()).unwrap();
    all.series.retain(|series| series.observations.len() == 5);
    let shown = all_of(&Trends::of(all, DEFAULT_SIGNIFICANCE), |_| true);
    assert!(shown.contains("\n5 runs; 12 are needed to find a change\n"), "{shown}");
    let last = "2 series with less than the 12 runs that are needed; the longest has 5";
    assert!(shown.contains(last), "{shown}");
}

#[test]
fn programs_get_every_observation() {
    let folder = tempfile::tempdir().unwrap();
    let trends = trends(&history(&folder), Some("response_ns_p99"));
    let json = serde_json::to_value(&trends).unwrap();
    let first = &json["trends"][0];
    assert_eq!(first["observations"].as_array().unwrap().len(), 25);
    assert_eq!((&first["metric"], &first["class"]), (&"response_ns_p99".into(), &"wall".into()));
    assert_eq!(first["changes"][0]["direction"], "worse");
    assert_eq!(first["changes"][0]["run_id"], "20261121T160000.000Z-quick");
    assert_eq!((&json["judged"], &json["too_few"]), (&1.into(), &1.into()));
}

#[test]
fn a_long_series_is_drawn_within_its_width() {
    let folder = tempfile::tempdir().unwrap();
    let mut trend = trends(&history(&folder), None).trends.remove(0);
    let observations = trend.series.observations.clone();
    trend.series.observations = observations.iter().cycle().take(777).cloned().collect();
    assert!(drawing(&trend).chars().count() <= WIDTH + 2 * trend.changes.len(), "{}", drawing(&trend));
    trend.series.observations.truncate(1);
    trend.changes.clear();
    assert_eq!(drawing(&trend), "▅");
}
