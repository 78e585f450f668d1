//! A closed loop on stage: rounds of so many commands with so many clients.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::stage::Stage;
use super::{Pair, RunError};
use crate::load::{ClosedLoop, SpanTotals};
use crate::results::Safety;
use crate::safety::Claims;
use crate::scenario::Scenario;

/// A cluster with its closed loop.
pub struct ClosedStage {
    stage: Stage,
    clients: Arc<ClosedLoop>,
}

impl ClosedStage {
    /// Launches the pair's protocol for a scenario.
    pub fn launch(pair: &Pair, scenario: &Scenario, folder: &Path) -> Result<ClosedStage, RunError> {
        let stage = Stage::launch(pair, scenario, folder)?;
        let (cluster, runtime) = (stage.cluster().clone(), stage.runtime().clone());
        let (payload_bytes, timeout) = (scenario.payload_bytes, scenario.timeout());
        let clients = ClosedLoop::new(cluster, runtime, payload_bytes, timeout, pair.registers()?);
        let clients = Arc::new(clients);
        Ok(ClosedStage { stage, clients })
    }

    /// Commits `commands` with `clients` requests in flight, within `limit`; how long that took.
    pub fn round(&self, clients: usize, commands: u64, limit: Duration) -> Result<Duration, RunError> {
        let closed_loop = self.clients.clone();
        let round = async move { closed_loop.round(clients, commands, limit).await };
        let took = self.stage.call("closed loop", limit + Duration::from_secs(1), round)?;
        took.map_err(|error| self.stage.cause_of(error.into()))
    }

    /// The same; also how long each of the commands took.
    pub fn timed_round(
        &self,
        clients: usize,
        commands: u64,
        limit: Duration,
    ) -> Result<(Duration, Vec<Duration>), RunError> {
        let closed_loop = self.clients.clone();
        let round = async move { closed_loop.timed_round(clients, commands, limit).await };
        let times = self.stage.call("closed loop", limit + Duration::from_secs(1), round)?;
        times.map_err(|error| self.stage.cause_of(error.into()))
    }

    /// Makes every command from now on cost so many iterations of an empty loop more.
    pub fn burn(&self, iterations: u64) {
        self.clients.burn(iterations);
    }

    /// From now on sums up where the time of acknowledged commands goes.
    pub fn watch_spans(&self) {
        self.clients.watch_spans();
    }

    /// The sums since [`watch_spans`](ClosedStage::watch_spans), without the service time; none when no one
    /// asked. Watching is over.
    pub fn take_spans(&self) -> Option<SpanTotals> {
        self.clients.take_spans()
    }

    /// Checks what the cluster did in all rounds so far.
    pub fn check(&self) -> Result<Safety, RunError> {
        let claims =
            Claims { submitted: self.clients.submitted(), acknowledged: self.clients.acknowledged() };
        let mut safety = self.stage.check(claims)?;
        if let Some(registers) = self.clients.registers() {
            registers.judge(&mut safety);
        }
        Ok(safety)
    }

    /// The stage below.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }
}
