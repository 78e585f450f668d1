use std::path::Path;

use super::*;
use crate::files;
use crate::results::{
    Basis, Better, Class, CurveOutcome, CurvePoint, FaultResult, Interval, Knee, KneeLimit, Metric, Outcome,
    Place, Ranking, ThroughputSummary,
};

/// A row with neither metrics nor blocks.
fn row(protocol: &str) -> ScenarioResult {
    let mut result = files::parse_results(Path::new("sample"), files::SAMPLE).unwrap().results.remove(0);
    result.protocol = protocol.into();
    result.metrics.clear();
    result.phases[1].intervals.clear();
    result
}

fn with(mut result: ScenarioResult, name: &str, value: f64, ends: Option<(f64, f64)>) -> ScenarioResult {
    let better =
        if name.ends_with("per_s") || name == "success_ratio" { Better::Higher } else { Better::Lower };
    result.metrics.push(Metric {
        name: name.into(),
        value,
        lower: ends.map(|ends| ends.0),
        upper: ends.map(|ends| ends.1),
        unit: "1".into(),
        better,
        class: Class::Wall,
        n: 10,
    });
    result
}

/// The same with blocks at one offered rate, of these medians.
fn with_blocks(mut result: ScenarioResult, p50_ns: &[u64]) -> ScenarioResult {
    let block = |(index, p50_ns): (usize, &u64)| Interval {
        start_s: index as f64,
        duration_s: 1.0,
        offered_per_s: 1_000.0,
        sent: 1_000,
        succeeded: 1_000,
        failed: 0,
        mean_ns: *p50_ns as f64,
        p95_ns: *p50_ns,
        p99_ns: *p50_ns,
        p50_ns: *p50_ns,
        cpu_ns: None,
        messages: 0,
        bytes: 0,
        syncs: 0,
        reached: 1.0,
    };
    result.phases[1].intervals = p50_ns.iter().enumerate().map(block).collect();
    result
}

/// Ten blocks that differ among themselves by more than 10 %, all shifted by a factor.
fn blocks(factor: f64) -> Vec<u64> {
    [100, 130, 90, 160, 110, 210, 95, 140, 120, 180]
        .map(|value| (1_000.0 * factor * f64::from(value)) as u64)
        .into()
}

fn latency(protocol: &str, value: f64, ends: (f64, f64)) -> ScenarioResult {
    with(row(protocol), "response_ns_p50", value, Some(ends))
}

/// The one ranking of rows.
fn ranking(rows: &[ScenarioResult]) -> Ranking {
    let mut analysis = compare_protocols(rows);
    assert_eq!(analysis.rankings.len(), 1, "{analysis:?}");
    analysis.rankings.remove(0)
}

/// Name, place, and whether it is tied with the row before.
fn order(ranking: &Ranking) -> Vec<(&str, usize, bool)> {
    let short = |place: &Place| place.protocol.len() - " [channel, memory]".len();
    ranking
        .places
        .iter()
        .map(|place| (&place.protocol[..short(place)], place.place, place.tied_with_previous))
        .collect()
}

#[test]
fn blocks_tell_rows_apart_whose_intervals_overlap() {
    let a = with_blocks(latency("a", 125_000.0, (95_000.0, 155_000.0)), &blocks(1.0));
    let b = with_blocks(latency("b", 137_500.0, (105_000.0, 170_000.0)), &blocks(1.1));
    let found = ranking(&[b, a]);
    assert_eq!((order(&found), found.basis), (vec![("a", 1, false), ("b", 2, false)], Basis::Paired));
    assert_eq!(found.places[0].ratio_to_best, None);
    let ratio = found.places[1].ratio_to_best.unwrap();
    assert!((ratio.value - 1.1).abs() < 1e-4 && ratio.lower.unwrap() > 1.09, "{ratio:?}");
    assert_eq!(ratio.p, Some(2.0 / 1024.0));
}

