//! Does advice name what is wrong, and only that? Twelve cases that are detuned on purpose, and untouched ones.
//!
//! `ci/study detuned` runs all of it, optimised, with a trial of every recommendation.
#![allow(clippy::unwrap_used)]

mod cases;
mod planted;

use std::collections::BTreeMap;

use cases::{Case, Number, Proof};
use consensus_bench::advice::{Background, advise, pair_of, verify};
use consensus_bench::progress::Progress;
use consensus_bench::results::{
    Advice, Better, Change, Effect, Manifest, Outcome, Recommendation, RunResults, SCHEMA_VERSION,
    ScenarioResult, Status,
};
use consensus_bench::run::{Limits, Pair};
use consensus_bench::scenario;
use consensus_bench::trial::Plan;

/// Rounds of a trial, and seeds without what was planted.
const ROUNDS: usize = 6;
/// Cases that may be missed.
const MISSED_AT_MOST: usize = 1;
/// Scenarios of virtual time in which the defaults of every protocol are well tuned.
const CONTROLS: [&str; 3] = ["cost", "wan", "virtual_scalability"];

fn run(pair: &Pair) -> ScenarioResult {
    let folder = tempfile::tempdir().unwrap();
    pair.run(folder.path(), &Progress::default())
}

fn advice_on(results: Vec<ScenarioResult>) -> Advice {
    let suite = consensus_bench_suite::suite();
    let results = RunResults {
        schema_version: SCHEMA_VERSION,
        run_id: "study".into(),
        started_unix_s: 0,
        complete: true,
        manifest: Manifest {
            harness_version: String::new(),
            commit: None,
            command: Vec::new(),
            machine: consensus_bench::machine::describe(),
            client_placement: String::new(),
            topologies: BTreeMap::new(),
        },
        results,
        analysis: None,
    };
    let descriptor = |name: &str| suite.get(name).ok().map(|one| one.protocol.descriptor());
    advise(&results, descriptor, &Background::default())
}

fn first_of(case: &Case) -> Option<Recommendation> {
    advice_on(vec![run(&case.pair)]).recommendations.into_iter().next()
}

/// Whether a recommendation names what was planted.
fn names(first: &Recommendation, case: &Case) -> bool {
    let what = match &first.change {
        Change::Setting { name, .. } => name == case.planted,
        Change::Code { action, .. } | Change::Surroundings { action } => action.contains(case.planted),
    };
    first.rule == case.rule && what
}

fn effect(effect: &Effect) -> String {
    format!("{} × {:.3} ({:.3} to {:.3})", effect.metric, effect.ratio, effect.lower, effect.upper)
}

fn change(recommendation: &Recommendation) -> String {
    match &recommendation.change {
        Change::Setting { name, from, to } => format!("{name} {from} → {to}"),
        Change::Code { place, .. } => place.clone(),
        Change::Surroundings { action } => action.clone(),
    }
}

/// What came of a proof, in words, and whether it confirms the gain.
fn proven(first: &Recommendation, case: Case) -> (String, bool) {
    match case.proof {
        Proof::Trial => {
            match verify(first, case.pair, &Plan { rounds: ROUNDS, ..Plan::default() }).unwrap() {
                Some(Status::Verified { effect: found, .. }) => (effect(&found), true),
                Some(Status::Rescued { rounds, .. }) => {
                    (format!("serves in {rounds} of {rounds} rounds, and in none before"), true)
                }
                other => (format!("{other:?}"), false),
            }
        }
        Proof::Without(healthy, number) => without(case.rule, [case.pair, *healthy], number),
    }
}

