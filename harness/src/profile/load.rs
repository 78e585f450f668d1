//! A scenario's load with something that watches: launched, warmed up, watched for so long, checked for safety.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol_core::Cluster;

use super::waits::RuntimeLook;
use super::{Bounded, ProfileError, ProfiledLoad, RuntimeUse, Waits};
use crate::interrupt;
use crate::load::{Book, OpenLoop, Pacer, PhaseRecord, Recorder, SpanTotals, run_phase};
use crate::machine::{CpuTimes, Side, keep_to_cores_of};
use crate::measure::{disturbances, phase_metrics};
use crate::progress::Progress;
use crate::results::Safety;
use crate::run::{ClosedStage, Pair, RunError, Stage, await_first_commit, drain};
use crate::safety::{Claims, Registers};
use crate::scenario::{Phase, PhaseKind, Scenario};
use crate::stats::bootstrap_interval;

/// Load before anyone watches.
const WARM_UP: Duration = Duration::from_millis(500);
/// Commands of the round that shows that the cluster works.
const PROBE_COMMANDS: u64 = 100;
/// A closed loop is watched in so many rounds, the blocks of its statistics.
const ROUNDS: f64 = 12.0;
/// A round has so many commands per client at least: its end, when clients fall idle, must not weigh.
const COMMANDS_PER_CLIENT: u64 = 4;
/// A round may take this long before the cluster counts as hung.
const ROUND_LIMIT: Duration = Duration::from_secs(60);
/// Whoever watches may take this long to make something of what was seen.
const STOP_LIMIT: Duration = Duration::from_secs(120);
/// A process that spent this little CPU time gave too few samples, at the slowest usual clock tick of 100 Hz.
const ENOUGH_CPU_NS: u64 = 1_200_000_000;
/// Then the load goes on, for so many times as long at most.
const LONGEST: u32 = 5;
const RESAMPLES: usize = 200;

/// What the load did while it was watched.
#[derive(Clone, Debug)]
pub struct LoadRecord {
    /// Commands committed.
    pub commits: u64,
    /// CPU time of the process per commit, in nanoseconds; none where the system does not tell.
    pub cpu_ns_per_commit: Option<Bounded>,
    /// Where requests spent their time; none when none was acknowledged.
    pub waits: Option<Waits>,
    /// What the runtime of the cluster's thread did.
    pub runtime: Option<RuntimeUse>,
    /// Why times are not to be trusted, as far as the load can tell.
    pub disturbed: Vec<String>,
}

/// Puts a load on the pair's cluster; once it is warm, `start` is called, and after `time` `stop` with what that
/// returned. A load that leaves the processor idle goes on for up to five times as long, for its samples would be
/// too few. Logs are kept below `folder` meanwhile. Nothing is returned of a run that was not safe.
pub fn run_load<W: 'static, S: Send + 'static>(
    pair: &Pair,
    load: ProfiledLoad,
    time: Duration,
    folder: &Path,
    start: impl FnOnce() -> Result<W, ProfileError> + Send + 'static,
    stop: impl FnOnce(W) -> Result<S, ProfileError> + Send + 'static,
) -> Result<(LoadRecord, S), ProfileError> {
    match load {
        ProfiledLoad::Open { rate_per_s } => open_loop(pair, rate_per_s, time, folder, start, stop),
        ProfiledLoad::Closed { clients } => closed_loop(pair, clients, time, folder, start, stop),
        ProfiledLoad::Other => closed_loop(pair, pair.scenario.clients, time, folder, start, stop),
    }
}

fn closed_loop<W, S>(
    pair: &Pair,
    clients: usize,
    time: Duration,
    folder: &Path,
    start: impl FnOnce() -> Result<W, ProfileError>,
    stop: impl FnOnce(W) -> Result<S, ProfileError>,
) -> Result<(LoadRecord, S), ProfileError> {
    let closed = ClosedStage::launch(pair, &pair.scenario, folder)?;
    closed.round(1, PROBE_COMMANDS, pair.limits.start)?;
    let per_s = warm_up(&closed, clients)?;
    let least = clients as u64 * COMMANDS_PER_CLIENT;
    let commands = ((per_s * time.as_secs_f64() / ROUNDS) as u64).max(least);

    let runtime = closed.stage().runtime().clone();
    closed.watch_spans();
    let look = RuntimeLook::at(&runtime);
    let watcher = start()?;
    let length = Length::from_now(time);
    let mut blocks = Vec::new();
    let mut service_ns = 0_u64;
    while !length.is_over() {
        let before = CpuTimes::now();
        let took = closed.round(clients, commands, ROUND_LIMIT)?;
        let cpu = CpuTimes::now().zip(before).map(|(now, before)| now - before);
        blocks.push((cpu.map(|cpu| cpu.process_ns), commands));
        // Each client always has one request under way.
        service_ns = service_ns.saturating_add(took.as_nanos() as u64 * (clients as u64).min(commands));
    }
    let commits = blocks.iter().map(|block| block.1).sum();
    let runtime = look.until_now(&runtime, Some(commits));
    let seen = stop(watcher)?;
    let mut spans = closed.take_spans().unwrap_or_default();
    spans.add_service_ns(service_ns);
    safe(&closed.check()?)?;
    Ok((record(pair, &blocks, &spans, runtime, Vec::new()), seen))
}

