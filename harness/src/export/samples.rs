//! A recorded run with little enough in it to be looked at whole.

use std::path::Path;

use crate::files;
use crate::results::{Better, Class, Metric};
use crate::store::Recorded;

/// Metrics that differ in what tools make of them.
const KEPT: [&str; 5] = [
    "throughput_per_s",
    "response_ns_p99",
    "cpu_ns_per_commit",
    "messages_per_commit",
    "commands_per_proposal",
];

pub(super) fn recorded() -> Recorded {
    let mut run = files::parse_results(Path::new("sample"), files::SAMPLE).unwrap();
    for result in &mut run.results {
        result.metrics.retain(|metric| KEPT.contains(&metric.name.as_str()));
        result.metrics.push(Metric {
            name: "client_latency_ns_p50".into(),
            value: 1e6,
            lower: None,
            upper: None,
            unit: "ns".into(),
            better: Better::Lower,
            class: Class::Exact,
            n: 1,
        });
    }
    run.results[1].disturbed = vec!["run delay 3.1 % of wall time".into()];
    Recorded { name: "main".into(), runs: vec![run] }
}
