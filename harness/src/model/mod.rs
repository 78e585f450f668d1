//! A performance model of one protocol, fitted to its runs: what it would do under settings that were not
//! run, with intervals, and how wrong it is on what it was not told.
//!
//! Closed loops follow a law of the cycle's time ([`closed`]), open loops a queue ([`open`]); both are picked
//! by cross-validation among several ([`folds`]). Another place changes a commit by what its links take
//! ([`quorum_latency`]). What no formula covers, such as a setting of the protocol, is run in virtual time
//! ([`by_simulation`]).

pub mod by_simulation;
pub mod cells;
pub mod closed;
pub mod file;
pub mod folds;
pub mod open;
pub mod quorum_latency;
pub mod shape;
mod text;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use cells::{Cell, Load, Measured, Surroundings};
pub use folds::{Chosen, ErrorSummary, HeldOut, Move, Quantity, Standing};
pub use text::{place_text, predictions, text};

use crate::results::{Estimate, RunResults};
use crate::table::quantity;
use closed::{CycleLaw, SizeParameters};
use open::{Capacity, QueueLaw};

/// What the runs of a protocol say of settings that were not run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// [`file::SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Protocol.
    pub protocol: String,
    /// Ids of the runs.
    pub runs: Vec<String>,
    /// Fingerprint of the machine that the runs are of; predictions of the clock are for it alone.
    pub machine: String,
    /// One model for each place in which something was measured.
    pub places: Vec<PlaceModel>,
}

/// The model of one place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceModel {
    /// The place.
    pub surroundings: Surroundings,
    /// What it is fitted to.
    pub cells: Vec<Cell>,
    /// What disturbed the runs, or sets them apart; predictions are then no better than those.
    pub disturbed: Vec<String>,
    /// Closed loops.
    pub closed: Option<Chosen<CycleLaw>>,
    /// What their law says of each size.
    pub parameters: Vec<SizeParameters>,
    /// Open loops.
    pub open: Option<Chosen<QueueLaw>>,
    /// Capacity of any size, before open loops correct it.
    pub capacity: Option<Capacity>,
    /// Parts without data, with the command that makes some.
    pub missing: Vec<String>,
}

/// A setting that is to be predicted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Replicas.
    pub replicas: usize,
    /// The load.
    pub load: Load,
}

/// What is predicted of a setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prediction {
    /// The setting.
    pub setting: Setting,
    /// What it is predicted by.
    pub by: String,
    /// Commits per second.
    pub throughput_per_s: Estimate,
    /// Median response time in nanoseconds; none where it grows with the length of the run, or was never
    /// measured.
    pub p50_ns: Option<Estimate>,
    /// 99th percentile.
    pub p99_ns: Option<Estimate>,
    /// Whether more is offered than the cluster can do.
    pub saturated: bool,
    /// In which ways the setting is outside of what was measured.
    pub beyond: Vec<String>,
    /// What a commit costs by the simulator; none where that was not asked.
    pub cost: Option<CommitCost>,
}

/// CPU time of a commit by the simulator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitCost {
    /// Nanoseconds of all replicas together, without what flushes take; none where it can't be told.
    pub cpu_ns: Option<Estimate>,
    /// Why there is none, or no interval, or why it is doubtful.
    pub note: Option<String>,
}

impl CommitCost {
    /// It can't be told, for a reason.
    pub fn unknown(reason: impl Into<String>) -> CommitCost {
        CommitCost { cpu_ns: None, note: Some(reason.into()) }
    }
}

/// Why runs can't be fitted together. One line that says how to mend it.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum FitError {
    /// Times of different machines have no mean.
    #[error("times of {protocol} from several machines ({}): give runs of one machine alone", machines.join(", "))]
    SeveralMachines {
        /// Protocol.
        protocol: String,
        /// Their fingerprints.
        machines: Vec<String>,
    },
}

/// Why there is no prediction. One line that says how to get one.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum PredictError {
    /// No law of such loads.
    #[error("{place}: no law of {loads}: {missing}")]
    NoLaw {
        /// Surroundings.
        place: String,
        /// Closed or open loops.
        loads: &'static str,
        /// What to run.
        missing: String,
    },
    /// The law has no finite value there.
    #[error("{place}: the law says nothing of {replicas} replicas under this load")]
    NoValue {
        /// Surroundings.
        place: String,
        /// Size.
        replicas: usize,
    },
}

