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
        shown(value("completeness_ratio").map(quantity::share)),
        format!(
            "{}, {}",
            time("detection_ns"),
            shown(value("false_suspicions").map(|held| held.to_string()))
        ),
        time("convergence_ns"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Better, Class, Metric};

    fn cell(metrics: &[(&str, &str, f64)]) -> ExactCell {
        let metric = |&(name, unit, value): &(&str, &str, f64)| Metric {
            name: name.into(),
            value,
            lower: None,
            upper: None,
            unit: unit.into(),
            better: Better::Neither,
            class: Class::Exact,
            n: 1,
        };
        let (topology, metrics) = ("lan".into(), metrics.iter().map(metric).collect());
        ExactCell {
            topology,
            replicas: 5,
            clients: 1,
            offered_per_s: None,
            commits: 9,
            metrics,
            conduct: None,
        }
    }

    #[test]
    fn a_row_shows_each_metric_in_its_unit_and_nothing_that_was_not_measured() {
        let spread = [
            ("spread_50_ns_p50", "ns", 25e6),
            ("spread_90_ns_p50", "ns", 50e6),
            ("spread_99_ns_p50", "ns", 75e6),
            ("spread_100_ns_p50", "ns", 100e6),
            ("spread_100_ns_p99", "ns", 1.5e9),
            ("completeness_ratio", "1", 0.999_99),
            ("payload_messages_per_delivery", "1", 1.02),
            ("control_messages_per_delivery", "1", 2.4),
        ];
        let start = ["p", "lan", "5", "1", "25.0 ms", "50.0 ms", "75.0 ms", "100 ms", "1.50 s", "1.02, 2.40"];
        let shown = row("p", &cell(&spread));
        assert_eq!(shown[..10], start);
        assert_eq!(shown[10..], ["99.99 %", "-, -", "-"]);
        let churn =
            [("detection_ns", "ns", 3.9e9), ("false_suspicions", "1", 2.0), ("convergence_ns", "ns", 5e4)];
        let shown = row("p", &cell(&[&spread[..], &churn].concat()));
        assert_eq!(shown[..10], start);
        assert_eq!(shown[10..], ["99.99 %", "3.90 s, 2", "50.0 µs"]);
    }
}