#[test]
fn blocks_that_go_either_way_are_a_tie_and_so_are_those_that_contradict_the_totals() {
    let mixed: Vec<u64> = blocks(1.0)
        .iter()
        .enumerate()
        .map(|(index, value)| if index % 2 == 0 { value * 11 / 10 } else { value * 10 / 11 })
        .collect();
    let a = with_blocks(latency("a", 125_000.0, (124_000.0, 126_000.0)), &blocks(1.0));
    let b = with_blocks(latency("b", 130_000.0, (129_000.0, 131_000.0)), &mixed);
    let found = ranking(&[a.clone(), b]);
    assert_eq!((order(&found), found.basis), (vec![("a", 1, false), ("b", 1, true)], Basis::Paired));

    // Its total is worse and every one of its blocks better.
    let odd = with_blocks(latency("b", 130_000.0, (129_000.0, 131_000.0)), &blocks(0.9));
    let found = ranking(&[a, odd]);
    assert_eq!(order(&found), [("a", 1, false), ("b", 1, true)]);
    assert!(found.places[1].ratio_to_best.unwrap().upper.unwrap() < 1.0);
}

#[test]
fn blocks_under_another_load_or_with_gaps_are_not_paired() {
    let a = with_blocks(latency("a", 100.0, (90.0, 110.0)), &blocks(1.0));
    let b = with_blocks(latency("b", 105.0, (95.0, 115.0)), &blocks(1.1));
    let basis = |change: fn(&mut Vec<Interval>)| {
        let mut changed = b.clone();
        change(&mut changed.phases[1].intervals);
        ranking(&[a.clone(), changed]).basis
    };
    assert_eq!(basis(|_| ()), Basis::Paired);
    assert_eq!(basis(|blocks| blocks[9].offered_per_s = 1_100.0), Basis::Intervals);
    assert_eq!(basis(|blocks| blocks.truncate(9)), Basis::Intervals);
    // One block in ten may be without a value, two may not.
    assert_eq!(basis(|blocks| blocks[3].p50_ns = 0), Basis::Paired);
    assert_eq!(basis(|blocks| blocks[3..5].iter_mut().for_each(|block| block.p50_ns = 0)), Basis::Intervals);

    // Four blocks are too few for a verdict.
    let short = |result: &ScenarioResult| {
        let mut short = result.clone();
        short.phases[1].intervals.truncate(4);
        short
    };
    assert_eq!(ranking(&[short(&a), short(&b)]).basis, Basis::Intervals);
}

#[test]
fn every_block_metric_is_read_from_the_blocks() {
    let fill = |mut result: ScenarioResult, factor: f64| {
        for block in &mut result.phases[1].intervals {
            block.succeeded = (900.0 / factor) as u64;
            block.failed = block.sent - block.succeeded;
            block.p99_ns = (1e6 * factor) as u64;
            let per_commit = |cost: f64| (cost * factor * block.succeeded as f64) as u64;
            (block.cpu_ns, block.messages) = (Some(per_commit(9_000.0)), per_commit(100.0));
            (block.bytes, block.syncs) = (per_commit(4_000.0), per_commit(50.0));
        }
        result
    };
    let lower = [
        "response_ns_p50",
        "response_ns_p99",
        "cpu_ns_per_commit",
        "messages_per_commit",
        "bytes_per_commit",
        "syncs_per_commit",
    ];
    let higher = ["throughput_per_s", "success_ratio"];
    let side = |name: &str, factor: f64| {
        let mut result = fill(with_blocks(row(name), &blocks(factor)), factor);
        for metric in lower {
            result = with(result, metric, factor, None);
        }
        for metric in higher {
            result = with(result, metric, 0.9 / factor, None);
        }
        result
    };
    let found = compare_protocols(&[side("a", 1.0), side("b", 2.0)]).rankings;
    assert_eq!(found.len(), lower.len() + higher.len());
    for ranking in found {
        let expected = if ranking.better == Better::Higher { 0.5 } else { 2.0 };
        let ratio = ranking.places[1].ratio_to_best.unwrap();
        assert_eq!((ranking.basis, order(&ranking)), (Basis::Paired, vec![("a", 1, false), ("b", 2, false)]));
        assert!((ratio.value / expected - 1.0).abs() < 1e-3, "{}: {ratio:?}", ranking.metric);
    }
}