/// The same without what was planted: the number over several seeds, and whether its median is better and the rule
/// silent then.
fn without(rule: &str, pairs: [Pair; 2], number: Number) -> (String, bool) {
    let (mut ratios, mut is_silent) = (Vec::new(), true);
    for seed in 1..=ROUNDS as u64 {
        let [detuned, healthy] = pairs.clone().map(|mut pair| {
            pair.scenario.seed = seed;
            run(&pair)
        });
        ratios.push((number.of)(&healthy) / (number.of)(&detuned));
        let left = advice_on(vec![healthy]);
        is_silent &= left.recommendations.iter().all(|one| one.rule != rule);
    }
    ratios.sort_by(f64::total_cmp);
    let (least, middle, most) = (ratios[0], ratios[ROUNDS / 2], ratios[ROUNDS - 1]);
    let is_better = if number.better == Better::Lower { middle < 1.0 } else { middle > 1.0 };
    (format!("{} × {middle:.3} ({least:.3} to {most:.3}) without it", number.name), is_silent && is_better)
}

fn controls(names: &[&str], protocols: &[String]) -> Vec<Recommendation> {
    let all = scenario::profile("quick").unwrap();
    let chosen: Vec<_> = names.iter().map(|name| scenario::find(&all, name).unwrap().clone()).collect();
    let suite = consensus_bench_suite::suite().select(protocols).unwrap();
    let results: Vec<_> = suite.pairs(&chosen, Limits::default()).unwrap().iter().map(run).collect();
    assert!(results.iter().all(|result| result.outcome == Outcome::Completed));
    let advice = advice_on(results);
    assert!(advice.withheld.is_empty());
    advice.recommendations
}

#[test]
fn untouched_defaults_get_no_recommendation() {
    assert_eq!(controls(&["cost"], &[]), []);
    assert_eq!(controls(&["wan"], &["raft-rs".into()]), []);
}

#[test]
fn the_first_recommendation_names_what_was_planted() {
    for case in cases::in_virtual_time() {
        let first = first_of(&case);
        let is_named = first.as_ref().is_some_and(|first| names(first, &case));
        assert!(is_named, "{}: {first:#?}", case.name);
    }
}

#[test]
fn advice_is_tried_where_it_was_found() {
    let result = run(&cases::window_in(&["lan", "wan3"]));
    let advice = advice_on(vec![result.clone()]);
    let found = advice.recommendations.iter().find(|one| one.rule == "window-too-small").unwrap();
    let cell = found.cell.as_ref();
    assert_eq!(cell.map(|cell| cell.topology.as_str()), Some("wan3"));
    let pair = pair_of(&result, cell, &consensus_bench_suite::suite(), Limits::default()).unwrap();
    let tried = |pair| verify(found, pair, &Plan { rounds: ROUNDS, ..Plan::default() }).unwrap();
    let status = tried(pair);
    assert!(matches!(status, Some(Status::Verified { .. })), "{status:?}");
    // In virtual time, to the last digit.
    assert_eq!(status, tried(cases::window_in(&["wan3"])));
}

#[test]
#[ignore = "takes minutes, and a clock; ci/study detuned runs it"]
fn detuned() {
    let all: Vec<Case> =
        cases::in_virtual_time().into_iter().chain([cases::overloaded_generator()]).collect();
    let (count, mut missed, mut unproven) = (all.len(), 0, 0);
    println!(
        "| case | planted | first recommendation | named | expected | measured |\n|---|---|---|---|---|---|"
    );
    for case in all {
        let (name, planted) = (case.name, case.planted);
        let Some(first) = first_of(&case) else {
            println!("| {name} | {planted} | none | NO | | |");
            missed += 1;
            continue;
        };
        let is_named = names(&first, &case);
        let expected = first.expected.as_ref().map_or("not predicted".into(), effect);
        let rule = first.rule.clone();
        let (measured, is_proven) = proven(&first, case);
        let named = if is_named { "yes" } else { "NO" };
        println!("| {name} | {planted} | {rule}: {} | {named} | {expected} | {measured} |", change(&first));
        missed += usize::from(!is_named);
        unproven += usize::from(is_named && !is_proven);
    }
    let false_alarms = controls(&CONTROLS, &[]);
    false_alarms
        .iter()
        .for_each(|one| println!("FALSE ALARM: {} {}: {}", one.protocol, one.scenario, one.reason));
    println!(
        "{} of {count} named, {unproven} not confirmed, {} false alarms",
        count - missed,
        false_alarms.len()
    );
    assert!(missed <= MISSED_AT_MOST && unproven == 0 && false_alarms.is_empty());
}
