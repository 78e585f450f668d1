//! One protocol under one scenario: launch, load, drain, safety check, numbers, clean-up.

mod churn;
mod closed;
mod exact;
mod exact_open;
mod fault_load;
mod fault_script;
mod faults;
mod knee;
mod live;
mod phases;
mod simulated;
mod stage;
mod standing;
mod sweep;
mod virtual_clients;
mod virtual_cluster;
mod virtual_faults;

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use protocol_core::{
    Descriptor, FaultError, LaunchError, LaunchSpec, LiveError, Protocol, Settings, Situation, StorageSpec,
    Timing,
};
use thiserror::Error;

pub use closed::ClosedStage;
pub use live::{Adapt, LiveInterval, LiveLoad, live_real, live_virtual};
pub(crate) use phases::{await_first_commit, drain};
pub(crate) use simulated::spec as simulation_spec;
pub use stage::{Load, Stage};
pub use virtual_cluster::{VirtualCluster, VirtualOpenLoop, VirtualRecord};

use crate::calibration::CalibrationError;
use crate::histogram_log::LogError;
use crate::host::HostError;
use crate::load::ClosedLoopError;
use crate::progress::Progress;
use crate::results::{ClusterQuorums, Outcome, Safety, ScenarioResult, TimingUsed};
use crate::safety::Registers;
use crate::scenario::{Measure, Scenario, StorageConfig};
use crate::suite::sizes;
use crate::topology::{self, Topology, TopologyError};

/// How long a cluster may go without a sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For the launch, and then for the first commit.
    pub start: Duration,
    /// For replicas that are behind to catch up after the last request.
    pub settle: Duration,
    /// For anything else, beyond the time that it should take, before it counts as hung.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let ten = Duration::from_secs(10);
        Limits { start: ten, settle: ten, grace: ten }
    }
}

