use std::path::Path;

use super::*;
use crate::files;
use crate::history::{Filter, History, Retention, SeriesOptions};
use crate::results::{Class, Metric, Outcome, RunResults, ScenarioResult};

const P99: &str = "response_ns_p99";
const COUNT: &str = "messages_per_commit";

fn run() -> RunResults {
    files::parse_results(Path::new("sample"), files::SAMPLE).unwrap()
}

/// A result with a time and an exact count, and no other metrics.
fn result(p99_ns: f64, count: f64) -> ScenarioResult {
    let mut result = run().results.remove(0);
    let p99 = Metric { value: p99_ns, ..result.metric(P99).unwrap().clone() };
    let exact = Metric {
        name: COUNT.into(),
        value: count,
        unit: "1".into(),
        better: Better::Lower,
        class: Class::Exact,
        ..p99.clone()
    };
    result.metrics = vec![p99, exact];
    result
}

struct Place {
    _folder: tempfile::TempDir,
    history: History,
    recorded: i64,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(&folder.path().join("history.sqlite")).unwrap();
        Place { _folder: folder, history, recorded: 0 }
    }

    /// Records a result by a machine, a minute after the one before; its commit is its number.
    fn record(&mut self, fingerprint: &str, result: &ScenarioResult) {
        let mut run = run();
        run.manifest.machine.fingerprint = fingerprint.into();
        run.manifest.commit = Some(format!("c{}", self.recorded));
        run.run_id = format!("run-{}", self.recorded);
        let pinned = Retention { pinned: true, ..Retention::default() };
        self.history.record_at(&run, result, &pinned, self.recorded * 60_000).unwrap();
        self.recorded += 1;
    }

    fn series(&self, options: &SeriesOptions) -> AllSeries {
        self.history.series(&Filter::default(), options).unwrap()
    }

    fn trends(&self) -> Trends {
        Trends::of(self.series(&SeriesOptions::default()), DEFAULT_SIGNIFICANCE)
    }
}

fn of<'a>(trends: &'a Trends, metric: &str) -> &'a Trend {
    trends.trends.iter().find(|trend| trend.series.metric == metric).unwrap()
}

/// A little that varies, the same in every test.
fn noise(index: usize) -> f64 {
    (index * 37 % 11) as f64
}

#[test]
fn a_change_says_when_and_by_how_much() {
    let mut place = Place::new();
    for index in 0..20 {
        let level = if index < 12 { 1_000.0 } else { 1_500.0 };
        place.record("m", &result(level + noise(index), 24.0));
    }
    let trends = place.trends();
    let trend = of(&trends, P99);
    let [change] = &trend.changes[..] else { panic!("{:?}", trend.changes) };
    assert_eq!(
        (change.index, change.first.run_id.as_str(), change.direction),
        (12, "run-12", Direction::Worse)
    );
    assert_eq!(change.first.recorded_unix_ms, 12 * 60_000);
    assert_eq!((change.commit_before.as_deref(), change.first.commit.as_deref()), (Some("c11"), Some("c12")));
    let middle = |values: std::ops::Range<usize>, level: f64| {
        median(&mut values.map(|index| level + noise(index)).collect::<Vec<_>>()).unwrap()
    };
    let (before, after) = (middle(0..12, 1_000.0), middle(12..20, 1_500.0));
    assert_eq!((change.before, change.after), (before, after));
    assert!((change.relative.unwrap() - (after / before - 1.0)).abs() < 1e-12);
    assert!(change.p <= DEFAULT_SIGNIFICANCE);
    assert!(of(&trends, COUNT).changes.is_empty());
    assert_eq!((trends.judged, trends.too_few, trends.entries), (2, 0, 20));
}

#[test]
fn times_are_kept_apart_by_machine_and_counts_are_not() {
    let mut place = Place::new();
    for index in 0..24 {
        // One machine is twice as fast as the other, which is no change of either.
        let (machine, level) = if index % 2 == 0 { ("slow", 2_000.0) } else { ("fast", 1_000.0) };
        place.record(machine, &result(level + noise(index), if index < 10 { 24.0 } else { 26.0 }));
    }
    let trends = place.trends();
    let machines: Vec<_> = trends
        .trends
        .iter()
        .map(|trend| (trend.series.metric.as_str(), trend.series.fingerprint.as_deref()))
        .collect();
    assert_eq!(machines, [(COUNT, None), (P99, Some("fast")), (P99, Some("slow"))]);
    assert_eq!(of(&trends, COUNT).changes.iter().map(|change| change.index).collect::<Vec<_>>(), [10]);
    assert!(trends.trends[1..].iter().all(|trend| trend.changes.is_empty()));
}

#[test]
fn runs_of_another_load_are_another_series() {
    let mut place = Place::new();
    for index in 0..24 {
        let mut result = result(1_000.0 + noise(index), 24.0);
        if index >= 12 {
            result.metrics[0].value *= 3.0;
            result.scenario.payload_bytes *= 8;
        }
        // What it says about itself is no part of it.
        result.scenario.about = format!("text {index}");
        place.record("m", &result);
    }
    let mut tuned = result(9_000.0, 24.0);
    tuned.settings = [("max_batch".to_string(), 1.0)].into();
    place.record("m", &tuned);
    let trends = place.trends();
    assert!(trends.trends.iter().all(|trend| trend.changes.is_empty()));
    let mut lengths: Vec<usize> = trends.trends.iter().map(|trend| trend.series.observations.len()).collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [1, 1, 12, 12, 12, 12]);
    assert_eq!((trends.judged, trends.too_few, trends.most_of_too_few), (4, 2, 1));
}

