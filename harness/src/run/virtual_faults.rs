//! Faults under a constant load in virtual time: each once per seed, on a cluster of its own. The twin of
//! `faults` in real time, with the same faults and the same numbers; nothing is sampled.

use std::time::Duration;

use protocol_core::{Fault, FaultError, LaunchError, Observation};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::fault_load::VirtualLoad;
use super::fault_script::FaultScript;
use super::simulated::{SECOND_NS, spec};
use super::standing::{all_delivered, is_led, most_delivered, view};
use super::{Pair, RunError};
use crate::interrupt;
use crate::measure::{
    FaultMarks, fault_cycle, fault_metrics_of_scenario, keep_one_timeline, virtual_fault_metrics,
};
use crate::progress::Progress;
use crate::results::{ExactResult, FaultCycle, FaultResult, Outcome, Safety, ScenarioResult};
use crate::scenario::{FaultConfig, VirtualFaultPlan};

/// Before the first look at a new cluster: what waited for its first leader is answered by then.
const STARTED_NS: u64 = SECOND_NS / 10;
/// How often replicas are looked at while they catch up, and so the resolution of that time.
const CATCHING_UP_NS: u64 = 100_000;
/// How often they are looked at while waiting for anything that is not timed.
const WAITING_NS: u64 = 1_000_000;
/// Virtual time that a cluster has to do what it must.
const LIMIT: Duration = Duration::from_secs(60);

/// Gives every fault of the plan under every seed, and fills the result.
pub(super) fn run(
    pair: &Pair,
    plan: &VirtualFaultPlan,
    progress: &Progress,
    result: &mut ScenarioResult,
) -> Result<(), RunError> {
    let mut failed = Vec::new();
    let mut exact = ExactResult::default();
    for fault in &plan.faults {
        if interrupt::requested() {
            break;
        }
        let episode = Episode::of(pair, plan, fault)?;
        if let Some(why) = episode.script.means_nothing() {
            result.faults.push(episode.not_measured(why));
            // Nothing ran, and so nothing went wrong.
            result.safety.checked = true;
            continue;
        }
        let (found, ended) = episode.under_every_seed(progress, &mut result.safety, &mut exact.events);
        match ended {
            Ok(()) => {}
            // Said in the results, and no failure: there is nothing to mend here.
            Err(RunError::Settings(error @ LaunchError::NotSimulated { .. })) => {
                exact.not_simulated = Some(error.to_string());
                result.exact = Some(exact);
                return Ok(());
            }
            // What a cluster can't be given is said; what it does not survive fails the pair.
            Err(RunError::Fault(_)) => {}
            Err(error) => failed.push(format!("{}: {error}", found.fault)),
        }
        result.faults.push(found);
    }
    result.metrics = fault_metrics_of_scenario(&result.faults);
    result.exact = Some(exact);
    if !failed.is_empty() {
        result.outcome = Outcome::Failed { reason: failed.join("; ") };
    } else if interrupt::requested() {
        result.outcome = Outcome::Interrupted;
    }
    Ok(())
}

/// One fault, whatever the seed.
struct Episode<'a> {
    pair: &'a Pair,
    plan: &'a VirtualFaultPlan,
    fault: &'a FaultConfig,
    replicas: usize,
    script: FaultScript<'a>,
}

impl<'a> Episode<'a> {
    fn of(pair: &'a Pair, plan: &'a VirtualFaultPlan, fault: &'a FaultConfig) -> Result<Self, RunError> {
        let replicas = fault.replicas.unwrap_or(pair.scenario.replicas);
        let script =
            FaultScript::new(fault, replicas, &pair.protocol.descriptor(), &pair.checked_settings()?);
        Ok(Episode { pair, plan, fault, replicas, script })
    }

    fn not_measured(&self, why: &str) -> FaultResult {
        let not_measured = Some(why.into());
        FaultResult { not_measured, ..FaultResult::empty(self.fault.name(), self.script.tolerated()) }
    }

    /// Runs all seeds, until one does not come to its end.
    fn under_every_seed(
        &self,
        progress: &Progress,
        safety: &mut Safety,
        events: &mut u64,
    ) -> (FaultResult, Result<(), RunError>) {
        let mut found = FaultResult::empty(self.fault.name(), self.script.tolerated());
        let mut ended = Ok(());
        for index in 0..self.plan.seeds {
            if interrupt::requested() {
                break;
            }
            let seed = self.pair.scenario.seed.wrapping_add(index as u64);
            progress.step(&format!("{}, seed {seed}", found.fault));
            match self.run(index, seed) {
                Ok((cycle, mut of_run, events_of_run)) => {
                    of_run.violations.extend(self.script.lie(std::slice::from_ref(&cycle)));
                    found.lost += of_run.lost;
                    found.applied_twice += of_run.applied_twice;
                    safety.include(of_run);
                    *events += events_of_run;
                    found.cycles.push(cycle);
                }
                Err(error) => {
                    found.not_measured = Some(format!("seed {seed}: {error}"));
                    ended = Err(error);
                    break;
                }
            }
        }
        keep_one_timeline(&mut found.cycles);
        found.metrics = virtual_fault_metrics(&found.cycles, found.tolerated);
        (found, ended)
    }

