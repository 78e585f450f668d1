//! Boards: protocols by the metrics that the first questions are about.

use super::{Board, Group, is_rising, matrix, metric_of, row};
use crate::report::charts::ids;
use crate::report::material::{Material, Rows};
use crate::results::{Metric, ScenarioResult};

/// Scenarios from which costs are taken, the first that there is: under one constant load costs compare best.
const COSTS_FROM: [&str; 6] = ["resources", "load", "latency", "throughput", "exact", "scalability"];

/// What boards are made of.
pub(super) struct Boards<'a> {
    material: &'a Material,
    scenarios: Vec<Rows<'a>>,
}

impl<'a> Boards<'a> {
    pub(super) fn of(material: &'a Material) -> Boards<'a> {
        Boards { material, scenarios: material.scenarios() }
    }

    fn of_measure(&self, name: &str) -> Option<&Rows<'a>> {
        self.scenarios.iter().find(|rows| rows.shown().any(|result| result.scenario.measure.name() == name))
    }

    /// The highest rate that held; without a search for it, the most that a rising load committed.
    pub(super) fn capacity(&self) -> Option<Board> {
        if let Some(rows) = self.of_measure("throughput") {
            let target = rows.shown().find_map(|result| result.throughput.as_ref()).map(|found| found.knee);
            let target =
                target.map_or_else(String::new, |knee| format!(" with p99 ≤ {} ms", knee.target_p99_ms));
            let label = format!("most requests per second held{target}");
            if let Some(mut board) = self.board(rows, "sustainable_per_s", &label, ids::LOAD) {
                let open = |result: &ScenarioResult| {
                    result.throughput.as_ref().is_some_and(|found| found.knee.broke_at_per_s.is_none())
                };
                if rows.shown().any(open) {
                    board.note = "≥: the load could not be raised until the target broke.".into();
                }
                return Some(board);
            }
        }
        let rising = self.scenarios.iter().find(|rows| rows.shown().any(is_rising))?;
        self.board(rising, "throughput_per_s", "commits per second under a rising load", ids::OVER_TIME)
    }

    pub(super) fn costs(&self) -> Vec<Board> {
        let Some(rows) = COSTS_FROM.iter().find_map(|name| self.of_measure(name)) else { return Vec::new() };
        let of = |metric: &str, label: &str, card| {
            let first = rows.shown().find_map(|result| result.exact.as_ref()?.cells.first());
            // What is counted has a name for each combination; the first is the smallest.
            let of_cell = first.map(|cell| format!("{}_{metric}", cell.prefix()));
            let mut board = self.board(rows, of_cell.as_deref().unwrap_or(metric), label, card)?;
            if let Some(cell) = first {
                board.note = format!("On {}, the smallest cluster that each can have.", cell.topology);
            }
            Some(board)
        };
        [
            of("cpu_ns_per_commit", "CPU time per commit", ids::RESOURCES),
            of("messages_per_commit", "messages per commit", ids::COST),
            of("bytes_per_commit", "bytes per commit", ids::COST),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    pub(super) fn leader(&self) -> Option<Board> {
        let rows =
            self.of_measure("fault_tolerance").or_else(|| self.of_measure("virtual_fault_tolerance"))?;
        let label = "without a commit after the leader's crash";
        let mut board = self.board(rows, "crash_leader_unavailability_ns", label, ids::OUTAGE)?;
        let faults = || rows.shown().flat_map(|result| &result.faults);
        let cycles: usize = faults().map(|fault| fault.cycles.len()).sum();
        let lost: u64 = faults().map(|fault| fault.lost + fault.applied_twice).sum();
        board.note = match lost {
            0 => {
                format!("No acknowledged command was lost or applied twice, in {cycles} faults of all kinds.")
            }
            some => format!("{some} acknowledged commands were lost or applied twice, in {cycles} faults."),
        };
        Some(board)
    }

    /// All rows that have the metric.
    fn board(&self, rows: &Rows, metric: &str, label: &str, card: &'static str) -> Option<Board> {
        let mut groups: Vec<Group> = Vec::new();
        let mut first: Option<Metric> = None;
        for result in rows.shown() {
            let Some(found) = metric_of(result, metric).or_else(|| matrix::smallest_of(result, metric))
            else {
                continue;
            };
            first.get_or_insert_with(|| found.clone());
            let ranking = matrix::ranking(self.material, result, metric);
            let row = row(result, rows.name_of(result), found, ranking);
            match groups.iter_mut().find(|group| group.promise == result.promise) {
                Some(group) => group.rows.push(row),
                None => groups.push(Group {
                    promise: result.promise.clone(),
                    verdict: String::new(),
                    rows: vec![row],
                }),
            }
        }
        let Metric { unit, better, .. } = first?;
        for group in &mut groups {
            group.sort(better);
            group.verdict = group.verdict(better);
        }
        let (scenario, metric) = (rows.scenario.to_string(), metric.to_string());
        let note = String::new();
        Some(Board { scenario, metric, label: label.into(), unit, better, card, note, groups })
    }
}
