//! What is counted in virtual time is the same in every run and on every machine, and as committed.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use consensus_bench::compare::{ExactValues, compare_exact};
use consensus_bench::progress::Progress;
use consensus_bench::results::{Outcome, ScenarioResult};
use consensus_bench::run::Limits;
use consensus_bench::scenario;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../baselines/exact.json");
const UPDATE: &str = "UPDATE_EXACT";
const SCENARIOS: [&str; 4] = ["cost", "wan", "virtual_scalability", "virtual_fault_tolerance"];

/// The results of all protocols that can be simulated; they are safe and complete.
fn results() -> Vec<ScenarioResult> {
    let all = scenario::profile("quick").unwrap();
    let chosen = SCENARIOS.map(|name| scenario::find(&all, name).unwrap().clone());
    let pairs = consensus_bench_suite::suite().pairs(&chosen, Limits::default()).unwrap();
    let results = pairs.iter().map(|pair| pair.run(Path::new("unused"), &Progress::default()));
    let simulated = results.filter(|result| {
        assert_eq!(result.outcome, Outcome::Completed, "{} {}", result.scenario.name, result.protocol);
        let not_simulated = result.exact.as_ref().unwrap().not_simulated.is_some();
        assert!(not_simulated || (result.safety.checked && result.safety.violations.is_empty()));
        !not_simulated
    });
    simulated.collect()
}

#[test]
fn exact_counts_repeat_themselves_and_are_as_committed() {
    // On two threads: what one of them allocates must not be in the counts of the other.
    let both = std::thread::scope(|scope| [(), ()].map(|()| scope.spawn(results)).map(|one| one.join()));
    let [now, again] = both.map(|results| ExactValues::of(&results.unwrap()));
    for scenario in SCENARIOS {
        let row = format!("{scenario}/raft-rs");
        assert!(now.rows().any(|known| known == row), "{row}");
    }
    let repeated = compare_exact(&now, &again);
    assert!(repeated.is_same(), "the second run differs from the first:\n{repeated}");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(COMMITTED, now.to_text().unwrap()).unwrap();
    }
    let found = compare_exact(&ExactValues::read(Path::new(COMMITTED)).unwrap(), &now);
    assert!(
        found.is_same(),
        "{found}\nIf the change is meant, refresh them with\n    \
         {UPDATE}=1 cargo test -p consensus-bench-suite --test exact\nand say why in the commit."
    );
}
