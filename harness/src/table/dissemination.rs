//! How updates spread in virtual time: a row per protocol, topology, size and number of clients, of
//! protocols that give every update to every replica.

use super::quantity::{self, NOTHING};
use super::{empty_table, lines_of, shown_rows};
use crate::results::{ExactCell, ScenarioResult};

const HEADS: [&str; 13] = [
    "protocol",
    "topology",
    "n",
    "clients",
    "50 %\nhave it",
    "90 %",
    "99 %",
    "all\np50",
    "all\np99",
    "payloads,\ncontrol/\ndelivery",
    "complete",
    "detected,\nfalsely",
    "back\nafter",
];

/// All combinations in which updates spread; nothing when there is none.
pub fn dissemination_table(rows: &[&ScenarioResult]) -> String {
    let mut table = empty_table(&HEADS, false);
    for result in shown_rows(rows) {
        let cells = result.exact.iter().flat_map(|exact| &exact.cells);
        let spreads = |cell: &&ExactCell| cell.metric("completeness_ratio").is_some();
        table.add_rows(cells.filter(spreads).map(|cell| row(&result.protocol, cell)));
    }
    if table.is_empty() {
        return String::new();
    }
    let legend = "How updates spread: when so many of all replicas have one (medians), of those that reached \
                  all in time.\nComplete: the share that did, rounded down. A delivery is one on another \
                  replica than the client's. Then a\nfifth of the replicas crash and come back. Detected: when \
                  all others held them to have failed, and\nhow often one that lived was; back: from the \
                  restart until an update had reached all.";
    format!("{}\n{legend}", lines_of(&table))
}

fn row(protocol: &str, cell: &ExactCell) -> Vec<String> {
    let value = |name: &str| cell.metric(name).map(|metric| metric.value);
    let shown = |shown: Option<String>| shown.unwrap_or_else(|| NOTHING.into());
    let time = |name: &str| shown(value(name).map(|ns| quantity::in_unit(ns, "ns")));
    let count = |name: &str| shown(value(name).map(quantity::count));
    vec![
        protocol.into(),
        cell.topology.clone(),
        cell.replicas.to_string(),
        cell.clients.to_string(),
        time("spread_50_ns_p50"),
        time("spread_90_ns_p50"),
        time("spread_99_ns_p50"),
        time("spread_100_ns_p50"),
        time("spread_100_ns_p99"),
        format!("{}, {}", count("payload_messages_per_delivery"), count("control_messages_per_delivery")),
        shown(value("completeness_ratio").map(complete)),
        format!("{}, {}", time("detection_ns"), count("false_suspicions")),
        time("convergence_ns"),
    ]
}

/// In per cent, and 100 only if it is.
fn complete(ratio: f64) -> String {
    format!("{} %", (ratio * 1e4).floor() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::complete;

    #[test]
    fn what_is_nearly_complete_is_not_complete() {
        let shown = [1.0, 0.99999, 0.9999, 0.5, 0.0].map(complete);
        assert_eq!(shown, ["100 %", "99.99 %", "99.99 %", "50 %", "0 %"]);
    }
}
