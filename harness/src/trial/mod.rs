//! Trials: one protocol under one scenario with given settings, measured by what a goal asks for; and two
//! settings side by side, with an interval around what the change does.
//!
//! A trial runs on a fresh cluster, in real or in virtual time as its scenario says, and no number comes without
//! the safety check of the cluster that gave it. Two settings are compared by [`side_by_side`]: blocks of both are
//! interleaved, and only what blocks of the same round don't share is looked at.
//!
//! ```
//! use std::collections::BTreeMap;
//! use consensus_bench::run::Pair;
//! use consensus_bench::trial::{Goal, Plan, SideBySide, Trial, TrialError, side_by_side};
//!
//! fn lingering(pair: Pair) -> Result<SideBySide, TrialError> {
//!     let trial = Trial::of(pair, Goal::MaxThroughput);
//!     let changed = BTreeMap::from([("linger_us".to_string(), 200.0)]);
//!     side_by_side(&trial, &BTreeMap::new(), &changed, &Plan::default())
//! }
//! ```

mod block;
mod sample;
mod side_by_side;
mod target;
mod twin;
mod virtual_block;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use protocol_core::{LaunchError, Order, SimulationSpec, Timing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::results::Better;
use crate::run::{Pair, RunError};
use crate::scenario::{Measure, Scenario};

pub use sample::Sample;
pub use side_by_side::{Plan, SideBySide, Verdict, side_by_side};
pub use target::{P99Target, TargetError};
pub use twin::{NOMINAL, TwinCosts, twin};

/// Settings, by the names of tunables; those missing have their defaults.
pub type SettingValues = BTreeMap<String, f64>;

/// What settings are to be good at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Commits per second of a closed loop.
    MaxThroughput,
    /// The 99th percentile of the response time.
    MinP99,
    /// CPU time per commit; in virtual time, what the cost model says it is.
    MinCost,
}

impl Goal {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Goal::MaxThroughput => "max-throughput",
            Goal::MinP99 => "min-p99",
            Goal::MinCost => "min-cost",
        }
    }

    /// The metric that it is about.
    pub fn metric(self) -> &'static str {
        match self {
            Goal::MaxThroughput => "throughput_per_s",
            Goal::MinP99 => "response_ns_p99",
            Goal::MinCost => "cpu_ns_per_commit",
        }
    }

    /// Which way that is better.
    pub fn better(self) -> Better {
        match self {
            Goal::MaxThroughput => Better::Higher,
            Goal::MinP99 | Goal::MinCost => Better::Lower,
        }
    }
}

/// How a trial asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LoadKind {
    /// So many clients, each with one request in flight.
    Closed {
        /// How many.
        clients: usize,
    },
    /// So many requests per second, whatever is answered.
    Open {
        /// How many.
        rate_per_s: f64,
    },
}

/// What is tried.
pub struct Trial {
    /// The protocol under its scenario; its own settings are those that every trial starts from.
    pub pair: Pair,
    /// What is looked at.
    pub goal: Goal,
    /// How it is loaded.
    pub load: LoadKind,
    /// What has to hold besides; nothing when there is none.
    pub target: Option<P99Target>,
    /// What virtual time takes for the costs of work, where the scenario is a [`twin`]; its own otherwise.
    pub costs: Option<TwinCosts>,
}

/// Why there is no trial.
#[derive(Debug, Error)]
pub enum TrialError {
    /// The settings with which everything is compared can't be launched.
    #[error("the settings to compare with: {0}")]
    Base(LaunchError),
    /// The run that everything is compared with did not keep its promises.
    #[error("the settings to compare with: SAFETY VIOLATION: {0}")]
    UnsafeBase(String),
    /// No trial of this scenario can tell.
    #[error("{0}")]
    Unsuitable(String),
    /// A run did not come to its end for a reason that is not the settings'.
    #[error(transparent)]
    Run(#[from] RunError),
    /// No place for logs.
    #[error("a folder for the trial's logs: {0}")]
    Folder(std::io::Error),
    /// Someone stopped it.
    #[error("interrupted")]
    Interrupted,
}

impl TrialError {
    /// Whether it is a failure that settings can cause, and so says something of them.
    pub fn is_the_settings_doing(&self) -> bool {
        let TrialError::Run(error) = self else { return false };
        !matches!(
            error,
            RunError::Topology(_)
                | RunError::Calibration(_)
                | RunError::Io { .. }
                | RunError::Histograms(_)
                | RunError::NotFitted
        )
    }
}

/// The cluster in virtual time that a trial's blocks run on.
pub fn simulation_of(trial: &Trial, seed: u64) -> Result<SimulationSpec, RunError> {
    virtual_block::spec(trial, &trial.pair, seed)
}

impl Trial {
    /// A trial under the scenario's own load. The goal of throughput takes a closed loop with the scenario's
    /// clients, of which a plan of virtual time has the most that it lists; other goals take the rate of the
    /// scenario's measured phase, or the first that such a plan offers, and a closed loop where there is none.
    pub fn of(pair: Pair, goal: Goal) -> Trial {
        let scenario = &pair.scenario;
        let clients = match &scenario.measure {
            Measure::Exact(plan) => plan.clients.iter().copied().max(),
            _ => None,
        };
        let rate = match &scenario.measure {
            Measure::Exact(plan) => plan.rates_per_s.first().copied(),
            _ => scenario.measured_phase().map(|index| scenario.phases[index].rate_per_s),
        };
        let closed = LoadKind::Closed { clients: clients.unwrap_or(scenario.clients).max(1) };
        let load = match rate {
            Some(rate_per_s) if goal != Goal::MaxThroughput => LoadKind::Open { rate_per_s },
            _ => closed,
        };
        Trial { pair, goal, load, target: None, costs: None }
    }