#[test]
fn overlaps_that_form_a_chain_do_not_end_up_as_one_place() {
    let (a, b, c, d) = (
        latency("a", 11.0, (10.0, 12.0)),
        latency("b", 12.5, (11.5, 13.5)),
        latency("c", 14.0, (13.0, 15.0)),
        latency("d", 20.0, (19.0, 21.0)),
    );
    let found = ranking(&[d, c, a, b]);
    // c overlaps b, but is known to be worse than a.
    let expected = vec![("a", 1, false), ("b", 1, true), ("c", 3, true), ("d", 4, false)];
    assert_eq!((order(&found), found.basis), (expected, Basis::Intervals));
    // What the intervals leave possible: 13 / 12 to 15 / 10.
    let ratio = found.places[2].ratio_to_best.unwrap();
    assert!((ratio.lower.unwrap() - 13.0 / 12.0).abs() < 1e-12 && (ratio.upper.unwrap() - 1.5).abs() < 1e-12);
    assert_eq!(ratio.p, None);
}

#[test]
fn without_intervals_only_equal_values_tie() {
    let of = |name: &str, value: f64| with(row(name), "throughput_per_s", value, None);
    let found = ranking(&[of("a", 10.0), of("b", 12.0), of("c", 10.0)]);
    let expected = vec![("b", 1, false), ("a", 2, false), ("c", 2, true)];
    assert_eq!((order(&found), found.basis), (expected, Basis::Values));
    let ratio = found.places[1].ratio_to_best.unwrap();
    assert_eq!((ratio.value, ratio.lower, ratio.upper), (10.0 / 12.0, None, None));

    // The weakest basis counts for all.
    let sure = with(row("d"), "throughput_per_s", 11.0, Some((10.5, 11.5)));
    let other = with(row("e"), "throughput_per_s", 13.0, Some((12.5, 13.5)));
    assert_eq!(ranking(&[sure.clone(), other.clone()]).basis, Basis::Intervals);
    assert_eq!(ranking(&[sure, other, of("a", 10.0)]).basis, Basis::Values);
}

#[test]
fn rows_without_a_place_say_why() {
    let base = latency("a", 10.0, (9.0, 11.0));
    let mut failed = latency("failed", 1.0, (1.0, 1.0));
    failed.outcome = Outcome::Failed { reason: "no leader".into() };
    let mut broken = latency("unsafe", 1.0, (1.0, 1.0));
    broken.outcome = Outcome::Unsafe;
    let mut interrupted = latency("interrupted", 1.0, (1.0, 1.0));
    interrupted.outcome = Outcome::Interrupted;
    let missing = row("missing");
    let not_a_number = latency("odd", f64::NAN, (1.0, 1.0));
    let found = ranking(&[failed, base, broken, interrupted, missing, not_a_number]);
    assert_eq!(order(&found), [("a", 1, false)]);
    let reasons: Vec<(&str, &str)> = found
        .not_ranked
        .iter()
        .map(|row| (row.protocol.split(' ').next().unwrap(), row.reason.as_str()))
        .collect();
    assert_eq!(
        reasons,
        [
            ("missing", "not measured"),
            ("odd", "not measured"),
            ("failed", "it failed: no leader"),
            ("unsafe", "it violated safety"),
            ("interrupted", "it was interrupted"),
        ]
    );
}

#[test]
fn only_rows_of_one_scenario_stand_against_each_other() {
    let a = latency("a", 10.0, (9.0, 11.0));
    assert_eq!(compare_protocols(std::slice::from_ref(&a)), Analysis::default());
    let mut larger = latency("b", 20.0, (19.0, 21.0));
    larger.scenario.replicas = 5;
    let mut durable = latency("b", 20.0, (19.0, 21.0));
    durable.scenario.storage = crate::scenario::StorageConfig::Wal;
    assert_eq!(compare_protocols(&[a.clone(), larger, durable.clone()]), Analysis::default());

    let mut described = latency("b", 20.0, (19.0, 21.0));
    described.scenario.about = "in other words".into();
    let mut other = latency("c", 20.0, (19.0, 21.0));
    other.scenario.storage = crate::scenario::StorageConfig::Wal;
    let found = compare_protocols(&[a, durable, described, other]).rankings;
    let storages: Vec<&str> = found.iter().map(|ranking| ranking.storage.as_str()).collect();
    assert_eq!(storages, ["memory", "wal"]);
}

