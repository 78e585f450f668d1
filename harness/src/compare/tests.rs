use std::path::Path;

use super::*;
use crate::files;
use crate::results::Outcome;
use crate::scenario::StorageConfig;

fn run() -> RunResults {
    files::parse_results(Path::new("sample"), files::SAMPLE).unwrap()
}

fn side(name: &str, runs: Vec<RunResults>) -> Recorded {
    Recorded { name: name.into(), runs }
}

/// The sample against itself after a change.
fn against(change: impl FnOnce(&mut RunResults)) -> Comparison {
    let mut changed = run();
    change(&mut changed);
    compare(&side("main", vec![run()]), &side("this run", vec![changed]))
}

fn scale(result: &mut ScenarioResult, name: &str, factor: f64) {
    let metric = result.metrics.iter_mut().find(|metric| metric.name == name).unwrap();
    metric.value *= factor;
    metric.lower = metric.lower.map(|lower| lower * factor);
    metric.upper = metric.upper.map(|upper| upper * factor);
}

fn verdict_of(row: &ComparedRow, name: &str) -> Verdict {
    row.metrics.iter().find(|metric| metric.name == name).unwrap().verdict
}

#[test]
fn nothing_is_seen_between_a_run_and_itself() {
    let comparison = against(|_| ());
    assert_eq!(comparison.rows.len(), 2);
    let verdicts = comparison.rows.iter().flat_map(|row| &row.metrics).map(|metric| metric.verdict);
    assert!(verdicts.clone().all(|verdict| matches!(verdict, Verdict::Same | Verdict::Unknown)));
    assert_eq!(verdicts.filter(|verdict| *verdict == Verdict::Same).count(), 30);
    assert!(
        comparison.refused.is_empty() && comparison.only_in_a.is_empty() && comparison.only_in_b.is_empty()
    );
}

#[test]
fn a_change_beyond_both_intervals_is_better_or_worse_by_its_direction() {
    let comparison = against(|run| {
        let result = &mut run.results[0];
        scale(result, "throughput_per_s", 1.1);
        scale(result, "response_ns_p50", 0.8);
        scale(result, "cpu_ns_per_commit", 1.2);
        scale(result, "commands_per_proposal", 2.0);
        scale(result, "response_ns_p999", 1.1);
        scale(result, "heartbeats_per_s", 9.0);
    });
    let row = &comparison.rows[0];
    assert_eq!(verdict_of(row, "throughput_per_s"), Verdict::Better);
    assert_eq!(verdict_of(row, "response_ns_p50"), Verdict::Better);
    assert_eq!(verdict_of(row, "cpu_ns_per_commit"), Verdict::Worse);
    assert_eq!(verdict_of(row, "commands_per_proposal"), Verdict::Differs);
    // Its interval is wider than the change.
    assert_eq!(verdict_of(row, "response_ns_p999"), Verdict::Same);
    assert_eq!(verdict_of(row, "heartbeats_per_s"), Verdict::Unknown);
}

#[test]
fn exact_metrics_are_compared_for_equality_on_any_machine() {
    let exact = |run: &mut RunResults, factor: f64| {
        run.results.truncate(1);
        for metric in &mut run.results[0].metrics {
            metric.class = if metric.name == "bytes_per_commit" { Class::Exact } else { metric.class };
        }
        scale(&mut run.results[0], "bytes_per_commit", factor);
    };
    let (mut a, mut b, mut other) = (run(), run(), run());
    exact(&mut a, 1.0);
    exact(&mut b, 1.0);
    exact(&mut other, 1.0 + 1e-12);
    b.manifest.machine.fingerprint = "another".into();
    other.manifest.machine.fingerprint = "another".into();
    let comparison = compare(&side("a", vec![a.clone()]), &side("b", vec![b]));
    let row = &comparison.rows[0];
    assert_eq!(row.metrics.len(), 1);
    assert_eq!(verdict_of(row, "bytes_per_commit"), Verdict::Same);
    assert_eq!(
        row.notes,
        ["measured on different machines (0f3a9c21d4e7, another): only exact metrics are compared"]
    );
    let comparison = compare(&side("a", vec![a]), &side("b", vec![other]));
    assert_eq!(verdict_of(&comparison.rows[0], "bytes_per_commit"), Verdict::Worse);
}

