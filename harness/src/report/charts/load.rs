//! Latency against throughput: how much a protocol holds before its latency leaves the ground.

use super::chart::{Axis, Card, ChartData, Point, Reference, Scale, Series, Style};
use super::{View, both_scales, ids};
use crate::report::material::{Material, Rows};
use crate::results::{CurvePoint, ThroughputSummary};

const ABOUT: &str = "Each mark is a fixed rate, offered for a while; to the right is more, below is faster. \
                     The last full mark of a line is its knee: the highest rate that held the target.";

fn views_of(rows: &Rows) -> Vec<View> {
    let found: Vec<(String, &str, &ThroughputSummary)> = rows
        .shown()
        .filter_map(|result| {
            Some((rows.name_of(result), result.protocol.as_str(), result.throughput.as_ref()?))
        })
        .collect();
    let Some((_, _, first)) = found.first() else { return Vec::new() };
    let target = first.knee.target_p99_ms;
    let mut views = Vec::new();
    for (metric, of) in [("p99", p99 as fn(&CurvePoint) -> u64), ("p50", |point| point.p50_ns)] {
        let series =
            found.iter().map(|(name, protocol, summary)| series(name, protocol, summary, of)).collect();
        let mut chart = ChartData::lines(
            format!("{}: {metric} of the response time against the offered rate", rows.scenario),
            Axis::of("requests offered per second", "1/s", Scale::Log),
            Axis::of(&format!("{metric} of the response time"), "ns", Scale::Log),
            series,
        );
        if metric == "p99" {
            chart.references.push(Reference {
                of_x: false,
                at: target * 1e6,
                label: format!("target: {target} ms"),
            });
        }
        chart
            .notes
            .push("A hollow mark did not hold the target, or was more than the generator could send.".into());
        views.extend(both_scales(rows.scenario, metric, chart));
    }
    views
}

/// The card of all scenarios that search for the knee.
pub(super) fn card(material: &Material) -> Option<Card> {
    let views = material.scenarios().iter().flat_map(views_of).collect();
    super::card(ids::LOAD, "How much does it hold, and how fast is it until then?", ABOUT, views)
}

fn p99(point: &CurvePoint) -> u64 {
    point.p99_ns
}

fn series(name: &str, protocol: &str, summary: &ThroughputSummary, of: fn(&CurvePoint) -> u64) -> Series {
    let knee = summary.knee.sustainable_per_s;
    let mut points: Vec<Point> = summary
        .curve
        .iter()
        .map(|point| {
            let mut note = match point {
                CurvePoint { generator_kept_up: false, .. } => "the generator could not send so much",
                CurvePoint { held: false, .. } => "the target broke",
                CurvePoint { confirming: true, .. } => "confirmed",
                _ => "held",
            }
            .to_string();
            if point.held && knee == Some(point.offered_per_s) {
                note = format!("the knee, {note}");
            }
            let hollow = !point.held || !point.generator_kept_up;
            Point { hollow, note, ..Point::at(point.offered_per_s, of(point) as f64) }
        })
        .collect();
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    Series { name: name.into(), protocol: Some(protocol.into()), style: Style::Line, points }
}
