//! Phases of open-loop load on one cluster, and the search for the knee behind them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol_core::{Answers, Cluster, Command, Floors, Reply, Request};

use super::knee::{self, Verdict};
use super::stage::Stage;
use super::{Pair, RunError};
use crate::advice::bottlenecks;
use crate::histogram_log;
use crate::host::HostError;
use crate::interrupt;
use crate::load::{Book, OpenLoop, Pacer, PhaseRecord, Recorder, run_phase};
use crate::machine::{Side, keep_to_cores_of};
use crate::measure::{
    Steadiness, conduct_of_phase, derived_metrics, disturbances, interval, latency_metrics, phase_metrics,
};
use crate::progress::Progress;
use crate::resources::{Sampler, memory_growth, resource_metrics, within};
use crate::results::{
    CurvePoint, Knee, Metric, Outcome, PhaseResult, ResourceSample, ResourceUse, ScenarioResult,
};
use crate::safety::{Claims, Registers};
use crate::scenario::{KneeSearch, Measure, Phase, PhaseKind, Ramp, Scenario};

/// How long a first command is waited for before another is sent.
const FIRST_COMMANDS_APART: Duration = Duration::from_secs(1);
/// How often what the run takes is sampled.
const SAMPLE_EVERY: Duration = Duration::from_millis(50);

/// Rates that are probed besides those of the search, as shares of the knee: the curve below it.
const CURVE_SHARES: [f64; 4] = [0.1, 0.25, 0.5, 0.75];

/// Runs the scenario's phases, and fills the result with what came of them.
pub(super) fn run(
    pair: &Pair,
    folder: &Path,
    progress: &Progress,
    result: &mut ScenarioResult,
) -> Result<(), RunError> {
    let stage = Stage::launch(pair, &pair.scenario, folder)?;
    result.fsync = stage.fsync();
    let (scenario, start, progress) = (pair.scenario.clone(), pair.limits.start, progress.clone());
    let registers = pair.registers()?;
    let load = stage.start_load(move |cluster| drive(cluster, &scenario, registers, start, &progress))?;
    let load = load.wait(limit(pair)).map_err(|error| stage.cause_of(error))?;
    result.safety = stage.check(load.claims())?;
    if let Some(registers) = load.book.take_registers() {
        registers.judge(&mut result.safety);
    }
    let stopped = stage.replica_stopped();
    drop(stage);
    match stopped {
        Some(stopped) if result.safety.violations.is_empty() => Err(stopped),
        _ => report(pair, load, folder, result),
    }
}

/// How long the load may take before it counts as hung. A generator that can't keep up takes up to
/// twice the time.
fn limit(pair: &Pair) -> Duration {
    let planned: f64 = pair.scenario.phases.iter().map(|phase| phase.duration_s).sum();
    let search = match &pair.scenario.measure {
        Measure::Throughput(search) => 2.0 * search.longest_s(pair.scenario.timeout().as_secs_f64()),
        _ => 0.0,
    };
    Duration::from_secs_f64(2.0 * planned + search)
        + pair.scenario.timeout() * 2
        + pair.limits.start
        + pair.limits.grace
}

struct LoadRecord {
    book: Arc<Book>,
    phases: Vec<(PhaseKind, PhaseRecord)>,
    knee: Option<(Knee, Vec<CurvePoint>)>,
    /// What the run took from the machine; empty when it was not sampled.
    samples: Vec<ResourceSample>,
}

impl LoadRecord {
    fn claims(&self) -> Claims {
        Claims { submitted: self.book.submitted(), acknowledged: self.book.acknowledged() }
    }
}

