//! Verdicts: who won, by how much, how sure.

use super::*;
use crate::report::samples;
use crate::results::RunResults;
use crate::threshold::Kept;

fn metric(value: f64) -> Metric {
    let run = samples::run();
    Metric { value, ..run.results[0].metrics[0].clone() }
}

fn row(protocol: &str, value: f64, place: Option<usize>, ratio: Option<(f64, f64, f64)>) -> Row {
    Row {
        protocol: protocol.into(),
        name: protocol.into(),
        place,
        tied: false,
        metric: metric(value),
        shown: quantity::count(value),
        ratio: ratio.map(|(value, lower, upper)| Ratio {
            value,
            lower: Some(lower),
            upper: Some(upper),
            p: None,
        }),
        replicas: None,
        disturbed: false,
        interrupted: false,
    }
}

fn verdict(rows: Vec<Row>, better: Better) -> String {
    Group { title: String::new(), verdict: String::new(), rows }.verdict(better)
}

#[test]
fn a_verdict_says_who_by_how_much_and_how_sure() {
    let more = || vec![row("a", 200.0, Some(1), None), row("b", 100.0, Some(2), Some((0.5, 0.4, 0.625)))];
    assert_eq!(verdict(more(), Better::Higher), "a is ahead of b by 2.00× [1.60 to 2.50]");
    let less = || vec![row("a", 100.0, Some(1), None), row("b", 200.0, Some(2), Some((2.0, 1.6, 2.5)))];
    assert_eq!(verdict(less(), Better::Lower), "a is ahead of b by 2.00× [1.60 to 2.50]");
    let mut unsure = less();
    unsure[1].tied = true;
    assert!(verdict(unsure, Better::Lower).ends_with("(not sure: the intervals overlap)"));
    let mut bare = less();
    bare[1].ratio = Some(Ratio { value: 2.0, lower: None, upper: None, p: None });
    assert!(verdict(bare, Better::Lower).ends_with("chance is not ruled out)"));
    let mut tied = less();
    tied[1].place = Some(1);
    tied.push(row("c", 300.0, Some(3), None));
    assert_eq!(verdict(tied, Better::Lower), "a and b can't be told apart");
    assert_eq!(verdict(vec![row("a", 1.0, None, None)], Better::Lower), "a: 1.00");
    assert_eq!(["1st", "2nd", "3rd", "4th", "11th", "21st"], [1, 2, 3, 4, 11, 21].map(ordinal));
}

#[test]
fn only_those_that_promise_the_same_are_set_against_each_other() {
    let story = Story::of(&samples::material());
    let leader = &story.leader[0];
    let promises: Vec<&str> = leader.groups.iter().map(|group| group.title.as_str()).collect();
    assert_eq!(promises.len(), 2, "{promises:?}");
    assert!(leader.note.starts_with("No acknowledged command was lost"), "{}", leader.note);
    assert!(leader.groups.iter().flat_map(|group| &group.rows).all(|row| row.metric.value > 1e8));
}

#[test]
fn what_is_unsafe_has_no_number_and_what_was_disturbed_is_marked() {
    let mut material = samples::material();
    let run = &mut material.runs[0];
    run.results[0].outcome = Outcome::Unsafe;
    run.results[0].safety.violations = vec!["two orders".into()];
    run.results[0].withhold();
    run.results[1].disturbed = vec!["a noisy neighbour".into()];
    let (first, second) = (run.results[0].protocol.clone(), run.results[1].protocol.clone());
    let story = Story::of(&material);
    let cell = |protocol: &str| {
        let row = story.matrix.rows.iter().find(|(name, _)| name == protocol).unwrap();
        row.1[0].clone()
    };
    assert!(cell(&first).is_unsafe && cell(&first).text == "unsafe");
    assert_eq!(cell(&second).disturbed, ["a noisy neighbour"]);
    let told = story.protocols.iter().find(|one| one.protocol == first).unwrap();
    assert!(told.unsafe_in[0].contains("two orders"));
}