    /// Size of the cluster that it measures.
    pub fn replicas(&self) -> usize {
        let planned = match &self.pair.scenario.measure {
            Measure::Exact(plan) => plan.replicas.first().copied(),
            _ => None,
        };
        planned.unwrap_or(self.pair.scenario.replicas)
    }

    /// Where its cluster runs and how large it is: `wan5, 5 replicas`, or `channel, 20 ms one way, 3 replicas`.
    pub fn place(&self) -> String {
        let scenario = &self.pair.scenario;
        let delay_ms = scenario.network.delay_ms;
        let links = match &scenario.measure {
            Measure::Exact(plan) => plan.topologies.first().cloned(),
            _ => None,
        };
        let links = links.unwrap_or_else(|| match delay_ms > 0.0 {
            true => format!("{}, {delay_ms} ms one way", scenario.network_name()),
            false => scenario.network_name().into(),
        });
        match self.replicas() {
            1 => format!("{links}, 1 replica"),
            replicas => format!("{links}, {replicas} replicas"),
        }
    }

    /// Whether its clock is virtual.
    pub fn is_virtual(&self) -> bool {
        self.pair.scenario.measure.is_virtual()
    }

    /// Refuses what no trial can measure, before anything runs: one cluster at one place, under a load without
    /// faults, is what a trial is about.
    pub fn check(&self) -> Result<(), TrialError> {
        let unsuitable = |why: &str| Err(TrialError::Unsuitable(format!("{}: {why}", self.pair.id())));
        let closed = matches!(self.load, LoadKind::Closed { .. });
        match self.load {
            LoadKind::Closed { clients: 0 } => {
                return unsuitable("0 clients ask for nothing; take at least 1");
            }
            LoadKind::Open { rate_per_s } if !(rate_per_s > 0.0 && rate_per_s.is_finite()) => {
                return unsuitable(&format!("{rate_per_s} requests/s are no load; offer more than 0"));
            }
            _ => {}
        }
        match &self.pair.scenario.measure {
            Measure::VirtualFaultTolerance(_) | Measure::FaultTolerance(_) => {
                unsuitable("a trial measures a load without faults; choose another scenario")
            }
            Measure::Exact(plan) if plan.topologies.len() > 1 => {
                let known = plan.topologies.join(", ");
                unsuitable(&format!("a trial measures one topology; name one with `--topology`, of: {known}"))
            }
            Measure::Exact(plan) if plan.replicas.len() > 1 => {
                let known = plan.replicas.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
                unsuitable(&format!("a trial measures one size; name one with `--replicas`, of: {known}"))
            }
            _ if closed && self.pair.protocol.descriptor().order == Order::Set => {
                unsuitable("updates may miss a replica, so no closed loop ends; choose the goal min-p99")
            }
            _ => Ok(()),
        }
    }

    /// Refuses settings that the protocol does not have, that are out of range, or that break a constraint.
    pub fn check_settings(&self, settings: &SettingValues) -> Result<(), LaunchError> {
        self.with(settings).check_settings()
    }

    /// The value that a tunable has in force under settings: that of the scenario where it stands for a time that
    /// is not set. None when the protocol has no such tunable.
    pub fn in_force(&self, settings: &SettingValues, name: &str) -> Option<f64> {
        let pair = self.with(settings);
        let protocol = pair.protocol.descriptor();
        let tunable = protocol.tunables.iter().find(|tunable| tunable.name == name)?;
        let timing: Timing = pair.timing();
        let set = pair.settings.get(name).copied();
        Some(timing.in_force_ms(tunable).or(set).unwrap_or(tunable.default))
    }

    /// The pair with settings on top of its own.
    pub fn with(&self, settings: &SettingValues) -> Pair {
        let mut own = self.pair.settings.clone();
        own.extend(settings.clone());
        Pair { settings: own, ..self.pair.clone() }
    }

    /// Measures one block on a fresh cluster: in real time for about so long, in virtual time the commands that
    /// the scenario counts, by this seed.
    ///
    /// An error of the settings themselves, and a cluster that does not serve with them, are a
    /// [`TrialError::Run`].
    pub fn block(&self, settings: &SettingValues, length: Duration, seed: u64) -> Result<Sample, TrialError> {
        if crate::interrupt::requested() {
            return Err(TrialError::Interrupted);
        }
        let pair = self.with(settings);
        if self.is_virtual() {
            return Ok(virtual_block::measure(self, &pair, seed)?);
        }
        let folder = tempfile::tempdir().map_err(TrialError::Folder)?;
        let scenario = Scenario { seed, ..pair.scenario.clone() };
        let pair = Pair { scenario, ..pair };
        let found = match self.load {
            LoadKind::Closed { clients } => block::closed(&pair, clients, length, folder.path()),
            LoadKind::Open { rate_per_s } => block::open(&pair, rate_per_s, length, folder.path()),
        };
        // What was cut short is no measurement, and its failure no one's fault.
        if crate::interrupt::requested() { Err(TrialError::Interrupted) } else { Ok(found?) }
    }
}
