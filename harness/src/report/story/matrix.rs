//! Every protocol under every scenario: one number each, the one that the scenario is about.

use super::{is_rising, metric_of, shown};
use crate::report::material::{Material, Rows};
use crate::results::{ExactCell, Metric, Outcome, Ranking, ScenarioResult};
use crate::scenario::Measure;

/// A table of protocols and scenarios.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// Scenarios.
    pub columns: Vec<Column>,
    /// Protocols, with a cell for each column.
    pub rows: Vec<(String, Vec<Cell>)>,
}

/// A scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name.
    pub scenario: String,
    /// What the numbers are: `p99`.
    pub what: String,
}

/// What a protocol did under a scenario.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    /// The number with its interval, or why there is none.
    pub text: String,
    /// Its place among those that promise the same.
    pub place: Option<usize>,
    /// Whether it shares its place, or can't be told from the row before.
    pub tie: bool,
    /// It broke its promises.
    pub is_unsafe: bool,
    /// Something disturbed it: what.
    pub disturbed: Vec<String>,
    /// It was interrupted: the number is of what ran until then.
    pub interrupted: bool,
    /// It has no number: why.
    pub failed: Option<String>,
}

impl Matrix {
    /// Looks through all results.
    pub fn of(material: &Material) -> Matrix {
        let scenarios = material.scenarios();
        let mut columns = Vec::new();
        let mut metrics = Vec::new();
        for rows in &scenarios {
            let (metric, what) = headline(rows);
            columns.push(Column { scenario: rows.scenario.into(), what });
            metrics.push(metric);
        }
        let row = |protocol: &str| -> Vec<Cell> {
            let cells = scenarios.iter().zip(&metrics);
            cells.map(|(rows, metric)| cell(material, rows, protocol, metric)).collect()
        };
        let rows = material.protocols().into_iter().map(|name| (name.to_string(), row(name))).collect();
        Matrix { columns, rows }
    }
}

/// The metric that a scenario is about, and what to call it.
fn headline(rows: &Rows) -> (String, String) {
    let Some(result) = rows.all.first() else { return Default::default() };
    let of = |metric: &str, what: &str| (metric.to_string(), what.to_string());
    match &result.scenario.measure {
        Measure::Load if is_rising(result) => of("throughput_per_s", "commits/s"),
        Measure::Load | Measure::Latency => of("response_ns_p99", "p99"),
        Measure::Throughput(_) => of("sustainable_per_s", "most held"),
        Measure::Resources => of("cpu_ns_per_commit", "CPU/commit"),
        Measure::Scalability(sweep) => {
            let replicas = sweep.replicas.first().copied().unwrap_or(result.scenario.replicas);
            let clients = sweep.clients.iter().max().copied().unwrap_or(1);
            of(
                &format!("replicas_{replicas}_clients_{clients}_throughput_per_s"),
                &format!("commits/s, {replicas} replicas, {clients} clients"),
            )
        }
        Measure::FaultTolerance(_) | Measure::VirtualFaultTolerance(_) => {
            let faults = rows.shown().flat_map(|result| &result.faults);
            let given: Vec<&str> =
                faults.filter(|one| one.not_measured.is_none()).map(|one| one.fault.as_str()).collect();
            let first = given.iter().find(|name| **name == "crash_leader").or(given.first());
            let fault = first.unwrap_or(&"crash_leader");
            of(&format!("{fault}_unavailability_ns"), &format!("outage, {}", fault.replace('_', " ")))
        }
        Measure::Exact(plan) => {
            let far = plan.topologies.len() > 1;
            let cells =
                || rows.shown().filter_map(|result| result.exact.as_ref()).flat_map(|exact| &exact.cells);
            // Of several places the farthest but the planet, of which not every cluster has enough replicas.
            let chosen = cells().find(|cell| far && cell.topology == "wan5").or_else(|| cells().next());
            let Some(cell) = chosen else { return of("", "") };
            let (metric, what) = if far {
                ("client_latency_ns_p50", "p50")
            } else {
                ("messages_per_commit", "messages/commit")
            };
            of(
                &format!("{}_{metric}", cell.prefix()),
                &format!("{what}, {}, {} replicas", cell.topology, cell.replicas),
            )
        }
    }
}