#[test]
fn a_target_is_held_by_the_worst_that_was_measured() {
    let mut run = samples::run();
    run.results.retain(|result| result.protocol == "raft-rs");
    run.results.iter_mut().for_each(|result| result.disturbed.clear());
    let of = |results: &[ScenarioResult]| Targets::of(&results.iter().collect::<Vec<_>>());
    let Targets([latency, cpu, _]) = of(&run.results);
    assert_eq!(latency.met, Some(Kept::Yes), "{latency:?}");
    assert!(cpu.met.is_some(), "{cpu:?}");
    let p99 = |results: &mut Vec<ScenarioResult>, scenario: &str, [lower, value, upper]: [f64; 3]| {
        let result = results.iter_mut().find(|result| result.scenario.name == scenario).unwrap();
        let found = result.metrics.iter_mut().find(|one| one.name == "response_ns_p99").unwrap();
        (found.lower, found.value, found.upper) = (Some(lower), value, Some(upper));
    };
    let mut slow = run.results.clone();
    p99(&mut slow, "resources", [0.9e8, 0.95e8, 1.2e8]);
    let Targets([latency, ..]) = of(&slow);
    assert_eq!(latency.met, Some(Kept::Unknown), "{latency:?}");
    assert!(latency.evidence.ends_with("the limit is within its interval"), "{latency:?}");
    // What is missed for certain counts more than a larger value that tells nothing.
    p99(&mut slow, "latency", [1.9e8, 2e8, 2.1e8]);
    p99(&mut slow, "resources", [0.9e8, 9e8, 12e8]);
    let Targets([latency, ..]) = of(&slow);
    assert!(
        latency.met == Some(Kept::No) && latency.evidence.starts_with("200 ms in latency"),
        "{latency:?}"
    );
    // Each by its own target.
    slow.iter_mut()
        .filter(|result| result.scenario.name == "latency")
        .for_each(|result| result.scenario.target.response_p99_ms = 300.0);
    let Targets([latency, ..]) = of(&slow);
    assert_eq!((latency.met, latency.target.as_str()), (Some(Kept::Unknown), "p99 ≤ 100 ms"));
    slow.iter_mut().for_each(|result| result.disturbed = vec!["noise".into()]);
    let Targets(disturbed) = of(&slow);
    assert!(disturbed.iter().all(|held| held.met == Some(Kept::Unknown)), "{disturbed:?}");
    assert!(of(&[]).0.iter().all(|held| held.met.is_none()));
}

fn of_scenario(scenario: &str) -> Vec<ScenarioResult> {
    samples::run().results.into_iter().filter(|result| result.scenario.name == scenario).collect()
}

fn alone(results: Vec<ScenarioResult>) -> Material {
    Material::of_runs("a", vec![RunResults { results, analysis: None, ..samples::run() }])
}

#[test]
fn who_is_ahead_is_found_out_over_all_runs() {
    let (mut first, mut second) = (of_scenario("resources"), of_scenario("resources"));
    first.iter_mut().chain(&mut second).for_each(|result| result.promise = "the same".into());
    first.retain(|result| result.protocol == "raft-rs");
    second.retain(|result| result.protocol == "openraft");
    let cpu = second[0].metrics.iter_mut().find(|one| one.name == "cpu_ns_per_commit").unwrap();
    (cpu.lower, cpu.value, cpu.upper) = (Some(0.9), 1.0, Some(1.1));
    second[0].phases.iter_mut().for_each(|phase| phase.intervals.clear());
    let story = Story::of(&Material::together(vec![alone(first), alone(second)]));
    let group = &story.costs[0][0].groups[0];
    let rows: Vec<_> = group.rows.iter().map(|row| (row.protocol.as_str(), row.place)).collect();
    assert_eq!(rows, [("openraft", Some(1)), ("raft-rs", Some(2))]);
    assert!(group.verdict.starts_with("openraft is ahead of raft-rs by "), "{}", group.verdict);
}

#[test]
fn a_run_that_measures_a_row_again_takes_its_place_in_the_order() {
    let first = samples::material();
    let mut again = of_scenario("resources");
    again.retain(|result| result.protocol == "openraft");
    let cpu = again[0].metrics.iter_mut().find(|one| one.name == "cpu_ns_per_commit").unwrap();
    (cpu.lower, cpu.value, cpu.upper) = (Some(0.9), 1.0, Some(1.1));
    again[0].phases.iter_mut().for_each(|phase| phase.intervals.clear());
    let story = Story::of(&Material::together(vec![first, alone(again)]));
    let rows: Vec<_> =
        story.costs[0][0].groups[0].rows.iter().map(|row| (row.protocol.as_str(), row.place)).collect();
    assert_eq!(rows, [("openraft", Some(1)), ("raft-rs", Some(2))]);
}

#[test]
fn protocols_that_promise_the_same_under_two_plans_are_two_groups() {
    let mut results = of_scenario("fault_tolerance");
    for result in &mut results {
        result.promise = "the same".into();
    }
    let mut others = results.clone();
    for other in &mut others {
        other.protocol += "-other";
        other.scenario.replicas += 2;
    }
    results.retain(|result| result.scenario.replicas == 3);
    others.retain(|result| result.scenario.replicas == 5);
    let story = Story::of(&alone([results, others].concat()));
    let groups: Vec<_> = story.leader[0]
        .groups
        .iter()
        .map(|group| {
            (group.title.as_str(), group.rows.len(), group.rows.iter().all(|row| row.place.is_some()))
        })
        .collect();
    assert_eq!(groups, [("the same", 2, true), ("the same, under another plan", 2, true)]);
}

