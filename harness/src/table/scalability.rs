//! The scalability measurement: throughput by replicas and clients, and the law fitted to it.

use std::collections::BTreeSet;

use super::quantity::{self, NOTHING};
use super::{empty_table, lines_of, no_numbers};
use crate::results::{Estimate, Scalability, ScalabilityCell, ScenarioResult, UslFit};

const FIT_HEADS: [&str; 7] = ["replicas", "λ", "σ", "κ", "peak clients", "peak commits/s", "r²"];

const LEGEND: &str = "\
Below a throughput its 95 % interval, and its efficiency: throughput per client over that of the fewest clients.
λ: commits/s of one client; σ: contention; κ: coherency (Universal Scalability Law, intervals of 95 % over the rounds).";

/// The grids and fits of rows that have some, protocol by protocol; nothing when none has.
pub fn scalability_table(rows: &[&ScenarioResult]) -> String {
    let shown = rows.iter().filter(|result| no_numbers(result).is_none());
    let mut parts: Vec<String> = shown
        .filter_map(|result| Some(of_protocol(&result.row_name(), result.scalability.as_ref()?)))
        .collect();
    if parts.is_empty() {
        return String::new();
    }
    parts.push(LEGEND.into());
    parts.join("\n\n")
}

fn of_protocol(name: &str, found: &Scalability) -> String {
    let mut lines = vec![format!("{name}: commits/s by replicas and clients"), grid(found)];
    if !found.fits.is_empty() {
        lines.extend(["Fitted law".into(), fits(found)]);
    }
    let not_fitted = found.not_fitted.iter();
    lines.extend(not_fitted.map(|size| format!("{} replicas: no fit: {}", size.replicas, size.reason)));
    lines.join("\n")
}

fn grid(found: &Scalability) -> String {
    let clients: BTreeSet<usize> = found.cells.iter().map(|cell| cell.clients).collect();
    let sizes: BTreeSet<usize> = found.cells.iter().map(|cell| cell.replicas).collect();
    let heads: Vec<String> = clients.iter().map(|clients| format!("c = {clients}")).collect();
    let mut all_heads = vec!["replicas"];
    all_heads.extend(heads.iter().map(String::as_str));
    let mut table = empty_table(&all_heads, true);
    for size in sizes {
        let of = |clients: &usize| {
            let found = found.cells.iter().find(|cell| cell.replicas == size && cell.clients == *clients);
            found.map_or_else(|| NOTHING.into(), of_cell)
        };
        let mut row = vec![size.to_string()];
        row.extend(clients.iter().map(of));
        table.add_row(row);
    }
    lines_of(&table)
}

fn of_cell(cell: &ScalabilityCell) -> String {
    let ends = cell.lower.zip(cell.upper);
    let spread = ends.and_then(|(lower, upper)| quantity::spread(cell.throughput_per_s, lower, upper));
    let efficiency = cell.efficiency.map(|efficiency| format!("eff. {:.0} %", efficiency * 100.0));
    let mut lines = vec![quantity::count(cell.throughput_per_s)];
    lines.extend(spread);
    lines.extend(efficiency);
    lines.join("\n")
}

fn fits(found: &Scalability) -> String {
    let mut table = empty_table(&FIT_HEADS, true);
    for fit in &found.fits {
        table.add_row(of_fit(fit));
    }
    lines_of(&table)
}

fn of_fit(fit: &UslFit) -> Vec<String> {
    vec![
        fit.replicas.to_string(),
        of_estimate(fit.lambda_per_s),
        of_estimate(fit.sigma),
        of_estimate(fit.kappa),
        fit.peak_clients.map_or_else(|| "rises on".into(), of_estimate),
        match (fit.peak_clients, fit.peak_per_s) {
            (_, None) => "no limit seen".into(),
            (None, Some(limit)) => format!("towards {}", of_estimate(limit)),
            (Some(_), Some(peak)) => of_estimate(peak),
        },
        // Cut and not rounded, like any share: 1 means that nothing is left.
        format!("{:.3}", (fit.r_squared * 1e3).floor() / 1e3),
    ]
}

/// A value above its interval, whose upper end may be open.
fn of_estimate(estimate: Estimate) -> String {
    let value = small(estimate.value);
    match (estimate.lower, estimate.upper) {
        (Some(lower), Some(upper)) => format!("{value}\n[{}, {}]", small(lower), small(upper)),
        (Some(lower), None) => format!("{value}\n[{}, …]", small(lower)),
        (None, _) => value,
    }
}

/// Three digits; what is too small for them with a power of ten, as κ often is.
fn small(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-3 { format!("{value:.2e}") } else { quantity::count(value) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::analysis::{Rounds, scalability};
    use crate::files;
    use crate::results::Outcome;

    /// Sizes with a peak, with a limit, without either, and too few to fit.
    fn sample() -> ScenarioResult {
        let mut result = files::parse_results(Path::new("sample"), files::SAMPLE).unwrap().results.remove(0);
        let law = |lambda: f64, sigma: f64, kappa: f64| {
            move |c: f64| lambda * c / (1.0 + sigma * (c - 1.0) + kappa * c * (c - 1.0))
        };
        let mut rounds = Vec::new();
        let mut measure = |replicas, clients: &[usize], throughput: &dyn Fn(f64) -> f64| {
            for &clients in clients {
                let rate = throughput(clients as f64);
                let rounds_per_s = [0.97, 0.99, 1.0, 1.01, 1.03].map(|by| by * rate).into();
                rounds.push(Rounds { replicas, clients, rounds_per_s });
            }
        };
        let clients = [1, 4, 16, 64, 256, 1_024];
        measure(3, &clients, &law(40_000.0, 0.02, 0.0001));
        measure(5, &clients, &law(30_000.0, 0.03, 0.0));
        measure(7, &clients, &|c| 100.0 * c);
        measure(9, &[1, 16], &law(10_000.0, 0.1, 0.0));
        result.scalability = Some(scalability(&rounds, 1).0);
        result
    }

    #[test]
    fn throughput_stands_by_replicas_and_clients_with_the_fit_below() {
        let mut other = sample();
        other.protocol = "openraft".into();
        let found = other.scalability.as_mut().unwrap();
        found.cells.truncate(2);
        found.cells[0].lower = None;
        found.cells[1].efficiency = None;
        found.fits.clear();
        found.not_fitted.clear();
        let shown = scalability_table(&[&sample(), &other]);
        assert!(shown.lines().all(|line| line.chars().count() <= 120), "{shown}");
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn rows_without_numbers_are_not_shown() {
        let mut broken = sample();
        broken.outcome = Outcome::Unsafe;
        let mut other = sample();
        other.scalability = None;
        assert_eq!(scalability_table(&[&broken, &other]), "");
        assert_eq!(scalability_table(&[]), "");
    }
}
