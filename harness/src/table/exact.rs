//! Counts in virtual time: a row per protocol, topology, size and number of clients; what a protocol signs
//! and checks, and how costs grow with the cluster, below.

use super::quantity::{self, NOTHING};
use super::{empty_table, lines_of};
use crate::results::{ExactCell, ExactResult, GrowthFit, ScenarioResult};

/// A column: its head, and what it shows of a row that has it.
type Column = (&'static str, fn(&ExactCell) -> Option<String>);

const PLACE: [&str; 4] = ["protocol", "topology", "n", "clients"];

const COSTS: [Column; 8] = [
    ("messages/\ncommit\n(÷ floor)", |cell| over_floor(cell, "messages_per_commit")),
    ("bytes/\ncommit", |cell| number(cell, "bytes_per_commit")),
    ("leader's\nshare", |cell| {
        cell.metric("leader_bytes_share").map(|metric| format!("{:.0} %", metric.value * 100.0))
    }),
    ("alloc-\nations/\ncommit", |cell| number(cell, "allocations_per_commit")),
    ("rounds\n(÷ floor)", |cell| over_floor(cell, "rounds_per_commit")),
    ("leader\np50", |cell| time(cell, "leader_latency_ns_p50")),
    ("client\np99", |cell| time(cell, "client_latency_ns_p99")),
    ("recovery", |cell| time(cell, "recovery_ns")),
];

const CRYPTOGRAPHY: [Column; 3] = [
    ("signatures/\ncommit\n(÷ floor)", |cell| over_floor(cell, "signatures_per_commit")),
    ("verifications/\ncommit\n(÷ floor)", |cell| over_floor(cell, "verifications_per_commit")),
    ("MACs/\ncommit\n(÷ floor)", |cell| over_floor(cell, "macs_per_commit")),
];

const LEGEND: &str = "\
Virtual time, all costs zero: the same numbers on every machine. Messages and bytes are those between
replicas, 4 bytes of frame header each; heartbeats, state transfer and the hops of clients are left out.
Rounds: one-way delays from when the leader takes a command up until it has applied it, the median, where
all links are equal; a client's way there and back is not in it. Leader's and client's latency are times.";

/// All combinations of rows that have some; nothing when none has.
pub fn exact_table(rows: &[&ScenarioResult]) -> String {
    let rows: Vec<(&ScenarioResult, &ExactResult)> =
        rows.iter().filter_map(|result| Some((*result, result.exact.as_ref()?))).collect();
    let cells =
        || rows.iter().flat_map(|(result, found)| found.cells.iter().map(move |cell| (*result, cell)));
    if cells().next().is_none() {
        return String::new();
    }
    let mut legend = LEGEND.to_string();
    if cells().any(|(_, cell)| cell.metric("allocations_per_commit").is_some()) {
        legend += "\nAllocations: by the replicas and the simulator, without the clients.";
    }
    if cells().any(|(_, cell)| cell.metric("recovery_ns").is_some()) {
        legend += "\nRecovery: from the leader's crash to the next commit. Where no one\nleads, the leader is the \
                   replica that a command was given to.";
    }
    let mut parts = vec![shown(cells(), &COSTS) + "\n" + &legend];
    let signs = |(_, cell): &(_, &ExactCell)| {
        let names = ["signatures_per_commit", "verifications_per_commit", "macs_per_commit"];
        names.iter().any(|name| cell.metric(name).is_some_and(|metric| metric.value > 0.0))
    };
    let signing: Vec<_> = cells().filter(signs).collect();
    if !signing.is_empty() {
        parts.push(shown(signing.into_iter(), &CRYPTOGRAPHY));
    }
    let growth: Vec<Vec<String>> = rows
        .iter()
        .flat_map(|(result, found)| found.growth.iter().map(|fit| growth_row(&result.protocol, fit)))
        .collect();
    if !growth.is_empty() {
        parts.push(growth_table(growth));
    }
    parts.join("\n\n")
}

/// The columns that at least one row has.
fn shown<'a>(cells: impl Iterator<Item = (&'a ScenarioResult, &'a ExactCell)>, columns: &[Column]) -> String {
    let cells: Vec<_> = cells.collect();
    let columns: Vec<&Column> =
        columns.iter().filter(|(_, show)| cells.iter().any(|(_, cell)| show(cell).is_some())).collect();
    let heads: Vec<&str> = PLACE.iter().chain(columns.iter().map(|(head, _)| head)).copied().collect();
    let mut table = empty_table(&heads, false);
    for (result, cell) in cells {
        let place = [
            result.protocol.clone(),
            cell.topology.clone(),
            cell.replicas.to_string(),
            cell.clients.to_string(),
        ];
        let values = columns.iter().map(|(_, show)| show(cell).unwrap_or_else(|| NOTHING.into()));
        table.add_row(place.into_iter().chain(values));
    }
    lines_of(&table)
}

