//! What happened when: commits, latency and failures of the load's intervals, and samples of resources.

use super::chart::{Axis, Band, Card, ChartData, Point, Scale, Series, Style};
use super::{card, ids, view};
use crate::report::material::{Material, Rows};
use crate::results::{Interval, ResourceSample, ScenarioResult};

const LOAD: &str = "Intervals of the load, all phases one after the other; phases are shaded. A line that leaves the \
                    dashed one is a system that no longer does what is asked of it. A load that rises until \
                    something breaks is another one for each protocol.";
const RESOURCES: &str = "Samples of the whole process, the load generator included, while the load ran.";

/// What is drawn of an interval.
type OfInterval = fn(&Interval) -> f64;
const OF_INTERVALS: [(&str, &str, OfInterval); 3] = [
    ("commits per second", "1/s", |interval| interval.succeeded as f64 / interval.duration_s.max(1e-9)),
    ("p99 of the response time", "ns", |interval| interval.p99_ns as f64),
    ("failed requests per second", "1/s", |interval| interval.failed as f64 / interval.duration_s.max(1e-9)),
];

/// What is drawn of a sample.
type OfSample = fn(&ResourceSample) -> Option<f64>;
const OF_SAMPLES: [(&str, &str, OfSample); 6] = [
    ("cores busy with this process", "cores", |sample| sample.cpu_process),
    ("share of the machine's CPU", "share", |sample| sample.cpu_machine),
    ("heap in use", "bytes", |sample| sample.heap_live_bytes.map(|bytes| bytes as f64)),
    ("resident memory", "bytes", |sample| sample.rss_bytes.map(|bytes| bytes as f64)),
    ("bytes between replicas", "bytes/s", |sample| Some(sample.transport_bytes_per_s)),
    ("flushes to storage", "1/s", |sample| Some(sample.syncs_per_s)),
];

/// The load over time.
pub(super) fn load_card(material: &Material) -> Option<Card> {
    let mut views = Vec::new();
    for rows in
        material.scenarios().iter().filter(|rows| rows.shown().any(|result| !result.phases.is_empty()))
    {
        for (index, (what, unit, of)) in OF_INTERVALS.into_iter().enumerate() {
            let chart = load_chart(rows, what, unit, of);
            // Where nothing failed there is nothing to see.
            let is_idle = index == 2
                && chart.series.iter().flat_map(|series| &series.points).all(|point| point.y == 0.0);
            if !is_idle {
                views.push(view(rows.scenario, what, chart));
            }
        }
    }
    card(ids::OVER_TIME, "What happened over time?", LOAD, views)
}

fn load_chart(rows: &Rows, what: &str, unit: &str, of: OfInterval) -> ChartData {
    let mut series: Vec<Series> = rows
        .shown()
        .map(|result| Series {
            name: rows.name_of(result),
            protocol: Some(result.protocol.clone()),
            style: Style::Line,
            points: intervals(result)
                .map(|(at, one)| Point::at(at + one.duration_s / 2.0, of(one)))
                .collect(),
        })
        .collect();
    if what.starts_with("commits") {
        series.extend(offered(rows));
    }
    let longest = rows.shown().max_by_key(|result| intervals(result).count());
    let mut chart = ChartData::lines(
        format!("{}: {what} over time", rows.scenario),
        Axis::of("seconds since the load began", "s", Scale::Linear),
        Axis::of(what, unit, Scale::Linear),
        series,
    );
    chart.bands = longest.map(phases).unwrap_or_default();
    chart
}

/// What was asked of each row; one line for all where it was the same.
fn offered(rows: &Rows) -> Vec<Series> {
    let rates = |result: &ScenarioResult| -> Vec<f64> {
        intervals(result).map(|(_, one)| one.offered_per_s).collect()
    };
    let of = |result: &ScenarioResult, name: String, protocol: Option<String>| Series {
        name,
        protocol,
        style: Style::Model,
        points: intervals(result)
            .map(|(at, one)| Point::at(at + one.duration_s / 2.0, one.offered_per_s))
            .collect(),
    };
    let loaded: Vec<&ScenarioResult> =
        rows.shown().filter(|result| intervals(result).next().is_some()).collect();
    match loaded.as_slice() {
        [first, others @ ..] if others.iter().all(|other| rates(other) == rates(first)) => {
            vec![of(first, "offered".into(), None)]
        }
        all => all
            .iter()
            .map(|result| {
                let name = format!("offered to {}", rows.name_of(result));
                of(result, name, Some(result.protocol.clone()))
            })
            .collect(),
    }
}

/// All intervals with the start of their phase added to their own.
fn intervals(result: &ScenarioResult) -> impl Iterator<Item = (f64, &Interval)> {
    let mut start = 0.0;
    result.phases.iter().flat_map(move |phase| {
        let began = start;
        start += phase.duration_s;
        phase.intervals.iter().map(move |interval| (began + interval.start_s, interval))
    })
}

fn phases(result: &ScenarioResult) -> Vec<Band> {
    let mut from = 0.0;
    let mut bands = Vec::new();
    for phase in &result.phases {
        let to = from + phase.duration_s;
        bands.push(Band { from, to, label: phase.phase.name().replace('_', " "), is_fault: false });
        from = to;
    }
    bands
}

/// Resources over time.
pub(super) fn resources_card(material: &Material) -> Option<Card> {
    let mut views = Vec::new();
    for rows in material.scenarios().iter().filter(|rows| is_about_resources(material, rows)) {
        for (what, unit, of) in OF_SAMPLES {
            let chart = ChartData::lines(
                format!("{}: {what} over time", rows.scenario),
                Axis::of("seconds since sampling began", "s", Scale::Linear),
                Axis::of(what, unit, Scale::Linear),
                rows.shown().map(|result| samples(rows, result, of)).collect(),
            );
            if chart.series.iter().flat_map(|series| &series.points).any(|point| point.y > 0.0) {
                views.push(view(rows.scenario, what, chart));
            }
        }
    }
    card(ids::RESOURCES, "What does it take from the machine?", RESOURCES, views)
}

/// Every load is sampled; where scenarios are about resources, these show them best.
fn is_about_resources(material: &Material, rows: &Rows) -> bool {
    let is_about = |result: &ScenarioResult| result.scenario.measure.name() == "resources";
    let any = material.results().any(is_about);
    rows.shown().any(|result| result.resources.is_some() && (!any || is_about(result)))
}

fn samples(rows: &Rows, result: &ScenarioResult, of: OfSample) -> Series {
    let samples = result.resources.iter().flat_map(|resources| &resources.samples);
    let start = samples.clone().next().map_or(0.0, |sample| sample.at_s - sample.interval_s);
    Series {
        name: rows.name_of(result),
        protocol: Some(result.protocol.clone()),
        style: Style::Line,
        points: samples.filter_map(|sample| Some(Point::at(sample.at_s - start, of(sample)?))).collect(),
    }
}
