//! What is counted in virtual time is the same in every run and on every machine, and as committed: one
//! scenario for every protocol, and more for one. `consensus-bench gate --tier exact` compares all of them,
//! optimised.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use consensus_bench::compare::{ExactValues, compare_exact};
use consensus_bench::progress::Progress;
use consensus_bench::results::{Outcome, ScenarioResult};
use consensus_bench::run::Limits;
use consensus_bench::scenario::{self, Measure};

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../baselines/exact.json");
const FOR_ALL: &str = "cost";
const FOR_ONE: [&str; 2] = ["wan", "virtual_fault_tolerance"];
const ONE: &str = "raft-rs";

/// The results; they are safe and complete.
fn results() -> Vec<ScenarioResult> {
    let all = scenario::profile("quick").unwrap();
    let chosen = |name: &str| scenario::find(&all, name).unwrap().clone();
    let suite = consensus_bench_suite::suite();
    let mut pairs = suite.pairs(&[chosen(FOR_ALL)], Limits::default()).unwrap();
    let one = suite.select(&[ONE.to_string()]).unwrap();
    pairs.extend(one.pairs(&FOR_ONE.map(chosen), Limits::default()).unwrap());
    let results = pairs.iter().map(|pair| pair.run(Path::new("unused"), &Progress::default()));
    let complete = results.inspect(|result| {
        assert_eq!(result.outcome, Outcome::Completed, "{} {}", result.scenario.name, result.protocol);
        assert!(result.safety.checked && result.safety.violations.is_empty(), "{:?}", result.safety);
    });
    complete.collect()
}

#[test]
fn exact_counts_repeat_themselves_and_are_as_committed() {
    // On two threads: what one of them allocates must not be in the counts of the other.
    let both = std::thread::scope(|scope| [(), ()].map(|()| scope.spawn(results)).map(|one| one.join()));
    let [now, again] = both.map(|results| ExactValues::of(&results.unwrap()));
    let repeated = compare_exact(&now, &again);
    assert!(repeated.is_same(), "the second run differs from the first:\n{repeated}");
    let mut found = compare_exact(&ExactValues::read(Path::new(COMMITTED)).unwrap(), &now);
    let counted = |row: &str| match row.split_once('/') {
        Some((scenario, protocol)) => scenario == FOR_ALL || (protocol == ONE && FOR_ONE.contains(&scenario)),
        None => false,
    };
    found.rows_gone.retain(|row| counted(row));
    assert!(
        found.is_same(),
        "{found}\nIf the change is meant, refresh them with\n    cargo consensus-bench baseline exact\nand say why in the commit."
    );
}

#[test]
fn where_no_crash_is_borne_no_recovery_is_counted() {
    let all = scenario::profile("quick").unwrap();
    let mut scenario = scenario::find(&all, FOR_ALL).unwrap().clone();
    let Measure::Exact(plan) = &mut scenario.measure else { panic!("{:?}", scenario.measure) };
    plan.replicas = vec![3];
    let recovery = |quorums: [f64; 2]| {
        let settings = ["read_quorum", "write_quorum"].map(String::from).into_iter().zip(quorums).collect();
        let suite = consensus_bench_suite::suite().select(&["abd".into()]).unwrap();
        let suite = suite.with_settings(&settings).unwrap();
        let pairs = suite.pairs(&[scenario.clone()], Limits::default()).unwrap();
        let result = pairs[0].run(Path::new("unused"), &Progress::default());
        assert_eq!(result.outcome, Outcome::Completed);
        assert!(result.metric("lan_replicas_3_clients_1_messages_per_commit").is_some());
        result.metric("lan_replicas_3_clients_1_recovery_ns").is_some()
    };
    // With a quorum of all three replicas none may crash.
    assert_eq!([recovery([2.0, 2.0]), recovery([1.0, 3.0])], [true, false]);
}
