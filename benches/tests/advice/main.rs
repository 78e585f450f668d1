//! Does advice name what is wrong, and only that? Cases that are detuned on purpose, and untouched ones.
#![allow(clippy::unwrap_used)]

mod cases;
mod planted;

use std::path::Path;

use cases::Case;
use consensus_bench::advice::{Background, advise};
use consensus_bench::progress::Progress;
use consensus_bench::results::{Advice, Manifest, Outcome, RunResults, SCHEMA_VERSION, ScenarioResult};
use consensus_bench::run::{Limits, Pair};
use consensus_bench::scenario;

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
        },
        results,
        analysis: None,
    };
    advise(&results, |name| suite.get(name).ok().map(|one| one.protocol.descriptor()), &Background::default())
}

#[test]
fn untouched_defaults_get_no_recommendation() {
    let all = scenario::profile("quick").unwrap();
    let chosen = ["cost", "wan"].map(|name| scenario::find(&all, name).unwrap().clone());
    let pairs = consensus_bench_suite::suite().pairs(&chosen, Limits::default()).unwrap();
    let results: Vec<ScenarioResult> = pairs.iter().map(run).collect();
    assert!(results.iter().all(|result| result.outcome == Outcome::Completed));
    let advice = advice_on(results);
    assert!(advice.recommendations.is_empty(), "{:#?}", advice.recommendations);
    assert!(advice.withheld.is_empty());
}

#[test]
fn the_first_recommendation_names_what_was_planted() {
    for case in cases::all() {
        let result = run(&case.pair);
        println!("== {} {:?} {:?}", case.name, result.outcome, result.exact.as_ref().map(|e| e.cells[0].metrics.iter().map(|m| (m.name.clone(), m.value)).collect::<Vec<_>>()));
        println!("{:?}", result.exact.as_ref().map(|e| e.cells[0].conduct.clone()));
        let advice = advice_on(vec![result]);
        println!("{}", consensus_bench::advice::text(&advice));
    }
}