    /// Runs one seed, which decides elections, losses, when each client sends, and which moment between
    /// two heartbeats the fault meets. Another index hits another follower.
    fn run(&self, index: usize, seed: u64) -> Result<(FaultCycle, Safety, u64), RunError> {
        let spec = spec(self.pair, &self.plan.topology, self.replicas, seed)?;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let heartbeat_ns = (spec.timing.heartbeat.as_nanos() as u64).max(1);
        let within_heartbeat_ns = random.random_range(0..heartbeat_ns);
        let load =
            VirtualLoad::start(&*self.pair.protocol, &spec, (&self.pair.scenario, self.plan), &mut random)?;
        let mut run = Run { episode: self, load };
        let (marks, caught_up_ns) = run.cycle(index, within_heartbeat_ns)?;
        let safety = run.load.end();
        let cycle = FaultCycle {
            seed: Some(seed),
            caught_up_ns: Some(caught_up_ns),
            ..fault_cycle(&run.load.trace(), &marks)
        };
        Ok((cycle, safety, run.load.clients.simulation.events()))
    }
}

/// One cluster under load.
struct Run<'a> {
    episode: &'a Episode<'a>,
    load: VirtualLoad,
}

impl Run<'_> {
    fn now_ns(&self) -> u64 {
        self.load.clients.now().0
    }

    /// Before, during and after the fault; and how long replicas took to catch up.
    fn cycle(&mut self, index: usize, within_heartbeat_ns: u64) -> Result<(FaultMarks, u64), RunError> {
        let Episode { plan, fault, script, .. } = self.episode;
        self.wait(WAITING_NS, |run, _| run.load.acknowledged() > 0, RunError::NotServed(LIMIT))?;
        self.load.advance(STARTED_NS);
        let calm_ns = self.now_ns();
        self.load.advance(nanos(plan.before_s) + within_heartbeat_ns);
        let before =
            self.wait(WAITING_NS, |_, now| script.leaderless() || is_led(now), RunError::NoLeader(LIMIT))?;
        let hit = script.targets(before.leader, index);
        let fault_ns = self.now_ns();
        self.inject(&script.begin(before.leader, &hit))?;
        self.load.advance(nanos(fault.for_s.unwrap_or(plan.for_s)));
        let end_ns = self.now_ns();
        let most = most_delivered(&self.load.clients.simulation.observe());
        self.inject(&script.end(&hit))?;
        let owed = script.owed_to_all(most);
        self.wait(CATCHING_UP_NS, |_, now| all_delivered(now, owed), RunError::NotCaughtUp(LIMIT))?;
        let caught_up_ns = self.now_ns() - end_ns;
        // A cluster without a leader may take another election to come back; it is watched from then on.
        self.wait(WAITING_NS, |_, now| most_delivered(now) > most, RunError::NotServed(LIMIT))?;
        self.load.advance(nanos(plan.after_s));
        let after = self.load.clients.simulation.observe();
        let marks = FaultMarks {
            replicas: hit.iter().map(|id| id.0).collect(),
            calm_ns,
            fault_ns,
            held_ns: fault_ns,
            end_ns,
            ended_ns: end_ns,
            watched_ns: self.now_ns(),
            tolerated: script.tolerated(),
            views: view(&after).saturating_sub(view(&before)),
        };
        Ok((marks, caught_up_ns))
    }

    fn inject(&mut self, faults: &[Fault]) -> Result<(), FaultError> {
        faults.iter().try_for_each(|&fault| self.load.clients.simulation.inject(fault))
    }

    /// Goes on under load until this holds, which is looked at after each step.
    fn wait(
        &mut self,
        step_ns: u64,
        holds: impl Fn(&Self, &Observation) -> bool,
        or: RunError,
    ) -> Result<Observation, RunError> {
        let limit_ns = self.now_ns() + LIMIT.as_nanos() as u64;
        loop {
            let now = self.load.clients.simulation.observe();
            if holds(self, &now) {
                return Ok(now);
            }
            if self.now_ns() >= limit_ns {
                return Err(or);
            }
            self.load.advance(step_ns);
        }
    }
}

fn nanos(seconds: f64) -> u64 {
    (seconds * SECOND_NS as f64).round() as u64
}