/// Rounds without anyone who watches; commits per second in the last of them.
fn warm_up(closed: &ClosedStage, clients: usize) -> Result<f64, ProfileError> {
    let started = Instant::now();
    let mut commands = clients as u64 * COMMANDS_PER_CLIENT;
    loop {
        let took = closed.round(clients, commands, ROUND_LIMIT)?;
        let per_s = commands as f64 / took.as_secs_f64().max(1e-9);
        if started.elapsed() >= WARM_UP || interrupt::requested() {
            return Ok(per_s);
        }
        // At most doubled, so that a lucky first round does not make the next too long.
        commands = commands.saturating_mul(2).min((per_s * WARM_UP.as_secs_f64() / 2.0) as u64).max(commands);
    }
}

fn open_loop<W: 'static, S: Send + 'static>(
    pair: &Pair,
    rate_per_s: f64,
    time: Duration,
    folder: &Path,
    start: impl FnOnce() -> Result<W, ProfileError> + Send + 'static,
    stop: impl FnOnce(W) -> Result<S, ProfileError> + Send + 'static,
) -> Result<(LoadRecord, S), ProfileError> {
    let stage = Stage::launch(pair, &pair.scenario, folder)?;
    let runtime = stage.runtime().clone();
    let (scenario, registers, limit) = (pair.scenario.clone(), pair.registers()?, pair.limits.start);
    let load = stage.start_load(move |cluster| {
        let open = Open::start(cluster, scenario, registers, limit)?;
        open.phase(PhaseKind::WarmUp, rate_per_s, WARM_UP, 0);
        let look = RuntimeLook::at(&runtime);
        let watcher = match start() {
            Ok(watcher) => watcher,
            Err(error) => return Ok((Err(error), open.book)),
        };
        let length = Length::from_now(time);
        let mut measured = open.phase(PhaseKind::Steady, rate_per_s, time, 1);
        while !length.is_over() {
            let more = open.phase(PhaseKind::Steady, rate_per_s, time, 1 + measured.intervals.len() as u64);
            append(&mut measured, more);
        }
        let commits = measured.intervals.iter().map(|block| block.recorder.succeeded).sum();
        let runtime = look.until_now(&runtime, Some(commits));
        let seen = stop(watcher);
        drain(&open.pacer, &open.book);
        measured.tail = Some(open.book.turn(Recorder::new(open.scenario.timeout())));
        Ok((seen.map(|seen| (measured, runtime, seen)), open.book))
    })?;
    let limits = pair.limits.start + pair.limits.grace + pair.scenario.timeout() * 2;
    let (seen, book) = load
        .wait(2 * (time * LONGEST + WARM_UP) + limits + STOP_LIMIT)
        .map_err(|error| stage.cause_of(error))?;
    let mut safety =
        stage.check(Claims { submitted: book.submitted(), acknowledged: book.acknowledged() })?;
    if let Some(registers) = book.take_registers() {
        registers.judge(&mut safety);
    }
    safe(&safety)?;
    if let Some(stopped) = stage.replica_stopped() {
        return Err(stopped.into());
    }
    let (measured, runtime, seen) = seen?;
    Ok((record_of_phase(pair, &measured, runtime), seen))
}

/// How long a load is watched.
struct Length {
    started: Instant,
    cpu: Option<CpuTimes>,
    time: Duration,
}

impl Length {
    fn from_now(time: Duration) -> Length {
        Length { started: Instant::now(), cpu: CpuTimes::now(), time }
    }

    fn is_over(&self) -> bool {
        let elapsed = self.started.elapsed();
        let spent = CpuTimes::now().zip(self.cpu).map(|(now, before)| (now - before).process_ns);
        let is_enough = elapsed >= self.time && spent.is_none_or(|spent| spent >= ENOUGH_CPU_NS);
        is_enough || elapsed >= self.time * LONGEST || interrupt::requested()
    }
}

/// One record of two phases with the same rate.
fn append(record: &mut PhaseRecord, more: PhaseRecord) {
    record.intervals.extend(more.intervals);
    // Both have the bounds of one recorder.
    record.lateness.add(&more.lateness).ok();
    let delays = record.run_delay_ratio.zip(more.run_delay_ratio);
    record.run_delay_ratio = delays.map(|(before, after)| before.max(after));
}

/// The open loop on its thread.
struct Open {
    cluster: Arc<dyn Cluster>,
    scenario: Scenario,
    pacer: Pacer,
    book: Arc<Book>,
    payload: Vec<u8>,
    progress: Progress,
}

