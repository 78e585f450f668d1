//! What is counted in virtual time is the same in every run and on every machine, and as committed.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use consensus_bench::progress::Progress;
use consensus_bench::results::Outcome;
use consensus_bench::run::Limits;
use consensus_bench::scenario;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../baselines/exact.json");
const UPDATE: &str = "UPDATE_EXACT";

/// Its counts are those of `tendermint-mac` but for the proofs, whose number its own tests check; to make and
/// check so many signatures takes minutes.
const LEFT_OUT: &str = "tendermint";

/// Values by scenario and protocol, then by metric.
type Counts = BTreeMap<String, BTreeMap<String, f64>>;

fn counts() -> Counts {
    let all = scenario::profile("quick").unwrap();
    let chosen = ["cost", "wan"].map(|name| scenario::find(&all, name).unwrap().clone());
    let pairs = consensus_bench_suite::suite().pairs(&chosen, Limits::default()).unwrap();
    let mut counts = Counts::new();
    for pair in pairs.into_iter().filter(|pair| pair.name != LEFT_OUT) {
        let result = pair.run(Path::new("unused"), &Progress::default());
        assert_eq!(result.outcome, Outcome::Completed, "{}", pair.id());
        if result.exact.as_ref().unwrap().not_simulated.is_some() {
            continue;
        }
        assert!(result.safety.checked && result.safety.violations.is_empty(), "{:?}", result.safety);
        let values = result.metrics.iter().map(|metric| (metric.name.clone(), metric.value)).collect();
        counts.insert(pair.id(), values);
    }
    counts
}

/// What differs, one line each.
fn changes(committed: &Counts, now: &Counts) -> Vec<String> {
    let value = |counts: &Counts, row: &str, metric: &str| counts.get(row)?.get(metric).copied();
    let mut changes = Vec::new();
    for (row, metrics) in committed.iter().chain(now) {
        for metric in metrics.keys() {
            let (old, new) = (value(committed, row, metric), value(now, row, metric));
            let line = format!("{row} {metric}: {old:?} became {new:?}");
            if old != new && !changes.contains(&line) {
                changes.push(line);
            }
        }
    }
    changes
}

#[test]
fn exact_counts_repeat_themselves_and_are_as_committed() {
    let now = counts();
    assert!(now.contains_key("cost/raft-rs") && now.contains_key("wan/raft-rs"));
    assert_eq!(changes(&now, &counts()), [""; 0], "the second run differs from the first");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(COMMITTED, serde_json::to_string_pretty(&now).unwrap() + "\n").unwrap();
    }
    let committed: Counts = serde_json::from_slice(&std::fs::read(COMMITTED).unwrap()).unwrap();
    let changes = changes(&committed, &now);
    assert!(
        changes.is_empty(),
        "{} exact counts changed:\n  {}\nIf the change is meant, refresh them with\n    \
         {UPDATE}=1 cargo test -p consensus-bench-suite --test exact\nand say why in the commit.",
        changes.len(),
        changes.join("\n  ")
    );
}
