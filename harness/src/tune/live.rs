//! Live mode: one cluster, one load, and a tunable that is changed while it runs.

use std::fmt::{Display, Formatter};

use protocol_core::Tunable;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::aimd::{Aimd, settled};
use super::{SpaceError, TuneError};
use crate::run::{LiveInterval, LiveLoad, RunError, live_real, live_virtual};
use crate::trial::{LoadKind, P99Target, SettingValues, Trial, TrialError, simulation_of};

/// How far above the value at the start the tunable may go, when the start is no zero.
const MOST_TIMES: f64 = 64.0;
/// And when it is.
const MOST_ABOVE_ZERO: f64 = 20_000.0;

/// How to adapt.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Which tunable; the first that changes live when none is named.
    pub tunable: Option<String>,
    /// What has to hold.
    pub target: P99Target,
    /// Intervals, after each of which the value may change.
    pub intervals: usize,
    /// Length of an interval in seconds.
    pub interval_s: f64,
}

/// A run whose tunable followed a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LiveRun {
    /// Protocol.
    pub protocol: String,
    /// Scenario.
    pub scenario: String,
    /// Where the cluster ran and how large it was: `wan5, 5 replicas`.
    pub place: String,
    /// The tunable that was adapted.
    pub tunable: String,
    /// What had to hold.
    pub target: String,
    /// The intervals, in order.
    pub intervals: Vec<LiveInterval>,
    /// Whether the values of the last third of the intervals lie within what a cut and the increases after it
    /// explain, a factor of 1.8.
    pub settled: bool,
    /// Share of the last third's intervals in which the target held.
    pub held: f64,
}

/// Runs the scenario's load at its rate, and adapts a tunable to the target after every interval: more while it
/// holds, less when it breaks.
pub fn live(trial: &Trial, options: &LiveOptions) -> Result<LiveRun, TuneError> {
    let LoadKind::Open { rate_per_s } = trial.load else {
        let why = "live mode needs an offered rate: name one with `--rate-per-s`".to_string();
        return Err(TrialError::Unsuitable(why).into());
    };
    trial.check()?;
    trial.check_settings(&SettingValues::new()).map_err(TrialError::Base)?;
    let tunable = tunable(trial, options.tunable.as_deref())?;
    let start = trial.in_force(&SettingValues::new(), tunable.name).unwrap_or(tunable.default);
    let most = if start > 0.0 { start * MOST_TIMES } else { MOST_ABOVE_ZERO };
    let mut controller = Aimd::new(&tunable, start, most);
    let limit = options.target.below_ns;
    let load = LiveLoad {
        tunable: tunable.name,
        start: controller.value(),
        rate_per_s,
        intervals: options.intervals,
        interval_s: options.interval_s,
    };
    let mut adapt = move |interval: &LiveInterval| controller.next(interval.holds(limit));
    let intervals = if trial.is_virtual() {
        let spec = simulation_of(trial, trial.pair.scenario.seed)?;
        live_virtual(&trial.pair, &spec, &load, &mut adapt)?
    } else {
        let folder = tempfile::tempdir().map_err(TrialError::Folder)?;
        live_real(&trial.pair, &load, folder.path(), Box::new(adapt))?
    };
    let values: Vec<f64> = intervals.iter().map(|interval| interval.value).collect();
    let last = &intervals[intervals.len() - intervals.len() / 3..];
    let held = last.iter().filter(|interval| interval.holds(limit)).count();
    Ok(LiveRun {
        protocol: trial.pair.name.clone(),
        scenario: trial.pair.scenario.name.clone(),
        place: trial.place(),
        tunable: tunable.name.into(),
        target: options.target.to_string(),
        settled: settled(&values),
        held: held as f64 / last.len().max(1) as f64,
        intervals,
    })
}

fn tunable(trial: &Trial, name: Option<&str>) -> Result<Tunable, TuneError> {
    let tunables = trial.pair.protocol.descriptor().tunables;
    let mut live = tunables.iter().filter(|tunable| tunable.live);
    let found = match name {
        Some(name) => live.find(|tunable| tunable.name == name),
        None => live.next(),
    };
    found.copied().ok_or_else(|| {
        let live = tunables.iter().filter(|tunable| tunable.live).map(|tunable| tunable.name);
        let protocol = trial.pair.name.clone();
        let live = live.collect::<Vec<_>>().join(", ");
        let known = if live.is_empty() { "nothing".into() } else { live };
        TuneError::Space(SpaceError::NotLive { protocol, name: name.unwrap_or("any").into(), known })
    })
}

impl From<RunError> for TuneError {
    fn from(error: RunError) -> Self {
        TuneError::Trial(error.into())
    }
}

impl Display for LiveRun {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let (tunable, target, place) = (&self.tunable, &self.target, &self.place);
        writeln!(f, "{}/{}: {tunable} follows {target}; {place}", self.scenario, self.protocol)?;
        writeln!(
            f,
            "  {:>8} {:>12} {:>10} {:>10} {:>12}",
            "from s",
            self.unit(),
            "p50 ms",
            "p99 ms",
            "commits/s"
        )?;
        for interval in &self.intervals {
            writeln!(
                f,
                "  {:>8.2} {:>12} {:>10.3} {:>10.3} {:>12.0}",
                interval.from_s,
                interval.value,
                interval.response_ns_p50 / 1e6,
                interval.response_ns_p99 / 1e6,
                interval.throughput_per_s,
            )?;
        }
        let settled = if self.settled { "settled" } else { "did not settle" };
        writeln!(
            f,
            "{} {settled} (last third of the intervals); {} held in {:.0} % of those",
            self.tunable,
            self.target,
            self.held * 100.0
        )
    }
}

impl LiveRun {
    fn unit(&self) -> &str {
        self.tunable.rsplit('_').next().unwrap_or_default()
    }
}
