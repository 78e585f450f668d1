//! What a commit costs in messages and bytes, by size of the cluster, against the floor that no protocol of
//! its kind can go below.

use std::collections::BTreeSet;

use super::chart::{Axis, Card, ChartData, Point, Scale, Series, Style};
use super::{card as card_of, ids, view};
use crate::report::material::{Material, Rows};
use crate::results::{ExactCell, ScenarioResult};

const ABOUT: &str = "Counted in virtual time, and so the same on every machine. Dashed lines without marks are the \
                     floor of each protocol's kind: a line that lies on its floor sends nothing that it could spare.";

/// Costs that are drawn.
const COSTS: [(&str, &str, &str); 5] = [
    ("messages_per_commit", "messages per commit", "1"),
    ("bytes_per_commit", "bytes per commit", "bytes"),
    ("syncs_per_commit", "flushes per commit", "1"),
    ("signatures_per_commit", "signatures per commit", "1"),
    ("client_latency_ns_p50", "median latency of clients", "ns"),
];

/// The card of all scenarios that were counted.
pub(super) fn card(material: &Material) -> Option<Card> {
    let mut views = Vec::new();
    for rows in material.scenarios() {
        for (topology, clients) in combinations(&rows) {
            for (metric, label, unit) in COSTS {
                let chart = chart(&rows, (&topology, clients), (metric, label, unit));
                // A cost that no one has is not worth a picture.
                if chart.series.iter().flat_map(|series| &series.points).any(|point| point.y > 0.0) {
                    views.push(view(
                        format!("{}: {topology}, clients {clients}", rows.scenario),
                        label,
                        chart,
                    ));
                }
            }
        }
    }
    card_of(ids::COST, "What does a commit cost?", ABOUT, views)
}

fn cells<'a>(result: &'a ScenarioResult) -> impl Iterator<Item = &'a ExactCell> + use<'a> {
    let cells = result.exact.iter().flat_map(|exact| &exact.cells);
    cells.filter(|cell| cell.offered_per_s.is_none())
}

/// Topologies and numbers of clients that were counted with more than one size of cluster. Where only latency
/// depends on the place, one place shows the counts; a size alone has its place in the tables.
fn combinations(rows: &Rows) -> Vec<(String, usize)> {
    let mut all: Vec<(String, usize)> = Vec::new();
    for cell in rows.shown().flat_map(cells) {
        let key = (cell.topology.clone(), cell.clients);
        if !all.contains(&key) {
            all.push(key);
        }
    }
    let sizes = |(topology, clients): &(String, usize)| {
        let here = rows
            .shown()
            .flat_map(cells)
            .filter(|cell| cell.topology == *topology && cell.clients == *clients);
        here.map(|cell| cell.replicas).collect::<BTreeSet<_>>().len()
    };
    all.retain(|key| sizes(key) > 1);
    all
}

fn chart(
    rows: &Rows,
    (topology, clients): (&str, usize),
    (metric, label, unit): (&str, &str, &str),
) -> ChartData {
    let mut series = Vec::new();
    let mut floors: Vec<Series> = Vec::new();
    for result in rows.shown() {
        let here: Vec<&ExactCell> =
            cells(result).filter(|cell| cell.topology == topology && cell.clients == clients).collect();
        let value = |cell: &ExactCell, name: &str| cell.metric(name).map(|metric| metric.value);
        let point = |cell: &&ExactCell| Some(Point::at(cell.replicas as f64, value(cell, metric)?));
        series.push(Series {
            name: rows.name_of(result),
            protocol: Some(result.protocol.clone()),
            style: Style::Line,
            points: here.iter().filter_map(point).collect(),
        });
        let floor = |cell: &&ExactCell| {
            let over = value(cell, &format!("{metric}_over_floor")).filter(|&over| over > 0.0)?;
            Some(Point::at(cell.replicas as f64, value(cell, metric)? / over))
        };
        let points: Vec<Point> = here.iter().filter_map(floor).collect();
        if !points.is_empty() {
            let name = format!("floor of {}", rows.name_of(result));
            floors.push(Series {
                name,
                protocol: Some(result.protocol.clone()),
                style: Style::Model,
                points,
            });
        }
    }
    series.append(&mut floors);
    ChartData::lines(
        format!("{}: {label} by number of replicas, {topology}, clients {clients}", rows.scenario),
        Axis::of("replicas", "", Scale::Log),
        Axis::of(label, unit, Scale::Log),
        series,
    )
}
