//! Cross-validation: laws fitted without some cells, and how far they are from what was measured there.

use serde::{Deserialize, Serialize};

use super::cells::{Cell, Load};
use crate::results::Estimate;
use crate::stats::{jackknife_plus, median};

/// Mean errors that differ by less than about this are equally good.
const INDIFFERENT: f64 = 1e-3;

/// What a law predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Commits per second.
    Throughput,
    /// Median response time.
    P50,
    /// 99th percentile of the response time.
    P99,
}

impl Quantity {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Quantity::Throughput => "throughput",
            Quantity::P50 => "p50",
            Quantity::P99 => "p99",
        }
    }
}

/// Where a cell that was held out stands to those that were not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Between loads that were measured on its size.
    Inside,
    /// At the lowest or the highest load of its size: the law has to go beyond its data.
    Edge,
    /// On a size of which no cell was known, between others.
    NewSize,
    /// On the smallest or the largest size, of which no cell was known.
    SizeBeyond,
}

impl Standing {
    /// All of them, the easiest first.
    pub const ALL: [Standing; 4] =
        [Standing::Inside, Standing::Edge, Standing::NewSize, Standing::SizeBeyond];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Standing::Inside => "between measured loads",
            Standing::Edge => "beyond measured loads",
            Standing::NewSize => "on a size between measured ones",
            Standing::SizeBeyond => "on a size beyond measured ones",
        }
    }

    /// Whether a law that was right where it was fitted need not be right here.
    pub fn is_extrapolation(self) -> bool {
        matches!(self, Standing::Edge | Standing::SizeBeyond)
    }
}

/// One quantity of a cell that was held out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldOut {
    /// Replicas.
    pub replicas: usize,
    /// The load.
    pub load: Load,
    /// Which quantity.
    pub quantity: Quantity,
    /// Where it stands.
    pub standing: Standing,
    /// What was measured.
    pub measured: f64,
    /// What the law said that did not know it.
    pub predicted: f64,
}

impl HeldOut {
    /// predicted ÷ measured − 1.
    pub fn error(&self) -> f64 {
        self.predicted / self.measured - 1.0
    }

    /// ln(predicted ÷ measured): half and double weigh the same.
    fn log_error(&self) -> f64 {
        (self.predicted / self.measured).ln()
    }
}

/// A law that did not know some cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fold<L> {
    /// The law.
    pub law: L,
    /// The cells it did not know.
    pub held_out: Vec<HeldOut>,
}

/// Fits a law to cells; none when they don't tell it.
pub type Fitter<L> = dyn Fn(&[Cell]) -> Option<L>;

/// A family of laws, by how one is fitted.
pub struct Candidate<L> {
    /// What it is called.
    pub name: String,
    /// Fits one to some cells; none when they don't tell it.
    pub fit: Box<Fitter<L>>,
}

/// How well a family predicted cells that it did not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compared {
    /// The family.
    pub candidate: String,
    /// Mean size of ln(predicted ÷ measured) over cells left out one by one.
    pub mean_log_error: f64,
}

/// The law of the family that predicts best, with what it got wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chosen<L> {
    /// The family.
    pub candidate: String,
    /// Fitted to all cells.
    pub law: L,
    /// Fitted without one cell each.
    pub by_cell: Vec<Fold<L>>,
    /// Fitted without one size each; empty with fewer than three sizes.
    pub by_size: Vec<Fold<L>>,
    /// All families, the best first.
    pub compared: Vec<Compared>,
}

/// What is measured of a cell, and what a law says of it: equal quantities in equal order.
pub trait Predicts {
    /// What counts of a cell.
    fn measured(cell: &Cell) -> Vec<(Quantity, f64)>;
    /// What the law says of one quantity under a load; none where it says nothing.
    fn predict(&self, replicas: usize, load: Load, quantity: Quantity) -> Option<f64>;
    /// The same law of a cluster of this size in another place.
    fn moved(&self, by: Move, replicas: usize) -> Self;
}

