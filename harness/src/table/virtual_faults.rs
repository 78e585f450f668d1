//! Fault tolerance in virtual time: a row per fault and protocol, over all seeds.

use super::faults::{missing, names_of, note, verdict};
use super::quantity::{self, NOTHING};
use super::{empty_table, lines_of};
use crate::results::{FaultResult, ScenarioResult};
use crate::scenario::{Measure, Scenario};

const HEADS: [&str; 11] = [
    "fault",
    "protocol",
    "outage\nleast",
    "\nmiddle",
    "\nmost",
    "first\ncommit",
    "in\ntime",
    "caught\nup",
    "p99\nduring",
    "commits",
    "failed",
];

/// All faults of rows that have some; nothing when none has.
pub fn virtual_faults_table(rows: &[&ScenarioResult]) -> String {
    let Some(first) = rows.iter().find(|result| !result.faults.is_empty()) else { return String::new() };
    let mut table = empty_table(&HEADS, false);
    let mut notes = Vec::new();
    for name in names_of(rows) {
        for result in rows {
            let Some(fault) = result.faults.iter().find(|fault| fault.fault == name) else { continue };
            if fault.not_measured.is_none() {
                table.add_row(row(result, fault));
            }
            notes.extend(note(result, fault));
        }
    }
    notes.extend(rows.iter().flat_map(|result| missing(result)));
    let seeds =
        rows.iter().flat_map(|result| &result.faults).map(|fault| fault.cycles.len()).max().unwrap_or(0);
    let measured = |result: &&&ScenarioResult| result.faults.iter().any(|fault| fault.not_measured.is_none());
    let verdicts = rows.iter().filter(measured).map(|result| verdict(result));
    let mut parts = vec![lines_of(&table), legend(seeds, first.scenario.timeout_ms)];
    parts.extend(other_sizes(&first.scenario));
    parts.extend(notes);
    parts.extend(verdicts);
    parts.join("\n")
}

fn legend(seeds: usize, timeout_ms: f64) -> String {
    format!(
        "Virtual time, all costs zero: the same numbers on every machine. Every fault once under each of {seeds} \
         seeds; times\nare the middle one of the seeds, from the fault on (!: first commit from its end on). \
         Outage: the longest\ntime without a commit; where the fault hits no one who is needed, the time \
         between two. First commit: of a request\nthat was due after the fault. In time: seeds in which commits \
         were back at 95 % of the rate before the fault ended.\nCaught up: from the fault's end until every \
         replica had applied what any of them had then, to 0.1 ms. Commits: of\nrequests due and answered during \
         the fault, all seeds together; failed: not answered within {timeout_ms} ms."
    )
}

/// The faults that have a cluster of their own size.
fn other_sizes(scenario: &Scenario) -> Option<String> {
    let Measure::VirtualFaultTolerance(plan) = &scenario.measure else { return None };
    let sizes = plan.faults.iter().filter_map(|fault| Some((fault.name(), fault.replicas?)));
    let others: Vec<String> = sizes
        .filter(|(_, replicas)| *replicas != scenario.replicas)
        .map(|(name, replicas)| format!("{name} of {replicas}"))
        .collect();
    (!others.is_empty()).then(|| format!("In clusters of another size: {}", others.join(", ")))
}

fn row(result: &ScenarioResult, fault: &FaultResult) -> Vec<String> {
    let metric = |name: &str| fault.metrics.iter().find(|metric| metric.name == name);
    let seeds = fault.cycles.len();
    let time = |name: &str| match metric(name) {
        Some(metric) => {
            let shown = quantity::in_unit(metric.value, "ns");
            // A number that some seeds did not come to is not the middle of all.
            if metric.n as usize == seeds { shown } else { format!("{shown} ({}/{seeds})", metric.n) }
        }
        None => NOTHING.into(),
    };
    // Whole numbers, so without digits behind the point.
    let sum = |name: &str| metric(name).map_or_else(|| NOTHING.into(), |one| one.value.to_string());
    let in_time = metric("recovered_before_its_end").map(|one| format!("{}/{seeds}", one.value));
    let name = if fault.tolerated { fault.fault.clone() } else { format!("{} !", fault.fault) };
    vec![
        name,
        result.protocol.clone(),
        time("unavailability_ns_min"),
        time("unavailability_ns"),
        time("unavailability_ns_max"),
        time("first_commit_ns"),
        in_time.unwrap_or_else(|| NOTHING.into()),
        time("caught_up_ns"),
        time("response_ns_p99_during"),
        sum("commits_during"),
        sum("failed_requests"),
    ]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::files;
    use crate::measure::virtual_fault_metrics;
    use crate::results::FaultCycle;
    use crate::scenario;

    fn fault(name: &str, tolerated: bool, outages_ms: &[u64]) -> FaultResult {
        let ms = 1_000_000;
        let cycle = |(seed, outage): (usize, &u64)| FaultCycle {
            replicas: vec![0],
            fault_ns: 900 * ms,
            rate_before_per_s: 1_000.0,
            unavailability_ns: outage * ms,
            first_commit_ns: (*outage < 5_000).then_some(outage * ms + 1),
            recovered_ns: (*outage < 5_000).then_some((outage + 10) * ms),
            backlog_drain_ns: None,
            p99_before_ns: ms,
            p99_during_ns: outage * ms,
            failed: outage / 1_000,
            acknowledged_during: if tolerated { 500 } else { 0 },
            views: 1,
            seed: Some(seed as u64 + 1),
            caught_up_ns: Some(900_000),
            timeline: None,
        };
        let cycles: Vec<FaultCycle> = outages_ms.iter().enumerate().map(cycle).collect();
        FaultResult {
            fault: name.into(),
            tolerated,
            not_measured: None,
            metrics: virtual_fault_metrics(&cycles, tolerated),
            cycles,
            lost: 0,
            applied_twice: 0,
        }
    }

    #[test]
    fn a_fault_is_one_line_over_all_its_seeds() {
        let mut results = files::parse_results(Path::new("sample"), files::SAMPLE).unwrap().results;
        results[0].faults = vec![
            fault("crash_leader", true, &[300, 300, 401]),
            fault("crash_majority", false, &[700, 701, 790]),
            fault("partial_connectivity_leader", true, &[900, 1_700, 9_000]),
        ];
        let scenarios = scenario::profile("quick").unwrap();
        results[0].scenario = scenario::find(&scenarios, "virtual_fault_tolerance").unwrap().clone();
        results[1].faults = vec![FaultResult {
            not_measured: Some("seed 1: Pause is unsupported".into()),
            ..fault("crash_leader", true, &[])
        }];
        let shown = virtual_faults_table(&results.iter().collect::<Vec<_>>());
        assert!(shown.lines().all(|line| line.chars().count() <= 120), "{shown}");
        insta::assert_snapshot!(shown);
        assert_eq!(virtual_faults_table(&[]), "");
    }
}
