//! Faults under a constant load, each on a cluster of its own, again and again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use protocol_core::{Cluster, Fault, Observation, ReplicaId, check_size};

use super::fault_script::FaultScript;
use super::phases::{await_first_commit, drain};
use super::stage::Stage;
use super::standing::{all_delivered, is_led, most_delivered, view};
use super::{Pair, RunError};
use crate::interrupt;
use crate::load::{Book, Ended, OpenLoop, Pacer, run_phase};
use crate::machine::{Side, keep_to_cores_of};
use crate::measure::{FaultMarks, fault_cycle, fault_metrics, fault_metrics_of_scenario, keep_one_timeline};
use crate::progress::Progress;
use crate::results::{FaultCycle, FaultResult, Outcome, Safety, ScenarioResult};
use crate::safety::{Claims, Registers};
use crate::scenario::{FaultConfig, FaultPlan, Phase, PhaseKind, Scenario};

/// The load is sent in phases of this length, until the last cycle is over.
const SLICE_S: f64 = 1.0;
/// How often the cluster is looked at while waiting for something.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Gives every fault of the plan, and fills the result with what was measured.
pub(super) fn run(
    pair: &Pair,
    plan: &FaultPlan,
    folder: &Path,
    progress: &Progress,
    result: &mut ScenarioResult,
) -> Result<(), RunError> {
    let mut failed = Vec::new();
    for fault in &plan.faults {
        if interrupt::requested() {
            result.outcome = Outcome::Interrupted;
            break;
        }
        let episode = Episode::of(pair, plan, fault)?;
        let mut found = FaultResult::empty(fault.name(), episode.script.tolerated());
        if let Some(why) = episode.script.means_nothing() {
            found.not_measured = Some(why.into());
            result.faults.push(found);
            // Nothing ran, and so nothing went wrong.
            result.safety.checked = true;
            continue;
        }
        match episode.run(folder, progress, result) {
            Ok((mut cycles, safety)) => {
                keep_one_timeline(&mut cycles);
                found.metrics = fault_metrics(&cycles, found.tolerated, pair.scenario.seed);
                (found.lost, found.applied_twice) = (safety.lost, safety.applied_twice);
                found.cycles = cycles;
                result.safety.include(safety);
            }
            // What a cluster can't be given is said; what it does not survive fails the pair.
            Err(error @ RunError::Fault(_)) => found.not_measured = Some(error.to_string()),
            Err(error) => {
                found.not_measured = Some(error.to_string());
                failed.push(format!("{}: {error}", found.fault));
            }
        }
        result.faults.push(found);
    }
    result.metrics = fault_metrics_of_scenario(&result.faults);
    if !failed.is_empty() {
        result.outcome = Outcome::Failed { reason: failed.join("; ") };
    }
    Ok(())
}

/// One fault on one cluster.
struct Episode<'a> {
    pair: &'a Pair,
    plan: &'a FaultPlan,
    fault: &'a FaultConfig,
    scenario: Scenario,
    script: FaultScript<'a>,
}

impl<'a> Episode<'a> {
    fn of(pair: &'a Pair, plan: &'a FaultPlan, fault: &'a FaultConfig) -> Result<Self, RunError> {
        let replicas = fault.replicas.unwrap_or(pair.scenario.replicas);
        let scenario = Scenario { replicas, ..pair.scenario.clone() };
        let script =
            FaultScript::new(fault, replicas, &pair.protocol.descriptor(), &pair.checked_settings()?);
        Ok(Episode { pair, plan, fault, scenario, script })
    }

    fn run(
        &self,
        folder: &Path,
        progress: &Progress,
        result: &mut ScenarioResult,
    ) -> Result<(Vec<FaultCycle>, Safety), RunError> {
        check_size(&self.pair.protocol.descriptor(), self.scenario.replicas)?;
        let stage = Stage::launch(self.pair, &self.scenario, folder)?;
        result.fsync = stage.fsync();
        let (started, has_started) = channel();
        let over = Arc::new(AtomicBool::new(false));
        let load = {
            let (scenario, rate, start) =
                (self.scenario.clone(), self.plan.rate_per_s, self.pair.limits.start);
            let (over, registers) = (over.clone(), self.pair.registers()?);
            stage.start_load(move |cluster| {
                drive(cluster, &scenario, registers, rate, start, &started, &over)
            })?
        };
        // When the load ends before it started, its own error says why.
        let cycles = match has_started.recv_timeout(self.pair.limits.start + self.pair.limits.grace) {
            Ok(epoch) => Conductor { episode: self, stage: &stage, epoch, progress }.cycles(),
            Err(_) => Ok(Vec::new()),
        };
        over.store(true, Relaxed);
        let limit = self.scenario.timeout() * 2 + self.pair.limits.grace + self.pair.limits.start;
        let load = load.wait(limit).map_err(|error| stage.cause_of(error))?;
        let marks = cycles?;
        let mut safety = stage.check(load.claims)?;
        if let Some(registers) = load.registers {
            registers.judge(&mut safety);
        }
        if let (Some(stopped), true) = (stage.replica_stopped(), safety.violations.is_empty()) {
            return Err(stopped);
        }
        let cycles: Vec<FaultCycle> = marks.iter().map(|marks| fault_cycle(&load.trace, marks)).collect();
        safety.violations.extend(self.script.lie(&cycles));
        Ok((cycles, safety))
    }
}

struct LoadRecord {
    claims: Claims,
    trace: Vec<Ended>,
    registers: Option<Registers>,
}