#[test]
fn what_cannot_be_compared_is_refused_with_the_first_reason() {
    type Edit = fn(&mut RunResults);
    let cases: [(Edit, &str); 13] = [
        (|run| run.results[0].outcome = Outcome::Interrupted, "B: it was interrupted"),
        (
            |run| run.results[0].outcome = Outcome::Failed { reason: "no leader".into() },
            "B: it failed: no leader",
        ),
        (|run| run.results[0].outcome = Outcome::Unsafe, "B: it violated safety"),
        (|run| run.results[0].safety.checked = false, "B: its safety was not checked"),
        (|run| run.results[0].scenario.payload_bytes = 256, "scenario differs: payload_bytes 128 ≠ 256"),
        (
            |run| run.results[0].scenario.phases[1].rate_per_s = 20e3,
            "scenario differs: phase[1].rate_per_s 10000.0 ≠ 20000.0",
        ),
        (|run| run.results[0].scenario.phases.truncate(1), "scenario differs: phase 2 entries ≠ 1 entries"),
        (
            |run| run.results[0].scenario.network.base_port = Some(7000),
            "scenario differs: network.base_port none ≠ 7000",
        ),
        (
            |run| run.results[0].timing.election_min_ms = 300.0,
            "timing differs: election_min_ms 150.0 ≠ 300.0",
        ),
        (|run| run.results[0].family = "paxos".into(), "family differs: raft ≠ paxos"),
        (
            |run| run.results[0].commit_means = "sent".into(),
            "what a commit means differs: a majority has the command in its log ≠ sent",
        ),
        (|run| run.schema_version = 0, "results schema differs: 1 ≠ 0"),
        (
            |run| run.manifest.machine.fingerprint = "another".into(),
            "measured on different machines (0f3a9c21d4e7, another), and no metric of it is exact",
        ),
    ];
    for (edit, expected) in cases {
        let comparison = against(edit);
        assert_eq!(comparison.refused[0].reason, expected);
        assert_eq!(comparison.refused[0].name, "high_load raft-rs [channel, memory]");
    }
}

#[test]
fn rows_without_a_partner_and_rows_with_two_are_named() {
    let mut a = run();
    a.results[1].scenario.storage = StorageConfig::Wal;
    let mut b = run();
    b.results.push(b.results[0].clone());
    let comparison = compare(&side("a", vec![a]), &side("b", vec![b]));
    assert_eq!(comparison.only_in_a, ["high_load openraft [channel, wal]"]);
    assert_eq!(comparison.only_in_b, ["high_load openraft [channel, memory]"]);
    assert!(comparison.refused[0].reason.starts_with("A has 1 results of this row and B 2: "));
}

#[test]
fn a_baseline_of_several_runs_is_compared_row_by_row() {
    let split: Vec<RunResults> =
        run().results.into_iter().map(|result| RunResults { results: vec![result], ..run() }).collect();
    let comparison = compare(&side("main", split), &side("latest", vec![run()]));
    assert_eq!(comparison.rows.len(), 2);
}

#[test]
fn a_comparison_is_shown_with_all_that_a_reader_must_know() {
    let comparison = against(|run| {
        let mut refused = run.results[1].clone();
        run.manifest.commit = Some("fd39e89".into());
        run.results[1].scenario.storage = StorageConfig::Wal;
        let result = &mut run.results[0];
        result.implementation = "raft 0.8.0".into();
        result.disturbed = vec!["run delay 3.1 % of wall time".into()];
        result.settings = [("max_batch".to_string(), 128.0), ("window".to_string(), 4.0)].into();
        scale(result, "throughput_per_s", 1.1);
        scale(result, "response_ns_p50", 1.25);
        scale(result, "success_ratio", 0.9);
        result.metrics.retain(|metric| metric.name != "service_ns_p50");
        let bytes = result.metrics.iter_mut().find(|metric| metric.name == "bytes_per_commit").unwrap();
        bytes.unit = "KiB".into();
        refused.scenario.payload_bytes = 256;
        run.results.push(refused);
    });
    let shown = comparison.to_string();
    assert!(shown.lines().all(|line| line.chars().count() <= 120), "{shown}");
    insta::assert_snapshot!(shown);

    let read: Comparison = serde_json::from_str(&serde_json::to_string(&comparison).unwrap()).unwrap();
    assert_eq!(read, comparison);
}

#[test]
fn an_empty_comparison_says_so_without_a_verdict_to_explain() {
    let comparison = compare(&side("a", vec![run()]), &side("b", Vec::new()));
    insta::assert_snapshot!(comparison.to_string());
}
