//! Where the time of a request goes: its parts, one after the other.

use super::chart::{Axis, Card, ChartData, Form, Point, Scale, Series, Style};
use super::{card as card_of, ids, view};
use crate::load::Part;
use crate::report::material::{Material, Rows};
use crate::results::ScenarioResult;

const ABOUT: &str = "Means of acknowledged requests, from the moment they were sent; the parts add up to the service \
                     time. What is longest is where to look first.";

/// The card of all scenarios whose requests were timed in parts.
pub(super) fn card(material: &Material) -> Option<Card> {
    let timed = |rows: &&Rows| rows.shown().any(|result| result.metric("submission_ns_mean").is_some());
    let scenarios = material.scenarios();
    let about_latency = |rows: &&Rows| rows.shown().any(|result| result.scenario.measure.name() == "latency");
    // Every load is timed; where scenarios are about latency, these are enough.
    let any = scenarios.iter().filter(timed).any(|rows| about_latency(&rows));
    let chosen = scenarios.iter().filter(timed).filter(|rows| !any || about_latency(rows));
    let views = chosen.map(|rows| view(rows.scenario, "mean time", chart(rows))).collect();
    card_of(ids::PARTS, "Where does the time of a request go?", ABOUT, views)
}

fn chart(rows: &Rows) -> ChartData {
    let shown: Vec<&ScenarioResult> =
        rows.shown().filter(|result| result.metric("submission_ns_mean").is_some()).collect();
    let has_log = shown.iter().any(|result| mean(result, Part::Fsync) > 0.0);
    let mut series: Vec<Series> = Vec::new();
    for part in Part::ALL.into_iter().filter(|&part| part != Part::Fsync) {
        // The flush is a part of the wait for the quorum, and not one beside it.
        let flush = if part == Part::QuorumWait && has_log { 1.0 } else { 0.0 };
        if flush > 0.0 {
            series.push(parts(&shown, "own flush to storage", &|result| mean(result, Part::Fsync)));
        }
        let name = match part {
            Part::QuorumWait if has_log => "rest of the wait for a quorum",
            Part::QuorumWait => "wait for a quorum",
            other => other.name(),
        };
        series.push(parts(&shown, name, &|result| mean(result, part) - flush * mean(result, Part::Fsync)));
    }
    ChartData::new(
        format!("{}: mean time of a request by part", rows.scenario),
        Form::Stacks,
        Axis::of("mean time of a request", "ns", Scale::Linear),
        Axis::named("protocol", shown.iter().map(|result| rows.name_of(result)).collect()),
        series,
    )
}

fn parts(shown: &[&ScenarioResult], name: &str, of: &dyn Fn(&ScenarioResult) -> f64) -> Series {
    let points = shown.iter().enumerate().map(|(row, result)| Point::at(of(result).max(0.0), row as f64));
    Series { name: name.into(), protocol: None, style: Style::Marks, points: points.collect() }
}

fn mean(result: &ScenarioResult, part: Part) -> f64 {
    result.metric(&format!("{}_ns_mean", part.name())).map_or(0.0, |metric| metric.value)
}
