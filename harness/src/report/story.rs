//! What a run says, in plain data: who holds most, what a commit costs, what a dead leader does to clients, and
//! whether the targets were met. The page and the terminal tell it alike.

use super::charts::ids;
use super::material::{Material, Rows};
use crate::results::{Better, Class, Metric, Ranking, Ratio, ScenarioResult};
use crate::scenario::Measure;
use crate::table::quantity::{self, NOTHING};

mod matrix;
mod targets;

pub use matrix::{Cell, Column, Matrix};
pub use targets::{Held, Targets};

/// The whole story.
#[derive(Clone, Debug)]
pub struct Story {
    /// Which protocol holds the most load.
    pub capacity: Option<Board>,
    /// What a commit costs.
    pub costs: Vec<Board>,
    /// What happened when the leader died.
    pub leader: Option<Board>,
    /// A line for each protocol.
    pub protocols: Vec<ProtocolStory>,
    /// Every protocol under every scenario.
    pub matrix: Matrix,
}

/// Protocols by one metric of one scenario.
#[derive(Clone, Debug)]
pub struct Board {
    /// Scenario.
    pub scenario: String,
    /// Name of the metric.
    pub metric: String,
    /// What it is in words: `CPU time per commit`.
    pub label: String,
    /// Unit.
    pub unit: String,
    /// Which way is better.
    pub better: Better,
    /// The card that shows it.
    pub card: &'static str,
    /// What else is to be said; empty when nothing is.
    pub note: String,
    /// Only those that promise the same are set against each other.
    pub groups: Vec<Group>,
}

/// Protocols that promise the same, from best to worst.
#[derive(Clone, Debug)]
pub struct Group {
    /// What they promise; empty in old results.
    pub promise: String,
    /// Who won, by how much, and how sure that is.
    pub verdict: String,
    /// The rows.
    pub rows: Vec<Row>,
}

/// One protocol on a board.
#[derive(Clone, Debug)]
pub struct Row {
    /// Protocol.
    pub protocol: String,
    /// Its place, from 1, where places were given.
    pub place: Option<usize>,
    /// Whether it can't be told from the row before.
    pub tied: bool,
    /// The value.
    pub metric: Metric,
    /// The value as people read it, with its spread.
    pub shown: String,
    /// Against the best of its group.
    pub ratio: Option<Ratio>,
    /// Whether something disturbed it.
    pub disturbed: bool,
}

/// A protocol in a line.
#[derive(Clone, Debug)]
pub struct ProtocolStory {
    /// Protocol.
    pub protocol: String,
    /// The library behind it.
    pub implementation: String,
    /// What clients are promised.
    pub promise: String,
    /// The line.
    pub verdict: String,
    /// Whether it met the targets.
    pub targets: Targets,
    /// Scenarios in which it broke its promises.
    pub unsafe_in: Vec<String>,
    /// Scenarios that something disturbed, with what.
    pub disturbed_in: Vec<String>,
    /// Scenarios without numbers, with the reason.
    pub failed_in: Vec<String>,
}

/// Spreads that round to nothing, and so say nothing.
const NO_SPREAD: [&str; 3] = ["±0 %", "±<0.1 %", "-0 +0 %"];

/// Scenarios from which costs are taken, the first that there is: under one constant load costs compare best.
const COSTS_FROM: [&str; 6] = ["resources", "load", "latency", "throughput", "exact", "scalability"];

impl Story {
    /// Tells what the material says.
    pub fn of(material: &Material) -> Story {
        let boards = Boards { material, scenarios: material.scenarios() };
        let capacity = boards.capacity();
        let costs = boards.costs();
        let leader = boards.leader();
        let protocols = material.protocols().into_iter().map(|protocol| {
            let lines = [&capacity, &leader].into_iter().flatten().chain(&costs);
            protocol_story(material, protocol, lines.collect())
        });
        let protocols = protocols.collect();
        Story { protocols, matrix: Matrix::of(material), capacity, costs, leader }
    }
}

struct Boards<'a> {
    material: &'a Material,
    scenarios: Vec<Rows<'a>>,
}