fn growth_table(rows: Vec<Vec<String>>) -> String {
    let heads = ["protocol", "topology", "clients", "cost", "grows as", "r²", "floor grows as"];
    let mut table = empty_table(&heads, false);
    table.add_rows(rows);
    let legend = "A power law of n through all sizes, by least squares on logarithms. 2(n - 1) messages are no \
                  power of n,\nso over few replicas their exponent is above 1: compare with the floor's.";
    format!("{}\n{legend}", lines_of(&table))
}

fn growth_row(protocol: &str, fit: &GrowthFit) -> Vec<String> {
    let power = |exponent: f64| format!("n^{exponent:.3}");
    vec![
        protocol.into(),
        fit.topology.clone(),
        fit.clients.to_string(),
        fit.cost.replace("_per_", "/"),
        power(fit.exponent),
        format!("{:.5}", fit.r_squared),
        fit.floor_exponent.map_or_else(|| NOTHING.into(), power),
    ]
}

fn number(cell: &ExactCell, name: &str) -> Option<String> {
    cell.metric(name).map(|metric| quantity::count(metric.value))
}

fn time(cell: &ExactCell, name: &str) -> Option<String> {
    cell.metric(name).map(|metric| quantity::in_unit(metric.value, "ns"))
}

/// A number, and how many times its floor it is where there is one.
fn over_floor(cell: &ExactCell, name: &str) -> Option<String> {
    let value = number(cell, name)?;
    let over = number(cell, &format!("{name}_over_floor"));
    Some(over.map_or_else(|| value.clone(), |over| format!("{value} ({over})")))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::files;
    use crate::results::{Better, Class, Metric};

    fn metric(name: &str, value: f64) -> Metric {
        Metric {
            name: name.into(),
            value,
            lower: None,
            upper: None,
            unit: "1".into(),
            better: Better::Lower,
            class: Class::Exact,
            n: 1,
        }
    }

    fn cell(replicas: usize, more: &[(&str, f64)]) -> ExactCell {
        let always = [
            ("messages_per_commit", 8.0),
            ("messages_per_commit_over_floor", 2.0),
            ("bytes_per_commit", 447.52),
            ("leader_bytes_share", 0.84),
            ("leader_latency_ns_p50", 500_000.0),
            ("client_latency_ns_p99", 1_000_000.0),
        ];
        let metrics = always.iter().chain(more).map(|(name, value)| metric(name, *value)).collect();
        ExactCell {
            topology: "planet13".into(),
            replicas,
            clients: 64,
            offered_per_s: None,
            commits: 1_000,
            metrics,
            conduct: None,
        }
    }

    #[test]
    fn what_no_row_has_takes_no_column_and_cryptography_has_its_own_table() {
        let mut results = files::parse_results(Path::new("sample"), files::SAMPLE).unwrap().results;
        let growth = GrowthFit {
            topology: "planet13".into(),
            clients: 64,
            cost: "messages_per_batch".into(),
            sizes: 5,
            exponent: 1.102_5,
            r_squared: 0.999_12,
            floor_exponent: Some(1.102_5),
        };
        let signed = [
            ("signatures_per_commit", 0.125),
            ("signatures_per_commit_over_floor", 1.0),
            ("verifications_per_commit", 0.5),
            ("macs_per_commit", 0.0),
            ("rounds_per_commit", 2.0),
            ("rounds_per_commit_over_floor", 1.0),
            ("allocations_per_commit", 18.25),
        ];
        results[0].exact =
            Some(ExactResult { cells: vec![cell(3, &[])], growth: vec![growth], ..ExactResult::default() });
        let plain = exact_table(&[&results[0]]);
        assert!(!plain.contains("recovery") && !plain.contains("rounds\n") && !plain.contains("signatures"));
        let cells = vec![cell(101, &signed), cell(5, &[("recovery_ns", 301e6)])];
        results[1].exact = Some(ExactResult { cells, ..ExactResult::default() });
        let shown = exact_table(&results.iter().collect::<Vec<_>>());
        assert!(shown.lines().all(|line| line.chars().count() <= 120), "{shown}");
        insta::assert_snapshot!(shown);
        results[0].exact = None;
        assert_eq!(exact_table(&[&results[0]]), "");
    }
}
