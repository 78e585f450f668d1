//! What a run says, in plain data: who holds most, what a commit costs, what a dead leader does to clients,
//! and whether the targets were met. The page and the terminal tell it alike.

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

impl Story {
    /// Tells what the material says.
    pub fn of(material: &Material) -> Story {
        let boards = Boards::of(material);
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
            let broken = !result.safety.violations.is_empty() || result.outcome == Outcome::Unsafe;
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
