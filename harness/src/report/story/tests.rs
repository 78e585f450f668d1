//! Verdicts: who won, by how much, how sure.

use super::*;
use crate::report::samples;

fn metric(value: f64) -> Metric {
    let run = samples::run();
    Metric { value, ..run.results[0].metrics[0].clone() }
}

fn row(protocol: &str, value: f64, place: Option<usize>, ratio: Option<(f64, f64, f64)>) -> Row {
    Row {
        protocol: protocol.into(),
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
        disturbed: false,
    }
}

fn verdict(rows: Vec<Row>, better: Better) -> String {
    Group { promise: String::new(), verdict: String::new(), rows }.verdict(better)
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
    let leader = story.leader.unwrap();
    let promises: Vec<&str> = leader.groups.iter().map(|group| group.promise.as_str()).collect();
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
    let run = samples::run();
    let of_one: Vec<&ScenarioResult> =
        run.results.iter().filter(|result| result.protocol == "raft-rs").collect();
    let Targets([latency, cpu, _]) = Targets::of(&of_one);
    assert_eq!(latency.met, Some(true), "{latency:?}");
    assert!(cpu.met.is_some(), "{cpu:?}");
    let mut slow = run.clone();
    for metric in slow.results.iter_mut().flat_map(|result| &mut result.metrics) {
        if metric.name == "response_ns_p99" {
            metric.value = 2e8;
        }
    }
    let slow: Vec<&ScenarioResult> = slow.results.iter().collect();
    let Targets([latency, ..]) = Targets::of(&slow);
    assert!(latency.met == Some(false) && latency.evidence.starts_with("200 ms in "), "{latency:?}");
    assert!(Targets::of(&[]).0.iter().all(|held| held.met.is_none()));
}
