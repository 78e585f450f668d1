//! What a run says, in plain data: who holds most, what a commit costs, what a dead leader does to clients,
//! and whether the targets were met. The page and the terminal tell it alike.

use std::collections::BTreeSet;

use super::material::Material;
use crate::results::{Better, Class, Metric, Outcome, Ranking, Ratio, ScenarioResult};
use crate::scenario::Measure;
use crate::table::quantity::{self, NOTHING};

mod boards;
mod matrix;
mod targets;

use boards::Boards;
pub use matrix::{Cell, Column, Matrix};
pub use targets::{Held, Targets};

/// The whole story.
#[derive(Clone, Debug)]
pub struct Story {
    /// Which protocol holds the most load.
    pub capacity: Option<Board>,
    /// What a commit costs: the boards of a scenario, and of further ones for protocols that it does not have.
    pub costs: Vec<Vec<Board>>,
    /// What happened when the leader died, by scenario.
    pub leader: Vec<Board>,
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
    /// Only those that promise the same and ran the same are set against each other.
    pub groups: Vec<Group>,
}

/// Protocols that promise the same, from best to worst.
#[derive(Clone, Debug)]
pub struct Group {
    /// What they promise, and whether others that promise the same ran something else; empty in old results.
    pub title: String,
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
    /// What the row is called: its protocol, with more where another row has the same.
    pub name: String,
    /// Its place, from 1, where places were given.
    pub place: Option<usize>,
    /// Whether it can't be told from the row before.
    pub tied: bool,
    /// The value.
    pub metric: Metric,
    /// The value as people read it, with its spread.
    pub shown: String,
    /// Replicas of its cluster, where they are not those that the metric names.
    pub replicas: Option<usize>,
    /// Against the best of its group.
    pub ratio: Option<Ratio>,
    /// Whether something disturbed it.
    pub disturbed: bool,
    /// Whether it was interrupted, so that the value is of what ran until then.
    pub interrupted: bool,
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
    /// Scenarios that were interrupted.
    pub interrupted_in: Vec<String>,
    /// Scenarios that failed, with the reason.
    pub failed_in: Vec<String>,
    /// Scenarios that it can't be asked for, with the reason.
    pub not_measured_in: Vec<String>,
}

/// Spreads that round to nothing, and so say nothing.
const NO_SPREAD: [&str; 3] = ["±0 %", "±<0.1 %", "-0 +0 %"];

impl Story {
    /// Tells what the material says.
    pub fn of(material: &Material) -> Story {
        let boards = Boards::of(material);
        let capacity = boards.capacity();
        let costs = boards.costs();
        let leader = boards.leader();
        let protocols = material.protocols().into_iter().map(|protocol| {
            let lines = capacity.iter().chain(&leader).chain(costs.iter().flatten());
            protocol_story(material, protocol, lines.collect())
        });
        let protocols = protocols.collect();
        Story { protocols, matrix: Matrix::of(material), capacity, costs, leader }
    }
}

impl Row {
    /// Signs after its value, as they stand in the terminal too: `*` was disturbed, `†` was interrupted.
    pub fn marks(&self) -> &'static str {
        match (self.disturbed, self.interrupted) {
            (false, false) => "",
            (true, false) => " *",
            (false, true) => " †",
            (true, true) => " * †",
        }
    }

    /// Whether the ranges of both have values in common.
    fn overlaps(&self, other: &Row) -> bool {
        let ends = |row: &Row| row.metric.lower.zip(row.metric.upper);
        ends(self).zip(ends(other)).is_some_and(|((lower, upper), (others_lower, others_upper))| {
            lower <= others_upper && others_lower <= upper
        })
    }
}

impl Board {
    /// The protocols that stand on it.
    pub fn protocols(&self) -> BTreeSet<&str> {
        self.groups.iter().flat_map(|group| &group.rows).map(|row| row.protocol.as_str()).collect()
    }