/// Everything that the load does, on its own thread.
fn drive(
    cluster: &Arc<dyn Cluster>,
    scenario: &Scenario,
    registers: Option<Registers>,
    start_limit: Duration,
    progress: &Progress,
) -> Result<LoadRecord, RunError> {
    let pacer = Pacer::start();
    // Before this thread keeps to its core: the sampler would inherit that.
    let sampler = sampler(cluster, scenario, pacer.epoch())?;
    keep_to_cores_of(Side::Generator);
    let book = Book::new(pacer.epoch(), scenario.timeout(), scenario.max_in_flight).watched(registers);
    let book = Arc::new(book);
    let payload = vec![0x5A; scenario.payload_bytes];
    await_first_commit(&pacer, cluster, &book, &payload, start_limit)?;
    let load = |seed_offset: u64| OpenLoop {
        cluster,
        book: &book,
        arrivals: scenario.arrivals,
        payload: &payload,
        timeout: scenario.timeout(),
        // Phases must not repeat each other's arrivals.
        seed: scenario.seed.wrapping_add(seed_offset << 32),
        progress,
    };
    let mut phases = Vec::with_capacity(scenario.phases.len());
    for (index, phase) in scenario.phases.iter().enumerate() {
        if interrupt::requested() {
            break;
        }
        phases.push((phase.kind, run_phase(&pacer, &load(index as u64), phase)));
    }
    drain(&pacer, &book);
    if let Some((_, last)) = phases.last_mut() {
        last.tail = Some(book.turn(Recorder::new(scenario.timeout())));
    }
    let knee = match &scenario.measure {
        Measure::Throughput(search) => {
            let first_seed = scenario.phases.len() as u64;
            Some(find_knee(&pacer, scenario, search, |probe| load(first_seed + probe)))
        }
        _ => None,
    };
    Ok(LoadRecord { book, phases, knee, samples: sampler.map(Sampler::stop).unwrap_or_default() })
}

/// Samples what the run takes, where that is what the scenario is about: it costs little, but under a
/// low load not little in comparison.
fn sampler(
    cluster: &Arc<dyn Cluster>,
    scenario: &Scenario,
    epoch: Instant,
) -> Result<Option<Sampler>, RunError> {
    if !matches!(scenario.measure, Measure::Resources | Measure::Throughput(_)) {
        return Ok(None);
    }
    let cluster = cluster.clone();
    let totals = move || cluster.observe().total();
    Ok(Some(Sampler::start(epoch, SAMPLE_EVERY, totals).map_err(HostError::Thread)?))
}

/// Sends one command after the other until one is acknowledged: then there is a leader. Gossip may lose the first for
/// good, so none is waited for to the end.
pub(crate) fn await_first_commit(
    pacer: &Pacer,
    cluster: &Arc<dyn Cluster>,
    book: &Arc<Book>,
    payload: &[u8],
    limit: Duration,
) -> Result<(), RunError> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        let now = pacer.now_ns();
        if let Some(id) = book.send(now, now) {
            let answers: Arc<dyn Answers> = book.clone();
            let command = Command::new(id, payload);
            cluster.submit(Request::new(command, Instant::now(), deadline, Reply::new(id, answers)));
        }
        let next = deadline.min(Instant::now() + FIRST_COMMANDS_APART);
        while book.open() > 0 && book.counts().1 == 0 && Instant::now() < next {
            pacer.sleep_until(pacer.now_ns() + 200_000);
        }
        if book.counts().1 > 0 {
            return Ok(());
        }
    }
    Err(RunError::NoFirstCommit(limit))
}

/// Waits until every request ended, by an answer or its time-out.
pub(crate) fn drain(pacer: &Pacer, book: &Book) {
    while book.open() > 0 {
        pacer.sleep_until(pacer.now_ns() + 1_000_000);
        book.give_up_overdue();
    }
}

/// Searches for the knee, and draws the curve below it.
fn find_knee<'a>(
    pacer: &Pacer,
    scenario: &Scenario,
    search: &KneeSearch,
    load: impl Fn(u64) -> OpenLoop<'a>,
) -> (Knee, Vec<CurvePoint>) {
    let mut curve: Vec<CurvePoint> = Vec::new();
    let mut probe = |rate: f64, confirming: bool| {
        if interrupt::requested() {
            return None;
        }
        let load = load(curve.len() as u64);
        let duration_s = if confirming { search.confirm_s } else { search.probe_s };
        // In one piece: nothing is told about parts of a probe, and each would end a little late.
        let whole = Some(Ramp { increment_per_s: 0.0, interval_s: duration_s });
        let phase =
            Phase { kind: PhaseKind::Stress, duration_s, requests: None, rate_per_s: rate, ramp: whole };
        let mut record = run_phase(pacer, &load, &phase);
        // The next probe must find the system idle.
        drain(pacer, load.book);
        record.tail = Some(load.book.turn(Recorder::new(load.timeout)));
        let point = probe_point(&record, rate, confirming, scenario);
        curve.push(point);
        Some(match point {
            CurvePoint { generator_kept_up: false, .. } => Verdict::NotSent,
            CurvePoint { held: true, .. } => Verdict::Held,
            _ => Verdict::Broke,
        })
    };
    let bracket = knee::find(search, &mut probe);
    if let Some(held) = bracket.held {
        for share in CURVE_SHARES {
            probe((held * share).max(1.0), false);
        }
    }
    curve.sort_by(|a, b| a.offered_per_s.total_cmp(&b.offered_per_s));
    let knee = Knee {
        target_p99_ms: scenario.target.response_p99_ms,
        target_success: scenario.target.success,
        sustainable_per_s: bracket.held,
        broke_at_per_s: bracket.broke,
        limit: bracket.limit,
    };
    (knee, curve)
}

