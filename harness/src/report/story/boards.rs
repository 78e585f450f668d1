//! Boards: protocols by the metrics that the first questions are about.

use std::collections::BTreeSet;

use super::{Board, Group, is_rising, matrix, row};
use crate::analysis::are_peers;
use crate::report::charts::ids;
use crate::report::material::{Material, Rows};
use crate::results::{Better, Metric, ScenarioResult};

/// Measures from which costs are taken, in this order: under one constant load costs compare best.
const COSTS_FROM: [&str; 6] = ["resources", "load", "latency", "throughput", "exact", "scalability"];
/// Measures that crash leaders, in this order: in real time counts more than in virtual time.
const CRASHES_FROM: [&str; 2] = ["fault_tolerance", "virtual_fault_tolerance"];

/// What boards are made of.
pub(super) struct Boards<'a> {
    material: &'a Material,
    scenarios: Vec<Rows<'a>>,
}

impl<'a> Boards<'a> {
    pub(super) fn of(material: &'a Material) -> Boards<'a> {
        Boards { material, scenarios: material.scenarios() }
    }

    /// The scenarios of some measures, in the order of these.
    fn of_measures(&self, names: &[&'static str]) -> Vec<&Rows<'a>> {
        let of = |name: &&str| {
            let name = name.to_string();
            self.scenarios
                .iter()
                .filter(move |rows| rows.shown().any(|result| result.scenario.measure.name() == name))
        };
        names.iter().flat_map(of).collect()
    }

    /// The highest rate that held; without a search for it, the most that a rising load committed.
    pub(super) fn capacity(&self) -> Option<Board> {
        let mut board = self.held().or_else(|| {
            let rising = self.scenarios.iter().find(|rows| rows.shown().any(is_rising))?;
            self.board(rising, "throughput_per_s", "commits per second under a rising load", ids::OVER_TIME)
        })?;
        let others = self.material.protocols().len() - board.protocols().len();
        if others > 0 {
            board.note = format!("{} Not measured for {others} other protocols.", board.note).trim().into();
        }
        Some(board)
    }

    fn held(&self) -> Option<Board> {
        let rows = *self.of_measures(&["throughput"]).first()?;
        let target = rows.shown().find_map(|result| result.throughput.as_ref()).map(|found| found.knee);
        let target = target.map_or_else(String::new, |knee| format!(" with p99 ≤ {} ms", knee.target_p99_ms));
        let label = format!("most requests per second held{target}");
        let mut board = self.board(rows, "sustainable_per_s", &label, ids::LOAD)?;
        let open = |result: &ScenarioResult| {
            result.throughput.as_ref().is_some_and(|found| found.knee.broke_at_per_s.is_none())
        };
        if rows.shown().any(open) {
            board.note = "≥: the load could not be raised until the target broke.".into();
        }
        Some(board)
    }

    /// Costs by scenario. Not every protocol runs under every one, so further scenarios follow until all that was
    /// measured has its place.
    pub(super) fn costs(&self) -> Vec<Vec<Board>> {
        self.until_all_are_told(&COSTS_FROM, |rows| self.costs_under(rows))
    }

    fn costs_under(&self, rows: &Rows) -> Vec<Board> {
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

    pub(super) fn leader(&self) -> Vec<Board> {
        let boards = self.until_all_are_told(&CRASHES_FROM, |rows| {
            let label = "without a commit after the leader's crash";
            let board = self.board(rows, "crash_leader_unavailability_ns", label, ids::OUTAGE);
            board.map(|board| Board { note: losses(rows), ..board }).into_iter().collect()
        });
        boards.into_iter().flatten().collect()
    }

    /// The boards of one scenario after the other, until every protocol stands on one. A further scenario adds only
    /// groups with a protocol that the ones before don't have: its peers stand there once more, to compare it with.
    fn until_all_are_told(
        &self,
        measures: &[&'static str],
        boards_of: impl Fn(&Rows) -> Vec<Board>,
    ) -> Vec<Vec<Board>> {
        let mut told: BTreeSet<String> = BTreeSet::new();
        let mut all = Vec::new();
        for rows in self.of_measures(measures) {
            let mut boards = boards_of(rows);
            for board in &mut boards {
                board.groups.retain(|group| group.rows.iter().any(|row| !told.contains(&row.protocol)));
            }
            boards.retain(|board| !board.groups.is_empty());
            told.extend(boards.iter().flat_map(Board::protocols).map(str::to_string));
            if !boards.is_empty() {
                all.push(boards);
            }
        }
        all
    }

    /// All rows that have the metric.
    fn board(&self, rows: &Rows, metric: &str, label: &str, card: &'static str) -> Option<Board> {
        let mut groups: Vec<(&ScenarioResult, Group)> = Vec::new();
        let mut first: Option<Metric> = None;
        for result in rows.shown() {
            let Some((found, size)) = matrix::metric_or_smallest(result, metric) else { continue };
            first.get_or_insert_with(|| found.clone());
            let ranking = matrix::ranking(self.material, result, metric, found.value);
            let row = row(result, rows.name_of(result), (found, size), ranking);
            match groups.iter_mut().find(|(peer, _)| are_peers(peer, result)) {
                Some((_, group)) => group.rows.push(row),
                None => {
                    let again = groups.iter().any(|(other, _)| other.promise == result.promise);
                    let plan = if again { ", under another plan" } else { "" };
                    let title = format!("{}{plan}", result.promise);
                    groups.push((result, Group { title, verdict: String::new(), rows: vec![row] }));
                }
            }
        }
        let Metric { unit, better, .. } = first?;
        let groups = groups.into_iter().map(|(_, group)| in_order(group, better)).collect();
        let (scenario, metric) = (rows.scenario.to_string(), metric.to_string());
        let note = String::new();
        Some(Board { scenario, metric, label: label.into(), unit, better, card, note, groups })
    }
}

fn in_order(mut group: Group, better: Better) -> Group {
    group.sort(better);
    group.verdict = group.verdict(better);
    group
}

/// What became of acknowledged commands: of all rows, for one that lost some has no numbers to show.
fn losses(rows: &Rows) -> String {
    let faults = || rows.all.iter().flat_map(|result| &result.faults);
    let cycles: usize = faults().map(|fault| fault.cycles.len()).sum();
    let lost: u64 = faults().map(|fault| fault.lost + fault.applied_twice).sum();
    match lost {
        0 => format!("No acknowledged command was lost or applied twice, in {cycles} faults of all kinds."),
        some => format!("{some} acknowledged commands were lost or applied twice, in {cycles} faults."),
    }
}