/// By how much longer a command takes in another place, in nanoseconds; less than 0 where it takes less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// At the median.
    pub p50_ns: f64,
    /// At the 99th percentile.
    pub p99_ns: f64,
}

/// Picks the family whose laws predict best what they don't know; none when no family can be fitted so often.
pub fn choose<L: Predicts + Clone>(cells: &[Cell], candidates: &[Candidate<L>]) -> Option<Chosen<L>> {
    let mut found = Vec::new();
    for candidate in candidates {
        let Some(law) = (candidate.fit)(cells) else { continue };
        let by_cell = folds(cells, candidate, (0..cells.len()).map(|index| move |at: usize| at == index));
        let errors: Vec<f64> = held_out(&by_cell).map(|held| held.log_error().abs()).collect();
        if errors.is_empty() || errors.iter().any(|error| !error.is_finite()) {
            continue;
        }
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        found.push((mean, candidate, law, by_cell));
    }
    // Stable, so that of two equally good ones the simpler counts, which comes first.
    let coarse = |mean: f64| (mean / INDIFFERENT).round();
    found.sort_by(|a, b| coarse(a.0).total_cmp(&coarse(b.0)));
    let compared = found
        .iter()
        .map(|(mean, candidate, ..)| Compared { candidate: candidate.name.clone(), mean_log_error: *mean });
    let compared = compared.collect();
    let (_, candidate, law, by_cell) = found.into_iter().next()?;
    let by_size = without_sizes(cells, candidate);
    Some(Chosen { candidate: candidate.name.clone(), law, by_cell, by_size, compared })
}

fn without_sizes<L: Predicts>(cells: &[Cell], candidate: &Candidate<L>) -> Vec<Fold<L>> {
    let sizes = sizes_of(cells);
    if sizes.len() < 3 {
        return Vec::new();
    }
    let leave_out = sizes.iter().map(|&size| move |at: usize| cells[at].replicas == size);
    let mut folds = folds(cells, candidate, leave_out);
    for held in folds.iter_mut().flat_map(|fold| &mut fold.held_out) {
        let ends = [sizes.first(), sizes.last()];
        let beyond = ends.contains(&Some(&held.replicas));
        held.standing = if beyond { Standing::SizeBeyond } else { Standing::NewSize };
    }
    folds
}

/// Sizes of the cells, ascending.
pub fn sizes_of(cells: &[Cell]) -> Vec<usize> {
    let mut sizes: Vec<usize> = cells.iter().map(|cell| cell.replicas).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

fn folds<L: Predicts, F: Fn(usize) -> bool>(
    cells: &[Cell],
    candidate: &Candidate<L>,
    leave_out: impl Iterator<Item = F>,
) -> Vec<Fold<L>> {
    let fold = |leaves_out: F| {
        let known: Vec<Cell> = cells
            .iter()
            .enumerate()
            .filter(|(at, _)| !leaves_out(*at))
            .map(|(_, cell)| cell.clone())
            .collect();
        let law = (candidate.fit)(&known)?;
        let unknown = cells.iter().enumerate().filter(|(at, _)| leaves_out(*at)).map(|(_, cell)| cell);
        let held_out = unknown.flat_map(|cell| held_out_of(&law, cell, cells)).collect();
        Some(Fold { law, held_out })
    };
    leave_out.filter_map(fold).collect()
}

fn held_out_of<L: Predicts>(law: &L, cell: &Cell, all: &[Cell]) -> Vec<HeldOut> {
    let standing = standing(cell, all);
    let held_out = |(quantity, measured)| {
        let predicted = law.predict(cell.replicas, cell.load, quantity)?;
        Some(HeldOut { replicas: cell.replicas, load: cell.load, quantity, standing, measured, predicted })
    };
    L::measured(cell).into_iter().filter_map(held_out).collect()
}

fn standing(cell: &Cell, all: &[Cell]) -> Standing {
    let of_size =
        || all.iter().filter(|other| other.replicas == cell.replicas).map(|other| other.load.size());
    let load = cell.load.size();
    let between = of_size().any(|other| other < load) && of_size().any(|other| other > load);
    if between { Standing::Inside } else { Standing::Edge }
}

fn held_out<L>(folds: &[Fold<L>]) -> impl Iterator<Item = &HeldOut> {
    folds.iter().flat_map(|fold| &fold.held_out)
}

/// Errors of one quantity in one standing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorSummary {
    /// Which quantity.
    pub quantity: Quantity,
    /// Where the cells stood.
    pub standing: Standing,
    /// Cells.
    pub cells: usize,
    /// Median size of predicted ÷ measured − 1.
    pub median: f64,
    /// The largest size of it.
    pub worst: f64,
}

