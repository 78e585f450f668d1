//! Counts in virtual time: a row per protocol, topology, size and number of clients.

use super::quantity::{self, NOTHING};
use super::{empty_table, lines_of};
use crate::results::{ExactCell, ExactResult, ScenarioResult};

const HEADS: [&str; 11] = [
    "protocol",
    "topology",
    "n",
    "clients",
    "messages/\ncommit\n(÷ floor)",
    "bytes/\ncommit",
    "leader's\nshare",
    "delays\n(÷ floor)",
    "leader\np50",
    "client\np99",
    "recovery",
];

/// All combinations of rows that have some; nothing when none has.
pub fn exact_table(rows: &[&ScenarioResult]) -> String {
    let rows: Vec<(&ScenarioResult, &ExactResult)> =
        rows.iter().filter_map(|result| Some((*result, result.exact.as_ref()?))).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut table = empty_table(&HEADS, false);
    for (result, found) in &rows {
        table.add_rows(found.cells.iter().map(|cell| row(&result.protocol, cell)));
    }
    let legend = "Virtual time, all costs zero: the same numbers on every machine. Messages and bytes are those \
                  between\nreplicas, 4 bytes of frame header each, without heartbeats and without hops of clients; \
                  delays are\nthe leader's median over the one-way delay. Recovery: from the leader's crash to the \
                  next commit. Where no one\nleads, the leader is the replica that a command was given to.";
    format!("{}\n{legend}", lines_of(&table))
}

fn row(protocol: &str, cell: &ExactCell) -> Vec<String> {
    let number = |name: &str| cell.metric(name).map(|metric| quantity::count(metric.value));
    let time = |name: &str| {
        cell.metric(name).map_or_else(|| NOTHING.into(), |metric| quantity::in_unit(metric.value, "ns"))
    };
    let over_floor = |name: &str| match (number(name), number(&format!("{name}_over_floor"))) {
        (Some(value), Some(over)) => format!("{value} ({over})"),
        (Some(value), None) => value,
        _ => NOTHING.into(),
    };
    let share = cell.metric("leader_bytes_share").map(|metric| format!("{:.0} %", metric.value * 100.0));
    vec![
        protocol.into(),
        cell.topology.clone(),
        cell.replicas.to_string(),
        cell.clients.to_string(),
        over_floor("messages_per_commit"),
        number("bytes_per_commit").unwrap_or_else(|| NOTHING.into()),
        share.unwrap_or_else(|| NOTHING.into()),
        over_floor("delays_per_commit"),
        time("leader_latency_ns_p50"),
        time("client_latency_ns_p99"),
        time("recovery_ns"),
    ]
}
