//! Faults under a constant load, each on a cluster of its own, again and again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use protocol_core::{Cluster, Fault, Observation, ReplicaId, check_size};

use super::phases::{await_first_commit, drain};
use super::stage::Stage;
use super::{Pair, RunError};
use crate::interrupt;
use crate::load::{Book, Ended, OpenLoop, Pacer, run_phase};
use crate::machine::{Side, keep_to_cores_of};
use crate::measure::{FaultMarks, fault_cycle, fault_metrics, fault_metrics_of_scenario};
use crate::progress::Progress;
use crate::results::{FaultCycle, FaultResult, Outcome, Safety, ScenarioResult};
use crate::safety::{Claims, Registers};
use crate::scenario::{FaultConfig, FaultKind, FaultPlan, FaultTarget, Phase, PhaseKind, Scenario};

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
        let mut found = FaultResult {
            fault: fault.name(),
            tolerated: Episode::of(pair, plan, fault).tolerated(),
            not_measured: None,
            metrics: Vec::new(),
            cycles: Vec::new(),
            lost: 0,
            applied_twice: 0,
        };
        match Episode::of(pair, plan, fault).run(folder, progress, result) {
            Ok((cycles, safety)) => {
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
    /// Replicas that may fail at once.
    tolerates: usize,
    /// Whether any replica coordinates, and none has to have what others have.
    leaderless: bool,
}

impl<'a> Episode<'a> {
    fn of(pair: &'a Pair, plan: &'a FaultPlan, fault: &'a FaultConfig) -> Self {
        let replicas = fault.replicas.unwrap_or(pair.scenario.replicas);
        let scenario = Scenario { replicas, ..pair.scenario.clone() };
        let descriptor = pair.protocol.descriptor();
        let tolerates = (descriptor.tolerates)(replicas);
        let leaderless = !descriptor.order.shows_in_logs();
        Episode { pair, plan, fault, scenario, tolerates, leaderless }
    }

    fn tolerated(&self) -> bool {
        let hit = match self.fault.target {
            FaultTarget::Leader | FaultTarget::Follower => 1,
            FaultTarget::Minority => self.tolerates,
            FaultTarget::Majority => self.tolerates + 1,
        };
        hit <= self.tolerates
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
        let lies: u64 = cycles.iter().map(|cycle| cycle.acknowledged_during).sum();
        if !self.tolerated() && lies > 0 {
            safety.violations.push(format!(
                "{}: {lies} commands were acknowledged while a majority could not take part",
                self.fault.name()
            ));
        }
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
        let Episode { plan, fault, .. } = self.episode;
        let calm_ns = self.now_ns();
        sleep(plan.before_s);
        let before = self.leader()?;
        let hit = self.targets(&before, cycle);
        let fault_ns = self.now_ns();
        let given = self.give(&before, &hit);
        let held_ns = self.now_ns();
        if given.is_ok() {
            sleep(fault.for_s.unwrap_or(plan.for_s));
        }
        let end_ns = self.now_ns();
        // Taken back in any case, so that the check below finds a cluster that can settle.
        let taken_back = self.take_back(&hit);
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
            tolerated: self.episode.tolerated(),
            views: view(&after).saturating_sub(view(&before)),
        })
    }

    fn targets(&self, now: &Observation, cycle: usize) -> Vec<ReplicaId> {
        let replicas = self.episode.scenario.replicas;
        let leader = now.leader.unwrap_or(ReplicaId(0));
        // Another follower each time: some sit better than others.
        let others: Vec<ReplicaId> = ReplicaId::all(replicas).filter(|&id| id != leader).collect();
        let others = (0..others.len()).map(|index| others[(index + cycle) % others.len()]);
        match self.episode.fault.target {
            FaultTarget::Leader => vec![leader],
            FaultTarget::Follower => others.take(1).collect(),
            FaultTarget::Minority => others.take(self.episode.tolerates).collect(),
            FaultTarget::Majority => {
                std::iter::once(leader).chain(others.take(self.episode.tolerates)).collect()
            }
        }
    }

    fn give(&self, now: &Observation, hit: &[ReplicaId]) -> Result<(), RunError> {
        let fault = self.episode.fault;
        let all = || ReplicaId::all(self.episode.scenario.replicas);
        let outgoing = || hit.iter().flat_map(|&from| all().map(move |to| (from, to)));
        let incoming = || outgoing().map(|(from, to)| (to, from));
        let links: Vec<(ReplicaId, ReplicaId)> = match fault.kind {
            FaultKind::Crash | FaultKind::Pause => Vec::new(),
            FaultKind::Cut | FaultKind::Loss | FaultKind::Slow => outgoing().chain(incoming()).collect(),
            FaultKind::CutOutgoing => outgoing().collect(),
            FaultKind::CutIncoming => incoming().collect(),
            FaultKind::PartialConnectivity => {
                let hub = all().find(|&id| Some(id) != now.leader);
                let pairs = all().flat_map(|from| all().map(move |to| (from, to)));
                pairs.filter(|&(from, to)| Some(from) != hub && Some(to) != hub).collect()
            }
        };
        for (from, to) in links.into_iter().filter(|(from, to)| from != to) {
            self.stage.inject(match fault.kind {
                FaultKind::Loss => Fault::Degrade { from, to, extra_delay: Duration::ZERO, loss: fault.loss },
                FaultKind::Slow => {
                    let extra_delay = Duration::from_secs_f64(fault.extra_delay_ms / 1e3);
                    Fault::Degrade { from, to, extra_delay, loss: 0.0 }
                }
                _ => Fault::Cut { from, to },
            })??;
        }
        for &id in hit {
            match fault.kind {
                FaultKind::Crash => self.stage.inject(Fault::Crash(id))??,
                FaultKind::Pause => self.stage.inject(Fault::Pause(id))??,
                _ => {}
            }
        }
        Ok(())
    }

    fn take_back(&self, hit: &[ReplicaId]) -> Result<(), RunError> {
        let mut outcome = Ok(());
        for &id in hit {
            let given = match self.episode.fault.kind {
                FaultKind::Crash => self.stage.inject(Fault::Restart(id))?,
                FaultKind::Pause => self.stage.inject(Fault::Resume(id))?,
                _ => Ok(()),
            };
            outcome = outcome.and(given.map_err(RunError::from));
        }
        self.stage.inject(Fault::Heal)??;
        outcome
    }

    /// Waits until someone leads. Where no one does, the first replica stands for the leader: all
    /// coordinate alike, each a share of the commands.
    fn leader(&self) -> Result<Observation, RunError> {
        if self.episode.leaderless {
            return Ok(Observation { leader: Some(ReplicaId(0)), ..self.stage.observe()? });
        }
        let limit = self.episode.pair.limits.settle;
        let led = |now: &Observation| {
            now.leader.is_some_and(|leader| now.replicas.get(leader.index()).is_some_and(|one| one.live))
        };
        self.wait_until(limit, led)?.ok_or(RunError::NoLeader(limit))
    }

    /// Waits until something is delivered that was not when the fault ended: a cluster without a leader
    /// may take another election to come back, and the time to watch it counts from then.
    fn served_again(&self) -> Result<(), RunError> {
        let most = |now: &Observation| now.replicas.iter().map(|replica| replica.delivered).max();
        let ended = most(&self.stage.observe()?);
        let limit = self.episode.pair.limits.settle;
        self.wait_until(limit, |now| most(now) > ended)?.map(drop).ok_or(RunError::NotServed(limit))
    }

    /// Waits until all replicas live and have what any of them had now; where a replica may go without a
    /// write for ever, until they live.
    fn caught_up(&self) -> Result<Observation, RunError> {
        let now = self.stage.observe()?;
        let most = now.replicas.iter().map(|replica| replica.delivered).max().unwrap_or(0);
        let limit = self.episode.pair.limits.settle;
        let most = if self.episode.leaderless { 0 } else { most };
        let level =
            |now: &Observation| now.replicas.iter().all(|replica| replica.live && replica.delivered >= most);
        self.wait_until(limit, level)?.ok_or(RunError::NotCaughtUp(limit))
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

fn view(observation: &Observation) -> u64 {
    observation.view.map_or(0, |view| view.0)
}