fn cell(material: &Material, rows: &Rows, protocol: &str, metric: &str) -> Cell {
    // Of several rows of one protocol the first stands here; the charts have all.
    let Some(result) = rows.all.iter().find(|result| result.protocol == protocol) else {
        return Cell { text: "–".into(), ..Cell::default() };
    };
    let disturbed = result.disturbed.clone();
    let is_unsafe = result.outcome == Outcome::Unsafe || !result.safety.violations.is_empty();
    if is_unsafe {
        return Cell { text: "unsafe".into(), is_unsafe, disturbed, ..Cell::default() };
    }
    if let Some(NoNumbers { why, failed }) = without_numbers(result) {
        let text = if failed { "✗ failed" } else { "not measured" };
        return Cell { text: text.into(), failed: Some(why), disturbed, ..Cell::default() };
    }
    let Some((found, size)) = metric_or_smallest(result, metric) else {
        return Cell { text: "–".into(), disturbed, ..Cell::default() };
    };
    let ranking = ranking(material, result, metric, found.value);
    let row_name = result.row_name();
    let place = ranking.and_then(|ranking| ranking.places.iter().find(|place| place.protocol == row_name));
    let shares = |number: usize| {
        ranking.is_some_and(|ranking| ranking.places.iter().filter(|one| one.place == number).count() > 1)
    };
    Cell {
        text: with_size(shown(&found, result), size),
        interrupted: result.outcome == Outcome::Interrupted,
        place: place.map(|place| place.place),
        tie: place.is_some_and(|place| place.tied_with_previous || shares(place.place)),
        disturbed,
        ..Cell::default()
    }
}

/// A metric of a result. Not all protocols can have three replicas: in place of a cost that it does not have, the same
/// cost of the smallest cluster that it can have, and how many replicas that one has.
pub(super) fn metric_or_smallest(result: &ScenarioResult, metric: &str) -> Option<(Metric, Option<usize>)> {
    if let Some(found) = metric_of(result, metric) {
        return Some((found, None));
    }
    let of = |cell: &ExactCell| {
        let found = cell.metrics.iter().find(|one| metric.ends_with(&format!("_{}", one.name)))?;
        let same_place = metric.starts_with(&format!("{}_", cell.topology));
        same_place.then(|| (found.clone(), Some(cell.replicas)))
    };
    result.exact.as_ref()?.cells.iter().find_map(of)
}

/// A number with the size of its cluster, where that is not the one of the head.
pub(super) fn with_size(shown: String, replicas: Option<usize>) -> String {
    match replicas {
        Some(replicas) => format!("{shown} ({replicas} replicas)"),
        None => shown,
    }
}

/// The ranking that a row stands in with this value.
pub(super) fn ranking<'a>(
    material: &'a Material,
    result: &ScenarioResult,
    metric: &str,
    value: f64,
) -> Option<&'a Ranking> {
    let row = result.row_name();
    material.rankings.iter().find(|ranking| {
        ranking.metric == metric
            && ranking.scenario == result.scenario.name
            && ranking.promise == result.promise
            && ranking.places.iter().any(|place| place.protocol == row && place.value == value)
    })
}

/// Why a result has no numbers.
pub(super) struct NoNumbers {
    /// The reason, with its scenario.
    pub(super) why: String,
    /// Whether it was to have some: what a protocol can't be asked for is no failure.
    pub(super) failed: bool,
}

/// Why a result has no numbers; none when it has some, or is unsafe.
pub(super) fn without_numbers(result: &ScenarioResult) -> Option<NoNumbers> {
    let of =
        |failed: bool, why: &str| Some(NoNumbers { why: format!("{}: {why}", result.scenario.name), failed });
    if let Some(why) = result.exact.as_ref().and_then(|exact| exact.not_simulated.as_ref()) {
        return of(false, why);
    }
    match &result.outcome {
        Outcome::Failed { reason } => of(true, reason),
        Outcome::Completed | Outcome::Interrupted if !result.safety.checked => {
            of(true, "safety was not checked")
        }
        Outcome::Interrupted if result.metrics.is_empty() => of(true, "it was interrupted"),
        Outcome::Completed if result.metrics.is_empty() => {
            let why = result.faults.iter().find_map(|fault| fault.not_measured.as_deref());
            of(false, why.unwrap_or("it has no numbers"))
        }
        _ => None,
    }
}
