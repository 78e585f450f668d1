//! A real-time scenario in virtual time: the same cluster, links and load, with the costs of this machine where
//! they were measured. What a simulation finds is a guess to be confirmed for real.

use protocol_core::{SharedCores, SimulationSpec};

use super::{LoadKind, Trial};
use crate::calibration::{Calibration, WorkCosts};
use crate::run::{Pair, RunError};
use crate::scenario::{ExactPlan, Measure, Scenario, StorageConfig};
use crate::stats::Spread;

/// Costs of work in nanoseconds where none were measured: in the order of what `calibrate` finds on a machine of
/// today, so that work is scarce and what saves some shows. Which of two settings is better they tell, and not by
/// how much.
pub const NOMINAL: WorkCosts = WorkCosts {
    wake_up_ns: 1_500.0,
    message_ns: 500.0,
    byte_ns: 0.3,
    request_ns: 400.0,
    delivery_ns: 100.0,
    sign_ns: 18_000.0,
    verify_ns: 36_000.0,
    mac_ns: 100.0,
    fsync_ns: 500_000.0,
};
/// Times of flushes that stand for their spread.
const FLUSH_TIMES: usize = 200;
/// Commands of a block, for each client and at least.
const COMMANDS_PER_CLIENT: usize = 20;
const COMMANDS_AT_LEAST: usize = 4_000;
const WARM_UP_COMMITS: u64 = 200;

/// What a twin takes for the costs of work.
#[derive(Clone, Debug, PartialEq)]
pub struct TwinCosts {
    /// The scenario that it stands for.
    scenario: Scenario,
    /// None where they were not measured: [`NOMINAL`] ones then.
    calibration: Option<Calibration>,
}

/// The trial in virtual time; none when it is in virtual time already. `calibration` has the costs of this
/// machine, if they were measured; a protocol that is not in it has nominal ones.
pub fn twin(trial: &Trial, calibration: Option<&Calibration>) -> Option<Trial> {
    if trial.is_virtual() {
        return None;
    }
    let calibration = calibration.filter(|known| known.of(&trial.pair.name).is_ok()).cloned();
    let scenario = trial.pair.scenario.clone();
    let clients = match trial.load {
        LoadKind::Closed { clients } => clients,
        LoadKind::Open { .. } => 1,
    };
    let plan = ExactPlan {
        // Not looked at: links and size are those of the scenario.
        topologies: Vec::new(),
        replicas: Vec::new(),
        clients: vec![clients],
        warm_up_commits: WARM_UP_COMMITS,
        commits: (clients * COMMANDS_PER_CLIENT).max(COMMANDS_AT_LEAST) as u64,
        recovery: false,
        ..ExactPlan::default()
    };
    let simulated = Scenario { measure: Measure::Exact(plan), phases: Vec::new(), ..scenario.clone() };
    Some(Trial {
        pair: Pair { scenario: simulated, ..trial.pair.clone() },
        goal: trial.goal,
        load: trial.load,
        target: trial.target,
        costs: Some(TwinCosts { scenario, calibration }),
    })
}

impl TwinCosts {
    /// Whether they are this machine's.
    pub fn is_calibrated(&self) -> bool {
        self.calibration.is_some()
    }

    /// How late this machine's generator sends when it slept; on time where that was not measured.
    pub(super) fn lateness(&self) -> Option<&Spread> {
        self.calibration.as_ref().map(|known| &known.machine_times.hand_over)
    }

    /// A cluster of the scenario's size over its links.
    pub(super) fn spec(&self, pair: &Pair, seed: u64) -> Result<SimulationSpec, RunError> {
        let scenario = &self.scenario;
        let replicas = scenario.replicas;
        let (settings, timing) = pair.settings_in_force(replicas, scenario.timing())?;
        let mut link = scenario.network_spec().link;
        let mut spec = SimulationSpec {
            timing,
            settings,
            durable: scenario.storage == StorageConfig::Wal,
            costs: NOMINAL.into(),
            // One, because a host's runtime has one thread.
            cores: Some(SharedCores { count: 1, resume_ns: 0 }),
            ..SimulationSpec::uniform(replicas, link.delay, seed)
        };
        if let Some(calibration) = &self.calibration {
            let model = calibration.model(&pair.name)?;
            (spec.costs, spec.cores) = (model.costs, model.cores);
            spec.flushes_ns = calibration.machine_times.flush.times(FLUSH_TIMES);
            link = calibration.machine_times.link(link);
        }
        spec.links = vec![vec![link; replicas]; replicas];
        Ok(spec)
    }
}
