//! A pair of protocol and scenario, whatever the protocol does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use consensus_bench::progress::Progress;
use consensus_bench::results::{Outcome, ScenarioResult};
use consensus_bench::run::{Limits, Pair};
use consensus_bench::scenario;

use crate::toys::{Conduct, Toy};

const BRIEF: &str = r#"
[[scenario]]
name = "brief"
timeout_ms = 200

[[scenario.phase]]
kind = "warm_up"
duration_s = 0.1
rate_per_s = 1000

[[scenario.phase]]
kind = "steady"
duration_s = 0.3
rate_per_s = 1000
"#;

fn run(conduct: Conduct) -> ScenarioResult {
    let scenario = scenario::parse("brief", BRIEF).unwrap().remove(0);
    let folder = tempfile::tempdir().unwrap();
    let second = Duration::from_secs(1);
    let limits = Limits { start: second, settle: second, grace: 3 * second };
    let protocol = Arc::new(Toy::new(conduct));
    let pair = Pair { name: "toy".into(), protocol, scenario, settings: BTreeMap::new(), limits };
    pair.run(folder.path(), &Progress::default())
}

fn reason(result: &ScenarioResult) -> &str {
    match &result.outcome {
        Outcome::Failed { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_cluster_gives_numbers_that_add_up() {
    let result = run(Conduct::Good);
    assert_eq!(result.outcome, Outcome::Completed);
    assert!(result.safety.checked && result.safety.violations.is_empty());
    let steady = &result.phases[1];
    let sent: u64 = steady.intervals.iter().map(|interval| interval.sent).sum();
    assert!((200..400).contains(&sent), "{sent} of about 300");
    assert_eq!(sent, steady.intervals.iter().map(|interval| interval.succeeded).sum::<u64>());
    assert_eq!(result.metric("success_ratio").unwrap().value, 1.0);
    assert_eq!(result.safety.submitted, result.safety.acknowledged);
    assert_eq!(result.safety.acknowledged, result.safety.applied);
}

#[test]
fn unsafe_clusters_are_found_and_give_no_numbers() {
    for (conduct, expected) in [
        (Conduct::Forgets, "replica 2 did not apply acknowledged command"),
        (Conduct::AppliesTwice, "delivered after slot"),
        (Conduct::Reorders, "part within deliveries"),
        (Conduct::Invents, "applied what no client sent: command 1048576"),
    ] {
        let result = run(conduct);
        assert_eq!(result.outcome, Outcome::Unsafe, "{conduct:?}");
        assert!(result.metrics.is_empty() && result.phases.is_empty(), "{conduct:?}");
        let violations = &result.safety.violations;
        assert!(violations.iter().any(|violation| violation.contains(expected)), "{violations:?}");
    }
}

#[test]
fn clusters_that_hang_or_die_end_with_a_typed_error() {
    assert_eq!(reason(&run(Conduct::Silent)), "no command was acknowledged within 1s of the launch");
    assert_eq!(reason(&run(Conduct::NeverLaunches)), "launch did not end within 1s");
    assert_eq!(reason(&run(Conduct::Panics)), "launch panicked");
    assert!(reason(&run(Conduct::Blocking)).contains("submitting blocks"));
}