/// A constant load until `over`, on its own thread.
fn drive(
    cluster: &Arc<dyn Cluster>,
    scenario: &Scenario,
    registers: Option<Registers>,
    rate_per_s: f64,
    start_limit: Duration,
    started: &Sender<Instant>,
    over: &AtomicBool,
) -> Result<LoadRecord, RunError> {
    keep_to_cores_of(Side::Generator);
    let pacer = Pacer::start();
    let book = Book::new(pacer.epoch(), scenario.timeout(), scenario.max_in_flight);
    let book = Arc::new(book.traced().watched(registers));
    let payload = vec![0x5A; scenario.payload_bytes];
    await_first_commit(&pacer, cluster, &book, &payload, start_limit)?;
    started.send(pacer.epoch()).ok();
    let progress = Progress::default();
    let phase =
        Phase { kind: PhaseKind::Steady, duration_s: SLICE_S, requests: None, rate_per_s, ramp: None };
    for slice in 0.. {
        if over.load(Relaxed) {
            break;
        }
        let load = OpenLoop {
            cluster,
            book: &book,
            arrivals: scenario.arrivals,
            payload: &payload,
            timeout: scenario.timeout(),
            seed: scenario.seed.wrapping_add(slice << 32),
            progress: &progress,
        };
        run_phase(&pacer, &load, &phase);
    }
    drain(&pacer, &book);
    let claims = Claims { submitted: book.submitted(), acknowledged: book.acknowledged() };
    Ok(LoadRecord { claims, trace: book.take_trace(), registers: book.take_registers() })
}

/// Gives the fault and takes it back, in time with the load.
struct Conductor<'a> {
    episode: &'a Episode<'a>,
    stage: &'a Stage,
    epoch: Instant,
    progress: &'a Progress,
}

impl Conductor<'_> {
    fn cycles(&self) -> Result<Vec<FaultMarks>, RunError> {
        let Episode { plan, fault, .. } = self.episode;
        let count = fault.cycles.unwrap_or(plan.cycles);
        let mut marks = Vec::with_capacity(count);
        for cycle in 0..count {
            if interrupt::requested() {
                break;
            }
            self.progress.step(&format!("{}, cycle {} of {count}", fault.name(), cycle + 1));
            marks.push(self.cycle(cycle)?);
        }
        Ok(marks)
    }

    fn cycle(&self, cycle: usize) -> Result<FaultMarks, RunError> {
        let Episode { plan, fault, script, .. } = self.episode;
        let calm_ns = self.now_ns();
        sleep(plan.before_s);
        let before = self.leader()?;
        let hit = script.targets(before.leader, cycle);
        let fault_ns = self.now_ns();
        let given = self.give(&script.begin(before.leader, &hit));
        let held_ns = self.now_ns();
        if given.is_ok() {
            sleep(fault.for_s.unwrap_or(plan.for_s));
        }
        let end_ns = self.now_ns();
        // Taken back in any case, so that the check below finds a cluster that can settle.
        let taken_back = self.take_back(&script.end(&hit));
        given?;
        taken_back?;
        let ended_ns = self.now_ns();
        self.served_again()?;
        sleep(plan.after_s);
        let after = self.caught_up()?;
        Ok(FaultMarks {
            replicas: hit.iter().map(|id| id.0).collect(),
            calm_ns,
            fault_ns,
            held_ns,
            end_ns,
            ended_ns,
            watched_ns: self.now_ns(),
            tolerated: self.episode.script.tolerated(),
            views: view(&after).saturating_sub(view(&before)),
        })
    }

    fn give(&self, faults: &[Fault]) -> Result<(), RunError> {
        faults.iter().try_for_each(|&fault| Ok(self.stage.inject(fault)??))
    }

    /// Takes back what can be, and returns the first that could not.
    fn take_back(&self, faults: &[Fault]) -> Result<(), RunError> {
        let mut outcome = Ok(());
        for &fault in faults {
            let given = self.stage.inject(fault)?;
            outcome = outcome.and(given.map_err(RunError::from));
        }
        outcome
    }

    /// Waits until someone leads. Where no one does, the first replica stands for the leader: all
    /// coordinate alike, each a share of the commands.
    fn leader(&self) -> Result<Observation, RunError> {
        if self.episode.script.leaderless() {
            return Ok(Observation { leader: Some(ReplicaId(0)), ..self.stage.observe()? });
        }
        let limit = self.episode.pair.limits.settle;
        self.wait_until(limit, is_led)?.ok_or(RunError::NoLeader(limit))
    }

    /// Waits until something is delivered that was not when the fault ended: a cluster without a leader
    /// may take another election to come back, and the time to watch it counts from then.
    fn served_again(&self) -> Result<(), RunError> {
        let ended = most_delivered(&self.stage.observe()?);
        let limit = self.episode.pair.limits.settle;
        self.wait_until(limit, |now| most_delivered(now) > ended)?.map(drop).ok_or(RunError::NotServed(limit))
    }

    /// Waits until all replicas live and have what any of them had now; where a replica may go without a
    /// write for ever, until they live.
    fn caught_up(&self) -> Result<Observation, RunError> {
        let most = most_delivered(&self.stage.observe()?);
        let limit = self.episode.pair.limits.settle;
        let most = self.episode.script.owed_to_all(most);
        self.wait_until(limit, |now| all_delivered(now, most))?.ok_or(RunError::NotCaughtUp(limit))
    }

    fn wait_until(
        &self,
        limit: Duration,
        holds: impl Fn(&Observation) -> bool,
    ) -> Result<Option<Observation>, RunError> {
        let deadline = Instant::now() + limit;
        loop {
            let now = self.stage.observe()?;
            if holds(&now) {
                return Ok(Some(now));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }
}

fn sleep(seconds: f64) {
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    while !interrupt::requested() && Instant::now() < until {
        let left = until.saturating_duration_since(Instant::now());
        std::thread::sleep(left.min(Duration::from_millis(100)));
    }
}