fn probe_point(record: &PhaseRecord, rate: f64, confirming: bool, scenario: &Scenario) -> CurvePoint {
    let steadiness = Steadiness::of(record);
    CurvePoint {
        offered_per_s: rate,
        achieved_per_s: steadiness.achieved_per_s,
        success: steadiness.success_within,
        p50_ns: steadiness.p50_ns,
        p99_ns: steadiness.p99_ns,
        held: scenario.target.holds(steadiness.p99_ns, steadiness.success_within),
        generator_kept_up: steadiness.generator_kept_up,
        confirming,
    }
}

fn report(pair: &Pair, load: LoadRecord, folder: &Path, result: &mut ScenarioResult) -> Result<(), RunError> {
    if interrupt::requested() {
        result.outcome = Outcome::Interrupted;
    }
    if !result.safety.violations.is_empty() {
        return Ok(());
    }
    let scenario = &pair.scenario;
    let floors = (pair.protocol.descriptor().floors)(scenario.replicas);
    let measured = scenario.measured_phase();
    for (index, (kind, record)) in load.phases.iter().enumerate() {
        let name = format!("{}.{}.{index}-{}.hlog", scenario.name, result.protocol, kind.name());
        histogram_log::write(&folder.join(&name), record)?;
        result.phases.push(phase_result(*kind, record, floors, scenario, name));
        if Some(index) == measured {
            let metrics = result.phases[index].metrics.clone();
            result.disturbed = disturbances(&metrics);
            result.metrics.extend(metrics);
            result.metrics.extend(latency_metrics(record, scenario.seed));
            result.conduct = conduct_of_phase(record, scenario, &floors, pair.timing());
            result.resources = resource_use(scenario, record, &load.samples, &mut result.metrics);
        }
    }
    derived_metrics(scenario, load.knee, result);
    let found = bottlenecks(result, Some(&pair.protocol.descriptor()));
    if let Some(resources) = &mut result.resources {
        resources.bottlenecks = found;
    }
    Ok(())
}

/// What the phase took, as samples and metrics; none when it was not sampled.
fn resource_use(
    scenario: &Scenario,
    record: &PhaseRecord,
    samples: &[ResourceSample],
    metrics: &mut Vec<Metric>,
) -> Option<ResourceUse> {
    let (first, last) = (record.intervals.first()?, record.intervals.last()?);
    let (from_s, until_s) = (first.start_ns as f64 / 1e9, (last.start_ns + last.duration_ns) as f64 / 1e9);
    let samples = within(samples, from_s, until_s);
    if samples.is_empty() {
        return None;
    }
    metrics.extend(resource_metrics(samples, scenario.seed));
    Some(ResourceUse {
        samples: samples.to_vec(),
        memory_growth_of: memory_growth(samples).map(|growth| growth.of),
        bottlenecks: Vec::new(),
    })
}

fn phase_result(
    kind: PhaseKind,
    record: &PhaseRecord,
    floors: Floors,
    scenario: &Scenario,
    log_name: String,
) -> PhaseResult {
    let start_ns = record.intervals.first().map_or(0, |first| first.start_ns);
    PhaseResult {
        phase: kind,
        duration_s: record.intervals.iter().map(|block| block.duration_ns as f64 / 1e9).sum(),
        intervals: record.intervals.iter().map(|block| interval(block, start_ns)).collect(),
        metrics: phase_metrics(record, floors, scenario.seed),
        histograms: histogram_log::TAGS.map(|tag| (tag.into(), log_name.clone())).into(),
    }
}
