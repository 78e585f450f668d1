//! Closed loops in virtual time: no clock, no thread, no sample; every number is a count.

use protocol_core::{
    Answered, CommandId, CommandSource, Fault, IdSet, LaunchError, Observation, Simulation, SimulationSpec,
    Time,
};

use super::simulated::{SECOND_NS, SETTLING_NS, spec};
use super::{Pair, RunError};
use crate::interrupt;
use crate::measure::{ExactRecord, Latencies, exact_metrics, growth_fits, growth_metrics};
use crate::progress::Progress;
use crate::resources::ThreadHeapCounts;
use crate::results::{ExactCell, ExactResult, Metric, Outcome, Safety, ScenarioResult};
use crate::safety::{Claims, check};
use crate::scenario::ExactPlan;

/// A command that takes longer than this in virtual time is not waited for.
const STALLED_AFTER_S: u64 = 600;
const NEVER: Time = Time(u64::MAX);

/// Counts every combination of the plan.
pub(super) fn run(
    pair: &Pair,
    plan: &ExactPlan,
    progress: &Progress,
    result: &mut ScenarioResult,
) -> Result<(), RunError> {
    let mut found = ExactResult::default();
    for topology in &plan.topologies {
        for &replicas in &plan.replicas {
            for &clients in &plan.clients {
                if interrupt::requested() {
                    result.outcome = Outcome::Interrupted;
                    break;
                }
                progress.step(&format!("{topology}, {replicas} replicas, {clients} clients"));
                let combination = Combination { pair, plan, topology, replicas, clients };
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
    topology: &'a str,
    replicas: usize,
    clients: usize,
}

impl Combination<'_> {
    fn count(&self) -> Result<(ExactCell, Safety, u64), RunError> {
        let spec = spec(self.pair, self.topology, self.replicas, self.pair.scenario.seed)?;
        let mut run = ClosedRun {
            simulation: self.pair.protocol.simulate(&spec)?,
            payload: vec![0x5A; self.pair.scenario.payload_bytes],
            commands: CommandSource::default(),
            heap: ThreadHeapCounts::now().map(|_| ThreadHeapCounts::default()),
            next_id: 0,
            open: 0,
            acknowledged: IdSet::default(),
        };
        run.commit(self.clients, self.plan.warm_up_commits.max(1))?;
        let (before, started, heap_before) = (run.simulation.observe(), run.simulation.now(), run.heap);
        let latencies = run.commit(self.clients, self.plan.commits)?;
        let (after, ended, heap_after) = (run.simulation.observe(), run.simulation.now(), run.heap);
        run.drain()?;
        let recovery_ns = if self.plan.recovery { Some(run.recover(&after)?) } else { None };
        let record = ExactRecord {
            latencies: &latencies,
            before: &before,
            after: &after,
            virtual_ns: ended.0 - started.0,
            recovery_ns,
            heap: heap_after.zip(heap_before).map(|(after, before)| after - before),
            floors: (self.pair.protocol.descriptor().floors)(self.replicas),
            one_way_ns: uniform_delay(&spec),
        };
        let cell = ExactCell {
            topology: self.topology.into(),
            replicas: self.replicas,
            clients: self.clients,
            commits: latencies.count(),
            metrics: exact_metrics(&record),
        };
        Ok((cell, run.check(), run.simulation.events()))
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
struct ClosedRun {
    simulation: Box<dyn Simulation>,
    payload: Vec<u8>,
    commands: CommandSource,
    /// What the simulation took from the heap so far; none where it is not counted.
    heap: Option<ThreadHeapCounts>,
    next_id: u64,
    open: usize,
    acknowledged: IdSet,
}

impl ClosedRun {
    fn send(&mut self, at: Time) {
        let command = self.commands.command(CommandId(self.next_id), &self.payload);
        self.next_id += 1;
        self.open += 1;
        self.inside(|simulation| simulation.submit(at, command, NEVER));
    }

    /// Calls the simulation, and counts what it takes from the heap: the loop around it takes from there
    /// too, and is no part of what a commit costs.
    fn inside<T>(&mut self, call: impl FnOnce(&mut dyn Simulation) -> T) -> T {
        let before = ThreadHeapCounts::now();
        let returned = call(&mut *self.simulation);
        if let (Some(spent), Some(before), Some(after)) = (&mut self.heap, before, ThreadHeapCounts::now()) {
            *spent += after - before;
        }
        returned
    }

    /// Commits so many commands with so many in flight; they stay in flight at the end.
    fn commit(&mut self, clients: usize, commits: u64) -> Result<Latencies, RunError> {
        while self.open < clients {
            self.send(self.simulation.now());
        }
        let mut latencies = Latencies::default();
        while latencies.count() < commits {
            for answered in self.wait()? {
                latencies.record(&answered);
                self.send(answered.answered);
            }
        }
        Ok(latencies)
    }

    fn wait(&mut self) -> Result<Vec<Answered>, RunError> {
        let limit = Time(self.simulation.now().0 + STALLED_AFTER_S * SECOND_NS);
        if !self.inside(|simulation| simulation.run_until_answer(limit)) {
            return Err(RunError::Stalled(STALLED_AFTER_S));
        }
        let answers = self.simulation.take_answers();
        for answered in &answers {
            self.open -= 1;
            if answered.outcome.is_ok() {
                self.acknowledged.insert(answered.id);
            }
        }
        Ok(answers)
    }

    fn drain(&mut self) -> Result<(), RunError> {
        while self.open > 0 {
            self.wait()?;
        }
        Ok(())
    }

    /// Crashes the leader, and returns how long it takes until a command sent then is committed.
    fn recover(&mut self, now: &Observation) -> Result<u64, RunError> {
        let crashed = self.simulation.now();
        let Some(leader) = now.leader else { return Err(RunError::NoLeader(Default::default())) };
        self.simulation.inject(Fault::Crash(leader))?;
        self.send(crashed);
        self.drain()?;
        Ok(self.simulation.now().0 - crashed.0)
    }

    fn check(&mut self) -> Safety {
        let now = self.simulation.now();
        self.simulation.run_until(Time(now.0 + SETTLING_NS));
        let claims = Claims { submitted: self.next_id, acknowledged: self.acknowledged.clone() };
        check(&self.simulation.audit(), &self.simulation.observe(), &claims)
    }
}