/// Why a pair did not run to its end.
#[derive(Debug, Error)]
pub enum RunError {
    /// The cluster did not do what it was asked.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Settings that the protocol does not have or allow.
    #[error(transparent)]
    Settings(#[from] LaunchError),
    /// Nothing was committed.
    #[error("no command was acknowledged within {0:?} of the launch")]
    NoFirstCommit(Duration),
    /// The closed loop did not end.
    #[error(transparent)]
    ClosedLoop(#[from] ClosedLoopError),
    /// The histograms were not written.
    #[error("histograms: {0}")]
    Histograms(#[from] LogError),
    /// A replica gave up.
    #[error("{0}")]
    ReplicaStopped(String),
    /// The load did not end: the cluster blocks whoever submits.
    #[error("the load did not end within {0:?}: submitting blocks")]
    LoadHung(Duration),
    /// The cluster can't be given a fault.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// A tunable can't be changed while the cluster runs.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// Nothing was committed any more after a fault.
    #[error("nothing was committed within {0:?} of the fault's end")]
    NotServed(Duration),
    /// The cluster did not come back from a fault.
    #[error("replicas did not catch up within {0:?} of the fault's end")]
    NotCaughtUp(Duration),
    /// No one leads, and a fault was meant for the leader.
    #[error("no leader within {0:?}")]
    NoLeader(Duration),
    /// A topology can't be had.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// In virtual time nothing was committed any more.
    #[error("nothing was committed within {0} s of virtual time")]
    Stalled(u64),
    /// Costs that a scenario asks for were not measured.
    #[error(transparent)]
    Calibration(#[from] CalibrationError),
    /// A run that a measurement is made of failed.
    #[error("{0}")]
    Failed(String),
    /// The safety check of a measurement failed.
    #[error("SAFETY VIOLATION: {0}")]
    Unsafe(String),
    /// There is nothing that costs could be fitted to.
    #[error("no costs fit what was measured: the closed loops took no CPU time")]
    NotFitted,
    /// The system refused a file or a thread.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What for.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
}

/// What to run.
#[derive(Clone)]
pub struct Pair {
    /// The name under which the protocol runs.
    pub name: String,
    /// The protocol.
    pub protocol: Arc<dyn Protocol>,
    /// The scenario.
    pub scenario: Scenario,
    /// Values for the protocol's tunables.
    pub settings: BTreeMap<String, f64>,
    /// How long to wait for it.
    pub limits: Limits,
}

impl Pair {
    /// How the pair is called: `scenario/protocol`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.scenario.name, self.name)
    }

    /// Runs the pair; histograms and logs go to `folder`. Whatever fails, a panic of the adapter
    /// included, is in the outcome, and the cluster is stopped in every case.
    pub fn run(&self, folder: &Path, progress: &Progress) -> ScenarioResult {
        let mut result = self.blank();
        let measured = catch_unwind(AssertUnwindSafe(|| self.measure(folder, progress, &mut result)));
        match measured {
            Ok(Ok(())) => {}
            Ok(Err(error)) => result.outcome = Outcome::Failed { reason: error.to_string() },
            Err(panic) => result.outcome = Outcome::Failed { reason: panic_message(&*panic) },
        }
        if !result.safety.violations.is_empty() {
            result.outcome = Outcome::Unsafe;
        }
        if matches!(result.outcome, Outcome::Unsafe | Outcome::Failed { .. }) {
            result.withhold();
        }
        result
    }

    fn measure(
        &self,
        folder: &Path,
        progress: &Progress,
        result: &mut ScenarioResult,
    ) -> Result<(), RunError> {
        match &self.scenario.measure {
            Measure::Scalability(sweep) => sweep::run(self, sweep, folder, progress, result),
            Measure::FaultTolerance(plan) => faults::run(self, plan, folder, progress, result),
            Measure::Exact(plan) => exact::run(self, plan, progress, result),
            Measure::VirtualFaultTolerance(plan) => virtual_faults::run(self, plan, progress, result),
            Measure::Load | Measure::Throughput(_) | Measure::Latency | Measure::Resources => {
                phases::run(self, folder, progress, result)
            }
        }
    }

    /// The spec to launch with, with logs in `folder` when there are any.
    pub fn launch_spec(&self, scenario: &Scenario, folder: &Path) -> Result<LaunchSpec, RunError> {
        let storage = match scenario.storage {
            StorageConfig::Memory => StorageSpec::Memory,
            StorageConfig::Wal => StorageSpec::Wal { folder: folder.into() },
        };
        let (settings, timing) = self.settings_in_force(scenario.replicas, scenario.timing())?;
        Ok(LaunchSpec {
            replicas: scenario.replicas,
            network: scenario.network_spec(),
            storage,
            timing,
            settings,
            seed: scenario.seed,
        })
    }

    /// The settings, checked for a cluster of a size, and what they make of the scenario's failure detection.
    pub(crate) fn settings_in_force(
        &self,
        replicas: usize,
        scenario: Timing,
    ) -> Result<(Settings, Timing), LaunchError> {
        let protocol = self.protocol.descriptor();
        let settings = Settings::checked(self.settings.clone(), &protocol)?;
        let timing = scenario.set_by(&settings);
        Situation { replicas, timing, settings: &settings }.check(&protocol)?;
        Ok((settings, timing))
    }

    /// Refuses settings that break one of the protocol's constraints in one of the scenario's clusters.
    pub fn check_settings(&self) -> Result<(), LaunchError> {
        self.clusters().try_for_each(|(replicas, timing)| self.settings_in_force(replicas, timing).map(drop))
    }

    /// The sizes of the scenario's clusters, each with the scenario's failure detection there.
    fn clusters(&self) -> impl Iterator<Item = (usize, Timing)> {
        let scenario = &self.scenario;
        let places: Vec<Option<Topology>> = match &scenario.measure {
            // A topology that can't be had is told of when the run asks for it.
            Measure::Exact(plan) => plan.topologies.iter().map(|name| topology::resolve(name).ok()).collect(),
            Measure::VirtualFaultTolerance(plan) => vec![topology::resolve(&plan.topology).ok()],
            _ => vec![None],
        };
        let at = move |place: Option<Topology>| {
            sizes(scenario).into_iter().map(move |replicas| match &place {
                Some(topology) => (replicas, simulated::timing(scenario, topology, replicas)),
                None => (replicas, scenario.timing()),
            })
        };
        places.into_iter().flat_map(at)
    }

    /// Failure detection in force; of several clusters in virtual time, that of the slowest links.
    pub fn timing(&self) -> Timing {
        let slowest = self.clusters().map(|(_, timing)| timing).max_by_key(|timing| timing.heartbeat);
        let timing = slowest.unwrap_or_else(|| self.scenario.timing());
        self.checked_settings().map_or(timing, |settings| timing.set_by(&settings))
    }

    fn checked_settings(&self) -> Result<Settings, RunError> {
        Ok(Settings::checked(self.settings.clone(), &self.protocol.descriptor())?)
    }

    /// The registers that the protocol's commands read and write; none when they do not.
    pub fn registers(&self) -> Result<Option<Registers>, RunError> {
        let descriptor = self.protocol.descriptor();
        Ok(Registers::of(&descriptor, &self.checked_settings()?))
    }

    fn blank(&self) -> ScenarioResult {
        let descriptor = self.protocol.descriptor();
        let Descriptor { family, implementation, commit_means, .. } = descriptor;
        ScenarioResult {
            protocol: self.name.clone(),
            implementation: implementation.into(),
            family: family.name().into(),
            promise: descriptor.promise().into(),
            commit_means: commit_means.into(),
            quorums: ClusterQuorums::of(&descriptor, &self.settings, sizes(&self.scenario)),
            scenario: self.scenario.clone(),
            settings: self.settings.clone(),
            timing: TimingUsed::of(self.timing()),
            outcome: Outcome::Completed,
            disturbed: Vec::new(),
            safety: Safety::default(),
            metrics: Vec::new(),
            phases: Vec::new(),
            fsync: None,
            throughput: None,
            scalability: None,
            exact: None,
            faults: Vec::new(),
            resources: None,
            conduct: None,
        }
    }
}

/// The result, if its numbers may be used; its failure otherwise.
pub fn complete(result: ScenarioResult) -> Result<ScenarioResult, RunError> {
    match &result.outcome {
        Outcome::Failed { reason } => Err(RunError::Failed(reason.clone())),
        Outcome::Unsafe => Err(RunError::Unsafe(result.safety.violations.join("; "))),
        Outcome::Completed | Outcome::Interrupted => Ok(result),
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.unwrap_or_else(|| "its message is on standard error".into()))
}