impl Model {
    /// Fits a model to all results of a protocol. A place without enough cells gets no law, and says what to
    /// run. Numbers that follow from the clock have to be of one machine; those of different commits are fitted
    /// together, and the place says so.
    pub fn fit(protocol: &str, runs: &[RunResults]) -> Result<Model, FitError> {
        let mut of_the_clock = BTreeSet::new();
        let mut commits = BTreeSet::new();
        for run in runs {
            let places = cells::cells(protocol, &run.results);
            if !places.is_empty() {
                commits.insert(run.manifest.commit.clone().unwrap_or_else(|| "none known".into()));
            }
            if places.iter().any(|place| place.surroundings.is_of_the_clock()) {
                of_the_clock.insert(run.manifest.machine.fingerprint.clone());
            }
        }
        if of_the_clock.len() > 1 {
            let machines = of_the_clock.into_iter().collect();
            return Err(FitError::SeveralMachines { protocol: protocol.into(), machines });
        }
        let commits: Vec<String> = commits.into_iter().collect();
        let mixed = (commits.len() > 1).then(|| format!("runs of several commits: {}", commits.join(", ")));
        let results: Vec<_> = runs.iter().flat_map(|run| run.results.iter().cloned()).collect();
        let mut places = cells::cells(protocol, &results);
        places.iter_mut().for_each(|place| place.disturbed.extend(mixed.clone()));
        let first = || runs.first().map(|run| run.manifest.machine.fingerprint.clone());
        Ok(Model {
            schema_version: file::SCHEMA_VERSION,
            protocol: protocol.into(),
            runs: runs.iter().map(|run| run.run_id.clone()).collect(),
            machine: of_the_clock.pop_first().or_else(first).unwrap_or_default(),
            places: places.into_iter().map(|measured| PlaceModel::fit(protocol, measured)).collect(),
        })
    }
}

impl PlaceModel {
    /// Fits the laws of one place.
    pub fn fit(protocol: &str, measured: Measured) -> PlaceModel {
        let Measured { surroundings, cells, disturbed } = measured;
        let (open_cells, closed_cells): (Vec<Cell>, Vec<Cell>) =
            cells.iter().cloned().partition(|cell| matches!(cell.load, Load::Rate(_)));
        let closed = closed::fit(&closed_cells);
        let capacity = match open_cells.is_empty() && closed.is_none() {
            true => None,
            false => Capacity::of(closed.as_ref(), &closed_cells, &open_cells),
        };
        let open = capacity.as_ref().and_then(|capacity| open::fit(&open_cells, capacity));
        let parameters =
            closed.as_ref().map(|chosen| closed::parameters(chosen, &closed_cells)).unwrap_or_default();
        let mut place = PlaceModel {
            surroundings,
            cells,
            disturbed,
            closed,
            parameters,
            open,
            capacity,
            missing: Vec::new(),
        };
        place.missing = place.find_missing(protocol, closed_cells.len(), open_cells.len());
        place
    }

    fn find_missing(&self, protocol: &str, closed: usize, open: usize) -> Vec<String> {
        let command = |scenario: &str, key: &str| match self.surroundings.topology {
            None => format!(
                "cargo consensus-bench run --profile full --protocol {protocol} --scenario {scenario}"
            ),
            Some(_) => format!("a scenario of kind `exact` with more `{key}`"),
        };
        let mut missing = Vec::new();
        if self.closed.is_none() {
            let command = command("scalability", "clients");
            missing
                .push(format!("closed loops: {closed} cells, which tell no law; more come from: {command}"));
        }
        if self.open.is_none() {
            let command = command("throughput", "rates_per_s");
            missing.push(format!("open loops: {open} cells, which tell no law; more come from: {command}"));
        }
        missing
    }

    /// Errors on what was held out: of closed loops, and of open ones.
    pub fn errors(&self) -> [Vec<ErrorSummary>; 2] {
        let closed: Vec<&HeldOut> = self.closed.iter().flat_map(Chosen::held_out).collect();
        let open: Vec<&HeldOut> = self.open.iter().flat_map(Chosen::held_out).collect();
        [folds::summaries(closed.into_iter()), folds::summaries(open.into_iter())]
    }