    fn row_of(&self, protocol: &str) -> Option<(&Group, &Row)> {
        let rows = self.groups.iter().flat_map(|group| group.rows.iter().map(move |row| (group, row)));
        rows.into_iter().find(|(_, row)| row.protocol == protocol)
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
            return format!("{}: {}", first.name, first.shown);
        };
        let named_with_first = |with: &dyn Fn(&Row) -> bool| -> Option<String> {
            let all: Vec<&str> = std::iter::once(first)
                .chain(self.rows.iter().skip(1).take_while(|row| with(row)))
                .map(|row| row.name.as_str())
                .collect();
            (all.len() > 1).then(|| in_a_row(&all))
        };
        let is_exact = |row: &Row| row.metric.class == Class::Exact;
        let equals = |row: &Row| is_exact(row) && is_exact(first) && row.metric.value == first.metric.value;
        if let Some(all) = named_with_first(&equals) {
            return format!("{all} are the same");
        }
        if let Some(all) = named_with_first(&|row| row.place == first.place && row.place.is_some()) {
            return format!("{all} can't be told apart");
        }
        let by = second.ratio.as_ref().map(|ratio| by_how_much(ratio, better)).unwrap_or_default();
        let sure = match second.ratio {
            None => " (not ranked: the values alone)".into(),
            Some(_) if is_exact(second) && second.overlaps(first) => {
                format!(" (by the median of {} seeds, whose ranges overlap)", second.metric.n)
            }
            Some(_) if is_exact(second) => String::new(),
            Some(Ratio { lower: None, upper: None, .. }) => {
                " (by the values alone: chance is not ruled out)".into()
            }
            Some(_) if second.tied => " (not sure: the intervals overlap)".into(),
            Some(_) => String::new(),
        };
        match by.as_str() {
            "" => format!("{} is ahead of {}{sure}", first.name, second.name),
            by => format!("{} is ahead of {} by {by}{sure}", first.name, second.name),
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

fn row(
    result: &ScenarioResult,
    name: String,
    (metric, replicas): (Metric, Option<usize>),
    ranking: Option<&Ranking>,
) -> Row {
    let row_name = result.row_name();
    let place = ranking.and_then(|ranking| ranking.places.iter().find(|place| place.protocol == row_name));
    Row {
        protocol: result.protocol.clone(),
        name,
        place: place.map(|place| place.place),
        tied: place.is_some_and(|place| place.tied_with_previous),
        shown: matrix::with_size(shown(&metric, result), replicas),
        replicas,
        ratio: place.and_then(|place| place.ratio_to_best),
        disturbed: !result.disturbed.is_empty(),
        interrupted: result.outcome == Outcome::Interrupted,
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
            Some(broke) => {
                format!("{} to {}", quantity::count(metric.value), quantity::in_unit(broke, &metric.unit))
            }
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
    let mut told = BTreeSet::new();
    for board in boards {
        let Some((group, row)) = board.row_of(protocol) else { continue };
        // What the first scenario says of it is enough.
        if !told.insert(&board.label) {
            continue;
        }
        let value = matrix::with_size(value_only(&row.metric), row.replicas);
        parts.push(format!("{value} {}{}", short_label(board), standing(group, row)));
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
            let broken = !result.safety.violations.is_empty() || result.outcome == Outcome::Unsafe;
            broken.then(|| format!("{}: {}", result.scenario.name, result.safety.violations.join("; ")))
        }),
        disturbed_in: named(&|result| {
            let disturbed = !result.disturbed.is_empty();
            disturbed.then(|| format!("{}: {}", result.scenario.name, result.disturbed.join("; ")))
        }),
        interrupted_in: named(&|result| {
            (result.outcome == Outcome::Interrupted).then(|| result.scenario.name.clone())
        }),
        failed_in: named(&|result| Some(matrix::without_numbers(result).filter(|found| found.failed)?.why)),
        not_measured_in: named(&|result| {
            Some(matrix::without_numbers(result).filter(|found| !found.failed)?.why)
        }),
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
        // The unit says that these are bytes.
        _ if board.unit == "bytes" => board.label.replace("bytes ", ""),
        _ => board.label.clone(),
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
