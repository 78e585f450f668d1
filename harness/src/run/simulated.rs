//! What every run in virtual time starts from.

use protocol_core::{SimulationSpec, Timing};

use super::{Pair, RunError};
use crate::scenario::{Scenario, StorageConfig};
use crate::topology::{self, Topology};

pub(super) const SECOND_NS: u64 = 1_000_000_000;
/// Virtual time after the last request in which replicas that are behind catch up, whatever the delays.
pub(super) const SETTLING_NS: u64 = 10 * SECOND_NS;

/// Failure detection of a scenario's clusters at a place, before settings change it.
pub(super) fn timing(scenario: &Scenario, topology: &Topology, replicas: usize) -> Timing {
    let slowest = topology.largest_one_way(replicas);
    scenario.timing.map_or_else(|| Timing::for_delay(slowest), |_| scenario.timing())
}

/// A cluster of the pair's protocol at a place. Failure detection follows the slowest link unless the
/// scenario has its own.
pub(crate) fn spec(
    pair: &Pair,
    topology: &str,
    replicas: usize,
    seed: u64,
) -> Result<SimulationSpec, RunError> {
    let topology = topology::resolve(topology)?;
    let scenario = &pair.scenario;
    let timing = timing(scenario, &topology, replicas);
    let (settings, timing) = pair.settings_in_force(replicas, timing)?;
    Ok(SimulationSpec {
        replicas,
        timing,
        settings,
        seed,
        links: topology.links(replicas)?,
        client_delays: topology.client_delays(replicas),
        costs: Default::default(),
        cores: None,
        flushes_ns: Vec::new(),
        durable: scenario.storage == StorageConfig::Wal,
        clock_skew_ppm: Vec::new(),
    })
}