#[test]
fn what_stands_against_the_order_is_noted() {
    let of = |name: &str, value| with(row(name), "crash_leader_unavailability_ns", value, None);
    let a = of("a", 10.0);
    let mut b = of("b", 20.0);
    assert_eq!(ranking(&[a.clone(), b.clone()]).note, None);
    b.disturbed = vec!["run delay 3.1 %".into()];
    b.timing.election_min_ms = 1.0;
    let found = ranking(&[a, b]);
    assert_eq!(found.note.unwrap(), "disturbed: b [channel, memory]; failure detection was not set the same");
}

#[test]
fn rows_that_promise_something_else_are_ranked_apart() {
    let of = |name: &str, promise: &str| {
        let row = with(row(name), "crash_leader_unavailability_ns", 10.0, None);
        ScenarioResult { promise: promise.into(), ..row }
    };
    let found = compare_protocols(&[of("a", "much"), of("b", "little"), of("c", "much"), of("d", "none")]);
    let places =
        |ranking: &Ranking| ranking.places.iter().map(|place| place.protocol.clone()).collect::<Vec<_>>();
    let ranked: Vec<(&str, usize)> =
        found.rankings.iter().map(|ranking| (ranking.promise.as_str(), places(ranking).len())).collect();
    assert_eq!(ranked, [("much", 2)], "no one is ranked alone");
}

#[test]
fn what_is_0_for_all_or_has_no_better_side_is_not_ranked() {
    let of = |name: &str, syncs: f64| {
        let mut result = with(row(name), "syncs_per_commit", syncs, Some((syncs, syncs)));
        result = with(result, "replicas_3_peak_per_s", 10.0, None);
        result.metrics[1].better = Better::Neither;
        result
    };
    assert!(compare_protocols(&[of("a", 0.0), of("b", 0.0)]).rankings.is_empty());
    let found = ranking(&[of("a", 0.0), of("b", 0.3)]);
    assert_eq!(order(&found), [("a", 1, false), ("b", 2, false)]);
    assert_eq!(found.places[1].ratio_to_best, None);
}

fn with_knee(protocol: &str, held: Option<f64>, broke: Option<f64>, limit: KneeLimit) -> ScenarioResult {
    let mut result = row(protocol);
    if let Some(held) = held {
        result = with(result, "sustainable_per_s", held, None);
    }
    result.throughput = Some(ThroughputSummary {
        average_per_s: 1.0,
        maximum_per_s: 1.0,
        optimal_per_s: None,
        knee: Knee {
            target_p99_ms: 10.0,
            target_success: 0.99,
            sustainable_per_s: held,
            broke_at_per_s: broke,
            limit,
        },
        curve: Vec::new(),
    });
    result
}

#[test]
fn sustainable_rates_are_told_apart_by_their_brackets() {
    let found = ranking(&[
        with_knee("a", Some(100.0), Some(105.0), KneeLimit::Target),
        // It held where a broke.
        with_knee("b", Some(105.0), Some(110.0), KneeLimit::Target),
        with_knee("c", Some(102.0), Some(107.0), KneeLimit::Target),
        with_knee("none", None, Some(1.0), KneeLimit::Target),
    ]);
    assert_eq!((found.metric.as_str(), found.basis), ("sustainable_per_s", Basis::Intervals));
    assert_eq!(order(&found), [("b", 1, false), ("c", 1, true), ("a", 3, true)]);
    assert_eq!((found.places[0].lower, found.places[0].upper), (Some(105.0), Some(110.0)));
    assert_eq!(found.not_ranked[0].reason, "no rate held the target");

    // Nobody knows where the generator's limit hides it.
    let found = ranking(&[
        with_knee("a", Some(200.0), Some(210.0), KneeLimit::Target),
        with_knee("open", Some(150.0), None, KneeLimit::Generator),
        with_knee("c", Some(120.0), Some(125.0), KneeLimit::Target),
    ]);
    assert_eq!(order(&found), [("a", 1, false), ("open", 1, true), ("c", 3, false)]);
    assert_eq!(found.places[1].upper, None);
}