impl Boards<'_> {
    fn of_measure(&self, name: &str) -> Option<&Rows<'_>> {
        self.scenarios.iter().find(|rows| rows.shown().any(|result| result.scenario.measure.name() == name))
    }

    /// The highest rate that held; without a search for it, the most that a rising load committed.
    fn capacity(&self) -> Option<Board> {
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
        let rising = self.scenarios.iter().find(|rows| rows.shown().any(|result| is_rising(result)))?;
        self.board(rising, "throughput_per_s", "commits per second under a rising load", ids::OVER_TIME)
    }

    fn costs(&self) -> Vec<Board> {
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

    fn leader(&self) -> Option<Board> {
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
            let ranking = self.ranking(result, metric);
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

    fn ranking(&self, result: &ScenarioResult, metric: &str) -> Option<&Ranking> {
        let analyses = self.material.runs.iter().filter_map(|run| run.analysis.as_ref());
        let mut rankings = analyses.flat_map(|analysis| &analysis.rankings);
        rankings.find(|ranking| {
            ranking.metric == metric
                && ranking.scenario == result.scenario.name
                && ranking.promise == result.promise
                && ranking.network == result.network_name()
                && ranking.storage == result.scenario.storage.name()
        })
    }
}

impl Group {
    /// By place; rows without one by their value.
    fn sort(&mut self, better: Better) {
        let key = |row: &Row| if better == Better::Higher { -row.metric.value } else { row.metric.value };
        self.rows.sort_by(|a, b| {
            let places = a.place.unwrap_or(usize::MAX).cmp(&b.place.unwrap_or(usize::MAX));
            places.then(key(a).total_cmp(&key(b)))
        });
    }

    /// Who won, by how much, how sure.
    fn verdict(&self, better: Better) -> String {
        let Some(first) = self.rows.first() else { return String::new() };
        let Some(second) = self.rows.get(1) else {
            return format!("{}: {}", first.protocol, first.shown);
        };
        let tied: Vec<&str> = self
            .rows
            .iter()
            .skip(1)
            .take_while(|row| row.place == first.place && row.place.is_some())
            .map(|row| row.protocol.as_str())
            .collect();
        if !tied.is_empty() {
            let all = [&[first.protocol.as_str()], tied.as_slice()].concat();
            return format!("{} can't be told apart", in_a_row(&all));
        }
        let by = second.ratio.as_ref().map(|ratio| by_how_much(ratio, better)).unwrap_or_default();
        let sure = match second.ratio {
            _ if second.metric.class == Class::Exact => "",
            None => " (not ranked: the values alone)",
            Some(Ratio { lower: None, upper: None, .. }) => " (by the values alone: chance is not ruled out)",
            Some(_) if second.tied => " (not sure: the intervals overlap)",
            Some(_) => "",
        };
        match by.as_str() {
            "" => format!("{} is ahead of {}{sure}", first.protocol, second.protocol),
            by => format!("{} is ahead of {} by {by}{sure}", first.protocol, second.protocol),
        }
    }
}

/// The second over the first as a factor above 1, with its interval.
fn by_how_much(ratio: &Ratio, better: Better) -> String {
    let flip = |value: f64| if better == Better::Higher { 1.0 / value } else { value };
    let shown = |value: f64| match value {
        value if !value.is_finite() => "∞".to_string(),
        value => quantity::count(value),
    };
    let (mut lower, mut upper) = (ratio.lower.map(flip), ratio.upper.map(flip));
    if better == Better::Higher {
        (lower, upper) = (upper, lower);
    }
    let value = flip(ratio.value);
    if !value.is_finite() {
        return String::new();
    }
    match (lower, upper) {
        (Some(lower), Some(upper)) => format!("{}× [{} to {}]", shown(value), shown(lower), shown(upper)),
        (Some(lower), None) => format!("{}× [{} or more]", shown(value), shown(lower)),
        _ => format!("{}×", shown(value)),
    }
}

fn in_a_row(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => one.to_string(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A metric of a result; the bracket of a knee is its interval.
fn metric_of(result: &ScenarioResult, name: &str) -> Option<Metric> {
    let mut metric = result.metric(name)?.clone();
    if let (Some(found), "sustainable_per_s") = (&result.throughput, name) {
        metric.lower = found.knee.sustainable_per_s;
        metric.upper = found.knee.broke_at_per_s;
    }
    // In virtual time the seeds are all there is: from the least to the most.
    let end = |ending: &str| result.metric(&format!("{name}{ending}")).map(|end| end.value);
    metric.lower = metric.lower.or_else(|| end("_min"));
    metric.upper = metric.upper.or_else(|| end("_max"));
    metric.value.is_finite().then_some(metric)
}

fn row(result: &ScenarioResult, name: String, metric: Metric, ranking: Option<&Ranking>) -> Row {
    let row_name = result.row_name();
    let place = ranking.and_then(|ranking| ranking.places.iter().find(|place| place.protocol == row_name));
    Row {
        protocol: name,
        place: place.map(|place| place.place),
        tied: place.is_some_and(|place| place.tied_with_previous),
        shown: shown(&metric, result),
        ratio: place.and_then(|place| place.ratio_to_best),
        disturbed: !result.disturbed.is_empty(),
        metric,
    }
}

/// A value with its interval, as a table has it.
pub fn shown(metric: &Metric, result: &ScenarioResult) -> String {
    let value = quantity::of_metric(&metric.name, metric.value, &metric.unit);
    if metric.name == "sustainable_per_s" {
        let at_least = result.throughput.as_ref().is_some_and(|found| found.knee.broke_at_per_s.is_none());
        return match metric.upper {
            _ if at_least => format!("≥ {value}"),
            Some(broke) => format!("{value} (broke at {})", quantity::in_unit(broke, &metric.unit)),
            None => value,
        };
    }
    let interval = metric.lower.zip(metric.upper);
    let spread = interval.and_then(|(lower, upper)| quantity::spread(metric.value, lower, upper));
    match spread.filter(|spread| !NO_SPREAD.contains(&spread.as_str())) {
        Some(spread) => format!("{value} {spread}"),
        None => value,
    }
}

/// Whether its load rises while it is measured.
pub fn is_rising(result: &ScenarioResult) -> bool {
    let phase = result.scenario.measured_phase().and_then(|index| result.scenario.phases.get(index));
    result.scenario.measure == Measure::Load && phase.is_some_and(|phase| phase.ramp.is_some())
}

fn protocol_story(material: &Material, protocol: &str, boards: Vec<&Board>) -> ProtocolStory {
    let results: Vec<&ScenarioResult> =
        material.results().filter(|result| result.protocol == protocol).collect();
    let first = results.first();
    let mut parts = Vec::new();
    for board in boards {
        let group = board.groups.iter().find(|group| group.rows.iter().any(|row| row.protocol == protocol));
        let Some((group, row)) =
            group.and_then(|group| Some((group, group.rows.iter().find(|row| row.protocol == protocol)?)))
        else {
            continue;
        };
        parts.push(format!("{} {}{}", value_only(&row.metric), short_label(board), standing(group, row)));
    }
    let lost: u64 =
        results.iter().flat_map(|result| &result.faults).map(|fault| fault.lost + fault.applied_twice).sum();
    if results.iter().any(|result| result.faults.iter().any(|fault| !fault.cycles.is_empty())) {
        parts.push(if lost == 0 {
            "no acknowledged command lost".into()
        } else {
            format!("{lost} commands lost or applied twice")
        });
    }
    let named = |of: &dyn Fn(&ScenarioResult) -> Option<String>| -> Vec<String> {
        results.iter().filter_map(|result| of(result)).collect()
    };
    ProtocolStory {
        protocol: protocol.into(),
        implementation: first.map_or_else(String::new, |result| result.implementation.clone()),
        promise: first.map_or_else(String::new, |result| result.promise.clone()),
        verdict: if parts.is_empty() { NOTHING.into() } else { parts.join("; ") },
        targets: Targets::of(&results),
        unsafe_in: named(&|result| {
            let broken =
                !result.safety.violations.is_empty() || result.outcome == crate::results::Outcome::Unsafe;
            broken.then(|| format!("{}: {}", result.scenario.name, result.safety.violations.join("; ")))
        }),
        disturbed_in: named(&|result| {
            let disturbed = !result.disturbed.is_empty();
            disturbed.then(|| format!("{}: {}", result.scenario.name, result.disturbed.join("; ")))
        }),
        failed_in: named(&|result| matrix::without_numbers(result)),
    }
}

fn value_only(metric: &Metric) -> String {
    quantity::of_metric(&metric.name, metric.value, &metric.unit)
}

/// What the board is about, as half a sentence.
fn short_label(board: &Board) -> String {
    match board.metric.as_str() {
        "sustainable_per_s" => "held".into(),
        "throughput_per_s" => "committed under a rising load".into(),
        _ => board.label.split(" (").next().unwrap_or_default().to_string(),
    }
}

/// A row's place among its peers, as ` (2nd of 3)`; nothing where it has no peers.
fn standing(group: &Group, row: &Row) -> String {
    match row.place {
        Some(place) if group.rows.len() > 1 => {
            let shared = group.rows.iter().filter(|other| other.place == Some(place)).count() > 1;
            format!(" ({}{} of {})", if shared { "= " } else { "" }, ordinal(place), group.rows.len())
        }
        _ => String::new(),
    }
}

/// `1st`, `2nd`, `11th`.
pub fn ordinal(place: usize) -> String {
    let ending = match (place % 10, place % 100) {
        (1, tens) if tens != 11 => "st",
        (2, tens) if tens != 12 => "nd",
        (3, tens) if tens != 13 => "rd",
        _ => "th",
    };
    format!("{place}{ending}")
}

#[cfg(test)]
mod tests;