    /// Predicts a setting here, or where commands take longer by `by`.
    pub fn predict(&self, setting: Setting, by: Option<Move>) -> Result<Prediction, PredictError> {
        match setting.load {
            Load::Clients(_) => self.predict_closed(setting, by),
            Load::Rate(rate) => self.predict_open(setting, rate, by),
        }
    }

    fn predict_closed(&self, setting: Setting, by: Option<Move>) -> Result<Prediction, PredictError> {
        let chosen = self.closed.as_ref().ok_or_else(|| self.no_law("closed loops"))?;
        let moved = by.map(|by| chosen.moved(by, setting.replicas));
        let chosen = moved.as_ref().unwrap_or(chosen);
        let (new_size, beyond) = self.beyond(setting);
        let predict = |quantity| {
            chosen.predict((setting.replicas, setting.load), quantity, new_size, !beyond.is_empty())
        };
        let throughput_per_s = predict(Quantity::Throughput).ok_or_else(|| self.no_value(setting))?;
        let (p50_ns, p99_ns) = (predict(Quantity::P50), predict(Quantity::P99));
        let by = chosen.candidate.clone();
        Ok(Prediction { setting, by, throughput_per_s, p50_ns, p99_ns, saturated: false, beyond, cost: None })
    }

    fn predict_open(
        &self,
        setting: Setting,
        rate: f64,
        by: Option<Move>,
    ) -> Result<Prediction, PredictError> {
        let known = self.open.as_ref().zip(self.capacity.as_ref());
        let (chosen, capacity) = known.ok_or_else(|| self.no_law("open loops"))?;
        let per_s = capacity.per_s(setting.replicas);
        let with_size = chosen.map(|law| law.with_size(setting.replicas, per_s));
        let chosen = with_size.moved(by.unwrap_or_default(), setting.replicas);
        let (new_size, beyond) = self.beyond(setting);
        let predict = |quantity| {
            chosen.predict((setting.replicas, setting.load), quantity, new_size, !beyond.is_empty())
        };
        let throughput = predict(Quantity::Throughput).ok_or_else(|| self.no_value(setting))?;
        let saturated = throughput.value < rate;
        // What is offered below saturation is what comes out: that has no interval.
        let throughput_per_s =
            if saturated { throughput } else { Estimate { lower: None, upper: None, ..throughput } };
        let (p50_ns, p99_ns) = (predict(Quantity::P50), predict(Quantity::P99));
        Ok(Prediction {
            setting,
            by: chosen.candidate.clone(),
            throughput_per_s,
            p50_ns,
            p99_ns,
            saturated,
            beyond,
            cost: None,
        })
    }

    /// Whether the size was not measured, and in which ways the setting is outside of what was.
    fn beyond(&self, setting: Setting) -> (bool, Vec<String>) {
        let alike =
            |cell: &&Cell| matches!(cell.load, Load::Rate(_)) == matches!(setting.load, Load::Rate(_));
        let cells: Vec<Cell> = self.cells.iter().filter(alike).cloned().collect();
        let sizes = folds::sizes_of(&cells);
        let mut beyond = Vec::new();
        if let (Some(first), Some(last)) = (sizes.first(), sizes.last())
            && !(first..=last).contains(&&setting.replicas)
        {
            beyond.push(format!("{} replicas, where {first} to {last} were measured", setting.replicas));
        }
        let loads = || cells.iter().filter(|cell| !cell.saturated).map(|cell| cell.load.size());
        let (least, most) = (loads().fold(f64::INFINITY, f64::min), loads().fold(0.0, f64::max));
        let load = setting.load.size();
        let unit = if matches!(setting.load, Load::Rate(_)) { "requests/s" } else { "clients" };
        if load < least || load > most {
            let [load, least, most] = [load, least, most].map(quantity::count);
            beyond.push(format!("{load} {unit}, where {least} to {most} were measured"));
        }
        (!sizes.contains(&setting.replicas), beyond)
    }

    fn no_law(&self, loads: &'static str) -> PredictError {
        let about = |missing: &&String| missing.starts_with(loads);
        let missing = self.missing.iter().find(about).cloned().unwrap_or_default();
        PredictError::NoLaw { place: self.surroundings.name(), loads, missing }
    }

    fn no_value(&self, setting: Setting) -> PredictError {
        PredictError::NoValue { place: self.surroundings.name(), replicas: setting.replicas }
    }
}

#[cfg(test)]
mod tests;