#[test]
fn faults_and_peaks_are_ranked_by_their_endings() {
    let fault = |fault: &str, not_measured: Option<&str>| FaultResult {
        fault: fault.into(),
        tolerated: true,
        not_measured: not_measured.map(Into::into),
        metrics: Vec::new(),
        cycles: Vec::new(),
        lost: 0,
        applied_twice: 0,
    };
    let mut a = row("a");
    for (name, value) in [
        ("crash_leader_unavailability_ns", 5e6),
        ("crash_leader_first_commit_ns", 5e6),
        ("crash_leader_recovered_ns", 6e6),
        ("crash_unavailability_ns", 1e6),
        ("replicas_3_peak_per_s", 1e5),
        ("replicas_3_peak_clients", 64.0),
    ] {
        a = with(a, name, value, Some((0.9 * value, 1.1 * value)));
    }
    let mut b = with(row("b"), "crash_unavailability_ns", 2e6, Some((1.9e6, 2.1e6)));
    b.faults = vec![fault("crash", None), fault("crash_leader", Some("it has no leader"))];
    let found = compare_protocols(&[a, b]).rankings;
    let names: Vec<&str> = found.iter().map(|ranking| ranking.metric.as_str()).collect();
    assert_eq!(names, ["crash_leader_unavailability_ns", "crash_unavailability_ns", "replicas_3_peak_per_s"]);
    assert_eq!(found[0].not_ranked[0].reason, "not measured: it has no leader");
    assert_eq!(order(&found[1]), [("a", 1, false), ("b", 2, false)]);
    assert_eq!(found[2].not_ranked[0].reason, "not measured");
}

#[test]
fn costs_are_given_as_they_are_and_against_the_cheapest() {
    let of = |name: &str, cpu: f64, syncs: f64| {
        let result = with(row(name), "syncs_per_commit", syncs, None);
        with(result, "cpu_ns_per_commit", cpu, Some((cpu - 1.0, cpu + 1.0)))
    };
    let found = compare_protocols(&[of("a", 9_000.0, 0.5), of("b", 6_000.0, 0.0), row("c")]).costs;
    assert_eq!(found.len(), 2, "a row without costs has no line: {found:?}");
    let (a, b) = (&found[0].costs, &found[1].costs);
    assert_eq!(
        (a[0].metric.as_str(), a[0].value, a[0].ratio_to_cheapest),
        ("cpu_ns_per_commit", 9_000.0, Some(1.5))
    );
    assert_eq!((a[0].lower, b[0].ratio_to_cheapest), (Some(8_999.0), Some(1.0)));
    // Nothing is a multiple of nothing.
    assert_eq!((a[1].metric.as_str(), a[1].ratio_to_cheapest), ("syncs_per_commit", None));
}

#[test]
fn curves_are_compared_pair_by_pair_and_all_can_be_written_and_read_again() {
    let probe = |offered_per_s: f64, p50_ns: u64, p99_ns: u64| CurvePoint {
        offered_per_s,
        achieved_per_s: offered_per_s,
        success: 1.0,
        p50_ns,
        p99_ns,
        held: true,
        generator_kept_up: true,
        confirming: false,
    };
    let with_curve = |name: &str, curve: Vec<CurvePoint>| {
        let mut result = with_knee(name, Some(100.0), Some(105.0), KneeLimit::Target);
        result.throughput.as_mut().unwrap().curve = curve;
        result
    };
    let rows = [
        with_curve("a", vec![probe(1_000.0, 100, 300), probe(3_000.0, 400, 900)]),
        with_curve("b", vec![probe(1_000.0, 200, 500), probe(3_000.0, 200, 1_900)]),
        with_knee("c", Some(90.0), Some(95.0), KneeLimit::Target),
        with_blocks(latency("d", 125_000.0, (95_000.0, 155_000.0)), &blocks(1.0)),
    ];
    let analysis = compare_protocols(&rows);
    assert_eq!(analysis.crossings.len(), 2, "{:?}", analysis.crossings);
    let (p50, p99) = (&analysis.crossings[0], &analysis.crossings[1]);
    assert_eq!((p50.metric.as_str(), p50.from_per_s, p50.to_per_s), ("response_ns_p50", 1_000.0, 3_000.0));
    let CurveOutcome::Crosses { crossings } = &p50.outcome else { panic!("{p50:?}") };
    assert!((crossings[0].rate_per_s - 2_000.0).abs() < 1e-9, "{crossings:?}");
    assert_eq!(p99.outcome, CurveOutcome::Throughout { lower: "a [channel, memory]".into() });

    let read: Analysis = serde_json::from_str(&serde_json::to_string(&analysis).unwrap()).unwrap();
    assert_eq!(read, analysis);
}
