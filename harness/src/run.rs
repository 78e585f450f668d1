//! One protocol under one scenario: launch, phases, drain, safety check, numbers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use protocol_core::{
    Answers, Cluster, Command, Descriptor, LaunchError, LaunchSpec, Protocol, Reply, Request, Settings,
    StorageSpec,
};
use thiserror::Error;

use crate::histogram_log::{self, LogError};
use crate::host::{Host, HostError};
use crate::interrupt;
use crate::load::{Book, OpenLoop, Pacer, PhaseRecord, Recorder, run_phase};
use crate::machine::{Side, calibrate_fsync, keep_to_cores_of};
use crate::measure::{disturbances, interval, phase_metrics};
use crate::results::{Outcome, PhaseResult, Safety, ScenarioResult, TimingUsed};
use crate::safety::{Claims, settle_and_check, stopped};
use crate::scenario::{PhaseKind, Scenario, StorageConfig};

/// How long a cluster may go without a sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For the launch, and then for the first commit.
    pub start: Duration,
    /// For replicas that are behind to catch up after the last request.
    pub settle: Duration,
    /// For anything else, beyond the time that it should take, before it counts as hung.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let ten = Duration::from_secs(10);
        Limits { start: ten, settle: ten, grace: ten }
    }
}

/// Why a pair did not run to its end.
#[derive(Debug, Error)]
pub enum RunError {
    /// The cluster did not do what it was asked.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Settings that the protocol does not have or allow.
    #[error(transparent)]
    Settings(#[from] LaunchError),
    /// Nothing was committed.
    #[error("no command was acknowledged within {0:?} of the launch")]
    NoFirstCommit(Duration),
    /// The histograms were not written.
    #[error("histograms: {0}")]
    Histograms(#[from] LogError),
    /// A replica gave up.
    #[error("{0}")]
    ReplicaStopped(String),
    /// The load did not end: the cluster blocks whoever submits.
    #[error("the load did not end within {0:?}: submitting blocks")]
    LoadHung(Duration),
    /// The system refused a file or a thread.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What for.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
}

/// What to run.
pub struct Pair {
    /// The protocol.
    pub protocol: Arc<dyn Protocol>,
    /// The scenario.
    pub scenario: Scenario,
    /// Values for the protocol's tunables.
    pub settings: BTreeMap<String, f64>,
    /// How long to wait for it.
    pub limits: Limits,
}

impl Pair {
    /// Runs the pair; histograms and logs go to `folder`. Whatever fails is in the outcome.
    pub fn run(&self, folder: &Path) -> ScenarioResult {
        let mut result = self.blank();
        if let Err(error) = self.fill(folder, &mut result) {
            result.outcome = Outcome::Failed { reason: error.to_string() };
            result.metrics.clear();
        }
        result
    }

    /// The spec to launch with, with logs in `folder` when there are any.
    pub fn launch_spec(&self, folder: &Path) -> Result<LaunchSpec, RunError> {
        let storage = match self.scenario.storage {
            StorageConfig::Memory => StorageSpec::Memory,
            StorageConfig::Wal => StorageSpec::Wal { folder: folder.into() },
        };
        Ok(LaunchSpec {
            replicas: self.scenario.replicas,
            network: self.scenario.network_spec(),
            storage,
            timing: self.scenario.timing(),
            settings: Settings::checked(self.settings.clone(), &self.protocol.descriptor())?,
            seed: self.scenario.seed,
        })
    }

    fn blank(&self) -> ScenarioResult {
        let Descriptor { name, family, implementation, commit_means, .. } = self.protocol.descriptor();
        let timing = self.scenario.timing();
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        ScenarioResult {
            protocol: name.into(),
            implementation: implementation.into(),
            family: family.name().into(),
            commit_means: commit_means.into(),
            scenario: self.scenario.clone(),
            settings: self.settings.clone(),
            timing: TimingUsed {
                heartbeat_ms: millis(timing.heartbeat),
                election_min_ms: millis(timing.election_min),
                election_max_ms: millis(timing.election_max),
            },
            outcome: Outcome::Completed,
            disturbed: Vec::new(),
            safety: Safety::default(),
            metrics: Vec::new(),
            phases: Vec::new(),
            fsync: None,
            throughput: None,
            scalability: None,
            faults: Vec::new(),
            resources: None,
        }
    }

    fn fill(&self, folder: &Path, result: &mut ScenarioResult) -> Result<(), RunError> {
        let io = |what, path: &Path| {
            let path = path.to_path_buf();
            move |source| RunError::Io { what, path, source }
        };
        let logs = tempfile::Builder::new()
            .prefix("logs-")
            .tempdir_in(folder)
            .map_err(io("folder for logs in", folder))?;
        if self.scenario.storage == StorageConfig::Wal {
            result.fsync = Some(calibrate_fsync(logs.path()).map_err(io("fsync in", logs.path()))?);
        }
        let host = Host::launch(self.protocol.clone(), self.launch_spec(logs.path())?, self.limits.start)?;
        let load = self.run_load(&host).map_err(|error| {
            // A replica that gave up is the cause, whatever the load noticed of it.
            stopped(&host.cluster().observe()).map_or(error, RunError::ReplicaStopped)
        })?;
        let claims = Claims { submitted: load.book.submitted(), acknowledged: load.book.acknowledged() };
        let check = settle_and_check(host.cluster().clone(), claims, self.limits.settle);
        result.safety = host.call("safety check", self.limits.settle + self.limits.grace, check)?;
        let stopped = stopped(&host.cluster().observe());
        drop(host);
        if let (Some(stopped), true) = (stopped, result.safety.violations.is_empty()) {
            return Err(RunError::ReplicaStopped(stopped));
        }
        self.report(load, folder, result)
    }

    /// Runs all phases on a thread of their own, and waits for them no longer than they may take.
    fn run_load(&self, host: &Host) -> Result<LoadRecord, RunError> {
        let planned: f64 = self.scenario.phases.iter().map(|phase| phase.duration_s).sum();
        // A generator that can't keep up takes up to twice the time.
        let limit = Duration::from_secs_f64(planned * 2.0)
            + self.scenario.timeout() * 2
            + self.limits.start
            + self.limits.grace;
        let (sender, receiver) = sync_channel(1);
        let (cluster, scenario, start) = (host.cluster().clone(), self.scenario.clone(), self.limits.start);
        std::thread::Builder::new()
            .name("load".into())
            .spawn(move || sender.send(drive(&cluster, &scenario, start)).ok())
            .map_err(HostError::Thread)?;
        match receiver.recv_timeout(limit) {
            Ok(record) => record,
            Err(RecvTimeoutError::Timeout) => Err(RunError::LoadHung(limit)),
            Err(RecvTimeoutError::Disconnected) => Err(HostError::Panicked { what: "load" }.into()),
        }
    }

    fn report(&self, load: LoadRecord, folder: &Path, result: &mut ScenarioResult) -> Result<(), RunError> {
        if interrupt::requested() {
            result.outcome = Outcome::Interrupted;
        }
        if !result.safety.violations.is_empty() {
            result.outcome = Outcome::Unsafe;
            return Ok(());
        }
        let floors = (self.protocol.descriptor().floors)(self.scenario.replicas);
        let measured = self.scenario.measured_phase();
        for (index, (kind, record)) in load.phases.iter().enumerate() {
            let name = format!("{}.{}.{index}-{}.hlog", self.scenario.name, result.protocol, kind.name());
            histogram_log::write(&folder.join(&name), record)?;
            let start_ns = record.intervals.first().map_or(0, |first| first.start_ns);
            let phase = PhaseResult {
                phase: *kind,
                duration_s: record.intervals.iter().map(|block| block.duration_ns as f64 / 1e9).sum(),
                intervals: record.intervals.iter().map(|block| interval(block, start_ns)).collect(),
                metrics: phase_metrics(record, floors, self.scenario.seed),
                histograms: histogram_log::TAGS.map(|tag| (tag.into(), name.clone())).into(),
            };
            if Some(index) == measured {
                result.metrics = phase.metrics.clone();
                result.disturbed = disturbances(&phase.metrics);
            }
            result.phases.push(phase);
        }
        Ok(())
    }
}

struct LoadRecord {
    book: Arc<Book>,
    phases: Vec<(PhaseKind, PhaseRecord)>,
}

/// Everything that the load does, on its own thread.
fn drive(
    cluster: &Arc<dyn Cluster>,
    scenario: &Scenario,
    start_limit: Duration,
) -> Result<LoadRecord, RunError> {
    keep_to_cores_of(Side::Generator);
    let pacer = Pacer::start();
    let book = Arc::new(Book::new(pacer.epoch(), scenario.timeout(), scenario.max_in_flight));
    let payload = vec![0x5A; scenario.payload_bytes];
    await_first_commit(&pacer, cluster, &book, &payload, start_limit)?;
    let mut phases = Vec::with_capacity(scenario.phases.len());
    for (index, phase) in scenario.phases.iter().enumerate() {
        if interrupt::requested() {
            break;
        }
        let load = OpenLoop {
            cluster,
            book: &book,
            arrivals: scenario.arrivals,
            payload: &payload,
            timeout: scenario.timeout(),
            // Phases must not repeat each other's arrivals.
            seed: scenario.seed.wrapping_add((index as u64) << 32),
        };
        phases.push((phase.kind, run_phase(&pacer, &load, phase)));
    }
    drain(&pacer, &book);
    if let Some((_, last)) = phases.last_mut() {
        last.tail = Some(book.turn(Recorder::new(scenario.timeout())));
    }
    Ok(LoadRecord { book, phases })
}

/// Sends one command after the other until one is acknowledged: then there is a leader.
fn await_first_commit(
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
            cluster.submit(Request {
                command: Command::new(id, payload),
                sent: Instant::now(),
                deadline,
                reply: Reply::new(id, answers),
            });
        }
        while book.open() > 0 && Instant::now() < deadline {
            pacer.sleep_until(pacer.now_ns() + 200_000);
        }
        if book.counts().1 > 0 {
            return Ok(());
        }
    }
    Err(RunError::NoFirstCommit(limit))
}

/// Waits until every request ended, by an answer or its time-out.
fn drain(pacer: &Pacer, book: &Book) {
    while book.open() > 0 {
        pacer.sleep_until(pacer.now_ns() + 1_000_000);
        book.give_up_overdue();
    }
}
