//! The fault-tolerance measurement: a row per fault and protocol.

use super::quantity::{self, NOTHING};
use super::{empty_table, lines_of};
use crate::results::{FaultResult, ScenarioResult};

const HEADS: [&str; 10] = [
    "fault",
    "protocol",
    "unavailable",
    "first\ncommit",
    "95 % of\nthe rate",
    "backlog\ndrained",
    "p99\nbefore",
    "p99\nduring",
    "views",
    "failed",
];

/// All faults of rows that have some; nothing when none has.
pub fn faults_table(rows: &[&ScenarioResult]) -> String {
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
    let cycles = first.faults.iter().map(|fault| fault.cycles.len()).max().unwrap_or(0);
    let measured = |result: &&&ScenarioResult| result.faults.iter().any(|fault| fault.not_measured.is_none());
    let lost: Vec<String> = rows.iter().filter(measured).map(|result| verdict(result)).collect();
    let legend = format!(
        "Medians of up to {cycles} cycles, from the fault on (of a majority: from its end on). A fault that hits \
         no one\nwho is needed shows the time between two commits as unavailable. (1/3): of cycles that came to it. Views: how \
         far\nthe term rose. Where no one leads, replica 0 stands for the leader."
    );
    let mut parts = vec![lines_of(&table), legend];
    parts.extend(notes);
    parts.extend(lost);
    parts.join("\n")
}

/// Names of all faults, in the order in which they first appear.
pub(super) fn names_of<'a>(rows: &[&'a ScenarioResult]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for fault in rows.iter().flat_map(|result| &result.faults) {
        if !names.contains(&fault.fault.as_str()) {
            names.push(&fault.fault);
        }
    }
    names
}

fn row(result: &ScenarioResult, fault: &FaultResult) -> Vec<String> {
    let metric = |name: &str| fault.metrics.iter().find(|metric| metric.name == name);
    let time = |name: &str| match metric(name) {
        Some(metric) => {
            let shown = quantity::in_unit(metric.value, "ns");
            // A number that some cycles did not come to is not the median of all.
            let all = metric.n as usize == fault.cycles.len();
            if all { shown } else { format!("{shown} ({}/{})", metric.n, fault.cycles.len()) }
        }
        None => NOTHING.into(),
    };
    let unavailable = metric("unavailability_ns").and_then(|metric| {
        let spread = quantity::spread(metric.value, metric.lower?, metric.upper?)?;
        Some(format!("{} {spread}", quantity::in_unit(metric.value, "ns")))
    });
    let count = |name: &str| metric(name).map_or_else(|| NOTHING.into(), |one| quantity::count(one.value));
    let name = if fault.tolerated { fault.fault.clone() } else { format!("{} !", fault.fault) };
    vec![
        name,
        result.protocol.clone(),
        unavailable.unwrap_or_else(|| time("unavailability_ns")),
        time("first_commit_ns"),
        time("recovered_ns"),
        time("backlog_drain_ns"),
        time("response_ns_p99_before"),
        time("response_ns_p99_during"),
        count("new_views"),
        count("failed_requests"),
    ]
}

/// What a reader must know about one fault, if anything.
pub(super) fn note(result: &ScenarioResult, fault: &FaultResult) -> Option<String> {
    let about = format!("{}, {}", fault.fault, result.protocol);
    if fault.tolerated || fault.not_measured.is_some() {
        return None;
    }
    let lies: u64 = fault.cycles.iter().map(|cycle| cycle.acknowledged_during).sum();
    Some(format!(
        "! {about}: more than is tolerated: {}",
        if lies == 0 { "it stopped, and acknowledged nothing until the fault's end" } else { "it LIED" }
    ))
}

/// Which faults were not measured, and why: a line per reason.
pub(super) fn missing(result: &ScenarioResult) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for fault in &result.faults {
        let Some(why) = &fault.not_measured else { continue };
        match reasons.iter_mut().find(|(known, _)| known == why) {
            Some((_, names)) => names.push(&fault.fault),
            None => reasons.push((why, vec![&fault.fault])),
        }
    }
    let line = |(why, names): (&str, Vec<&str>)| {
        let all = names.len() == result.faults.len() && names.len() > 1;
        let which = if all { "no fault".into() } else { format!("{} not", names.join(", ")) };
        format!("{}: {which} measured: {why}", result.protocol)
    };
    reasons.into_iter().map(line).collect()
}

/// What became of a row's acknowledged commands in all its faults.
pub(super) fn verdict(result: &ScenarioResult) -> String {
    let sum = |of: fn(&FaultResult) -> u64| result.faults.iter().map(of).sum::<u64>();
    let cycles: usize = result.faults.iter().map(|fault| fault.cycles.len()).sum();
    format!(
        "{}: {} of {} acknowledged commands lost, {} applied twice, in {cycles} faults",
        result.row_name(),
        sum(|fault| fault.lost),
        result.safety.acknowledged,
        sum(|fault| fault.applied_twice)
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::files;
    use crate::measure::fault_metrics;
    use crate::results::FaultCycle;

    fn cycle(unavailable_ms: u64, back: bool) -> FaultCycle {
        FaultCycle {
            replicas: vec![0],
            fault_ns: 1_000_000_000,
            rate_before_per_s: 2_000.0,
            unavailability_ns: unavailable_ms * 1_000_000,
            first_commit_ns: back.then_some(unavailable_ms * 1_000_000),
            recovered_ns: back.then_some(unavailable_ms * 1_000_000 + 5_000_000),
            backlog_drain_ns: back.then_some(6_000_000),
            p99_before_ns: 500_000,
            p99_during_ns: unavailable_ms * 990_000,
            failed: 3,
            acknowledged_during: 0,
            views: 1,
            seed: None,
            caught_up_ns: None,
            timeline: None,
        }
    }

    fn fault(
        name: &str,
        tolerated: bool,
        cycles: Vec<FaultCycle>,
        not_measured: Option<&str>,
    ) -> FaultResult {
        FaultResult {
            fault: name.into(),
            tolerated,
            not_measured: not_measured.map(Into::into),
            metrics: fault_metrics(&cycles, tolerated, 1),
            cycles,
            lost: 0,
            applied_twice: 0,
        }
    }

    #[test]
    fn a_fault_is_one_line_for_each_protocol_with_what_it_missed() {
        let mut results = files::parse_results(Path::new("sample"), files::SAMPLE).unwrap().results;
        for (result, median) in results.iter_mut().zip([430, 560]) {
            result.faults = vec![
                fault("crash_leader", true, [0, 20, 90].map(|more| cycle(median + more, true)).into(), None),
                fault("crash_majority", false, vec![cycle(900, true), cycle(950, false)], None),
                fault("pause_leader", true, Vec::new(), Some("Pause is unsupported: it owns its process")),
            ];
        }
        let shown = faults_table(&results.iter().collect::<Vec<_>>());
        assert!(shown.lines().all(|line| line.chars().count() <= 120), "{shown}");
        insta::assert_snapshot!(shown);
        assert_eq!(faults_table(&[]), "");
    }
}
