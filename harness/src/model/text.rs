//! A model and its predictions as a terminal shows them.

use super::closed::SizeParameters;
use super::folds::{Chosen, Compared};
use super::{ErrorSummary, Load, Model, PlaceModel, Prediction};
use crate::results::Estimate;
use crate::table::{empty_table, lines_of, quantity};

const ERROR_HEADS: [&str; 5] = ["loops", "quantity", "held out", "median error", "worst"];
const PREDICTION_HEADS: [&str; 8] = ["place", "n", "load", "commits/s", "p50", "p99", "CPU/commit", "by"];

/// The whole model: what it is fitted to, what came out, and how wrong it is.
pub fn text(model: &Model) -> String {
    let mut lines = vec![format!("{}, from {}", model.protocol, model.runs.join(", "))];
    for place in &model.places {
        lines.push(String::new());
        lines.extend(lines_of_place(place));
    }
    lines.join("\n")
}

/// The model of one place.
pub fn place_text(protocol: &str, place: &PlaceModel) -> String {
    format!("{protocol}, {}", lines_of_place(place).join("\n"))
}

fn lines_of_place(place: &PlaceModel) -> Vec<String> {
    let closed = place.cells.iter().filter(|cell| matches!(cell.load, Load::Clients(_))).count();
    let mut lines = vec![format!(
        "{}: {closed} cells of closed loops, {} of open loops",
        place.surroundings.name(),
        place.cells.len() - closed
    )];
    lines.extend(place.disturbed.iter().map(|reason| format!("  disturbed: {reason}")));
    if let Some(chosen) = &place.closed {
        lines.push(format!("  closed loops: {}", family(chosen)));
        lines.extend(place.parameters.iter().map(size_text));
    }
    if let Some(chosen) = &place.open {
        lines.push(format!("  open loops: {}", family(chosen)));
        let capacities = chosen.law.capacity_per_s.iter();
        let capacities: Vec<String> =
            capacities.map(|(size, rate)| format!("{size} replicas {}/s", quantity::count(*rate))).collect();
        lines.push(format!("    capacity: {}", capacities.join(", ")));
    }
    let [of_closed, of_open] = place.errors();
    if !(of_closed.is_empty() && of_open.is_empty()) {
        let mut table = empty_table(&ERROR_HEADS, false);
        table.add_rows(of_closed.iter().map(|summary| error_row("closed", summary)));
        table.add_rows(of_open.iter().map(|summary| error_row("open", summary)));
        lines.push(lines_of(&table));
    }
    lines.extend(place.missing.iter().map(|missing| format!("  no law of {missing}")));
    lines
}

/// The family and its rivals, with their mean errors.
fn family<L>(chosen: &Chosen<L>) -> String {
    let error = |compared: &Compared| format!("{:.1} %", compared.mean_log_error * 100.0);
    let rivals: Vec<String> = chosen
        .compared
        .iter()
        .skip(1)
        .map(|compared| format!("{} ({})", compared.candidate, error(compared)))
        .collect();
    let own = chosen.compared.first().map(error).unwrap_or_default();
    match rivals.is_empty() {
        true => format!("{} (mean error of cells left out one by one: {own})", chosen.candidate),
        false => format!(
            "{} (mean error of cells left out one by one: {own}), before {}",
            chosen.candidate,
            rivals.join(", ")
        ),
    }
}

fn size_text(of: &SizeParameters) -> String {
    let rate = |estimate: Estimate| with_interval(estimate, "1/s");
    let mut parts = vec![format!("λ {}", rate(of.lambda_per_s))];
    parts.extend(of.sigma.map(|sigma| format!("σ {}", with_interval(sigma, "1"))));
    parts.extend(of.kappa.map(|kappa| format!("κ {}", with_interval(kappa, "1"))));
    parts.push(format!("peak {}", rate(of.peak_per_s)));
    format!("    {} replicas: {}", of.replicas, parts.join(", "))
}

fn error_row(loops: &str, summary: &ErrorSummary) -> Vec<String> {
    vec![
        loops.into(),
        summary.quantity.name().into(),
        format!("{} {}", summary.cells, summary.standing.name()),
        format!("{:.1} %", summary.median * 100.0),
        format!("{:.1} %", summary.worst * 100.0),
    ]
}

/// Predictions with their places, as a table with notes.
pub fn predictions(found: &[(String, Prediction)]) -> String {
    let mut table = empty_table(&PREDICTION_HEADS, false);
    table.add_rows(found.iter().map(|(place, prediction)| prediction_row(place, prediction)));
    let mut lines = vec![lines_of(&table)];
    for (place, prediction) in found {
        lines.extend(
            prediction.beyond.iter().map(|beyond| format!("{place}: beyond what was measured: {beyond}")),
        );
        let cost_note = prediction.cost.as_ref().and_then(|cost| cost.note.as_ref());
        lines.extend(cost_note.map(|note| format!("{place}: CPU time of a commit: {note}")));
        if prediction.saturated {
            lines.push(format!(
                "{place}: more is offered than the cluster does; response times grow with the length of the run"
            ));
        } else if prediction.p99_ns.is_none() {
            lines.push(format!(
                "{place}: closed loops of real time have no latencies (coordinated omission); predict a rate"
            ));
        }
    }
    lines.join("\n")
}

fn prediction_row(place: &str, prediction: &Prediction) -> Vec<String> {
    let time = |estimate: &Option<Estimate>| {
        estimate.map_or_else(|| quantity::NOTHING.into(), |estimate| with_interval(estimate, "ns"))
    };
    vec![
        place.into(),
        prediction.setting.replicas.to_string(),
        match prediction.setting.load {
            Load::Clients(clients) => format!("{clients} clients"),
            Load::Rate(rate) => format!("{}/s", quantity::count(rate)),
        },
        with_interval(prediction.throughput_per_s, "1"),
        time(&prediction.p50_ns),
        time(&prediction.p99_ns),
        time(&prediction.cost.as_ref().and_then(|cost| cost.cpu_ns)),
        prediction.by.clone(),
    ]
}

/// `1.20k (1.10k to 1.31k)`.
fn with_interval(estimate: Estimate, unit: &str) -> String {
    let shown = |value| quantity::in_unit(value, unit);
    match estimate.lower.zip(estimate.upper) {
        Some((lower, upper)) => format!("{} ({} to {})", shown(estimate.value), shown(lower), shown(upper)),
        None => shown(estimate.value),
    }
}
