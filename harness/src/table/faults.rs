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
    let mut names: Vec<&str> = Vec::new();
    for fault in rows.iter().flat_map(|result| &result.faults) {
        if !names.contains(&fault.fault.as_str()) {
            names.push(&fault.fault);
        }
    }
    let mut table = empty_table(&HEADS, false);
    let mut notes = Vec::new();
    for name in names {
        for result in rows {
            let Some(fault) = result.faults.iter().find(|fault| fault.fault == name) else { continue };
            table.add_row(row(result, fault));
            notes.extend(note(result, fault));
        }
    }
    let cycles = first.faults.iter().map(|fault| fault.cycles.len()).max().unwrap_or(0);
    let lost: Vec<String> = rows.iter().map(|result| verdict(result)).collect();
    let legend = format!(
        "Medians of up to {cycles} cycles, from the fault on (of a majority: from its end on). A fault that hits \
         no one\nwho is needed shows the time between two commits as unavailable; views: how far the term rose."
    );
    let mut parts = vec![lines_of(&table), legend];
    parts.extend(notes);
    parts.extend(lost);
    parts.join("\n")
}

fn row(result: &ScenarioResult, fault: &FaultResult) -> Vec<String> {
    let metric = |name: &str| fault.metrics.iter().find(|metric| metric.name == name);
    let time = |name: &str| match metric(name) {
        Some(metric) => {
            let shown = quantity::in_unit(metric.value, "ns");
            // A number that some cycles did not come to is not the median of all.
            let all = metric.n as usize == fault.cycles.len();
            if all { shown } else { format!("{shown} ({} of {})", metric.n, fault.cycles.len()) }
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

fn note(result: &ScenarioResult, fault: &FaultResult) -> Option<String> {
    let about = format!("{}, {}", fault.fault, result.protocol);
    if let Some(why) = &fault.not_measured {
        return Some(format!("{about}: not measured: {why}"));
    }
    if fault.tolerated {
        return None;
    }
    let lies: u64 = fault.cycles.iter().map(|cycle| cycle.acknowledged_during).sum();
    Some(format!(
        "! {about}: more than is tolerated: {}",
        if lies == 0 { "it stopped, and acknowledged nothing until the fault's end" } else { "it LIED" }
    ))
}

fn verdict(result: &ScenarioResult) -> String {
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