impl Open {
    fn start(
        cluster: &Arc<dyn Cluster>,
        scenario: Scenario,
        registers: Option<Registers>,
        limit: Duration,
    ) -> Result<Open, RunError> {
        let pacer = Pacer::start();
        keep_to_cores_of(Side::Generator);
        let book = Book::new(pacer.epoch(), scenario.timeout(), scenario.max_in_flight).watched(registers);
        let (book, payload) = (Arc::new(book), vec![0x5A; scenario.payload_bytes]);
        await_first_commit(&pacer, cluster, &book, &payload, limit)?;
        Ok(Open { cluster: cluster.clone(), scenario, pacer, book, payload, progress: Progress::default() })
    }

    fn phase(&self, kind: PhaseKind, rate_per_s: f64, time: Duration, index: u64) -> PhaseRecord {
        let load = OpenLoop {
            cluster: &self.cluster,
            book: &self.book,
            arrivals: self.scenario.arrivals,
            payload: &self.payload,
            timeout: self.scenario.timeout(),
            // Phases must not repeat each other's arrivals.
            seed: self.scenario.seed.wrapping_add(index << 32),
            progress: &self.progress,
        };
        let phase = Phase { kind, duration_s: time.as_secs_f64(), requests: None, rate_per_s, ramp: None };
        run_phase(&self.pacer, &load, &phase)
    }
}

fn record_of_phase(pair: &Pair, phase: &PhaseRecord, runtime: Option<RuntimeUse>) -> LoadRecord {
    let block =
        |block: &crate::load::IntervalRecord| (block.cpu.map(|cpu| cpu.process_ns), block.recorder.succeeded);
    let blocks: Vec<_> = phase.intervals.iter().map(block).collect();
    let mut spans = SpanTotals::default();
    for recorder in phase.intervals.iter().map(|block| &block.recorder).chain(&phase.tail) {
        spans.include(recorder.succeeded, recorder.service_total_ns, &recorder.parts);
    }
    let floors = (pair.protocol.descriptor().floors)(pair.scenario.replicas);
    let disturbed = disturbances(&phase_metrics(phase, floors, pair.scenario.seed));
    record(pair, &blocks, &spans, runtime, disturbed)
}

/// From blocks of CPU time in nanoseconds and commits.
fn record(
    pair: &Pair,
    blocks: &[(Option<u64>, u64)],
    spans: &SpanTotals,
    runtime: Option<RuntimeUse>,
    disturbed: Vec<String>,
) -> LoadRecord {
    let cpu_ns_per_commit = cpu_per_commit(blocks, pair.scenario.seed);
    let network = &pair.scenario.network;
    let round_trip_ns = 2.0 * (network.delay_ms + network.jitter_ms / 2.0) * 1e6;
    LoadRecord {
        commits: blocks.iter().map(|block| block.1).sum(),
        cpu_ns_per_commit,
        waits: Waits::of(spans, round_trip_ns, cpu_ns_per_commit.map(|cpu| cpu.value)),
        runtime,
        disturbed,
    }
}

fn cpu_per_commit(blocks: &[(Option<u64>, u64)], seed: u64) -> Option<Bounded> {
    let known: Option<Vec<(u64, u64)>> = blocks.iter().map(|&(cpu, commits)| Some((cpu?, commits))).collect();
    let known = known?;
    let ratio = |blocks: &[&(u64, u64)]| {
        let (cpu, commits) = blocks.iter().fold((0, 0), |sum, block| (sum.0 + block.0, sum.1 + block.1));
        cpu as f64 / commits as f64
    };
    let value = ratio(&known.iter().collect::<Vec<_>>());
    let ends = bootstrap_interval(&known, RESAMPLES, seed, ratio).unwrap_or((value, value));
    let bounded = Bounded { value, lower: ends.0.min(value), upper: ends.1.max(value) };
    [bounded.value, bounded.upper].iter().all(|end| end.is_finite()).then_some(bounded)
}

fn safe(safety: &Safety) -> Result<(), RunError> {
    if safety.violations.is_empty() { Ok(()) } else { Err(RunError::Unsafe(safety.violations.join("; "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_per_commit_is_a_ratio_of_sums_with_the_interval_of_its_blocks() {
        let blocks = [(Some(1_000), 10), (Some(3_000), 10), (Some(2_000), 20)];
        let bounded = cpu_per_commit(&blocks, 1).unwrap();
        assert_eq!(bounded.value, 150.0);
        assert!(
            bounded.lower < 150.0
                && bounded.upper > 150.0
                && bounded.lower >= 100.0
                && bounded.upper <= 300.0
        );
        assert_eq!(cpu_per_commit(&[(Some(500), 5)], 1), Some(Bounded::exactly(100.0)));
        assert_eq!(cpu_per_commit(&[(Some(500), 0)], 1), None);
        assert_eq!(cpu_per_commit(&[(None, 5)], 1), None);
    }
}