#[test]
fn what_was_counted_is_told_as_what_it_is() {
    let exact = |row: Row| Row { metric: Metric { class: Class::Exact, ..row.metric.clone() }, ..row };
    let equal = vec![exact(row("a", 24.0, None, None)), exact(row("b", 24.0, None, None))];
    assert_eq!(verdict(equal, Better::Lower), "a and b are the same");
    let bare = vec![exact(row("a", 23.0, None, None)), exact(row("b", 24.0, None, None))];
    assert_eq!(verdict(bare, Better::Lower), "a is ahead of b (not ranked: the values alone)");
    let seeds = |[lower, value, upper]: [f64; 3], place: usize| {
        let mut row = exact(row("", value, Some(place), None));
        (row.metric.lower, row.metric.upper, row.metric.n) = (Some(lower), Some(upper), 5);
        row.ratio = (place > 1).then_some(Ratio { value: 1.5, lower: None, upper: None, p: None });
        row.name = place.to_string();
        row
    };
    let apart = vec![seeds([1.0, 2.0, 3.0], 1), seeds([4.0, 5.0, 6.0], 2)];
    assert_eq!(verdict(apart, Better::Lower), "1 is ahead of 2 by 1.50×");
    let overlapping = vec![seeds([1.0, 2.0, 5.0], 1), seeds([4.0, 5.0, 6.0], 2)];
    assert_eq!(
        verdict(overlapping, Better::Lower),
        "1 is ahead of 2 by 1.50× (by the median of 5 seeds, whose ranges overlap)"
    );
}

#[test]
fn a_protocol_that_loses_commands_is_not_told_to_have_lost_none() {
    let mut material = samples::material();
    let unsafe_row = material.runs[0].results.iter_mut().find(|result| !result.faults.is_empty()).unwrap();
    unsafe_row.faults[0].lost = 3;
    unsafe_row.outcome = Outcome::Unsafe;
    unsafe_row.withhold();
    let note = Story::of(&material).leader.remove(0).note;
    assert!(note.starts_with("3 acknowledged commands were lost"), "{note}");
}

#[test]
fn what_one_scenario_does_not_have_is_told_of_the_next() {
    let mut results = of_scenario("resources");
    results.retain(|result| result.protocol != "pbft");
    let mut counted = of_scenario("wan");
    // Of the stored run all are as large as the smallest that can be lied to.
    for result in counted.iter_mut().filter(|result| result.protocol != "pbft") {
        let cells = &mut result.exact.as_mut().unwrap().cells;
        cells.iter_mut().filter(|cell| cell.replicas == 4).for_each(|cell| cell.replicas = 3);
        result.metrics.iter_mut().for_each(|one| one.name = one.name.replace("replicas_4", "replicas_3"));
    }
    results.extend(counted);
    let story = Story::of(&alone(results));
    let told: Vec<(&str, Vec<&str>)> = story
        .costs
        .iter()
        .map(|boards| (boards[0].scenario.as_str(), boards[0].protocols().into_iter().collect()))
        .collect();
    assert_eq!(told, [("resources", vec!["openraft", "raft-rs"]), ("wan", vec!["pbft"])]);
    let pbft = &story.costs[1][0].groups[0].rows[0];
    assert!(pbft.shown.ends_with(" (4 replicas)"), "the head names three: {}", pbft.shown);
    let line = story.protocols.iter().find(|one| one.protocol == "pbft").unwrap();
    assert!(line.verdict.contains(" (4 replicas) messages per commit"), "{}", line.verdict);
    let cell = |protocol: &str| {
        let row = story.matrix.rows.iter().find(|(name, _)| name == protocol).unwrap();
        row.1[1].text.clone()
    };
    assert!(!cell("raft-rs").contains("replicas"), "{}", cell("raft-rs"));
}

#[test]
fn one_protocol_under_two_networks_keeps_its_look_and_its_line() {
    let mut results = of_scenario("resources");
    let mut durable = results[0].clone();
    durable.scenario.storage = crate::scenario::StorageConfig::Wal;
    results.push(durable);
    let story = Story::of(&alone(results));
    let rows: Vec<(&str, &str)> = story.costs[0][0]
        .groups
        .iter()
        .flat_map(|group| &group.rows)
        .filter(|row| row.protocol == "raft-rs")
        .map(|row| (row.protocol.as_str(), row.name.as_str()))
        .collect();
    assert_eq!(rows.len(), 2);
    assert_ne!(rows[0].1, rows[1].1);
    let line = story.protocols.iter().find(|one| one.protocol == "raft-rs").unwrap();
    assert!(line.verdict.contains("CPU time per commit"), "{}", line.verdict);
}

#[test]
fn what_did_not_end_is_marked() {
    let mut results = of_scenario("resources");
    results[0].outcome = Outcome::Interrupted;
    results[1].outcome = Outcome::Failed { reason: "no cluster".into() };
    let story = Story::of(&alone(results));
    let cells: Vec<&Cell> = story.matrix.rows.iter().map(|(_, cells)| &cells[0]).collect();
    assert!(cells[0].interrupted && !cells[2].interrupted);
    assert_eq!(cells[1].text, "✗ failed");
    assert_eq!(story.protocols[0].interrupted_in, ["resources"]);
    assert_eq!(story.protocols[1].failed_in, ["resources: no cluster"]);
    assert!(story.costs[0][0].groups[0].rows[0].marks().contains('†'));
}
