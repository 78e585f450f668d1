//! Loads in virtual time where work costs something: a row per protocol, topology, size and load.

use super::quantity::{self, NOTHING};
use super::{empty_table, lines_of};
use crate::results::{ExactCell, ScenarioResult};

const HEADS: [&str; 9] = [
    "protocol",
    "topology",
    "n",
    "load",
    "commits/s",
    "p50",
    "p99",
    "commands/\nproposal",
    "messages/\ncommit",
];

/// All loads of rows that have some; nothing when none has.
pub fn virtual_load_table(rows: &[&ScenarioResult]) -> String {
    let found = rows.iter().filter_map(|result| Some((*result, result.exact.as_ref()?)));
    let cells: Vec<Vec<String>> = found
        .flat_map(|(result, found)| found.cells.iter().map(|cell| row(&result.protocol, cell)))
        .collect();
    if cells.is_empty() {
        return String::new();
    }
    let mut table = empty_table(&HEADS, false);
    table.add_rows(cells);
    let legend = "Virtual time in which work costs what the scenario says. Times are those of clients. Of an open \
                  loop, what was\nacknowledged before its last request was due counts as throughput, and what timed \
                  out is in no percentile.";
    format!("{}\n{legend}", lines_of(&table))
}

fn row(protocol: &str, cell: &ExactCell) -> Vec<String> {
    let shown = |name: &str, unit: &str| {
        cell.metric(name).map_or_else(|| NOTHING.into(), |metric| quantity::in_unit(metric.value, unit))
    };
    let load = match cell.offered_per_s {
        Some(rate) => format!("{} offered", quantity::in_unit(rate, "1/s")),
        None if cell.clients == 1 => "1 client".into(),
        None => format!("{} clients", cell.clients),
    };
    vec![
        protocol.into(),
        cell.topology.clone(),
        cell.replicas.to_string(),
        load,
        shown("throughput_per_s", "1"),
        shown("client_latency_ns_p50", "ns"),
        shown("client_latency_ns_p99", "ns"),
        shown("commands_per_proposal", "1"),
        shown("messages_per_commit", "1"),
    ]
}
