//! Closed loops in virtual time: no clock, no thread, no sample; every number is a count.

use std::time::Duration;

use protocol_core::{
    Answered, ClientRule, CommandId, CommandSource, Fault, IdSet, LaunchError, Order, Simulation,
    SimulationSpec, Time,
};

use super::simulated::{SECOND_NS, SETTLING_NS, spec};
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
use crate::safety::{Claims, Registers, check};
use crate::scenario::ExactPlan;

/// A command that takes longer than this in virtual time is not waited for.
const STALLED_AFTER_S: u64 = 600;
const NEVER: Time = Time(u64::MAX);
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
        // Gossip may leave a replica out, and then no one would ever say so.
        let spreads = self.pair.protocol.descriptor().order == Order::Set;
        let mut run = ClosedRun {
            simulation: self.pair.protocol.simulate(&spec)?,
            payload: vec![0x5A; self.pair.scenario.payload_bytes],
            commands: CommandSource::default(),
            heap: ThreadHeapCounts::now()
                .filter(|_| !self.pair.protocol.descriptor().particulars.heap_varies)
                .map(|_| ThreadHeapCounts::default()),
            next_id: 0,
            open: 0,
            acknowledged: IdSet::default(),
            patience: spreads.then_some(SPREAD_WITHIN),
            spreading: Dissemination::default(),
            registers: self.pair.registers()?,
            looks: None,
        };
        run.commit(self.clients, self.plan.warm_up_commits.max(1))?;
        let (before, started, heap_before) = (run.simulation.observe(), run.simulation.now(), run.heap);
        run.spreading = Dissemination::default();
        run.looks = Some(Looks::default());
        let latencies = run.commit(self.clients, self.plan.commits)?;
        let (after, ended, heap_after) = (run.simulation.observe(), run.simulation.now(), run.heap);
        let looks = run.looks.take().unwrap_or_default();
        run.drain()?;
        let spreading = std::mem::take(&mut run.spreading);
        let recovery_ns = if self.plan.recovery && !spreads { Some(run.recover()?) } else { None };
        let churn = if self.plan.recovery && spreads { Some(run.churn(self.replicas)?) } else { None };
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
pub(super) struct ClosedRun {
    pub(super) simulation: Box<dyn Simulation>,
    payload: Vec<u8>,
    commands: CommandSource,
    /// What the simulation took from the heap so far; none where it is not counted.
    heap: Option<ThreadHeapCounts>,
    next_id: u64,
    open: usize,
    acknowledged: IdSet,
    /// How long clients wait; for ever when there is none.
    patience: Option<Duration>,
    /// How commands spread that every replica has to have.
    spreading: Dissemination,
    registers: Option<Registers>,
    /// Looks at the cluster while commands are counted; none before and after.
    looks: Option<Looks>,
}

impl ClosedRun {
    pub(super) fn send(&mut self, at: Time) {
        let command = self.commands.command(CommandId(self.next_id), &self.payload);
        if let Some(registers) = &mut self.registers {
            registers.invoke(command.id(), at.0);
        }
        self.next_id += 1;
        self.open += 1;
        let deadline = self.patience.map_or(NEVER, |patience| at + patience);
        self.inside(|simulation| simulation.submit(at, command, deadline));
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
        let before = self.spreading.late();
        let look_every = (commits / LOOKS).max(1);
        let mut next_look = look_every;
        while latencies.count() + self.spreading.late() - before < commits {
            if latencies.count() >= next_look {
                next_look = latencies.count() + look_every;
                let observed = self.simulation.observe();
                self.looks.iter_mut().for_each(|looks| looks.take(&observed));
            }
            for answered in self.wait()? {
                self.spreading.record(&answered);
                if answered.outcome.is_ok() {
                    latencies.record(&answered);
                }
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
        Ok(self.take_answers())
    }

    pub(super) fn take_answers(&mut self) -> Vec<Answered> {
        let answers = self.simulation.take_answers();
        for answered in &answers {
            self.open -= 1;
            if let Some(registers) = &mut self.registers {
                let output = answered.outcome.is_ok().then_some(answered.output);
                registers.answer(answered.id, answered.answered.0, output);
            }
            if answered.outcome.is_ok() {
                self.acknowledged.insert(answered.id);
            }
        }
        answers
    }

    pub(super) fn drain(&mut self) -> Result<(), RunError> {
        while self.open > 0 {
            self.wait()?;
        }
        Ok(())
    }

    /// Crashes the leader, or where no one leads the replica whose turn it is, and returns how long it
    /// takes until a command sent then is committed.
    fn recover(&mut self) -> Result<u64, RunError> {
        // Now, and not when the counting ended: the lead may rotate.
        let (crashed, now) = (self.simulation.now(), self.simulation.observe());
        let turn = ClientRule::home(CommandId(self.next_id), now.replicas.len());
        let leader = now.leader.or(self.registers.as_ref().map(|_| turn));
        let Some(leader) = leader else { return Err(RunError::NoLeader(Default::default())) };
        self.simulation.inject(Fault::Crash(leader))?;
        self.send(crashed);
        self.drain()?;
        Ok(self.simulation.now().0 - crashed.0)
    }

    fn check(&mut self) -> Safety {
        let now = self.simulation.now();
        self.simulation.run_until(Time(now.0 + SETTLING_NS));
        let claims = Claims { submitted: self.next_id, acknowledged: self.acknowledged.clone() };
        let mut safety = check(&self.simulation.audit(), &self.simulation.observe(), &claims);
        if let Some(registers) = self.registers.take() {
            registers.judge(&mut safety);
        }
        safety
    }
}
