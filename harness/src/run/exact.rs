//! Closed loops in virtual time: no clock, no thread, no sample; every number is a count.

use std::time::Duration;

use protocol_core::{ClientRule, CommandId, Fault, LaunchError, Observation, Order, SimulationSpec, Time};

use super::simulated::{NEVER, SETTLING_NS, spec};
use super::virtual_clients::VirtualClients;
use super::{Pair, RunError, exact_open};
use crate::calibration::CostModel;
use crate::interrupt;
use crate::measure::{
    Dissemination, ExactRecord, Latencies, LinkTimes, Looks, conduct, dissemination_metrics, exact_metrics,
    growth_fits, growth_metrics,
};
use crate::progress::Progress;
use crate::resources::ThreadHeapCounts;
use crate::results::{ExactCell, ExactResult, Metric, Outcome, Safety, ScenarioResult};
use crate::scenario::ExactPlan;

/// Looks at the cluster while commands are counted.
const LOOKS: u64 = 32;
/// What has not reached every replica by then is incomplete. Longer than any repair over any of the
/// topologies takes, and apart from the scenario's time-out, which is for real clocks.
const SPREAD_WITHIN: Duration = Duration::from_secs(10);

/// Counts every combination of the plan.
pub(super) fn run(
    pair: &Pair,
    plan: &ExactPlan,
    progress: &Progress,
    result: &mut ScenarioResult,
) -> Result<(), RunError> {
    let mut found = ExactResult::default();
    let model = CostModel::of_pair(pair, plan)?;
    for topology in &plan.topologies {
        for &replicas in &plan.replicas {
            for &clients in &plan.clients {
                if interrupt::requested() {
                    result.outcome = Outcome::Interrupted;
                    break;
                }
                progress.step(&format!("{topology}, {replicas} replicas, {clients} clients"));
                let combination = Combination { pair, plan, model, topology, replicas, clients };
                match combination.count() {
                    Ok((cell, safety, events)) => {
                        found.events += events;
                        found.cells.push(cell);
                        result.safety.include(safety);
                    }
                    // Said in the results, and no failure: there is nothing to mend here.
                    Err(RunError::Settings(error @ LaunchError::NotSimulated { .. })) => {
                        found.not_simulated = Some(error.to_string());
                        result.exact = Some(found);
                        return Ok(());
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }
    let spec =
        |topology: &str, replicas| Combination { pair, plan, model, topology, replicas, clients: 0 }.spec();
    exact_open::run(pair, plan, progress, spec, (&mut found, result))?;
    if plan.costs.is_calibrated() {
        exact_open::of_the_clock(&mut found.cells);
    }
    if result.safety.violations.is_empty() {
        found.growth = growth_fits(&found.cells, pair.protocol.descriptor().floors);
        result.metrics = found.cells.iter().flat_map(prefixed).chain(growth_metrics(&found.growth)).collect();
        result.exact = Some(found);
    }
    Ok(())
}

fn prefixed(cell: &ExactCell) -> impl Iterator<Item = Metric> {
    let prefix = cell.prefix();
    cell.metrics
        .iter()
        .map(move |metric| Metric { name: format!("{prefix}_{}", metric.name), ..metric.clone() })
}

struct Combination<'a> {
    pair: &'a Pair,
    plan: &'a ExactPlan,
    model: CostModel,
    topology: &'a str,
    replicas: usize,
    clients: usize,
}

impl Combination<'_> {
    fn spec(&self) -> Result<SimulationSpec, RunError> {
        let CostModel { costs, cores, .. } = self.model;
        let spec = spec(self.pair, self.topology, self.replicas, self.pair.scenario.seed)?;
        Ok(SimulationSpec { costs, cores, ..spec })
    }

    fn count(&self) -> Result<(ExactCell, Safety, u64), RunError> {
        let spec = self.spec()?;
        let descriptor = self.pair.protocol.descriptor();
        // Gossip may leave a replica out, and then no one would ever say so.
        let spreads = descriptor.order == Order::Set;
        // One that bears no crash has nothing to come back to.
        let recovers = self.plan.recovery && (descriptor.tolerates)(self.replicas, &spec.settings) > 0;
        let mut run = ClosedRun {
            clients: VirtualClients::of(&*self.pair.protocol, &spec, self.pair.scenario.payload_bytes)?,
            patience: spreads.then_some(SPREAD_WITHIN),
            spreading: Dissemination::default(),
            looks: None,
        };
        run.commit(self.clients, self.plan.warm_up_commits.max(1))?;
        let (before, started, heap_before) = run.look();
        run.spreading = Dissemination::default();
        run.looks = Some(Looks::default());
        let latencies = run.commit(self.clients, self.plan.commits)?;
        let (after, ended, heap_after) = run.look();
        let looks = run.looks.take().unwrap_or_default();
        run.clients.drain()?;
        let spreading = std::mem::take(&mut run.spreading);
        let recovery_ns = if recovers && !spreads { Some(run.recover()?) } else { None };
        let churn = if recovers && spreads { Some(run.churn(self.replicas)?) } else { None };
        let record = ExactRecord {
            latencies: &latencies,
            before: &before,
            after: &after,
            virtual_ns: ended.0 - started.0,
            recovery_ns,
            heap: heap_after.zip(heap_before).map(|(after, before)| after - before),
            floors: (descriptor.floors)(self.replicas),
            one_way_ns: uniform_delay(&spec),
        };
        let links = LinkTimes::of_spec(&spec, &record.floors, after.leader);
        let spread = if spreads { dissemination_metrics(&spreading, &record, churn) } else { Vec::new() };
        let cell = ExactCell {
            topology: self.topology.into(),
            replicas: self.replicas,
            clients: self.clients,
            offered_per_s: None,
            commits: latencies.count(),
            metrics: exact_metrics(&record).into_iter().chain(spread).collect(),
            conduct: Some(conduct((&before, &after), &looks, spec.timing, links)),
        };
        let safety = run.clients.check(SETTLING_NS);
        Ok((cell, safety, run.clients.simulation.events()))
    }
}

/// The one-way delay of all links, in nanoseconds, if they have the same.
fn uniform_delay(spec: &SimulationSpec) -> Option<u64> {
    let between = |from: usize| spec.links[from].iter().enumerate().filter(move |(to, _)| *to != from);
    let mut delays = (0..spec.replicas).flat_map(between).map(|(_, link)| link.delay);
    let first = delays.next()?;
    delays.all(|delay| delay == first).then_some(first.as_nanos() as u64)
}

/// A closed loop on one simulation.
pub(super) struct ClosedRun {
    pub(super) clients: VirtualClients,
    /// How long clients wait; for ever when there is none.
    patience: Option<Duration>,
    /// How commands spread that every replica has to have.
    spreading: Dissemination,
    /// Looks at the cluster while commands are counted; none before and after.
    looks: Option<Looks>,
}

impl ClosedRun {
    pub(super) fn send(&mut self, at: Time) {
        self.clients.send(at, self.patience.map_or(NEVER, |patience| at + patience));
    }

    /// Commits so many commands with so many in flight; they stay in flight at the end.
    fn commit(&mut self, clients: usize, commits: u64) -> Result<Latencies, RunError> {
        while self.clients.open() < clients {
            self.send(self.clients.now());
        }
        let mut latencies = Latencies::default();
        let before = self.spreading.late();
        let look_every = (commits / LOOKS).max(1);
        let mut next_look = look_every;
        while latencies.count() + self.spreading.late() - before < commits {
            if latencies.count() >= next_look {
                next_look = latencies.count() + look_every;
                let observed = self.clients.simulation.observe();
                self.looks.iter_mut().for_each(|looks| looks.take(&observed));
            }
            for answered in self.clients.wait()? {
                self.spreading.record(&answered);
                if answered.outcome.is_ok() {
                    latencies.record(&answered);
                }
                self.send(answered.answered);
            }
        }
        Ok(latencies)
    }

    fn look(&self) -> (Observation, Time, Option<ThreadHeapCounts>) {
        (self.clients.simulation.observe(), self.clients.now(), self.clients.heap())
    }

    /// Crashes the leader, or where no one leads the replica whose turn it is, and returns how long it
    /// takes until a command sent then is committed.
    fn recover(&mut self) -> Result<u64, RunError> {
        // Now, and not when the counting ended: the lead may rotate.
        let (now, crashed, _) = self.look();
        let turn = ClientRule::home(CommandId(self.clients.submitted()), now.replicas.len());
        let leader = now.leader.or(self.clients.has_registers().then_some(turn));
        let Some(leader) = leader else { return Err(RunError::NoLeader(Default::default())) };
        self.clients.simulation.inject(Fault::Crash(leader))?;
        self.send(crashed);
        self.clients.drain()?;
        Ok(self.clients.now().0 - crashed.0)
    }
}