impl<L: Predicts> Chosen<L> {
    /// The same in another place, as good or bad as it is here.
    pub fn moved(&self, by: Move, replicas: usize) -> Chosen<L> {
        self.map(|law| law.moved(by, replicas))
    }

    /// The same with every law changed in the same way.
    pub fn map(&self, change: impl Fn(&L) -> L) -> Chosen<L> {
        let fold = |fold: &Fold<L>| Fold { law: change(&fold.law), held_out: fold.held_out.clone() };
        Chosen {
            candidate: self.candidate.clone(),
            law: change(&self.law),
            by_cell: self.by_cell.iter().map(fold).collect(),
            by_size: self.by_size.iter().map(fold).collect(),
            compared: self.compared.clone(),
        }
    }

    /// Every law that it holds.
    pub fn laws(&self) -> impl Iterator<Item = &L> {
        std::iter::once(&self.law).chain(self.by_cell.iter().chain(&self.by_size).map(|fold| &fold.law))
    }

    /// All that was held out: single cells, then whole sizes.
    pub fn held_out(&self) -> impl Iterator<Item = &HeldOut> {
        held_out(&self.by_cell).chain(held_out(&self.by_size))
    }

    /// A prediction with its interval. `beyond` is whether the load is outside of what was measured: the
    /// interval is then that of cells which were at the edge themselves.
    ///
    /// Jackknife+ over cells, and over sizes (there it is called CV+) for a size that was not measured.
    pub fn predict(
        &self,
        (replicas, load): (usize, Load),
        quantity: Quantity,
        new_size: bool,
        beyond: bool,
    ) -> Option<Estimate> {
        let value = self.law.predict(replicas, load, quantity)?;
        let folds = if new_size && !self.by_size.is_empty() { &self.by_size } else { &self.by_cell };
        let mut pairs = Vec::new();
        for fold in folds {
            let Some(here) = fold.law.predict(replicas, load, quantity).map(f64::ln) else { continue };
            let alike =
                |held: &&HeldOut| held.quantity == quantity && (!beyond || held.standing.is_extrapolation());
            let missed = fold.held_out.iter().filter(alike).map(HeldOut::log_error);
            pairs.extend(missed.map(|missed| (here, missed)));
        }
        let interval = jackknife_plus(&pairs).filter(|(lower, upper)| lower.is_finite() && upper.is_finite());
        Some(Estimate {
            value,
            lower: interval.map(|(lower, _)| lower.exp()),
            upper: interval.map(|(_, upper)| upper.exp()),
        })
    }
}

/// Errors by quantity and standing, where there are any.
pub fn summaries<'a>(held_out: impl Iterator<Item = &'a HeldOut> + Clone) -> Vec<ErrorSummary> {
    let mut found = Vec::new();
    for quantity in [Quantity::Throughput, Quantity::P50, Quantity::P99] {
        for standing in Standing::ALL {
            let of = |held: &&HeldOut| (held.quantity, held.standing) == (quantity, standing);
            let mut errors: Vec<f64> = held_out.clone().filter(of).map(|held| held.error().abs()).collect();
            let worst = errors.iter().copied().fold(0.0, f64::max);
            if let Some(median) = median(&mut errors) {
                found.push(ErrorSummary { quantity, standing, cells: errors.len(), median, worst });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
