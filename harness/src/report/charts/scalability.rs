//! Throughput by clients and by replicas, with the law that was fitted to it.

use super::chart::{Axis, Card, ChartData, Point, Scale, Series, Style};
use super::{card as card_of, ids, view};
use crate::report::material::{Material, Rows};
use crate::results::{Scalability, ScalabilityCell, ScenarioResult, UslFit};

const ABOUT: &str = "Closed loops: each client sends its next request when the last one is answered. Lines without \
                     marks are the Universal Scalability Law, fitted to the marks; where it bends, more clients only \
                     wait for each other.";

/// Points of a fitted line.
const FIT_POINTS: usize = 40;

/// The card of all scenarios with closed loops over sizes and clients.
pub(super) fn card(material: &Material) -> Option<Card> {
    let mut views = Vec::new();
    for rows in material.scenarios() {
        for replicas in sizes(&rows) {
            views.push(view(rows.scenario, format!("{replicas} replicas"), by_clients(&rows, replicas)));
        }
        views.push(view(rows.scenario, "by replicas", by_replicas(&rows)));
    }
    card_of(ids::SCALABILITY, "How does it scale?", ABOUT, views)
}

fn found<'a>(rows: &Rows<'a>) -> Vec<(&'a ScenarioResult, &'a Scalability)> {
    rows.shown().filter_map(|result| Some((result, result.scalability.as_ref()?))).collect()
}

fn sizes(rows: &Rows) -> Vec<usize> {
    let mut sizes: Vec<usize> =
        found(rows).iter().flat_map(|(_, found)| found.cells.iter().map(|cell| cell.replicas)).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

fn measured(cell: &ScalabilityCell, x: usize) -> Point {
    Point { lower: cell.lower, upper: cell.upper, ..Point::at(x as f64, cell.throughput_per_s) }
}

fn by_clients(rows: &Rows, replicas: usize) -> ChartData {
    let mut series = Vec::new();
    let mut fits = Vec::new();
    for (result, found) in found(rows) {
        let (name, protocol) = (rows.name_of(result), Some(result.protocol.clone()));
        let cells: Vec<&ScalabilityCell> =
            found.cells.iter().filter(|cell| cell.replicas == replicas).collect();
        let most = cells.iter().map(|cell| cell.clients).max().unwrap_or(1) as f64;
        if let Some(fit) = found.fits.iter().find(|fit| fit.replicas == replicas) {
            let (name, protocol) = (format!("fit of {name}, R² {:.3}", fit.r_squared), protocol.clone());
            fits.push(Series { name, protocol, style: Style::Model, points: law(fit, most) });
        }
        let points = cells.iter().map(|cell| measured(cell, cell.clients)).collect();
        series.push(Series { name, protocol, style: Style::Marks, points });
    }
    series.append(&mut fits);
    ChartData::lines(
        format!("{}: commits per second by number of clients, {replicas} replicas", rows.scenario),
        Axis::of("clients, each with one request in flight", "", Scale::Log),
        Axis::of("commits per second", "1/s", Scale::Linear),
        series,
    )
}

/// The fitted law from one client to `most`.
fn law(fit: &UslFit, most: f64) -> Vec<Point> {
    let (lambda, sigma, kappa) = (fit.lambda_per_s.value, fit.sigma.value, fit.kappa.value);
    let at =
        |clients: f64| lambda * clients / (1.0 + sigma * (clients - 1.0) + kappa * clients * (clients - 1.0));
    (0..=FIT_POINTS)
        .map(|step| most.powf(step as f64 / FIT_POINTS as f64))
        .map(|clients| Point::at(clients, at(clients)))
        .collect()
}

/// The most that any number of clients reached, for each size.
fn by_replicas(rows: &Rows) -> ChartData {
    let series = found(rows).into_iter().map(|(result, found)| Series {
        name: rows.name_of(result),
        protocol: Some(result.protocol.clone()),
        style: Style::Line,
        points: sizes(rows)
            .into_iter()
            .filter_map(|size| {
                let here = found.cells.iter().filter(|cell| cell.replicas == size);
                let best = here.max_by(|a, b| a.throughput_per_s.total_cmp(&b.throughput_per_s))?;
                Some(Point { note: format!("with {} clients", best.clients), ..measured(best, size) })
            })
            .collect(),
    });
    ChartData::lines(
        format!("{}: most commits per second by number of replicas", rows.scenario),
        Axis::of("replicas", "", Scale::Linear),
        Axis::of("commits per second, best number of clients", "1/s", Scale::Linear),
        series.collect(),
    )
}
