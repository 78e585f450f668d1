//! Faults: commits around each of them, and how long it took to come back.

use super::chart::{Axis, Band, Card, ChartData, Form, Point, Scale, Series, Style};
use super::{View, card, ids, view};
use crate::report::material::{Material, Rows};
use crate::results::{FaultCycle, FaultResult, Metric, ScenarioResult};

const OUTAGE: &str = "Commits per second around a fault that begins at 0; the hatched stretch is how long it lasts. \
                      A line on the ground is an outage. Of all cycles, the one with the middle outage is shown.";
const RECOVERY: &str = "From each fault on: the longest time without a commit, and how long until commits were back \
                        at 95 % of the rate before. Further left is better.";

/// The fault that is looked at first.
const FIRST: &str = "crash_leader";

/// The axis goes up to so many times the rate before: what is served at once after an outage would flatten all
/// else.
const MOST_OF_RATE: f64 = 2.5;

/// What is drawn of a fault.
const TIMES: [(&str, &str); 2] = [
    ("unavailability_ns", "longest time without a commit"),
    ("recovered_ns", "until back at 95 % of the rate"),
];

/// Commits around each fault.
pub(super) fn outage_card(material: &Material) -> Option<Card> {
    let mut views: Vec<View> = Vec::new();
    for rows in material.scenarios() {
        let names = fault_names(&rows);
        views.extend(names.iter().map(|name| view(rows.scenario, in_words(name), outage_chart(&rows, name))));
    }
    // The leader's crash is what one asks about first, whichever scenario has it.
    views.sort_by_key(|view| view.metric != in_words(FIRST));
    card(ids::OUTAGE, "What do clients see when a replica fails?", OUTAGE, views)
}

fn outage_chart(rows: &Rows, name: &str) -> ChartData {
    let cycles: Vec<(&ScenarioResult, &FaultCycle)> = rows
        .shown()
        .filter_map(|result| {
            let fault = fault_of(result, name)?;
            Some((result, fault.cycles.iter().find(|cycle| cycle.timeline.is_some())?))
        })
        .collect();
    let series = cycles.iter().map(|(result, cycle)| Series {
        name: rows.name_of(result),
        protocol: Some(result.protocol.clone()),
        style: Style::Line,
        points: timeline(cycle),
    });
    let mut chart = ChartData::lines(
        format!("{}: commits per second around {}", rows.scenario, in_words(name)),
        Axis::of("seconds since the fault", "s", Scale::Linear),
        Axis::of("commits per second", "1/s", Scale::Linear),
        series.collect(),
    );
    let longest = cycles.iter().map(|(_, cycle)| cycle.fault_ns).max().unwrap_or(0) as f64 / 1e9;
    let rate = cycles.iter().map(|(_, cycle)| cycle.rate_before_per_s).fold(0.0, f64::max);
    if chart.series.iter().flat_map(|series| &series.points).any(|point| point.y > MOST_OF_RATE * rate) {
        chart.y_at_most = Some(MOST_OF_RATE * rate);
        chart.notes.push("Bursts at the upper end go beyond it: what had waited is served at once.".into());
    }
    chart.bands = vec![Band { from: 0.0, to: longest, label: in_words(name), is_fault: true }];
    chart
}

fn timeline(cycle: &FaultCycle) -> Vec<Point> {
    let Some(timeline) = &cycle.timeline else { return Vec::new() };
    let at = |index: usize| timeline.from_s + (index as f64 + 0.5) * timeline.bin_s;
    let rate = |commits: u64| commits as f64 / timeline.bin_s.max(1e-9);
    timeline.commits.iter().enumerate().map(|(index, &commits)| Point::at(at(index), rate(commits))).collect()
}

/// A row for each fault, a mark for each protocol.
pub(super) fn recovery_card(material: &Material) -> Option<Card> {
    let mut views = Vec::new();
    for rows in material.scenarios() {
        let names = fault_names(&rows);
        for (metric, label) in TIMES {
            let series = rows.shown().map(|result| Series {
                name: rows.name_of(result),
                protocol: Some(result.protocol.clone()),
                style: Style::Marks,
                points: names
                    .iter()
                    .enumerate()
                    .filter_map(|(row, name)| point(result, name, row, metric))
                    .collect(),
            });
            let chart = ChartData::new(
                format!("{}: {label}, by fault", rows.scenario),
                Form::Dots,
                Axis::of(label, "ns", Scale::Log),
                Axis::named("fault", names.iter().map(|name| in_words(name)).collect()),
                series.collect(),
            );
            views.push(view(rows.scenario, label, chart));
        }
    }
    card(ids::RECOVERY, "How long until it is back?", RECOVERY, views)
}

fn point(result: &ScenarioResult, name: &str, row: usize, metric: &str) -> Option<Point> {
    let fault = fault_of(result, name)?;
    let of = |name: &str| fault.metrics.iter().find(|metric| metric.name == name);
    let found = of(metric)?;
    // In virtual time the seeds are all there is: from the least to the most.
    let end = |ending: &str, own: Option<f64>| {
        own.or_else(|| of(&format!("{metric}{ending}")).map(|end: &Metric| end.value))
    };
    let complete = found.n as usize == fault.cycles.len();
    let mut notes = Vec::new();
    if !complete {
        notes.push(format!("{} of {} cycles came to it", found.n, fault.cycles.len()));
    }
    if !fault.tolerated {
        notes.push("more than is tolerated".into());
    }
    Some(Point {
        lower: end("_min", found.lower),
        upper: end("_max", found.upper),
        hollow: !complete,
        note: notes.join(", "),
        ..Point::at(found.value, row as f64)
    })
}

fn fault_of<'a>(result: &'a ScenarioResult, name: &str) -> Option<&'a FaultResult> {
    result.faults.iter().find(|fault| fault.fault == name && fault.not_measured.is_none())
}

/// Faults that some row was given, in the order in which they first appear.
fn fault_names<'a>(rows: &Rows<'a>) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for fault in rows.shown().flat_map(|result| &result.faults) {
        if fault.not_measured.is_none() && !names.contains(&fault.fault.as_str()) {
            names.push(&fault.fault);
        }
    }
    names
}

fn in_words(fault: &str) -> String {
    fault.replace('_', " ")
}