#[test]
fn disturbed_and_incomplete_runs_are_left_out_and_counted() {
    let mut place = Place::new();
    for index in 0..12 {
        place.record("m", &result(1_000.0 + noise(index), 24.0));
    }
    let mut disturbed = result(9e9, 24.0);
    disturbed.disturbed = vec!["run delay".into()];
    place.record("m", &disturbed);
    for outcome in [Outcome::Interrupted, Outcome::Failed { reason: "no leader".into() }, Outcome::Unsafe] {
        place.record("m", &ScenarioResult { outcome, ..result(9e9, 99.0) });
    }
    let lengths = |with_disturbed| {
        let all = place.series(&SeriesOptions { with_disturbed, metric: None });
        let lengths: Vec<_> =
            all.series.iter().map(|series| (series.metric.clone(), series.observations.len())).collect();
        (all.entries, all.incomplete, all.disturbed, lengths)
    };
    assert_eq!(lengths(false), (16, 3, 1, vec![(COUNT.into(), 13), (P99.into(), 12)]));
    assert_eq!(lengths(true), (16, 3, 0, vec![(COUNT.into(), 13), (P99.into(), 13)]));
}

#[test]
fn one_metric_can_be_asked_for_and_a_slip_in_its_name_is_told() {
    let mut place = Place::new();
    place.record("m", &result(1_000.0, 24.0));
    let ask = |metric: &str| {
        let options = SeriesOptions { metric: Some(metric.into()), ..SeriesOptions::default() };
        place.history.series(&Filter::default(), &options)
    };
    assert_eq!(ask(P99).unwrap().series.len(), 1);
    let error = ask("response_ms_p99").unwrap_err().to_string();
    assert_eq!(error, "no metric `response_ms_p99`; the nearest there are: response_ns_p99");
    // A metric that exists, of entries that do not pass.
    let none = Filter { protocol: Some("none".into()), ..Filter::default() };
    let options = SeriesOptions { metric: Some(P99.into()), ..SeriesOptions::default() };
    assert_eq!(place.history.series(&none, &options).unwrap(), AllSeries::default());
}

/// A series that steps from one level to another.
fn stepping(name: &str, better: Better, before: f64, after: f64) -> Series {
    let mut place = Place::new();
    place.record("m", &result(1.0, 1.0));
    let series = place.series(&SeriesOptions::default()).series.remove(1);
    let observation = &series.observations[0];
    let at = |value: f64| Observation { value, ..observation.clone() };
    Series {
        metric: name.into(),
        better,
        observations: (0..20).map(|index| at(if index < 10 { before } else { after })).collect(),
        ..series
    }
}

#[test]
fn the_worst_comes_first_whichever_way_is_worse() {
    let all = AllSeries {
        series: vec![
            stepping("still", Better::Lower, 5.0, 5.0),
            stepping("latency doubled", Better::Lower, 1.0, 2.0),
            stepping("latency halved", Better::Lower, 2.0, 1.0),
            stepping("commits a third", Better::Higher, 3.0, 1.0),
            stepping("commits twice", Better::Higher, 1.0, 2.1),
            stepping("replicas", Better::Neither, 3.0, 99.0),
            stepping("lost some", Better::Lower, 0.0, 1.0),
            stepping("a little", Better::Lower, 100.0, 100.1),
        ],
        ..AllSeries::default()
    };
    let trends = Trends::of(all, DEFAULT_SIGNIFICANCE);
    let names: Vec<&str> = trends.trends.iter().map(|trend| trend.series.metric.as_str()).collect();
    let expected = [
        "lost some",
        "commits a third",
        "latency doubled",
        "a little",
        "replicas",
        "latency halved",
        "commits twice",
        "still",
    ];
    assert_eq!(names, expected);
    let relative = |name: &str| of(&trends, name).changes[0].relative;
    assert_eq!((relative("lost some"), relative("latency doubled")), (None, Some(1.0)));
    assert_eq!(of(&trends, "commits a third").changes[0].direction, Direction::Worse);
    assert_eq!(of(&trends, "replicas").changes[0].direction, Direction::Neither);
}

#[test]
fn a_change_of_what_is_below_zero_has_the_sign_of_its_direction() {
    let all = AllSeries { series: vec![stepping("x", Better::Higher, -2.0, -1.0)], ..AllSeries::default() };
    let trends = Trends::of(all, DEFAULT_SIGNIFICANCE);
    let change = &trends.trends[0].changes[0];
    assert_eq!((change.relative, change.direction), (Some(0.5), Direction::Better));
}

#[test]
fn of_a_very_long_series_the_newest_part_is_looked_at() {
    let mut long = stepping("long", Better::Lower, 1.0, 2.0);
    let (first, last) = (long.observations[0].clone(), long.observations[19].clone());
    long.observations = [vec![first; 5], vec![last; MOST_OBSERVATIONS]].concat();
    let trends = Trends::of(AllSeries { series: vec![long], ..AllSeries::default() }, DEFAULT_SIGNIFICANCE);
    assert_eq!(trends.trends[0].left_out, 5);
    assert!(trends.trends[0].changes.is_empty());
}
